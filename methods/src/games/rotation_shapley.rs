//! Shapley value by the rotations of random orders.
//!
//! # Computes
//! Mean over random orders of the mean marginal contribution over all `n` rotations of the order,
//! so that every player stands once at every position. The standard error is over orders.
//!
//! # Axioms
//! As [`super::permutation_shapley`].
//!
//! # Costs
//! At most `n (n - 1) + 2` evaluations an order.
//!
//! # References
//! Mitchell, Cooper, Frank, Holmes, Sampling permutations for Shapley value estimation, JMLR 2022.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use ndarray::{Array2, ArrayView2, s};
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
pub struct RotationShapley {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for RotationShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "rotation-shapley",
        summary: "Shapley by all rotations of random orders, every player once at every place",
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

impl Valuation for RotationShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let mut recall = Recall::new(game);
        let mut mean = MeanOfRotations {
            tally: Tally::of_means((game.players(), game.outcomes()), game.repeats()),
        };
        let rotations = Rotations { players: game.players() };
        let stopped = sample(&mut recall, context, &self.stop, &rotations, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

struct Rotations {
    players: usize,
}

fn rotated(order: &[usize], by: usize) -> Vec<usize> {
    order[by..].iter().chain(&order[..by]).copied().collect()
}

impl Sampler for Rotations {
    type Draw = Vec<usize>;
    const STREAM: &'static str = "orders";

    fn most_coalitions(&self) -> usize {
        self.players * self.players.saturating_sub(1) + 2
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Self::Draw {
        shuffled(self.players, random)
    }

    fn coalitions(&self, order: &Self::Draw) -> Vec<Coalition> {
        (0..self.players).flat_map(|by| prefixes(self.players, &rotated(order, by))).collect()
    }
}

struct MeanOfRotations {
    tally: Tally,
}

impl Estimator<Vec<usize>> for MeanOfRotations {
    fn absorb(&mut self, index: u64, order: &Vec<usize>, worths: ArrayView2<'_, f64>) {
        let players = order.len();
        let length = players + 1;
        let mut sum = Array2::zeros((players, worths.ncols()));
        for by in 0..players {
            let worths = worths.slice(s![by * length..(by + 1) * length, ..]);
            sum += &marginals(&rotated(order, by), worths);
        }
        self.tally.add(index, (sum / players as f64).view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
