//! Shapley value by coalitions of every size.
//!
//! # Computes
//! For every player and every size `s` one random coalition of `s` others a draw:
//! `phi_i = 1/n sum_s mean over draws of (v(S + i) - v(S))`. No size is left to chance; the
//! standard error is over draws.
//!
//! # Axioms
//! Symmetric, null-free and linear in expectation; efficient in expectation only.
//!
//! # Costs
//! At most `2 n^2` evaluations a draw.
//!
//! # References
//! Maleki et al., Bounding the estimation error of sampling-based Shapley value approximation,
//! 2013.

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
pub struct StratifiedShapley {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for StratifiedShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "stratified-shapley",
        summary: "Shapley by as many coalitions of every size for every player",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for StratifiedShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let mut recall = Recall::new(game);
        let players = game.players();
        let mut mean = MeanOfSizes {
            players,
            tally: Tally::of_means((players, game.outcomes()), game.repeats()),
        };
        let stopped = sample(&mut recall, context, &self.stop, &Sizes { players }, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

struct Sizes {
    players: usize,
}

impl Sampler for Sizes {
    /// By player, then by size: the coalition without the player.
    type Draw = Vec<Coalition>;
    const STREAM: &'static str = "sizes";

    fn most_coalitions(&self) -> usize {
        2 * self.players * self.players
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Self::Draw {
        let mut drawn = Vec::with_capacity(self.players * self.players);
        for player in 0..self.players {
            for size in 0..self.players {
                let others = shuffled(self.players, random).into_iter();
                let others = others.filter(|&other| other != player).take(size);
                drawn.push(Coalition::of(self.players, others));
            }
        }
        drawn
    }

    fn coalitions(&self, drawn: &Self::Draw) -> Vec<Coalition> {
        let pair =
            |(at, without): (usize, &Coalition)| [without.with(at / self.players), without.clone()];
        drawn.iter().enumerate().flat_map(pair).collect()
    }
}

struct MeanOfSizes {
    players: usize,
    tally: Tally,
}

impl Estimator<Vec<Coalition>> for MeanOfSizes {
    fn absorb(&mut self, index: u64, _: &Vec<Coalition>, worths: ArrayView2<'_, f64>) {
        let mut mean = Array2::zeros((self.players, worths.ncols()));
        let share = 1.0 / self.players as f64;
        for at in 0..self.players * self.players {
            let mut to = mean.row_mut(at / self.players);
            to.scaled_add(share, &worths.row(2 * at));
            to.scaled_add(-share, &worths.row(2 * at + 1));
        }
        self.tally.add(index, mean.view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
