//! Replication-robust Shapley: value discounted by similarity to others.
//!
//! `p_i = P (phi_i)+ / sum (phi)+ exp(-lambda sum over j of SM_ij)` with similarity `SM` in [0, 1]
//! to each other contributor; the rest of the pot is burnt or carried. Copying does not pay from
//! `lambda = ln 2` on. `phi` is the Shapley value of the game if there is one, else the net score.
//!
//! Parameters: `penalty` (`lambda >= 0`, default ln 2), `rest` = `burn` or `carry`.
//!
//! Attack: griefing, copying a rival to destroy his pay.
//!
//! Source: Agarwal, Dahleh, Sarkar, A Marketplace for Data (2019).

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::apportion::{apportion, weights_from_scores};
use crate::money::Amount;
use crate::refusal::Refusal;
use crate::semivalue::Semivalue;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "replication-robust",
    summary: "positive value discounted by similarity to others; the rest is not paid",
    attack: "griefing: copy a rival to destroy his pay",
    needs: &["similarity"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let penalty = reader.number("penalty", std::f64::consts::LN_2, |penalty| penalty >= 0.0)?;
    let rest = reader.choice("rest", &[("burn", Rest::Burn), ("carry", Rest::Carry)])?;
    reader.finish()?;
    Ok(Box::new(ReplicationRobust { penalty, rest }))
}

#[derive(Clone, Copy, Debug)]
enum Rest {
    Burn,
    Carry,
}

#[derive(Debug)]
struct ReplicationRobust {
    penalty: f64,
    rest: Rest,
}

/// Sum over the others of a contributor's similarities, for each contributor.
fn likeness(similarity: &[f64], contributors: usize) -> Result<Vec<f64>, Refusal> {
    let input = "an n x n matrix of similarities between 0 and 1";
    let refusal = Refusal::RuleNeeds { rule: ENTRY.name, input };
    let unit = similarity.iter().all(|value| (0.0..=1.0).contains(value));
    if similarity.len() != contributors * contributors || !unit {
        return Err(refusal);
    }
    let others = |own: usize| {
        (0..contributors).filter(|j| *j != own).map(|j| similarity[own * contributors + j]).sum()
    };
    Ok((0..contributors).map(others).collect())
}

impl Rule for ReplicationRobust {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let similarity = require(inputs.side.similarity, ENTRY.name, "similarity")?;
        let likeness = likeness(similarity, inputs.contributors)?;
        let phi = match inputs.side.game {
            Some(_) => inputs.game(ENTRY.name)?.semivalues(Semivalue::Shapley),
            None => inputs.scores(ENTRY.name)?.sums()?,
        };
        let mut weights = Vec::with_capacity(phi.len() + 1);
        let mut rest = 0.0;
        for (value, likeness) in phi.iter().zip(likeness) {
            let paid = (-self.penalty * likeness).exp();
            weights.push(value.max(0.0) * paid);
            rest += value.max(0.0) * (1.0 - paid);
        }
        // The unpaid part is one more party of the split, so that the pot closes exactly.
        weights.push(rest);
        let money = inputs.money()?;
        let mut parts = match apportion(money, &weights_from_scores(&weights)?, &inputs.ties()) {
            Err(Refusal::ZeroTotalWeight) => return Ok(inputs.unowned(money)),
            other => other?,
        };
        let unpaid = parts.pop().unwrap_or(Amount::ZERO);
        let mut settlement = Settlement { payouts: parts, ..Settlement::default() };
        match self.rest {
            Rest::Burn => settlement.burn = unpaid,
            Rest::Carry => settlement.carry = unpaid,
        }
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};
    use crate::semivalue::testing::coverage;

    /// Payouts and burn, as shares, of identical sellers in a pot of 1e12.
    fn identical(sellers: usize, penalty: f64) -> (Vec<f64>, f64) {
        let rule = rule(ENTRY.name, &[("penalty", Value::Number(penalty))]);
        let game = coverage(&vec![1; sellers]);
        let similarity = vec![1.0; sellers * sellers];
        let pots = amounts(&[1_000_000_000_000]);
        let mut inputs = Inputs::new(sellers, &pots);
        inputs.side.game = Some(&game);
        inputs.side.similarity = Some(&similarity);
        let settlement = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
        let shares = settlement.payouts.iter().map(|p| p.get() as f64 / 1e12).collect();
        (shares, settlement.burn.get() as f64 / 1e12)
    }

    /// G10.
    #[test]
    fn copying_does_not_pay_but_grieves() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-10;
        let (before, burn) = identical(2, 1.0);
        assert!(close(before[0], 0.183_939_720_6) && close(burn, 0.632_120_558_8));
        let (after, burn) = identical(3, 1.0);
        assert!(close(after[0] + after[1], 0.090_223_522_2));
        assert!(close(after[2], 0.045_111_761_1) && close(burn, 0.864_664_716_8));
        // Loss of B over A's own forgone pay.
        let griefing = (before[1] - after[2]) / (before[0] - after[0] - after[1]);
        assert!((griefing - 1.481_365_674_6).abs() < 1e-8);
        let (before, burn) = identical(2, std::f64::consts::LN_2);
        assert!(close(before[0], 0.25) && close(burn, 0.5));
        let (after, burn) = identical(3, std::f64::consts::LN_2);
        assert!(close(after[0] + after[1], 1.0 / 6.0) && close(burn, 0.75));
        let griefing = (before[1] - after[2]) / (before[0] - after[0] - after[1]);
        assert!((griefing - 2.0).abs() < 1e-6);
    }

    #[test]
    fn similarity_must_be_a_matrix_of_the_contributors() {
        let rule = rule(ENTRY.name, &[]);
        let pots = amounts(&[1]);
        for bad in [&[0.0][..], &[0.0, 0.0, 1.5, 0.0], &[0.0, f64::NAN, 0.0, 0.0]] {
            let mut inputs = Inputs::new(2, &pots);
            inputs.side.similarity = Some(bad);
            let refusal = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap_err();
            assert!(matches!(refusal, Refusal::RuleNeeds { .. }));
        }
    }
}
