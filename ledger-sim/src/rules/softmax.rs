//! Softmax of net scores.
//!
//! `w_i = exp(s_i / tau)` with `s_i` the score summed over the settlement. Parameter:
//! `temperature` (`tau > 0`, score units, default 1). Every identity is paid.
//!
//! Attack: empty identities. `m` of them take `m / (m + sum over others of exp(s_j / tau))`.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "softmax",
    summary: "in proportion to exp(net score / temperature)",
    attack: "empty identities: each adds weight one, without bound",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let temperature = reader.number("temperature", 1.0, |tau| tau > 0.0)?;
    reader.finish()?;
    Ok(Box::new(Softmax { temperature }))
}

#[derive(Debug)]
struct Softmax {
    temperature: f64,
}

impl Rule for Softmax {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let net = inputs.scores(ENTRY.name)?.sums()?;
        let largest = net.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Subtracting the largest score keeps the exponential in range and cancels in the shares.
        let weight = |score: f64| ((score - largest) / self.temperature).exp();
        inputs.split_by_scores(&net.into_iter().map(weight).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// G25.
    #[test]
    fn shares_of_one_two_three() {
        let rule = rule(ENTRY.name, &[]);
        let settlement = settle_scores(rule.as_ref(), &[1.0, 2.0, 3.0], &[10_000_000]);
        assert_eq!(settlement.payouts, amounts(&[900_306, 2_447_285, 6_652_409]));
    }

    /// G25: m empty identities against 99 of score one.
    #[test]
    fn empty_identities_are_paid() {
        let rule = rule(ENTRY.name, &[]);
        for (own, share) in [(1, 0.003702), (10, 0.035828), (100, 0.270922)] {
            let mut scores = vec![1.0; 99];
            scores.extend(vec![0.0; own]);
            let settlement = settle_scores(rule.as_ref(), &scores, &[1_000_000_000]);
            let taken: u128 = settlement.payouts[99..].iter().map(|p| p.get()).sum();
            assert!((taken as f64 / 1e9 - share).abs() < 5e-7, "{own}: {taken}");
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let rule = rule(ENTRY.name, &[]);
        let settlement = settle_scores(rule.as_ref(), &[1e300, -1e300], &[7]);
        assert_eq!(settlement.payouts, amounts(&[7, 0]));
    }
}
