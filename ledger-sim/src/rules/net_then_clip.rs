//! Net, then clip: the scores of a whole settlement are summed before negative ones are dropped.
//!
//! `w_i = (sum over q of kappa_q s_iq)+`, one pot for all queries of the settlement. Independent
//! errors of standard deviation `sigma` leave a bias of `sigma / sqrt(2 pi T)` per query after `T`
//! queries; an error that persists across queries is not cured by netting.
//!
//! Parameters: `weighting` = `one` (`kappa_q = 1`) or `fee` (`kappa_q` = fee of the query, which
//! must then be given). The number of queries in a settlement is the caller's choice.
//!
//! Attack: join or leave around the settlement boundary; a persistent bias survives.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "net-then-clip",
    summary: "one pot in proportion to the positive part of summed scores",
    attack: "time the entry or exit around the settlement boundary",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let weighting =
        reader.choice("weighting", &[("one", Weighting::One), ("fee", Weighting::Fee)])?;
    reader.finish()?;
    Ok(Box::new(NetThenClip { weighting }))
}

#[derive(Clone, Copy, Debug)]
enum Weighting {
    One,
    Fee,
}

#[derive(Debug)]
struct NetThenClip {
    weighting: Weighting,
}

impl Rule for NetThenClip {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let scores = inputs.scores(ENTRY.name)?;
        let net = match self.weighting {
            Weighting::One => scores.sums()?,
            Weighting::Fee => {
                let fees = require(inputs.query_fees, ENTRY.name, "query fees")?;
                if fees.len() != scores.queries() {
                    let input = "a fee for each query";
                    return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
                }
                scores.weighted_sums(|query| fees[query].get() as f64)?
            }
        };
        inputs.split_by_scores(&net)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Value, settle};
    use crate::scores::ScoreView;

    /// G17: the same scores as the per-query rule, netted.
    #[test]
    fn two_queries_by_hand() {
        // Sums: 3 - 2 = 1, -1 + 2 = 1, 2 + 1 = 3; of 1000: 200, 200, 600.
        let scores = [3.0, -2.0, -1.0, 2.0, 2.0, 1.0];
        let rule = rule(ENTRY.name, &[]);
        let settlement = settle_scores(rule.as_ref(), &scores, &[500, 500]);
        assert_eq!(settlement.payouts, amounts(&[200, 200, 600]));
    }

    #[test]
    fn fees_weigh_queries() {
        let rule = rule(ENTRY.name, &[("weighting", Value::Text("fee".to_owned()))]);
        let view = ScoreView::from_dense(2, 2, &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let pots = amounts(&[100, 100]);
        let fees = amounts(&[3, 1]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.scores = Some(&view);
        let missing = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap_err();
        assert_eq!(missing, Refusal::RuleNeeds { rule: ENTRY.name, input: "query fees" });
        inputs.query_fees = Some(&fees);
        // Fees 3 and 1 weigh the two one-query contributors: 150 and 50 of 200.
        let settlement = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!(settlement.payouts, amounts(&[150, 50]));
        inputs.query_fees = Some(&fees[..1]);
        assert!(settle(rule.as_ref(), &inputs, &State::Fresh).is_err());
    }
}
