//! Faithful group Shapley value: what a group's items are worth, one by one.
//!
//! # Computes
//! `phi(c) = sum_{i of group c} phi_i` with `phi_i` the Shapley value of the *items*, not of the
//! groups as players. From all coalitions of items where there are at most `exact-up-to`; else by
//! random orders of items, summed by group within each order, so that the standard error is that of
//! the sum.
//!
//! # Axioms
//! Efficient, symmetric and linear; does not change when a group splits into accounts or merges,
//! as the Shapley value of groups as players does.
//!
//! # Costs
//! As [`super::shapley`] or [`super::permutation_shapley`] over items.
//!
//! # References
//! Lee, Liu, Tang, Zhang, Faithful group Shapley value, NeurIPS 2025.

use attribench_core::{
    Axioms, Game, GameError, NamedValuation, Repeats, Valuation, ValuationContext, ValuationInfo,
    Valued,
};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{
    permutation_shapley::{MeanOfOrders, Orders},
    recall::Recall,
    sampling::{Stop, finish, sample},
    semivalue::{AtSeed, Semivalue, of_all_coalitions, over_seeds, seeds},
    sums::Tally,
};

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaithfulGroup {
    /// The group of each item, `0..groups`. Empty: every item is a group.
    pub groups: Vec<usize>,
    /// Most items whose coalitions are all evaluated.
    pub exact_up_to: usize,
    /// When to stop, where orders are sampled.
    pub stop: Stop,
}

impl Default for FaithfulGroup {
    fn default() -> Self {
        Self { groups: Vec::new(), exact_up_to: 16, stop: Stop::default() }
    }
}

impl NamedValuation for FaithfulGroup {
    const INFO: ValuationInfo = ValuationInfo {
        name: "faithful-group-shapley",
        summary: "Shapley of items, summed over who owns them: splitting accounts changes nothing",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: true,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for FaithfulGroup {
    /// Values of groups, `(groups, m)`.
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let items = game.players();
        let one_each: Vec<usize> = (0..items).collect();
        let groups = if self.groups.is_empty() { &one_each } else { &self.groups };
        if groups.len() != items {
            return Err(GameError::Unsuitable(format!(
                "`groups` names {} items, the game has {items}\nhint: give the group of each item",
                groups.len()
            )));
        }
        if items <= self.exact_up_to && game.repeats() != Repeats::Endless {
            let weights = Semivalue::Shapley.size_weights(items);
            let of = |game: AtSeed<'_>| {
                let found = of_all_coalitions(&game, Self::INFO.name, &weights)?;
                Ok(by_group(groups, found.values()))
            };
            let by_seed: Vec<_> = seeds(game).map(of).collect::<Result<_, GameError>>()?;
            let evaluations = by_seed.len() << items;
            return Ok(over_seeds(by_seed, evaluations));
        }
        let mut recall = Recall::new(game);
        let count = groups.iter().max().map_or(0, |last| last + 1);
        let tally = Tally::of_means((count, game.outcomes()), game.repeats());
        let mut mean = MeanOfOrders::new(tally, |_, marginals| by_group(groups, marginals.view()));
        let orders = Orders { players: items };
        let stopped = sample(&mut recall, context, &self.stop, &orders, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

/// Sums over the items of each group: `(items, m) -> (groups, m)`.
fn by_group(groups: &[usize], values: ArrayView2<'_, f64>) -> Array2<f64> {
    let count = groups.iter().max().map_or(0, |last| last + 1);
    let mut sums = Array2::zeros((count, values.ncols()));
    for (&group, value) in groups.iter().zip(values.outer_iter()) {
        let mut sum = sums.row_mut(group);
        sum += &value;
    }
    sums
}
