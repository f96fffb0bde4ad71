//! From scores and truths to rows, each with its interval.

pub mod accuracy;
mod agreement;
mod game;
mod mislabels;
mod money;
mod properties;
pub(crate) mod rounds;

use attribench_core::{Estimate, Record, Row, Scale};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use thiserror::Error;

use crate::{
    games::GameFindings,
    plan::Plan,
    progress::Progress,
    scoring::Attributed,
    statistics::{LEVEL, Plan as ResamplePlan, Resamples, Seeds, StatisticsError},
    treasury::Treasury,
    truths::MeasuredTruths,
};

/// Why a measurement could not be made.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// A statistic refused its input.
    #[error("{what}: {source}")]
    Statistics {
        /// Which measurement.
        what: String,
        /// What it said.
        source: StatisticsError,
    },
    /// The books of a payout refused.
    #[error("paying by `{label}`: {reason}")]
    Payout {
        /// Whose scores.
        label: String,
        /// What the treasury said.
        reason: String,
    },
}

/// How much utilities differ between runs that start one unit in the last place apart.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseFloor {
    utilities: Array2<f64>,
}

impl NoiseFloor {
    /// From utilities of the run and its perturbed copies, `(runs, all queries)`.
    pub fn new(utilities: Array2<f64>) -> Self {
        Self { utilities }
    }

    /// Standard deviation of an effect that is nothing: of the difference of two such runs, by
    /// query.
    fn of_effects(&self, queries: usize) -> Array1<f64> {
        let utilities = self.utilities.slice(s![.., ..queries]);
        utilities.std_axis(Axis(0), 1.0) * 2f64.sqrt()
    }
}

/// All that rows are made from.
pub struct Measurement<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Truths, with a column for each query and, after them, each tuning query.
    pub truths: &'a MeasuredTruths,
    /// The methods that gave scores, columns likewise.
    pub methods: &'a [Attributed<'a>],
    /// What values of the game over contributors say.
    pub game: Option<&'a GameFindings>,
    /// Noise floor, columns likewise.
    pub floor: &'a NoiseFloor,
    /// How straight the final parameters move as random examples lose their weight, in `[-1, 1]`;
    /// where a method differentiates the training.
    pub metasmoothness: Option<Vec<f64>>,
    /// Utilities of the queries before the first step and after the last.
    pub utilities: [Vec<f64>; 2],
    /// Largest difference between the parameters reached and those that a given run reached,
    /// relative to the largest of these.
    pub replay_deviation: Option<f64>,
    /// Whether the run is right about each query, for classes.
    pub accuracy: Option<Vec<f64>>,
    /// Who pays.
    pub treasury: &'a dyn Treasury,
}

/// Makes the record.
///
/// # Errors
/// When a statistic or the treasury refuses.
pub fn measure(
    measurement: &Measurement<'_>,
    progress: &dyn Progress,
) -> Result<Record, MeasureError> {
    let spec = &measurement.plan.spec;
    let mut maker = Maker {
        measurement,
        record: Record {
            question: spec.question.clone(),
            prediction: spec.prediction.clone(),
            ..Record::default()
        },
    };
    progress.begin("measuring", 5);
    maker.run_rows()?;
    progress.advance(1);
    maker.accuracy_rows()?;
    maker.agreements()?;
    maker.game_rows();
    maker.round_rows()?;
    progress.advance(1);
    maker.mislabel_rows()?;
    progress.advance(1);
    maker.cost_rows()?;
    progress.advance(1);
    maker.money_rows()?;
    progress.end();
    measurement.plan.judge(&mut maker.record);
    Ok(maker.record)
}

struct Maker<'a> {
    measurement: &'a Measurement<'a>,
    record: Record,
}

/// Where a number belongs: truth, metric, grain, unit.
#[derive(Clone, Copy)]
struct Place<'p> {
    truth: &'p str,
    metric: &'p str,
    grain: &'p str,
    unit: &'p str,
}

fn place<'p>(truth: &'p str, metric: &'p str, grain: &'p str, unit: &'p str) -> Place<'p> {
    Place { truth, metric, grain, unit }
}

impl<'a> Maker<'a> {
    fn plan(&self) -> &'a Plan {
        self.measurement.plan
    }

    fn methods(&self) -> &'a [Attributed<'a>] {
        self.measurement.methods
    }

    fn queries(&self) -> usize {
        self.plan().queries.len()
    }

    fn push(&mut self, method: Option<usize>, name: &str, place: Place<'_>, value: Estimate) {
        let plan = self.plan();
        self.record.rows.push(Row {
            experiment: plan.spec.name.value.clone(),
            dataset: plan.train.name().to_owned(),
            model: plan.spec.model.value.name.clone(),
            method: name.to_owned(),
            access: method.map(|index| self.methods()[index].planned.level()),
            truth: place.truth.to_owned(),
            metric: place.metric.to_owned(),
            grain: place.grain.to_owned(),
            unit: place.unit.to_owned(),
            value,
            settings_tried: method.map_or(1, |index| self.methods()[index].planned.settings.len()),
        });
    }

    fn push_method(&mut self, method: usize, place: Place<'_>, value: Estimate) {
        let label = &self.methods()[method].planned.label;
        self.push(Some(method), label, place, value);
    }

    /// Draws of queries alone, the same for every method.
    fn query_resamples(&self) -> Result<Resamples, MeasureError> {
        let spec = &self.plan().spec;
        // Two rows are the fewest that resamples have; nothing here reads them.
        resamples(spec.seed, spec.draws, (2, self.queries()), 1)
    }

    /// Mean over queries with a bootstrap over queries.
    fn mean_over_queries(&self, values: &[f64]) -> Result<Estimate, MeasureError> {
        let spec = &self.plan().spec;
        mean_over_queries(values, spec.seed, spec.draws)
    }

    /// Scores of a method at the queries, `(n, Q)`.
    fn scores(&self, method: usize) -> ArrayView2<'a, f64> {
        let values = self.methods()[method].scored.scores.values();
        values.slice_move(s![.., ..self.queries()])
    }

    fn scale(&self, method: usize) -> Scale {
        self.methods()[method].scored.scores.scale()
    }
}

/// Mean of one value a query, with a percentile interval over queries drawn with replacement.
///
/// # Errors
/// When there are fewer than two.
pub fn mean_over_queries(
    values: &[f64],
    seed: u64,
    draws: usize,
) -> Result<Estimate, MeasureError> {
    let resamples = resamples(seed, draws, (2, values.len()), 1)?;
    let drawn = (0..draws)
        .map(|draw| {
            let counts = resamples.column_counts(draw);
            let sum: f64 = counts.iter().zip(values).map(|(&c, v)| f64::from(c) * v).sum();
            sum / values.len() as f64
        })
        .collect();
    let point = values.iter().sum::<f64>() / values.len() as f64;
    Ok(interval(point, drawn, values.len(), 0))
}

/// Draws of rows and columns, the same for everything that has as many of both.
fn resamples(
    seed: u64,
    draws: usize,
    (rows, columns): (usize, usize),
    seeds: usize,
) -> Result<Resamples, MeasureError> {
    // Few seeds drawn with replacement repeat themselves, which shifts a correlation down instead
    // of widening its interval; the interval then holds for the seeds that ran.
    let seeds = if seeds >= 5 { Seeds::Crossed(seeds) } else { Seeds::Fixed };
    Resamples::new(ResamplePlan { seed, rows, columns, draws, seeds }).map_err(failed("resampling"))
}

fn failed(what: &str) -> impl Fn(StatisticsError) -> MeasureError + use<> {
    let what = what.to_owned();
    move |source| MeasureError::Statistics { what: what.clone(), source }
}

/// A percentile interval at the level of all intervals.
fn interval(point: f64, mut draws: Vec<f64>, n: usize, undefined: usize) -> Estimate {
    draws.sort_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    let at = |probability| crate::statistics::quantile(&draws, probability);
    Estimate::new(point, at(tail), at(1.0 - tail), LEVEL, n, undefined)
}

/// As [`interval`], moved by the bootstrap's own estimate of bias, and kept in `range`.
///
/// A distance of payouts only grows when noise is added, and the spread of a score over queries
/// does too, so that every draw may lie on one side of the point; what the draws tell is how wide
/// the interval is, not where.
fn centred_interval(
    point: f64,
    draws: Vec<f64>,
    (n, undefined): (usize, usize),
    (least, most): (f64, f64),
) -> Estimate {
    let bias = draws.iter().sum::<f64>() / draws.len() as f64 - point;
    let moved = draws.iter().map(|draw| (draw - bias).clamp(least, most)).collect();
    let interval = interval(point, moved, n, undefined);
    let (lower, upper) = (interval.lower().min(point), interval.upper().max(point));
    Estimate::new(point, lower, upper, LEVEL, n, undefined)
}

/// Sums of rows: `(n, q)` and groups of rows -> `(groups, q)`.
fn group_sums(scores: ArrayView2<'_, f64>, groups: &[Vec<usize>]) -> Array2<f64> {
    let mut sums = Array2::zeros((groups.len(), scores.ncols()));
    for (mut sum, group) in sums.outer_iter_mut().zip(groups) {
        for &row in group {
            sum += &scores.row(row);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{NoiseFloor, group_sums};

    #[test]
    fn groups_are_summed() {
        let scores = array![[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]];
        let sums = group_sums(scores.view(), &[vec![0, 2], vec![1], vec![]]);
        assert_eq!(sums, array![[101.0, 202.0], [10.0, 20.0], [0.0, 0.0]]);
    }

    #[test]
    fn the_floor_is_the_deviation_of_a_difference() {
        // Utilities 0, 2 of one query: variance 2, and twice that for a difference.
        let floor = NoiseFloor::new(array![[0.0, 9.0], [2.0, 9.0]]);
        let found = floor.of_effects(1);
        assert_eq!(found.len(), 1);
        assert!((found[0] - 2.0).abs() < 1e-14);
    }
}
