//! The loop that all samplers share: draw, evaluate in one batch, absorb, stop by rule.

use attribench_core::{Ask, Coalition, GameError, Reached, Stopped, ValuationContext, Valued};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{recall::Recall, sums::Estimated};

/// When a sampler stops: at the first of these that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stop {
    /// Most different coalitions (and seeds) that are evaluated.
    pub evaluations: usize,
    /// Largest standard error of a player's value, averaged over outcomes.
    pub standard_error: Option<f64>,
    /// Rank correlation between the values of two halves of the draws.
    pub rank_stability: Option<f64>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { evaluations: 2000, standard_error: None, rank_stability: None }
    }
}

impl Stop {
    /// After so many evaluations.
    pub fn after(evaluations: usize) -> Self {
        Self { evaluations, ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.evaluations == 0 {
            return Err("`stop.evaluations` is 0\nhint: allow at least two draws".to_owned());
        }
        match (self.standard_error, self.rank_stability) {
            (Some(error), _) if error.is_nan() || error <= 0.0 => {
                Err(format!("`stop.standard-error` is {error}\nhint: use a positive number"))
            }
            (_, Some(stability)) if !(stability > 0.0 && stability <= 1.0) => Err(format!(
                "`stop.rank-stability` is {stability}\nhint: use a correlation, such as 0.95"
            )),
            _ => Ok(()),
        }
    }
}

/// Where the coalitions of a value come from.
pub(crate) trait Sampler {
    /// One draw.
    type Draw;
    /// Name of the stream of draws, the same for all values that can use them.
    const STREAM: &'static str;
    /// Most coalitions that a draw needs.
    fn most_coalitions(&self) -> usize;
    /// Draw number `index`.
    fn draw(&self, index: u64, random: &mut ChaCha8Rng) -> Self::Draw;
    /// Coalitions whose worth the draw needs.
    fn coalitions(&self, draw: &Self::Draw) -> Vec<Coalition>;
}

/// What becomes of draws.
pub(crate) trait Estimator<D> {
    /// Takes in a draw and the worths of its coalitions, `(coalitions, m)`.
    fn absorb(&mut self, index: u64, draw: &D, worths: ArrayView2<'_, f64>);
    /// Values so far; `None` as long as they have no error.
    fn estimate(&self) -> Option<Estimated>;
}

/// Coalitions that a batch should need, so that trainings fill their stacks.
const BATCH_COALITIONS: usize = 512;

/// Draws until a rule says stop, and says why.
///
/// # Errors
/// When the game cannot answer, or the evaluations do not suffice for any error.
pub(crate) fn sample<S: Sampler, E: Estimator<S::Draw>>(
    recall: &mut Recall<'_>,
    context: &ValuationContext<'_>,
    stop: &Stop,
    sampler: &S,
    estimator: &mut E,
) -> Result<Stopped, GameError> {
    let repeats = recall.game().repeats();
    let most = sampler.most_coalitions().max(1);
    let batch = (BATCH_COALITIONS / most).max(2) as u64;
    let mut index = 0;
    loop {
        let left = stop.evaluations.saturating_sub(recall.evaluations());
        // Two draws are the fewest that have an error.
        let affordable = (left / most) as u64;
        let count = batch.min(affordable).max(if index == 0 { 2 } else { 0 });
        if count == 0 || index >= MOST_DRAWS_AN_EVALUATION * stop.evaluations as u64 {
            break;
        }
        let draws: Vec<S::Draw> = (index..index + count)
            .map(|draw| sampler.draw(draw, &mut context.stream(S::STREAM, draw)))
            .collect();
        absorb(recall, sampler, estimator, (index, &draws), |draw| repeats.of_draw(draw))?;
        index += count;
        if let Some(stopped) = reached(recall, context, stop, estimator) {
            return Ok(stopped);
        }
    }
    Ok(Stopped::Evaluations)
}

/// In a small game most coalitions are known soon; draws cost little then, but end some time.
const MOST_DRAWS_AN_EVALUATION: u64 = 20;

fn absorb<S: Sampler, E: Estimator<S::Draw>>(
    recall: &mut Recall<'_>,
    sampler: &S,
    estimator: &mut E,
    (first, draws): (u64, &[S::Draw]),
    repeat: impl Fn(u64) -> u64,
) -> Result<(), GameError> {
    let mut asks = Vec::new();
    let mut ends = Vec::with_capacity(draws.len());
    for (index, draw) in (first..).zip(draws) {
        let repeat = repeat(index);
        let coalitions = sampler.coalitions(draw).into_iter();
        asks.extend(coalitions.map(|coalition| Ask { coalition, repeat }));
        ends.push(asks.len());
    }
    let worths = recall.values(&asks)?;
    let mut start = 0;
    for ((index, draw), end) in (first..).zip(draws).zip(ends) {
        estimator.absorb(index, draw, worths.slice(ndarray::s![start..end, ..]));
        start = end;
    }
    Ok(())
}

/// Tells how far it is, and whether a rule other than the evaluations holds.
pub(crate) fn reached<D, E: Estimator<D>>(
    recall: &Recall<'_>,
    context: &ValuationContext<'_>,
    stop: &Stop,
    estimator: &E,
) -> Option<Stopped> {
    let estimated = estimator.estimate()?;
    let (standard_error, rank_stability) = (estimated.largest_error(), estimated.stability);
    context.tell(Reached {
        evaluations: recall.evaluations(),
        most_evaluations: stop.evaluations,
        standard_error,
        rank_stability,
    });
    if stop.standard_error.is_some_and(|wanted| standard_error <= wanted) {
        return Some(Stopped::StandardError);
    }
    stop.rank_stability
        .is_some_and(|wanted| rank_stability >= wanted)
        .then_some(Stopped::RankStability)
}

/// The values of an estimator that has all its draws.
///
/// # Errors
/// When the draws were too few.
pub(crate) fn finish<D, E: Estimator<D>>(
    recall: &Recall<'_>,
    stopped: Stopped,
    estimator: &E,
) -> Result<Valued, GameError> {
    let Estimated { values, errors, .. } = estimator.estimate().ok_or_else(|| {
        GameError::Unsuitable(format!(
            "{} evaluations leave a player without two draws on each side\nhint: raise `stop.evaluations`",
            recall.evaluations()
        ))
    })?;
    Ok(Valued::sampled(values, errors, recall.evaluations(), stopped))
}

/// Worths of everybody and nobody, `(2, m)`, and the variance of their difference, `m`: over all
/// seeds of a game that has few, over some of one that has many.
pub(crate) fn ends(recall: &mut Recall<'_>) -> Result<(Array2<f64>, Vec<f64>), GameError> {
    use attribench_core::Repeats;
    let seeds = match recall.game().repeats() {
        Repeats::One => 1,
        Repeats::Of(seeds) => seeds,
        Repeats::Endless => SEEDS_OF_ENDS,
    };
    let players = recall.game().players();
    let both = [Coalition::full(players), Coalition::empty(players)];
    let asks: Vec<Ask> = (0..seeds)
        .flat_map(|repeat| both.clone().map(|coalition| Ask { coalition, repeat }))
        .collect();
    let worths = recall.values(&asks)?;
    let outcomes = worths.ncols();
    let mut mean = Array2::zeros((2, outcomes));
    for (row, worth) in worths.outer_iter().enumerate() {
        let mut to = mean.row_mut(row % 2);
        to.scaled_add(1.0 / seeds as f64, &worth);
    }
    let variance = (0..outcomes)
        .map(|outcome| {
            let center = mean[(0, outcome)] - mean[(1, outcome)];
            let gain = |seed: usize| worths[(2 * seed, outcome)] - worths[(2 * seed + 1, outcome)];
            let square: f64 = (0..seeds as usize).map(|s| (gain(s) - center).powi(2)).sum();
            if seeds > 1 { square / (seeds * (seeds - 1)) as f64 } else { 0.0 }
        })
        .collect();
    Ok((mean, variance))
}

/// Seeds that `v(N)` and `v(empty)` are averaged over in a game with as many as one likes.
const SEEDS_OF_ENDS: u64 = 8;

/// Players `0..n` in a random order.
pub(crate) fn shuffled(players: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut order: Vec<usize> = (0..players).collect();
    order.shuffle(random);
    order
}

/// Each player in with probability `share`.
pub(crate) fn bernoulli(players: usize, share: f64, random: &mut ChaCha8Rng) -> Coalition {
    let mut coalition = Coalition::empty(players);
    for player in 0..players {
        if random.random::<f64>() < share {
            coalition.insert(player);
        }
    }
    coalition
}

/// `size` players, all such sets alike.
pub(crate) fn of_size(players: usize, size: usize, random: &mut ChaCha8Rng) -> Coalition {
    Coalition::of(players, shuffled(players, random).into_iter().take(size))
}
