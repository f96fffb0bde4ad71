//! Average marginal effect (AME) by LASSO.
//!
//! # Computes
//! `E_{p of P} E_{S of Bernoulli(p)} (v(S + i) - v(S))` with `P` uniform on `shares`. Worths are
//! regressed on features `1/(p sqrt(V))` for who is in and `-1/((1-p) sqrt(V))` for who is out,
//! `V = E_P 1/(p (1-p))`; the value is `sqrt(V)` times the coefficient. The penalty is chosen by
//! cross-validation over coalitions, the standard error is a jackknife over the same parts.
//!
//! # Axioms
//! Symmetric and linear in the limit of many draws; null-free; not efficient. The penalty shrinks
//! what is small to zero.
//!
//! # Costs
//! One evaluation a draw.
//!
//! # References
//! Lin et al., Measuring the effect of training data on deep learning predictions via randomized
//! experiments, ICML 2022.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Valuation, ValuationContext, ValuationInfo, Valued,
};
use serde::{Deserialize, Serialize};

use super::{
    recall::Recall,
    regression::{Row, coefficients},
    sampling::{Stop, bernoulli},
};

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ame {
    /// Shares of players in a coalition, each as likely as the others.
    pub shares: Vec<f64>,
    /// Evaluations; the other rules are not used by a regression.
    pub stop: Stop,
}

impl Default for Ame {
    fn default() -> Self {
        Self { shares: vec![0.2, 0.4, 0.6, 0.8], stop: Stop::default() }
    }
}

impl NamedValuation for Ame {
    const INFO: ValuationInfo = ValuationInfo {
        name: "ame",
        summary: "average marginal effect over coalitions of several densities, by LASSO",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: false,
        },
    };

    fn check(&self) -> Result<(), String> {
        if self.shares.is_empty() || self.shares.iter().any(|&p| !(p > 0.0 && p < 1.0)) {
            return Err(format!(
                "`shares` are {:?}\nhint: use numbers between 0 and 1",
                self.shares
            ));
        }
        self.stop.check()
    }
}

impl Valuation for Ame {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let inverse = |p: &f64| 1.0 / (p * (1.0 - p));
        let scale =
            (self.shares.iter().map(inverse).sum::<f64>() / self.shares.len() as f64).sqrt();
        let rows: Vec<Row> = (0..self.stop.evaluations as u64)
            .map(|draw| {
                let share = self.shares[draw as usize % self.shares.len()];
                let coalition = bernoulli(players, share, &mut context.stream("densities", draw));
                let feature = |player: usize| {
                    let is_in = coalition.contains(player);
                    if is_in { 1.0 / (share * scale) } else { -1.0 / ((1.0 - share) * scale) }
                };
                let features = (0..players).map(feature).collect();
                Row { coalition, features }
            })
            .collect();
        coefficients(&mut Recall::new(game), context, &self.stop, &rows, scale)
    }
}
