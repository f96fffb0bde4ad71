//! Equal split: every identity has the same weight, whatever its score.
//!
//! `w_i = 1`. No parameters. The whole pot is paid.
//!
//! Attack: more identities. With `N - 1` honest ones, `m` own identities take `m / (N - 1 + m)`.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "equal",
    summary: "the same amount to every identity",
    attack: "more identities: m of them take m/(N-1+m)",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    Reader::new(parameters).finish()?;
    Ok(Box::new(Equal))
}

#[derive(Debug)]
struct Equal;

impl Rule for Equal {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        inputs.split_by_weights(&vec![1; inputs.contributors])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::money::Amount;
    use crate::rules::settle;

    /// G25: a newcomer with m = 1, 10, 100 identities against 99 honest.
    #[test]
    fn sybils_take_their_number() {
        let pots = [Amount::new(1_000_000_000)];
        for (own, share) in [(1, 0.01), (10, 0.091743), (100, 0.502513)] {
            let inputs = Inputs::new(99 + own, &pots);
            let settlement = settle(&Equal, &inputs, &State::Fresh).unwrap();
            let taken = Amount::total(settlement.payouts[99..].iter().copied()).unwrap();
            assert!((taken.get() as f64 / 1e9 - share).abs() < 5e-7, "{own}");
        }
    }

    #[test]
    fn scores_do_not_matter_and_units_are_conserved() {
        let settlement = settle_scores(&Equal, &[5.0, -1.0, 0.0], &[10]);
        let mut units: Vec<u128> = settlement.payouts.iter().map(|p| p.get()).collect();
        units.sort_unstable();
        assert_eq!(units, [3, 3, 4]);
    }
}
