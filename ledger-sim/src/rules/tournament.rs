//! Tournament with stake, the form of Numerai: no pot, the treasury pays gains and losses burn.
//!
//! `payout_i = stake_i clip(pf score_i, -cap, cap)`, `score = c1 correlation + c2 contribution`,
//! `pf = min(1, threshold / total at risk)`, the total being all stakes. The clipped rate is
//! rounded to parts per billion and the payout is its floor. A pot, if there is one, is carried.
//!
//! Parameters: `correlation_weight`, `contribution_weight` (default 1 and 0), `cap` (ppb, default
//! 50000000), `threshold` (base units, default 72000 tokens of 1e9).
//!
//! Attack: many models, then stake moved to the lucky ones; copying a leader.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::money::{Amount, BILLION, Ppb};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "tournament",
    summary: "stakes gain or lose by score; the treasury pays and losses burn",
    attack: "harvest variance over many models; copy a leader",
    needs: &["stakes", "tournament scores"],
    build,
};

/// The two scores of a tournament entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TournamentScore {
    /// Correlation with the target.
    pub correlation: f64,
    /// Contribution beyond what the others know.
    pub contribution: f64,
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let correlation_weight = reader.number("correlation_weight", 1.0, |_| true)?;
    let contribution_weight = reader.number("contribution_weight", 0.0, |_| true)?;
    let cap = Ppb::new(reader.integer("cap", 50_000_000, 0..=BILLION)?)?;
    let threshold = reader.amount("threshold", Amount::new(72_000 * u128::from(BILLION)))?;
    reader.finish()?;
    Ok(Box::new(Tournament { correlation_weight, contribution_weight, cap, threshold }))
}

#[derive(Debug)]
struct Tournament {
    correlation_weight: f64,
    contribution_weight: f64,
    cap: Ppb,
    threshold: Amount,
}

impl Tournament {
    /// Clipped rate of a score in signed parts per billion.
    fn rate(&self, score: &TournamentScore, factor: f64) -> f64 {
        let score = self.correlation_weight * score.correlation
            + self.contribution_weight * score.contribution;
        let cap = self.cap.get() as f64;
        (factor * score * BILLION as f64).clamp(-cap, cap).round_ties_even()
    }
}

impl Rule for Tournament {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let stakes = require(inputs.side.stakes, ENTRY.name, "stakes")?;
        let scores = require(inputs.side.tournament, ENTRY.name, "tournament scores")?;
        if stakes.len() != inputs.contributors || scores.len() != inputs.contributors {
            let input = "a stake and scores for every contributor";
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
        }
        let at_risk = Amount::total(stakes.iter().copied())?.max(Amount::new(1));
        let factor = (self.threshold.get() as f64 / at_risk.get() as f64).min(1.0);
        let mut settlement = inputs.unowned(Amount::ZERO);
        settlement.carry = inputs.money()?;
        settlement.slashed = vec![Amount::ZERO; stakes.len()];
        for (index, (stake, score)) in stakes.iter().zip(scores).enumerate() {
            let rate = self.rate(score, factor);
            if !rate.is_finite() {
                return Err(Refusal::NonFinite { contributor: index, query: 0 });
            }
            let amount = Ppb::new(rate.abs() as u64)?.of(*stake);
            if rate > 0.0 {
                settlement.payouts[index] = amount;
                settlement.drawn = settlement.drawn.plus(amount)?;
            } else {
                settlement.slashed[index] = amount;
                settlement.burn = settlement.burn.plus(amount)?;
            }
        }
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};

    /// G27: stake 1000, the rest of the total at risk being another's with score 0.
    #[test]
    fn published_cases() {
        let rule = rule(ENTRY.name, &[("threshold", Value::Integer(72_000))]);
        let table = [(0.03, 60_000, 30, 0), (0.03, 144_000, 15, 0), (0.2, 144_000, 50, 0)];
        for (score, at_risk, gain, loss) in table.into_iter().chain([(-0.2, 60_000, 0, 50)]) {
            let stakes = amounts(&[1_000, at_risk - 1_000]);
            let entry = |correlation| TournamentScore { correlation, contribution: 0.0 };
            let scores = [entry(score), entry(0.0)];
            let mut inputs = Inputs::new(2, &[]);
            inputs.side.stakes = Some(&stakes);
            inputs.side.tournament = Some(&scores);
            let settlement = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
            assert_eq!(settlement.payouts, amounts(&[gain, 0]));
            assert_eq!(settlement.slashed, amounts(&[loss, 0]));
            assert_eq!((settlement.drawn.get(), settlement.burn.get()), (gain, loss));
        }
    }

    #[test]
    fn needs_stakes_and_finite_scores() {
        let rule = rule(ENTRY.name, &[]);
        let mut inputs = Inputs::new(1, &[]);
        assert!(settle(rule.as_ref(), &inputs, &State::Fresh).is_err());
        let stakes = amounts(&[5]);
        let scores = [TournamentScore { correlation: f64::NAN, contribution: 0.0 }];
        inputs.side.stakes = Some(&stakes);
        inputs.side.tournament = Some(&scores);
        assert_eq!(
            settle(rule.as_ref(), &inputs, &State::Fresh),
            Err(Refusal::NonFinite { contributor: 0, query: 0 })
        );
    }
}
