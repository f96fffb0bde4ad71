//! Flat fee: a fixed amount for each eligible identity, rationed when the pot is short.
//!
//! `p_i = f` for the eligible if `n f <= P`, else the pot split equally among them; what is left is
//! carried. Parameter: `fee` (`f`, base units, default one token of 1e9).
//!
//! Attack: more identities.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::money::{Amount, BILLION};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "flat-fee",
    summary: "a fixed amount for each eligible identity",
    attack: "more identities",
    needs: &["eligible contributors"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let fee = reader.amount("fee", Amount::new(u128::from(BILLION)))?;
    reader.finish()?;
    Ok(Box::new(FlatFee { fee }))
}

#[derive(Debug)]
struct FlatFee {
    fee: Amount,
}

impl Rule for FlatFee {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let eligible = require(inputs.side.eligible, ENTRY.name, "eligible contributors")?;
        let mut weights = vec![0; inputs.contributors];
        for index in eligible {
            let input = "eligible contributors that exist";
            let refusal = Refusal::RuleNeeds { rule: ENTRY.name, input };
            let weight = weights.get_mut(*index).ok_or(refusal)?;
            if *weight == 1 {
                return Err(Refusal::DuplicateId { id: index.to_string() });
            }
            *weight = 1;
        }
        let money = inputs.money()?;
        let wanted = self.fee.times(eligible.len() as u64)?;
        if wanted > money {
            return inputs.split_by_weights(&weights);
        }
        let mut settlement = inputs.unowned(Amount::ZERO);
        for index in eligible {
            settlement.payouts[*index] = self.fee;
        }
        settlement.carry = money.minus(settlement.paid()?)?;
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};

    fn run(pot: u128, eligible: &[usize]) -> Result<Settlement, Refusal> {
        let rule = rule(ENTRY.name, &[("fee", Value::Integer(10))]);
        let pots = amounts(&[pot]);
        let mut inputs = Inputs::new(3, &pots);
        inputs.side.eligible = Some(eligible);
        settle(rule.as_ref(), &inputs, &State::Fresh)
    }

    #[test]
    fn paid_in_full_or_rationed() {
        // Two eligible: 20 of 25 paid, 5 carried; of 15 at most 8 and 7.
        let full = run(25, &[0, 2]).unwrap();
        assert_eq!((full.payouts, full.carry.get()), (amounts(&[10, 0, 10]), 5));
        let mut short: Vec<u128> =
            run(15, &[0, 2]).unwrap().payouts.iter().map(|p| p.get()).collect();
        short.sort_unstable();
        assert_eq!(short, [0, 7, 8]);
        assert_eq!(run(15, &[]).unwrap().carry.get(), 15);
    }

    #[test]
    fn the_eligible_must_exist_and_differ() {
        assert!(matches!(run(1, &[3]), Err(Refusal::RuleNeeds { .. })));
        assert_eq!(run(1, &[1, 1]), Err(Refusal::DuplicateId { id: "1".to_owned() }));
    }
}
