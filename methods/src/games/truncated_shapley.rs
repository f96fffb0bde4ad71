//! Truncated Monte Carlo Shapley value (TMC).
//!
//! # Computes
//! As [`super::permutation_shapley`], but an order is cut where the coalition is worth what
//! everybody is worth, `|v(N) - v(S)| < tolerance` for the mean over outcomes; who comes later gets
//! 0 in it. Where no tolerance is given it is the seed deviation of `v(N)` in a noisy game, and a
//! hundredth of `|v(N) - v(empty)|` in any other. Orders of a batch grow side by side, so that
//! their coalitions are evaluated together.
//!
//! # Axioms
//! Symmetric, null-free in expectation; efficient but for at most the tolerance an order; linear
//! only as long as nothing is cut. Biased towards who comes early in orders that are cut.
//!
//! # Costs
//! At most `n + 1` evaluations an order, the fewer the sooner `v` saturates.
//!
//! # References
//! Ghorbani, Zou, Data Shapley, ICML 2019.

use attribench_core::{
    Ask, Axioms, Coalition, Game, GameError, NamedValuation, Repeats, Stopped, Valuation,
    ValuationContext, ValuationInfo, Valued,
};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::{
    permutation_shapley::Orders,
    recall::Recall,
    sampling::{Estimator, Sampler, Stop, finish, reached},
    sums::{Estimated, Tally},
};

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TruncatedShapley {
    /// Distance from `v(N)` at which an order is cut.
    pub tolerance: Option<f64>,
    /// When to stop.
    pub stop: Stop,
}

impl NamedValuation for TruncatedShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "truncated-shapley",
        summary: "TMC: random orders, cut where nothing more is gained",
        estimates: "shapley",
        axioms: Axioms {
            is_efficient: false,
            is_symmetric: true,
            is_null_free: true,
            is_linear: false,
        },
    };

    fn check(&self) -> Result<(), String> {
        match self.tolerance {
            Some(tolerance) if !(tolerance >= 0.0 && tolerance.is_finite()) => {
                Err(format!("`tolerance` is {tolerance}\nhint: use 0 or more"))
            }
            _ => self.stop.check(),
        }
    }
}

/// Orders that grow side by side.
const ORDERS_A_BATCH: u64 = 32;

impl Valuation for TruncatedShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let mut recall = Recall::new(game);
        let tolerance = match self.tolerance {
            Some(tolerance) => tolerance,
            None => default_tolerance(&mut recall)?,
        };
        let mut mean = Mean { tally: Tally::of_means((players, game.outcomes()), game.repeats()) };
        let (mut index, mut cut, mut places) = (0, 0, 0);
        let mut stopped = Stopped::Evaluations;
        loop {
            let left = self.stop.evaluations.saturating_sub(recall.evaluations());
            let affordable = (left / (players + 1)) as u64;
            let count = ORDERS_A_BATCH.min(affordable).max(if index == 0 { 2 } else { 0 });
            if count == 0 || index >= 20 * self.stop.evaluations as u64 {
                break;
            }
            let batch = Batch::grow(&mut recall, context, index..index + count, tolerance)?;
            for (draw, gains) in (index..).zip(&batch.gains) {
                mean.tally.add(draw, gains.view());
            }
            index += count;
            cut += batch.cut;
            places += count as usize * players;
            if let Some(why) = reached(&recall, context, &self.stop, &mean) {
                stopped = why;
                break;
            }
        }
        let share = cut as f64 / places.max(1) as f64;
        Ok(finish(&recall, stopped, &mean)?.with_fact("truncated-share", share))
    }
}

/// Orders with what each player added, and how many places were cut.
struct Batch {
    gains: Vec<Array2<f64>>,
    cut: usize,
}

impl Batch {
    fn grow(
        recall: &mut Recall<'_>,
        context: &ValuationContext<'_>,
        draws: std::ops::Range<u64>,
        tolerance: f64,
    ) -> Result<Self, GameError> {
        let (players, repeats) = (recall.game().players(), recall.game().repeats());
        let sampler = Orders { players };
        let orders: Vec<Vec<usize>> = draws
            .clone()
            .map(|draw| sampler.draw(draw, &mut context.stream(Orders::STREAM, draw)))
            .collect();
        let seeds: Vec<u64> = draws.map(|draw| repeats.of_draw(draw)).collect();
        let mut present = vec![Coalition::empty(players); orders.len()];
        let ask =
            |coalition: &Coalition, seed: u64| Ask { coalition: coalition.clone(), repeat: seed };
        let everybody = Coalition::full(players);
        let full: Vec<Ask> = seeds.iter().map(|&seed| ask(&everybody, seed)).collect();
        let empty: Vec<Ask> = seeds.iter().zip(&present).map(|(&s, who)| ask(who, s)).collect();
        let full = recall.values(&full)?;
        let mut before = recall.values(&empty)?;
        let mut gains = vec![Array2::zeros((players, full.ncols())); orders.len()];
        let mut active: Vec<usize> = (0..orders.len()).collect();
        let mut cut = 0;
        // By place: the player who comes next in each order.
        let next = |at: usize, place: usize| orders[at][place];
        for place in 0..players {
            let total = active.len();
            active.retain(|&at| mean_distance(full.row(at), before.row(at)) >= tolerance);
            cut += (total - active.len()) * (players - place);
            for &at in &active {
                present[at].insert(next(at, place));
            }
            let asks: Vec<Ask> = active.iter().map(|&at| ask(&present[at], seeds[at])).collect();
            for (&at, worth) in active.iter().zip(recall.values(&asks)?.outer_iter()) {
                gains[at].row_mut(next(at, place)).assign(&(&worth - &before.row(at)));
                before.row_mut(at).assign(&worth);
            }
        }
        Ok(Self { gains, cut })
    }
}

fn mean_distance(left: ArrayView1<'_, f64>, right: ArrayView1<'_, f64>) -> f64 {
    ((left.sum() - right.sum()) / left.len() as f64).abs()
}

/// Seeds behind the deviation of `v(N)` in a game that has as many as one likes.
const SEEDS: u64 = 5;

fn default_tolerance(recall: &mut Recall<'_>) -> Result<f64, GameError> {
    let players = recall.game().players();
    let (everybody, nobody) = (Coalition::full(players), Coalition::empty(players));
    let seeds = match recall.game().repeats() {
        Repeats::One => 1,
        Repeats::Of(seeds) => seeds,
        Repeats::Endless => SEEDS,
    };
    let asks: Vec<Ask> =
        (0..seeds).map(|repeat| Ask { coalition: everybody.clone(), repeat }).collect();
    let worths = recall.values(&asks)?;
    let means: Vec<f64> = worths.outer_iter().map(|row| row.sum() / row.len() as f64).collect();
    if seeds == 1 {
        let empty = recall.values(&[Ask::first(nobody)])?;
        return Ok(0.01 * mean_distance(worths.row(0), empty.row(0)));
    }
    let mean = means.iter().sum::<f64>() / seeds as f64;
    let square: f64 = means.iter().map(|value| (value - mean).powi(2)).sum();
    Ok((square / (seeds - 1) as f64).sqrt())
}

struct Mean {
    tally: Tally,
}

impl Estimator<Vec<usize>> for Mean {
    fn absorb(&mut self, index: u64, order: &Vec<usize>, worths: ndarray::ArrayView2<'_, f64>) {
        let gains = super::permutation_shapley::marginals(order, worths);
        self.tally.add(index, gains.view());
    }

    fn estimate(&self) -> Option<Estimated> {
        self.tally.estimate()
    }
}
