//! Beta Shapley value by random orders of arrival.
//!
//! # Computes
//! Mean over permutations of `n w_k (v(S + i) - v(S))` with `S` the `k` players before `i` and
//! `w_k` the weight of all coalitions of `k` others, as in [`super::beta`]. The orders are those
//! of [`super::permutation_shapley`], so that both values share their evaluations.
//!
//! # Axioms
//! Symmetric, null-free and linear in expectation; not efficient.
//!
//! # Costs
//! At most `n + 1` evaluations a permutation. The largest `n w_k` multiplies the standard error:
//! (16, 1) of 100 players weighs the first place 14 times.
//!
//! # References
//! Kwon, Zou, Beta Shapley, AISTATS 2022.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::{
    beta,
    permutation_shapley::{MeanOfOrders, Orders},
    recall::Recall,
    sampling::{Stop, finish, sample},
    semivalue::Semivalue,
    sums::Tally,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BetaPermutation {
    /// The larger, the more small coalitions count.
    pub alpha: f64,
    /// The larger, the more large coalitions count.
    pub beta: f64,
    /// When to stop.
    pub stop: Stop,
}

impl Default for BetaPermutation {
    fn default() -> Self {
        Self { alpha: 16.0, beta: 1.0, stop: Stop::default() }
    }
}

impl NamedValuation for BetaPermutation {
    const INFO: ValuationInfo = ValuationInfo {
        name: "beta-permutation",
        summary: "Beta Shapley by random orders of arrival",
        estimates: "beta",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        beta::check(self.alpha, self.beta)?;
        self.stop.check()
    }
}

impl Valuation for BetaPermutation {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let weights = Semivalue::Beta(self.alpha, self.beta).size_weights(players);
        let mut recall = Recall::new(game);
        let tally = Tally::of_means((players, game.outcomes()), game.repeats());
        let mut mean = MeanOfOrders::new(tally, |order, mut marginals| {
            for (&player, weight) in order.iter().zip(&weights) {
                marginals.row_mut(player).mapv_inplace(|gain| gain * weight * players as f64);
            }
            marginals
        });
        let orders = Orders { players };
        let stopped = sample(&mut recall, context, &self.stop, &orders, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}
