//! Shapley value from all coalitions.
//!
//! # Computes
//! `phi_i = 1/n sum_{s=0}^{n-1} mean_{|S|=s, i not in S} (v(S + i) - v(S))`.
//!
//! # Axioms
//! Efficient, symmetric, null-free and linear: the only value that is all four.
//!
//! # Costs
//! `2^n` evaluations for each seed of the game, at most 20 players.
//!
//! # References
//! Shapley, A value for n-person games, 1953.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::semivalue::{Semivalue, of_all_coalitions};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shapley {}

impl NamedValuation for Shapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "shapley",
        summary: "mean marginal contribution over all orders of arrival, from all coalitions",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };
}

impl Valuation for Shapley {
    fn value(&self, game: &dyn Game, _: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let weights = Semivalue::Shapley.size_weights(game.players());
        of_all_coalitions(game, Self::INFO.name, &weights)
    }
}
