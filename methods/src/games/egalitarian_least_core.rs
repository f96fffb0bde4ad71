//! Egalitarian least core.
//!
//! # Computes
//! Of all payoffs in the least core those with the smallest sum of squares: unique. See
//! [`super::least_core`] for the least core itself and for its sampled form.
//!
//! # Axioms
//! Efficient and symmetric; neither null-free nor linear.
//!
//! # Costs
//! As [`super::least_core`], and a quadratic programme in `n` numbers for each outcome.
//!
//! # References
//! Yan, Procaccia, If you like Shapley then you'll love the core, AAAI 2021; Goldfarb, Idnani, A
//! numerically stable dual method for solving strictly convex quadratic programs, 1983.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::{least_core, sampling::Stop};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EgalitarianLeastCore {
    /// Most players of a game whose coalitions are all evaluated.
    pub exact_up_to: usize,
    /// Evaluations of a sampled programme.
    pub stop: Stop,
}

impl Default for EgalitarianLeastCore {
    fn default() -> Self {
        Self { exact_up_to: 16, stop: Stop::default() }
    }
}

impl NamedValuation for EgalitarianLeastCore {
    const INFO: ValuationInfo = ValuationInfo {
        name: "egalitarian-least-core",
        summary: "the most equal payoffs of the least core",
        estimates: "egalitarian-least-core",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: true,
            is_null_free: false,
            is_linear: false,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for EgalitarianLeastCore {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        least_core::value(game, context, (self.exact_up_to, &self.stop), &|claims| {
            let (e, _) = claims.least_core()?;
            Ok((claims.shortest(e)?, e))
        })
    }
}
