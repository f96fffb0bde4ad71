//! Buyout: the treasury pays a fixed price for each accepted item, once, and owes nothing later.
//!
//! `p_i = b` times the items of `i` accepted at this settlement. A pot, should there be one, is
//! carried. Parameter: `price` (`b`, base units an item, default one token of 1e9).
//!
//! Attack: spam and duplicates; those who know their data to be cheap sell first.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::money::{Amount, BILLION};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "buyout",
    summary: "the treasury buys accepted items at a fixed price",
    attack: "spam, duplicates, adverse selection of cheap data",
    needs: &["accepted items"],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let price = reader.amount("price", Amount::new(u128::from(BILLION)))?;
    reader.finish()?;
    Ok(Box::new(Buyout { price }))
}

#[derive(Debug)]
struct Buyout {
    price: Amount,
}

impl Rule for Buyout {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let items = require(inputs.side.accepted_items, ENTRY.name, "accepted items")?;
        let payouts: Vec<Amount> =
            items.iter().map(|items| self.price.times(*items)).collect::<Result<_, _>>()?;
        let drawn = Amount::total(payouts.iter().copied())?;
        Ok(Settlement { payouts, drawn, carry: inputs.money()?, ..Settlement::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};

    #[test]
    fn the_treasury_pays_by_the_item() {
        let rule = rule(ENTRY.name, &[("price", Value::Integer(7))]);
        let pots = amounts(&[5]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.side.accepted_items = Some(&[3, 0]);
        let settlement = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!(settlement.payouts, amounts(&[21, 0]));
        assert_eq!((settlement.drawn.get(), settlement.carry.get()), (21, 5));
        inputs.side.accepted_items = Some(&[1]);
        assert!(settle(rule.as_ref(), &inputs, &State::Fresh).is_err());
        // 2^119 x 2^9 is the first product beyond 128 bits.
        let dear = super::super::testing::rule(ENTRY.name, &[("price", Value::Integer(1 << 119))]);
        inputs.side.accepted_items = Some(&[1 << 9, 0]);
        assert_eq!(settle(dear.as_ref(), &inputs, &State::Fresh), Err(Refusal::Overflow));
    }
}
