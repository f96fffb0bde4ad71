//! Threshold pool: pro-rata among contributors above a line of use.
//!
//! Eligible are those with at least `minimum_uses` in the trailing twelve months by at least
//! `minimum_users` distinct users; the money of the others is split among the eligible by their
//! uses. Parameters: `minimum_uses` (default 1000), `minimum_users` (default 1).
//!
//! Attack: shells that pool small contributors over the line; use farms at the line.
//!
//! Source of the form: Spotify's track monetisation eligibility, 2024.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "threshold-pool",
    summary: "pro-rata among contributors above a line of use",
    attack: "pool small contributors over the line; farm use at the line",
    needs: &["usage", "trailing use"],
    build,
};

/// Use of one contributor in the trailing twelve months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailingUse {
    /// Uses.
    pub uses: u64,
    /// Distinct users.
    pub users: u64,
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let minimum_uses = reader.integer("minimum_uses", 1_000, 0..=u64::MAX)?;
    let minimum_users = reader.integer("minimum_users", 1, 0..=u64::MAX)?;
    reader.finish()?;
    Ok(Box::new(ThresholdPool { minimum_uses, minimum_users }))
}

#[derive(Debug)]
struct ThresholdPool {
    minimum_uses: u64,
    minimum_users: u64,
}

impl Rule for ThresholdPool {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let mut weights = inputs.usage(ENTRY.name)?.totals();
        let trailing = require(inputs.side.trailing, ENTRY.name, "trailing use")?;
        if trailing.len() != weights.len() {
            let input = "trailing use of every contributor";
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
        }
        for (weight, trailing) in weights.iter_mut().zip(trailing) {
            if trailing.uses < self.minimum_uses || trailing.users < self.minimum_users {
                *weight = 0;
            }
        }
        inputs.split_by_weights(&weights)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::{Usage, Value, settle};

    #[test]
    fn those_below_the_line_pay_those_above() {
        let usage = Usage::new(4, vec![vec![(0, 60), (1, 20), (2, 10), (3, 10)]]).unwrap();
        let at = |uses, users| TrailingUse { uses, users };
        let trailing = [at(5_000, 50), at(1_000, 2), at(999, 50), at(5_000, 1)];
        let pots = amounts(&[100]);
        let mut inputs = Inputs::new(4, &pots);
        inputs.side.usage = Some(&usage);
        inputs.side.trailing = Some(&trailing);
        let rule = rule(ENTRY.name, &[("minimum_users", Value::Integer(2))]);
        // 999 uses and 1 user are below the line: 60 : 20 of 100.
        let settlement = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
        assert_eq!(settlement.payouts, amounts(&[75, 25, 0, 0]));
    }

    #[test]
    fn needs_trailing_use() {
        let usage = Usage::new(1, vec![vec![(0, 1)]]).unwrap();
        let pots = amounts(&[1]);
        let mut inputs = Inputs::new(1, &pots);
        inputs.side.usage = Some(&usage);
        let refusal = settle(rule(ENTRY.name, &[]).as_ref(), &inputs, &State::Fresh).unwrap_err();
        assert_eq!(refusal, Refusal::RuleNeeds { rule: ENTRY.name, input: "trailing use" });
    }
}
