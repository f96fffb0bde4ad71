//! Influence by subsampling, with the shift of fixed sizes undone.
//!
//! # Computes
//! Coalitions of exactly `share n` players; the contrast `x_i` is the mean worth of those with `i`
//! minus that of those without. For an additive game it equals `(n tau_i - T) / (n - 1)` with
//! `T = v(N) - v(empty)`, so `tau_i = ((n - 1) x_i + T) / n` is returned: ranks do not notice, sums
//! and payouts do.
//!
//! # Axioms
//! Symmetric and linear in expectation; efficient by construction up to the contrast's own sum;
//! a null player gets nothing in additive games.
//!
//! # Costs
//! One evaluation a draw, and `v(N)` and `v(empty)` under a few seeds.
//!
//! # References
//! Feldman, Zhang, What neural networks memorize and why, NeurIPS 2020.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    banzhaf_msr::Contrast,
    recall::Recall,
    sampling::{Sampler, Stop, ends, finish, of_size, sample},
    sums::Tally,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfluenceSubsample {
    /// Share of the players in every coalition.
    pub share: f64,
    /// When to stop.
    pub stop: Stop,
}

impl Default for InfluenceSubsample {
    fn default() -> Self {
        Self { share: 0.7, stop: Stop::default() }
    }
}

impl NamedValuation for InfluenceSubsample {
    const INFO: ValuationInfo = ValuationInfo {
        name: "influence-subsample",
        summary: "worth with a player minus worth without, over coalitions of one size",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: false,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        if !(self.share > 0.0 && self.share < 1.0) {
            return Err(format!("`share` is {}\nhint: use a number between 0 and 1", self.share));
        }
        self.stop.check()
    }
}

impl Valuation for InfluenceSubsample {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let size = (self.share * players as f64).round() as usize;
        if size == 0 || size >= players {
            return Err(GameError::Unsuitable(format!(
                "`share: {}` of {players} players keeps {size}\nhint: keep one at least and leave one out",
                self.share
            )));
        }
        let mut recall = Recall::new(game);
        let (ends, variance) = ends(&mut recall)?;
        let tally = Tally::of_contrasts((players, game.outcomes()), game.repeats());
        let mut contrast = Contrast { tally };
        let sampler = OneSize { players, size };
        let stopped = sample(&mut recall, context, &self.stop, &sampler, &mut contrast)?;
        let found = finish(&recall, stopped, &contrast)?;
        let n = players as f64;
        let gain = &ends.row(0) - &ends.row(1);
        let values = (found.values().to_owned() * (n - 1.0) + &gain) / n;
        let errors = found.standard_errors().expect("a sample has errors").to_owned();
        let errors = ndarray::Array2::from_shape_fn(errors.dim(), |(player, outcome)| {
            let of_contrast = errors[(player, outcome)] * (n - 1.0) / n;
            (of_contrast * of_contrast + variance[outcome] / (n * n)).sqrt()
        });
        Ok(Valued::sampled(values, errors, recall.evaluations(), stopped))
    }
}

struct OneSize {
    players: usize,
    size: usize,
}

impl Sampler for OneSize {
    type Draw = Coalition;
    const STREAM: &'static str = "one-size";

    fn most_coalitions(&self) -> usize {
        1
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Coalition {
        of_size(self.players, self.size, random)
    }

    fn coalitions(&self, coalition: &Coalition) -> Vec<Coalition> {
        vec![coalition.clone()]
    }
}
