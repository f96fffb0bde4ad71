//! Random null: weights that know nothing of the scores.
//!
//! `w_i = -ln u_i` with `u_i` uniform: normalised exponentials are uniform on the simplex of
//! shares. It calibrates every metric: an estimator that pays no closer to exact than this rule
//! tells nothing. The draws follow the contributor's name and the epoch. No parameters, but
//! randomness must be given.
//!
//! Attack: more identities, as for the equal split.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State};
use crate::random::Purpose;
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "random",
    summary: "the null: shares uniform on the simplex, blind to scores",
    attack: "more identities, as for an equal split",
    needs: &[],
    build,
};

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    Reader::new(parameters).finish()?;
    Ok(Box::new(Random))
}

#[derive(Debug)]
struct Random;

impl Rule for Random {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn reads_scores(&self) -> bool {
        false
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let streams = inputs.streams.ok_or(Refusal::SeedMissing)?;
        let draw = |index| {
            let agent = inputs.identities.agent(index);
            streams.exponential(Purpose::NullRule, agent, inputs.epoch, 0)
        };
        let weights: Vec<f64> = (0..inputs.contributors).map(draw).collect();
        inputs.split_by_scores(&weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Amount;
    use crate::random::Streams;
    use crate::rules::settle;

    #[test]
    fn a_seed_is_needed() {
        let pots = [Amount::new(5)];
        let refusal = settle(&Random, &Inputs::new(2, &pots), &State::Fresh).unwrap_err();
        assert_eq!(refusal, Refusal::SeedMissing);
    }

    #[test]
    fn shares_are_uniform_on_the_simplex() {
        // On the simplex of n = 4 shares, E share = 1/4 and E share^2 = 2 / (n (n+1)) = 1/10.
        let pots = [Amount::new(1_000_000_000_000)];
        let (mut first, mut second) = (0.0, 0.0);
        let epochs = 20_000;
        for epoch in 0..epochs {
            let mut inputs = Inputs::new(4, &pots);
            inputs.epoch = epoch;
            inputs.streams = Some(Streams::new(3, 0));
            let settlement = settle(&Random, &inputs, &State::Fresh).unwrap();
            let share = settlement.payouts[2].get() as f64 / 1e12;
            first += share / f64::from(epochs);
            second += share * share / f64::from(epochs);
        }
        // sd of the share .194, of its square .13: five standard errors of 20,000 draws.
        assert!((first - 0.25).abs() < 0.0069, "{first}");
        assert!((second - 0.1).abs() < 0.0046, "{second}");
    }
}
