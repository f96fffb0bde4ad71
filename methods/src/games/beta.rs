//! Beta Shapley value from all coalitions.
//!
//! # Computes
//! `phi_i = sum_j C(n-1, j-1) B(j + beta - 1, n - j + alpha) / B(alpha, beta) dbar_{i,j-1}` with
//! `dbar_{i,s}` the mean of `v(S + i) - v(S)` over `|S| = s`. `(1, 1)` is Shapley; **`(16, 1)` has
//! its weight on small coalitions**, `(1, 16)` on large ones.
//!
//! # Axioms
//! Symmetric, null-free and linear; not efficient unless `alpha = beta = 1`.
//!
//! # Costs
//! `2^n` evaluations for each seed of the game, at most 20 players.
//!
//! # References
//! Kwon, Zou, Beta Shapley, AISTATS 2022.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::semivalue::{Semivalue, of_all_coalitions};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Beta {
    /// The larger, the more small coalitions count.
    pub alpha: f64,
    /// The larger, the more large coalitions count.
    pub beta: f64,
}

impl Default for Beta {
    fn default() -> Self {
        Self { alpha: 16.0, beta: 1.0 }
    }
}

/// Whether both parameters make a distribution.
pub(crate) fn check(alpha: f64, beta: f64) -> Result<(), String> {
    if alpha > 0.0 && beta > 0.0 && alpha.is_finite() && beta.is_finite() {
        return Ok(());
    }
    Err(format!("`alpha` and `beta` are {alpha} and {beta}\nhint: use positive numbers"))
}

impl NamedValuation for Beta {
    const INFO: ValuationInfo = ValuationInfo {
        name: "beta",
        summary: "Beta Shapley: coalition sizes weighed by a beta law, from all coalitions",
        estimates: "beta",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        check(self.alpha, self.beta)
    }
}

impl Valuation for Beta {
    fn value(&self, game: &dyn Game, _: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let weights = Semivalue::Beta(self.alpha, self.beta).size_weights(game.players());
        of_all_coalitions(game, Self::INFO.name, &weights)
    }
}
