//! Leave-one-out.
//!
//! # Computes
//! `phi_i = v(N) - v(N without i)`, both under the same seed; the mean over seeds where the game
//! has them, with the standard error of that mean.
//!
//! # Axioms
//! Symmetric, null-free and linear; not efficient. Zero for each of two copies, and zero for
//! everybody in many majority games.
//!
//! # Costs
//! `n + 1` evaluations a seed.
//!
//! # References
//! Cook, Weisberg, Residuals and Influence in Regression, 1982.

use attribench_core::{
    Ask, Axioms, Coalition, Game, GameError, NamedValuation, Repeats, Valuation, ValuationContext,
    ValuationInfo, Valued,
};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::semivalue::over_seeds;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveOneOut {
    /// Seeds of a game that has as many as one likes; others give all that they have.
    pub seeds: u64,
}

impl Default for LeaveOneOut {
    fn default() -> Self {
        Self { seeds: 1 }
    }
}

impl NamedValuation for LeaveOneOut {
    const INFO: ValuationInfo = ValuationInfo {
        name: "leave-one-out",
        summary: "what is lost when one player leaves all the others",
        estimates: "leave-one-out",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        if self.seeds == 0 { Err("`seeds` is 0\nhint: use at least 1".to_owned()) } else { Ok(()) }
    }
}

impl Valuation for LeaveOneOut {
    fn value(&self, game: &dyn Game, _: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let seeds = match game.repeats() {
            Repeats::One => 1,
            Repeats::Of(seeds) => seeds,
            Repeats::Endless => self.seeds,
        };
        let by_seed: Vec<Array2<f64>> =
            (0..seeds).map(|repeat| losses(game, repeat)).collect::<Result<_, _>>()?;
        let evaluations = by_seed.len() * (game.players() + 1);
        Ok(over_seeds(by_seed, evaluations))
    }
}

fn losses(game: &dyn Game, repeat: u64) -> Result<Array2<f64>, GameError> {
    let everybody = Coalition::full(game.players());
    let without = (0..game.players()).map(|player| everybody.without(player));
    let asks: Vec<Ask> = std::iter::once(everybody.clone())
        .chain(without)
        .map(|coalition| Ask { coalition, repeat })
        .collect();
    let worths = game.values(&asks)?;
    // (1 + n, m) -> (n, m)
    Ok(&worths.slice(s![..1, ..]) - &worths.slice(s![1.., ..]))
}
