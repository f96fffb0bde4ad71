//! Shapley value by pairs of an order and its reverse.
//!
//! # Computes
//! Mean over pairs of the mean marginal contribution in a random order and in the same order read
//! backwards: who comes early in one comes late in the other, so that what depends on the position
//! cancels. The standard error is over pairs.
//!
//! # Axioms
//! As [`super::permutation_shapley`].
//!
//! # Costs
//! At most `2 n` evaluations a pair.
//!
//! # References
//! Mitchell, Cooper, Frank, Holmes, Sampling permutations for Shapley value estimation, JMLR 2022.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use ndarray::{ArrayView2, s};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    permutation_shapley::{marginals, prefixes},
    recall::Recall,
    sampling::{Estimator, Sampler, Stop, finish, sample, shuffled},
    sums::{Estimated, Tally},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AntitheticShapley {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for AntitheticShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "antithetic-shapley",
        summary: "Shapley by pairs of an order and its reverse",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for AntitheticShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let mut recall = Recall::new(game);
        let mut mean = MeanOfPairs {
            tally: Tally::of_means((game.players(), game.outcomes()), game.repeats()),
        };
        let pairs = Pairs { players: game.players() };
        let stopped = sample(&mut recall, context, &self.stop, &pairs, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

struct Pairs {
    players: usize,
}

impl Sampler for Pairs {
    /// The order and its reverse.
    type Draw = [Vec<usize>; 2];
    const STREAM: &'static str = "orders";

    fn most_coalitions(&self) -> usize {
        2 * (self.players + 1)
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Self::Draw {
        let order = shuffled(self.players, random);
        let reverse = order.iter().rev().copied().collect();
        [order, reverse]
    }

    fn coalitions(&self, pair: &Self::Draw) -> Vec<Coalition> {
        pair.iter().flat_map(|order| prefixes(self.players, order)).collect()
    }
}

struct MeanOfPairs {
    tally: Tally,
}

impl Estimator<[Vec<usize>; 2]> for MeanOfPairs {
    fn absorb(&mut self, index: u64, pair: &[Vec<usize>; 2], worths: ArrayView2<'_, f64>) {
        let half = pair[0].len() + 1;
        let forth = marginals(&pair[0], worths.slice(s![..half, ..]));
        let back = marginals(&pair[1], worths.slice(s![half.., ..]));
        self.tally.add(index, ((forth + back) / 2.0).view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
