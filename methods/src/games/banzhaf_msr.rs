//! Banzhaf value by maximum sample reuse (MSR).
//!
//! # Computes
//! Coalitions with each player in by a fair coin; `phi_i` is the mean worth of those with `i` minus
//! the mean worth of those without: every evaluation serves every player. Of a table that holds a
//! sample the coalitions of the table are used, which must have been drawn that way. Over all
//! coalitions it is the Banzhaf value itself.
//!
//! # Axioms
//! Symmetric, null-free and linear in expectation; not efficient.
//!
//! # Costs
//! One evaluation a draw; `O(log(n / delta) / epsilon^2)` for an error of `epsilon` at every
//! player.
//!
//! # References
//! Wang, Jia, Data Banzhaf, AISTATS 2023.

use attribench_core::{
    Ask, Axioms, Coalition, Game, GameError, NamedValuation, Stopped, Valuation, ValuationContext,
    ValuationInfo, Valued,
};
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    recall::Recall,
    sampling::{Estimator, Sampler, Stop, bernoulli, finish, sample},
    sums::{Estimated, Tally},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BanzhafMsr {
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for BanzhafMsr {
    const INFO: ValuationInfo = ValuationInfo {
        name: "banzhaf-msr",
        summary: "Banzhaf by random coalitions, each of which serves every player",
        estimates: "banzhaf",
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

impl Valuation for BanzhafMsr {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let mut recall = Recall::new(game);
        let shape = (game.players(), game.outcomes());
        let mut contrast = Contrast { tally: Tally::of_contrasts(shape, game.repeats()) };
        if let Some(known) = game.known() {
            let used = &known[..known.len().min(self.stop.evaluations)];
            contrast.absorb_all(&mut recall, used)?;
            return finish(&recall, Stopped::Evaluations, &contrast);
        }
        let coins = Coins { players: game.players() };
        let stopped = sample(&mut recall, context, &self.stop, &coins, &mut contrast)?;
        finish(&recall, stopped, &contrast)
    }
}

/// Each player in by a fair coin.
pub(crate) struct Coins {
    pub(crate) players: usize,
}

impl Sampler for Coins {
    type Draw = Coalition;
    const STREAM: &'static str = "coins";

    fn most_coalitions(&self) -> usize {
        1
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Coalition {
        bernoulli(self.players, 0.5, random)
    }

    fn coalitions(&self, coalition: &Coalition) -> Vec<Coalition> {
        vec![coalition.clone()]
    }
}

/// Means with a player minus means without.
pub(crate) struct Contrast {
    pub(crate) tally: Tally,
}

impl Contrast {
    fn absorb_all(
        &mut self,
        recall: &mut Recall<'_>,
        coalitions: &[Coalition],
    ) -> Result<(), GameError> {
        let asks: Vec<Ask> = coalitions.iter().cloned().map(Ask::first).collect();
        let worths = recall.values(&asks)?;
        for (index, coalition) in coalitions.iter().enumerate() {
            self.absorb(index as u64, coalition, worths.slice(ndarray::s![index..=index, ..]));
        }
        Ok(())
    }
}

impl Estimator<Coalition> for Contrast {
    fn absorb(&mut self, index: u64, coalition: &Coalition, worths: ArrayView2<'_, f64>) {
        let worth = worths.row(0);
        let worth = worth.as_slice().expect("standard layout");
        self.tally.add_worth(index, |player| coalition.contains(player), worth);
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
