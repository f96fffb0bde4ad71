//! Power of net scores.
//!
//! `w_i = (s_i)+^a` with `s_i` the score summed over the settlement. Parameter: `exponent`
//! (`a > 0`, default 1). Splitting an identity into `m` equal ones multiplies its weight by
//! `m^(1-a)`: below one splitting pays, above one merging does, only one is neutral.
//!
//! Attack: splitting (`a < 1`) or merging (`a > 1`).

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "power",
    summary: "in proportion to a power of the positive net score",
    attack: "split below exponent one, merge above it",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let exponent = reader.number("exponent", 1.0, |exponent| exponent > 0.0)?;
    reader.finish()?;
    Ok(Box::new(Power { exponent }))
}

#[derive(Debug)]
struct Power {
    exponent: f64,
}

impl Rule for Power {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let net = inputs.scores(ENTRY.name)?.sums()?;
        let largest = net.iter().copied().fold(0.0, f64::max);
        // Relative to the largest score the power stays in range; the factor cancels. Without a
        // positive score every weight is zero, and dividing by zero must not say otherwise.
        let weight = |score: f64| {
            if score > 0.0 { (score / largest).powf(self.exponent) } else { 0.0 }
        };
        inputs.split_by_scores(&net.into_iter().map(weight).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::rules::Value;

    #[test]
    fn squares_and_roots() {
        let squares = rule(ENTRY.name, &[("exponent", Value::Integer(2))]);
        // 1 : 4 : 0 of 100.
        let settlement = settle_scores(squares.as_ref(), &[1.0, 2.0, -2.0], &[100]);
        assert_eq!(settlement.payouts, amounts(&[20, 80, 0]));
        // One identity of 4 against two of 1, which one owner split from 2: roots 2 : 1 + 1.
        let roots = rule(ENTRY.name, &[("exponent", Value::Number(0.5))]);
        let settlement = settle_scores(roots.as_ref(), &[4.0, 1.0, 1.0], &[100]);
        assert_eq!(settlement.payouts, amounts(&[50, 25, 25]));
    }

    #[test]
    fn without_positive_scores_the_pot_waits() {
        let settlement = settle_scores(rule(ENTRY.name, &[]).as_ref(), &[-1.0, 0.0], &[9]);
        assert_eq!(settlement.carry.get(), 9);
    }
}
