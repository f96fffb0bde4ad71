//! Shapley value by random orders of arrival.
//!
//! # Computes
//! Mean over `P` permutations of `v(predecessors and i) - v(predecessors)`. Each permutation is
//! evaluated under a seed of its own where the game is noisy, so that the standard error over
//! permutations holds the noise of the game.
//!
//! # Axioms
//! Efficient for every `P` where one seed is used; symmetric, null-free and linear in expectation.
//!
//! # Costs
//! At most `n + 1` evaluations a permutation.
//!
//! # References
//! Castro, Gomez, Tejada, Polynomial calculation of the Shapley value based on sampling, 2009.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    recall::Recall,
    sampling::{Estimator, Sampler, Stop, finish, sample, shuffled},
    sums::{Estimated, Tally},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PermutationShapley {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for PermutationShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "permutation-shapley",
        summary: "Shapley by random orders of arrival",
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

impl Valuation for PermutationShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let mut recall = Recall::new(game);
        let shape = (game.players(), game.outcomes());
        let mut mean =
            MeanOfOrders::new(Tally::of_means(shape, game.repeats()), |_, marginals| marginals);
        let orders = Orders { players: game.players() };
        let stopped = sample(&mut recall, context, &self.stop, &orders, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

/// Random orders of all players.
pub(crate) struct Orders {
    pub(crate) players: usize,
}

impl Sampler for Orders {
    type Draw = Vec<usize>;
    const STREAM: &'static str = "orders";

    fn most_coalitions(&self) -> usize {
        self.players + 1
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Vec<usize> {
        shuffled(self.players, random)
    }

    fn coalitions(&self, order: &Vec<usize>) -> Vec<Coalition> {
        prefixes(self.players, order)
    }
}

/// Nobody, the first, the first two, ..., everybody.
pub(crate) fn prefixes(players: usize, order: &[usize]) -> Vec<Coalition> {
    let mut present = Coalition::empty(players);
    let mut prefixes = Vec::with_capacity(order.len() + 1);
    prefixes.push(present.clone());
    for &player in order {
        present.insert(player);
        prefixes.push(present.clone());
    }
    prefixes
}

/// What each player adds to those before it: `(n + 1, m)` worths of the prefixes -> `(n, m)`.
pub(crate) fn marginals(order: &[usize], worths: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut marginals = Array2::zeros((order.len(), worths.ncols()));
    for (at, &player) in order.iter().enumerate() {
        let gain = &worths.row(at + 1) - &worths.row(at);
        marginals.row_mut(player).assign(&gain);
    }
    marginals
}

/// Mean over orders of a function of the marginals.
pub(crate) struct MeanOfOrders<F> {
    tally: Tally,
    contribution: F,
}

impl<F: Fn(&[usize], Array2<f64>) -> Array2<f64>> MeanOfOrders<F> {
    pub(crate) fn new(tally: Tally, contribution: F) -> Self {
        Self { tally, contribution }
    }
}

impl<F: Fn(&[usize], Array2<f64>) -> Array2<f64>> Estimator<Vec<usize>> for MeanOfOrders<F> {
    fn absorb(&mut self, index: u64, order: &Vec<usize>, worths: ArrayView2<'_, f64>) {
        let contribution = (self.contribution)(order, marginals(order, worths));
        self.tally.add(index, contribution.view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
