//! Pro-rata: one pot in proportion to total uses.
//!
//! `w_i = sum over users u of c_ui`. No parameters. A heavy account moves everybody's money.
//!
//! Attack: one paid account with huge use draws `C_bot / (C + C_bot)` of the pot.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "pro-rata",
    summary: "one pot in proportion to total uses",
    attack: "a paid account with huge use draws on everybody's fees",
    needs: &["usage"],
    build,
};

/// How often each user used each contributor's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    contributors: usize,
    rows: Vec<Vec<(usize, u64)>>,
}

impl Usage {
    /// Usage from one list of (contributor, uses) for each user.
    ///
    /// # Errors
    /// [`Refusal::DuplicateId`] for a contributor twice in a row, [`Refusal::RuleNeeds`] for one
    /// beyond `contributors`, [`Refusal::Overflow`] when all uses exceed 2^64.
    pub fn new(contributors: usize, mut rows: Vec<Vec<(usize, u64)>>) -> Result<Self, Refusal> {
        let mut total: u64 = 0;
        for row in &mut rows {
            row.retain(|(_, uses)| *uses > 0);
            row.sort_unstable();
            if let Some(pair) = row.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(Refusal::DuplicateId { id: pair[0].0.to_string() });
            }
            for (contributor, uses) in row {
                if *contributor >= contributors {
                    let input = "contributor indices below the number of contributors";
                    return Err(Refusal::RuleNeeds { rule: "usage", input });
                }
                total = total.checked_add(*uses).ok_or(Refusal::Overflow)?;
            }
        }
        Ok(Self { contributors, rows })
    }

    /// Number of contributors.
    pub fn contributors(&self) -> usize {
        self.contributors
    }

    /// Uses of each user as (contributor, uses), positive and by ascending contributor.
    pub fn rows(&self) -> &[Vec<(usize, u64)>] {
        &self.rows
    }

    /// Uses of each contributor over all users.
    pub fn totals(&self) -> Vec<u64> {
        let mut totals = vec![0; self.contributors];
        for (contributor, uses) in self.rows.iter().flatten() {
            // Bounded by the total that the constructor has checked.
            totals[*contributor] += uses;
        }
        totals
    }
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    Reader::new(parameters).finish()?;
    Ok(Box::new(ProRata))
}

#[derive(Debug)]
struct ProRata;

impl Rule for ProRata {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        inputs.split_by_weights(&inputs.usage(ENTRY.name)?.totals())
    }
}

impl<'a> Inputs<'a> {
    /// The usage, which must be of the contributors.
    pub(super) fn usage(&self, rule: &'static str) -> Result<&'a Usage, Refusal> {
        let usage = require(self.side.usage, rule, "usage")?;
        if usage.contributors() != self.contributors {
            return Err(Refusal::RuleNeeds { rule, input: "usage of every contributor" });
        }
        Ok(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::settle;

    /// G28: 16 + 6 = 22 uses, of which contributors have 16, 3 and 3; three fees.
    #[test]
    fn uses_of_three_users() {
        let rows = vec![vec![(0, 10)], vec![(0, 6), (1, 2)], vec![(1, 1), (2, 3)]];
        let usage = Usage::new(3, rows).unwrap();
        let pots = amounts(&[22, 22, 22]);
        let mut inputs = Inputs::new(3, &pots);
        inputs.side.usage = Some(&usage);
        let settlement = settle(&ProRata, &inputs, &State::Fresh).unwrap();
        // 24/11, 9/22 and 9/22 of a fee of 22.
        assert_eq!(settlement.payouts, amounts(&[48, 9, 9]));
    }

    /// G41: 1000 users of 300 uses, fee 10, pool 70%; a bot pays one fee and plays 90,000 times.
    #[test]
    fn a_bot_takes_from_everybody() {
        let mut rows = vec![vec![(0, 300)]; 1_000];
        rows.push(vec![(1, 90_000)]);
        let usage = Usage::new(2, rows).unwrap();
        let pots = amounts(&[7 * 1_001]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.side.usage = Some(&usage);
        let settlement = settle(&ProRata, &inputs, &State::Fresh).unwrap();
        // 7007 x 90,000 / 390,000 = 1617.
        assert_eq!(settlement.payouts[1].get(), 1_617);
    }

    #[test]
    fn bad_usage_is_refused() {
        assert!(matches!(
            Usage::new(1, vec![vec![(0, 1), (0, 2)]]),
            Err(Refusal::DuplicateId { .. })
        ));
        assert!(matches!(Usage::new(1, vec![vec![(1, 1)]]), Err(Refusal::RuleNeeds { .. })));
        assert_eq!(Usage::new(1, vec![vec![(0, u64::MAX)], vec![(0, 1)]]), Err(Refusal::Overflow));
        let pots = amounts(&[1]);
        let refusal = settle(&ProRata, &Inputs::new(1, &pots), &State::Fresh).unwrap_err();
        assert_eq!(refusal, Refusal::RuleNeeds { rule: ENTRY.name, input: "usage" });
    }
}
