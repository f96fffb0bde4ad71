//! Datamodels: a linear model of worth by who is in.
//!
//! # Computes
//! LASSO of `v(S_j)` on the indicators of `S_j` with an unpenalised intercept, penalty by
//! cross-validation over coalitions; the value is the coefficient. Players are in by a fair coin,
//! which unlike coalitions of one size shifts no coefficient; the draws are those of
//! [`super::banzhaf_msr`], so that both values share their evaluations, and in the limit their
//! values. Of a table that holds a sample its coalitions are used. The standard error is a
//! jackknife over the parts of the cross-validation.
//!
//! # Axioms
//! Symmetric and null-free in the limit of many draws; not efficient. Shrinkage makes small values
//! zero and the others smaller: calibrate before paying by it.
//!
//! # Costs
//! One evaluation a draw; several times the number of players are needed.
//!
//! # References
//! Ilyas et al., Datamodels, ICML 2022.

use attribench_core::{
    Axioms, Coalition, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use serde::{Deserialize, Serialize};

use super::{
    banzhaf_msr::Coins,
    recall::Recall,
    regression::{Row, coefficients},
    sampling::{Sampler, Stop},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Datamodels {
    /// Evaluations; the other rules are not used by a regression.
    pub stop: Stop,
}

impl NamedValuation for Datamodels {
    const INFO: ValuationInfo = ValuationInfo {
        name: "datamodels",
        summary: "coefficients of a sparse linear model of worth by who is in",
        estimates: "banzhaf",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: false,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for Datamodels {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let row = |coalition: Coalition| {
            let features = (0..players)
                .map(|player| f64::from(u8::from(coalition.contains(player))))
                .collect();
            Row { coalition, features }
        };
        let rows: Vec<Row> = match game.known() {
            Some(known) => known.iter().take(self.stop.evaluations).cloned().map(row).collect(),
            None => {
                let coins = Coins { players };
                (0..self.stop.evaluations as u64)
                    .map(|draw| row(coins.draw(draw, &mut context.stream(Coins::STREAM, draw))))
                    .collect()
            }
        };
        coefficients(&mut Recall::new(game), context, &self.stop, &rows, 1.0)
    }
}
