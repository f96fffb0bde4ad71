//! Are predicted removal effects right in size, not only in order?

use ndarray::{ArrayView2, ArrayView3};

use crate::statistics::{
    Bootstrapped, Line, MeanOverColumns, Moments, Parts, Resamples, StatisticsError, check_shapes,
    moments_by_column, seed_average, visit_moments,
};

/// What a query without a line counts as in a mean: predictions that say nothing.
const DEGENERATE_LINE: Line =
    Line { slope: 0.0, intercept: 0.0, r2_regression: 0.0, r2_identity: 0.0 };

/// The parts of a [`Line`], bootstrapped.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrappedLine {
    /// Ideal 1.
    pub slope: Bootstrapped,
    /// In the unit of the utility; ideal 0.
    pub intercept: Bootstrapped,
    /// Squared correlation; ideal 1.
    pub r2_regression: Bootstrapped,
    /// Variance explained by the predictions as they are; ideal 1, may be negative.
    pub r2_identity: Bootstrapped,
}

/// Calibration of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// One line through the pairs of all queries; `n` counts queries, `undefined` those that were
    /// left out because a value is not finite. If the pool itself has no line, all are undefined
    /// and every part is 0.
    pub pooled: BootstrappedLine,
    /// Means over queries of the parts of each query's own line; queries without one are counted
    /// and enter as 0.
    pub mean: BootstrappedLine,
    /// By query, `(Q)`.
    pub per_query: Vec<Option<Line>>,
}

/// Least-squares lines of measured on predicted effects (Cox 1958).
///
/// `measured (R, M, Q)` and one `predicted (M, Q)` a method, both in the unit of the utility; the
/// answer has the order of the methods. Removals and queries are resampled together.
///
/// # Errors
/// When shapes do not fit each other or the resamples.
pub fn calibration(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    resamples: &Resamples,
) -> Result<Vec<Calibration>, StatisticsError> {
    check_shapes(measured, predicted, resamples)?;
    let truth = seed_average(measured);
    let mut collectors: Vec<_> = predicted
        .iter()
        .map(|matrix| Collector::new(&moments_by_column(truth.view(), *matrix), resamples))
        .collect();
    visit_moments(measured, predicted, resamples, |method, draw, moments| {
        collectors[method].record(draw, moments);
    });
    Ok(collectors.into_iter().map(Collector::finish).collect())
}

/// Gathers the lines of one method, draw by draw.
struct Collector<'a> {
    resamples: &'a Resamples,
    per_query: Vec<Option<Line>>,
    means: [MeanOverColumns<'a>; 4],
    excluded: usize,
    pool: Option<Line>,
    pool_draws: Vec<Option<Line>>,
}

impl<'a> Collector<'a> {
    fn new(sample: &[Option<Moments>], resamples: &'a Resamples) -> Self {
        let per_query = lines(sample);
        Self {
            resamples,
            means: PARTS.map(|part| MeanOverColumns::new(&values(&per_query, part), resamples)),
            excluded: sample.iter().filter(|moments| moments.is_none()).count(),
            pool: pooled(sample, &vec![1; sample.len()]),
            pool_draws: vec![None; resamples.plan().draws],
            per_query,
        }
    }

    fn record(&mut self, draw: usize, moments: &[Option<Moments>]) {
        let lines = lines(moments);
        for (mean, part) in self.means.iter_mut().zip(PARTS) {
            mean.record(draw, &values(&lines, part));
        }
        self.pool_draws[draw] = pooled(moments, self.resamples.column_counts(draw));
    }

    fn finish(self) -> Calibration {
        let pooled = PARTS.map(|part| {
            let value = |line: &Option<Line>| part(line.as_ref().unwrap_or(&DEGENERATE_LINE));
            let n = self.per_query.len();
            let parts = Parts {
                point: value(&self.pool),
                draws: self.pool_draws.iter().map(value).collect(),
                n,
                undefined: if self.pool.is_none() { n } else { self.excluded },
                undefined_draws: self.pool_draws.iter().filter(|line| line.is_none()).count(),
            };
            Bootstrapped::new(parts, self.resamples)
        });
        Calibration {
            pooled: assembled(pooled),
            mean: assembled(self.means.map(MeanOverColumns::finish)),
            per_query: self.per_query,
        }
    }
}

/// The parts of a line in the order of [`assembled`].
const PARTS: [fn(&Line) -> f64; 4] =
    [|line| line.slope, |line| line.intercept, |line| line.r2_regression, |line| line.r2_identity];

fn assembled(parts: [Bootstrapped; 4]) -> BootstrappedLine {
    let [slope, intercept, r2_regression, r2_identity] = parts;
    BootstrappedLine { slope, intercept, r2_regression, r2_identity }
}

fn lines(moments: &[Option<Moments>]) -> Vec<Option<Line>> {
    moments.iter().map(|moments| moments.as_ref()?.line()).collect()
}

fn values(lines: &[Option<Line>], part: fn(&Line) -> f64) -> Vec<Option<f64>> {
    lines.iter().map(|line| line.as_ref().map(part)).collect()
}

/// The line through all pairs of the queries that have moments, each query `counts` times.
fn pooled(moments: &[Option<Moments>], counts: &[u32]) -> Option<Line> {
    let mut pool = Moments::default();
    for (moments, &count) in moments.iter().zip(counts) {
        if let Some(moments) = moments {
            pool = pool.merged(*moments, f64::from(count));
        }
    }
    pool.line()
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::calibration;
    use crate::statistics::{Plan, Resamples, Seeds};

    fn resamples(rows: usize, columns: usize) -> Resamples {
        Resamples::new(Plan { seed: 5, rows, columns, draws: 30, seeds: Seeds::Fixed }).unwrap()
    }

    #[test]
    fn one_query_is_its_own_pool() {
        let measured = array![[1.0], [3.0], [8.0]].insert_axis(Axis(0));
        let predicted = array![[1.0], [2.0], [3.0]];
        let found = calibration(measured.view(), &[predicted.view()], &resamples(3, 1));
        let found = found.unwrap().remove(0);
        for line in [&found.pooled, &found.mean] {
            assert!((line.slope.point() - 3.5).abs() < 1e-14);
            assert!((line.intercept.point() + 3.0).abs() < 1e-14);
            assert!((line.r2_regression.point() - 49.0 / 52.0).abs() < 1e-14);
            assert!(line.r2_identity.point().abs() < 1e-14);
        }
    }

    #[test]
    fn pooling_is_not_averaging() {
        // Query 0: y = x on (0, 1); query 1: y = 3 x on (0, 1) shifted by 10 in both. The pool
        // x = (0, 1, 10, 11), y = (0, 1, 10, 13) has products 244 - 22 * 24 / 4 = 112 and squares
        // 222 - 22 * 22 / 4 = 101.
        let measured = array![[0.0, 10.0], [1.0, 13.0]].insert_axis(Axis(0));
        let predicted = array![[0.0, 10.0], [1.0, 11.0]];
        let found = calibration(measured.view(), &[predicted.view()], &resamples(2, 2));
        let found = found.unwrap().remove(0);
        assert!((found.mean.slope.point() - 2.0).abs() < 1e-14);
        assert!((found.pooled.slope.point() - 112.0 / 101.0).abs() < 1e-14);
    }

    #[test]
    fn constant_predictions_explain_nothing_and_failed_runs_leave_the_pool() {
        let measured = array![[1.0, f64::NAN], [2.0, 1.0], [3.0, 5.0]].insert_axis(Axis(0));
        let constant = array![[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]];
        let right = array![[1.0, 1.0], [2.0, 1.0], [3.0, 5.0]];
        let found =
            calibration(measured.view(), &[constant.view(), right.view()], &resamples(3, 2));
        let found = found.unwrap();
        assert_eq!(found[0].pooled.slope.point(), 0.0);
        assert_eq!(found[0].pooled.slope.estimate().undefined(), 2);
        assert_eq!(found[1].pooled.slope.point(), 1.0);
        assert_eq!(found[1].pooled.slope.estimate().undefined(), 1);
        assert_eq!(found[1].mean.r2_identity.point(), 0.5);
    }
}
