//! Signed with debt: negative net scores are remembered and must be earned back first.
//!
//! With debt `d_i <= 0` (score units): net `m_i = sum over q of s_iq + d_i`, weight `(m_i)+`, next
//! debt `min(m_i, 0)`. Undecayed and uncapped, the score credited to date is the running maximum
//! of the cumulative score: a zero-value identity with noise `sigma` is credited about
//! `sigma sqrt(2 / (pi T))` per query over `T` settlements, see [`crate::noise::debt_credit`].
//!
//! Parameters: `debt_cap` (score units, default none): debts are not remembered beyond it;
//! `debt_half_life` (settlements, default none): a debt halves in that time before it is added.
//!
//! Attack: abandon indebted identities and start afresh; only a cost of identities stops it.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "signed-debt",
    summary: "positive net scores after earlier negative ones were earned back",
    attack: "whitewashing: abandon indebted identities",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let debt_cap = reader.number("debt_cap", f64::MAX, |cap| cap >= 0.0)?;
    let half_life = reader.number("debt_half_life", f64::MAX, |life| life > 0.0)?;
    reader.finish()?;
    // 2^(-1 / f64::MAX) is exactly one: without a half-life debts do not decay.
    Ok(Box::new(SignedDebt { debt_cap, decay: (-half_life.recip()).exp2() }))
}

#[derive(Debug)]
struct SignedDebt {
    debt_cap: f64,
    decay: f64,
}

impl Rule for SignedDebt {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, state: &State) -> Result<Settlement, Refusal> {
        let mut net = inputs.scores(ENTRY.name)?.sums()?;
        match state {
            State::Fresh => {}
            State::Debts(debts) if debts.len() == net.len() => {
                for (score, debt) in net.iter_mut().zip(debts) {
                    *score += debt * self.decay;
                }
            }
            _ => {
                let input = "its own debts of every contributor";
                return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
            }
        }
        let mut settlement = inputs.split_by_scores(&net)?;
        let debts = net.into_iter().map(|score| score.min(0.0).max(-self.debt_cap)).collect();
        settlement.state = State::Debts(debts);
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::money::Amount;
    use crate::rules::{Value, settle};
    use crate::scores::ScoreView;

    fn series(rule: &dyn Rule, scores: &[[f64; 2]]) -> Vec<(Vec<Amount>, State)> {
        let pots = amounts(&[90]);
        let mut state = State::Fresh;
        let mut seen = vec![];
        for row in scores {
            let view = ScoreView::from_dense(2, 1, row).unwrap();
            let mut inputs = Inputs::new(2, &pots);
            inputs.scores = Some(&view);
            let settlement = settle(rule, &inputs, &state).unwrap();
            state = settlement.state.clone();
            seen.push((settlement.payouts, settlement.state));
        }
        seen
    }

    /// G18.
    #[test]
    fn debts_are_earned_back_first() {
        let scores = [[2.0, 1.0], [-3.0, 1.0], [4.0, 1.0]];
        let seen = series(rule(ENTRY.name, &[]).as_ref(), &scores);
        let debts = |first: f64| State::Debts(vec![first, 0.0]);
        assert_eq!(seen[0], (amounts(&[60, 30]), debts(0.0)));
        assert_eq!(seen[1], (amounts(&[0, 90]), debts(-3.0)));
        assert_eq!(seen[2], (amounts(&[45, 45]), debts(0.0)));
    }

    #[test]
    fn caps_and_half_lives() {
        let scores = [[-3.0, 1.0], [4.0, 2.0]];
        // Only 2 of 3 are remembered: 4 - 2 = 2 against 2.
        let capped = rule(ENTRY.name, &[("debt_cap", Value::Number(2.0))]);
        assert_eq!(series(capped.as_ref(), &scores)[1].0, amounts(&[45, 45]));
        // -3 decays to -1.5 in one half-life: 2.5 against 2, of 90: 50 and 40.
        let decaying = rule(ENTRY.name, &[("debt_half_life", Value::Integer(1))]);
        assert_eq!(series(decaying.as_ref(), &scores)[1].0, amounts(&[50, 40]));
    }

    #[test]
    fn another_rules_state_is_refused() {
        let pots = amounts(&[1]);
        let view = ScoreView::from_dense(1, 1, &[1.0]).unwrap();
        let mut inputs = Inputs::new(1, &pots);
        inputs.scores = Some(&view);
        let foreign = State::Bonds(vec![]);
        assert!(settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &foreign).is_err());
        let short = State::Debts(vec![]);
        assert!(settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &short).is_err());
    }
}
