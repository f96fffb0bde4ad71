//! Linear and clipped, query by query: each query's pot is split in proportion to positive scores.
//!
//! `w_iq = (s_iq)+` and query `q`'s pot `P_q` is split by `w_iq`. A positive factor on all scores
//! cancels, so the rule has no parameters; how a fee becomes a pot is the fee schedule's business.
//! A query without a positive score leaves its pot to the next query that has one (or burns or
//! returns it); settling queries together or one by one is therefore the same.
//!
//! Attack: noise farming. With error of standard deviation `sigma` an identity of no value is
//! credited `sigma / sqrt(2 pi)` per query on average, because the clip keeps the lucky half.
//! Splitting an identity and paying for queries about one's own data work, too.

use super::{Entry, Inputs, OnEmpty, Parameters, Reader, Rule, Settlement, State};
use crate::apportion::{Apportioner, weights_from_scores};
use crate::money::Amount;
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "linear-clipped",
    summary: "each query's pot in proportion to the positive scores for it",
    attack: "noise farming: identities of no value are paid sigma/sqrt(2 pi) per query",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    Reader::new(parameters).finish()?;
    Ok(Box::new(LinearClipped))
}

#[derive(Debug)]
struct LinearClipped;

impl Rule for LinearClipped {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let scores = inputs.scores(ENTRY.name)?;
        if scores.queries() != inputs.pots.len() {
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input: "one pot for each query" });
        }
        let mut settlement = Settlement {
            payouts: vec![Amount::ZERO; inputs.contributors],
            carry: inputs.carry_in,
            ..Settlement::default()
        };
        let mut query_row = QueryRow::default();
        for (query, pot) in inputs.pots.iter().enumerate() {
            query_row.load(scores.query(query))?;
            if query_row.is_unowned() {
                leave(inputs.on_empty, *pot, &mut settlement)?;
            } else {
                let money = pot.plus(settlement.carry)?;
                settlement.carry = Amount::ZERO;
                query_row.pay(money, inputs, &mut settlement.payouts)?;
            }
        }
        Ok(settlement)
    }
}

fn leave(on_empty: OnEmpty, pot: Amount, settlement: &mut Settlement) -> Result<(), Refusal> {
    let place = match on_empty {
        OnEmpty::Carry => &mut settlement.carry,
        OnEmpty::Burn => &mut settlement.burn,
        OnEmpty::Treasury => &mut settlement.returned,
    };
    *place = place.plus(pot)?;
    Ok(())
}

/// Buffers for one query, kept across queries.
#[derive(Default)]
struct QueryRow {
    ids: Vec<usize>,
    scores: Vec<f64>,
    weights: Vec<u64>,
    parts: Vec<Amount>,
    apportioner: Apportioner,
}

impl QueryRow {
    fn load(&mut self, row: impl Iterator<Item = (usize, f64)>) -> Result<(), Refusal> {
        self.ids.clear();
        self.scores.clear();
        for (id, score) in row.filter(|(_, score)| *score > 0.0) {
            self.ids.push(id);
            self.scores.push(score);
        }
        self.weights = weights_from_scores(&self.scores)?;
        Ok(())
    }

    fn is_unowned(&self) -> bool {
        self.ids.is_empty()
    }

    fn pay(
        &mut self,
        money: Amount,
        inputs: &Inputs<'_>,
        payouts: &mut [Amount],
    ) -> Result<(), Refusal> {
        let ties = inputs.ties().among(&self.ids);
        self.apportioner.apportion_into(money, &self.weights, &ties, &mut self.parts)?;
        for (id, part) in self.ids.iter().zip(&self.parts) {
            payouts[*id] = payouts[*id].plus(*part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::settle;
    use crate::scores::ScoreView;

    /// G17.
    #[test]
    fn two_queries_by_hand() {
        // Query 1: scores (3, -1, 2): 500 x 3/5 = 300, 0, 200. Query 2: scores (-2, 2, 1):
        // 0, 500 x 2/3 = 333.3, 166.7. Sums 300, 333.3, 366.7, so 333 and 367 after rounding.
        let scores = [3.0, -2.0, -1.0, 2.0, 2.0, 1.0];
        let settlement = settle_scores(&LinearClipped, &scores, &[500, 500]);
        assert_eq!(settlement.payouts, amounts(&[300, 333, 367]));
        // In finer units: 300, 333 1/3, 366 2/3 of a thousandth each.
        let fine = settle_scores(&LinearClipped, &scores, &[1_500_000, 1_500_000]);
        assert_eq!(fine.payouts, amounts(&[900_000, 1_000_000, 1_100_000]));
    }

    #[test]
    fn an_unowned_query_waits_for_the_next_or_the_end() {
        // Query 1 has no positive score, query 2 pays for both, query 3 is left.
        let scores = [-1.0, 1.0, 0.0];
        let settlement = settle_scores(&LinearClipped, &scores, &[10, 20, 30]);
        assert_eq!((settlement.payouts, settlement.carry), (amounts(&[30]), Amount::new(30)));
    }

    #[test]
    fn settling_one_by_one_is_settling_together() {
        let scores = [1.0, 0.0, 2.0, 3.0, -1.0, 0.5];
        let together = settle_scores(&LinearClipped, &scores, &[100, 100, 100]);
        let view = ScoreView::from_dense(2, 3, &scores).unwrap();
        let mut carry_in = Amount::ZERO;
        let mut sums = amounts(&[0, 0]);
        for query in 0..3 {
            let pots = amounts(&[100]);
            let slice = view.slice(query..query + 1);
            let mut inputs = Inputs::new(2, &pots);
            inputs.scores = Some(&slice);
            inputs.carry_in = carry_in;
            let one = settle(&LinearClipped, &inputs, &State::Fresh).unwrap();
            carry_in = one.carry;
            for (sum, payout) in sums.iter_mut().zip(one.payouts) {
                *sum = sum.plus(payout).unwrap();
            }
        }
        assert_eq!((sums, carry_in), (together.payouts, together.carry));
    }

    #[test]
    fn needs_scores_and_a_pot_for_each_query() {
        let pots = amounts(&[1, 1]);
        let mut inputs = Inputs::new(1, &pots);
        let missing = settle(&LinearClipped, &inputs, &State::Fresh).unwrap_err();
        assert_eq!(missing, Refusal::RuleNeeds { rule: ENTRY.name, input: "scores" });
        let view = ScoreView::from_dense(1, 1, &[1.0]).unwrap();
        inputs.scores = Some(&view);
        assert!(settle(&LinearClipped, &inputs, &State::Fresh).is_err());
    }
}
