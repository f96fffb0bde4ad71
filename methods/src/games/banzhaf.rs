//! Banzhaf value from all coalitions.
//!
//! # Computes
//! `phi_i = 2^-(n-1) sum_{S without i} (v(S + i) - v(S))`.
//!
//! # Axioms
//! Symmetric, null-free and linear; not efficient. Of all semivalues the one whose order survives
//! the most noise in `v`.
//!
//! # Costs
//! `2^n` evaluations for each seed of the game, at most 20 players.
//!
//! # References
//! Banzhaf, Weighted voting doesn't work, 1965; Wang, Jia, Data Banzhaf, AISTATS 2023.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::semivalue::{Semivalue, of_all_coalitions};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Banzhaf {}

impl NamedValuation for Banzhaf {
    const INFO: ValuationInfo = ValuationInfo {
        name: "banzhaf",
        summary: "mean marginal contribution over all coalitions alike, from all coalitions",
        estimates: "banzhaf",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };
}

impl Valuation for Banzhaf {
    fn value(&self, game: &dyn Game, _: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let weights = Semivalue::Banzhaf.size_weights(game.players());
        of_all_coalitions(game, Self::INFO.name, &weights)
    }
}
