//! How well perfect scores could do against a noisy truth, and how small a gap can be seen.

use ndarray::{ArrayView3, Axis};

use super::bootstrap::Bootstrapped;
use super::error::StatisticsError;
use super::resamples::Resamples;
use super::two_way::{MeanOverColumns, check_shapes};

/// Mean reliability below which a corrected value is refused.
pub const RELIABILITY_FLOOR: f64 = 0.1;

/// Sides of a test at level 5 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Only a difference in the foreseen direction counts.
    One,
    /// A difference in either direction counts.
    Two,
}

/// `(z_(1 - alpha) + z_0.80) SE`: the difference found with power 80 % at level 5 % (Lehr 1992).
///
/// `standard_error` is that of the paired difference, and gives the unit.
pub fn minimum_detectable_difference(standard_error: f64, sides: Sides) -> f64 {
    const Z_80: f64 = 0.841_621_233_572_914_3;
    const Z_95: f64 = 1.644_853_626_951_472_2;
    const Z_97_5: f64 = 1.959_963_984_540_054;
    let z = match sides {
        Sides::One => Z_95,
        Sides::Two => Z_97_5,
    };
    (z + Z_80) * standard_error
}

/// Reliability of the mean of `runs` measurements, given that of one (Spearman 1910; Brown 1910).
///
/// `R rel / (1 + (R - 1) rel)`.
pub fn spearman_brown(reliability_of_one: f64, runs: usize) -> f64 {
    let runs = runs as f64;
    runs * reliability_of_one / (1.0 + (runs - 1.0) * reliability_of_one)
}

/// Which share of the variance between rows of a truth is not noise of its seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// By query, `(Q)`; `None` where the rows do not differ at all or a run is not finite.
    pub per_query: Vec<Option<f64>>,
    /// Mean over queries, in which `None` counts as 0.
    pub mean: Bootstrapped,
}

/// One-way random-effects reliability of the mean of `R` runs (Shrout, Fleiss 1979).
///
/// `rel = 1 - MS_within / MS_between`, clipped to [0, 1], by query over `M` rows;
/// `MS_between = R Var_j(mean_j)`. Shape `(R, M, Q)`, dimensionless.
///
/// Rows and queries are resampled. Seeds are not, whatever the plan says: runs drawn with
/// replacement repeat themselves and would look more reliable than they are.
///
/// # Errors
/// With fewer than two runs, or when the shape does not fit the resamples.
pub fn reliability(
    measured: ArrayView3<'_, f64>,
    resamples: &Resamples,
) -> Result<Reliability, StatisticsError> {
    check_shapes(measured, &[], resamples)?;
    let runs = measured.dim().0;
    if runs < 2 {
        let what = "runs a row, to tell noise from signal";
        return Err(StatisticsError::TooFew { what, found: runs, least: 2 });
    }
    let columns: Vec<Option<Column>> = measured.axis_iter(Axis(2)).map(Column::new).collect();
    let by_column = |counts: &[u32]| -> Vec<Option<f64>> {
        columns.iter().map(|column| column.as_ref()?.reliability(counts)).collect()
    };
    let per_query = by_column(&vec![1; measured.dim().1]);
    let mut mean = MeanOverColumns::new(&per_query, resamples);
    for draw in 0..resamples.plan().draws {
        mean.record(draw, &by_column(resamples.row_counts(draw)));
    }
    Ok(Reliability { per_query, mean: mean.finish() })
}

impl Reliability {
    /// `sqrt(mean rel)`: the correlation that perfect scores can be expected to reach.
    pub fn ceiling(&self) -> Bootstrapped {
        self.mean.map(f64::sqrt)
    }

    /// `correlation / sqrt(mean rel)`, the correlation with a truth without noise (Spearman 1904).
    ///
    /// A ratio of means, not a mean of ratios. Draws whose reliability is below
    /// [`RELIABILITY_FLOOR`] are divided by the root of that floor, and are counted.
    ///
    /// # Errors
    /// When the reliability is below the floor, or the correlation is not paired with it.
    pub fn corrected(&self, correlation: &Bootstrapped) -> Result<Bootstrapped, StatisticsError> {
        let (reliability, floor) = (self.mean.point(), RELIABILITY_FLOOR);
        if reliability < floor {
            return Err(StatisticsError::Unreliable { reliability, floor });
        }
        let low = self.mean.draws().iter().filter(|draw| **draw < floor).count();
        let corrected = correlation.combined(&self.mean, |correlation, reliability| {
            correlation / reliability.max(floor).sqrt()
        })?;
        let undefined_draws = corrected.undefined_draws().max(low);
        Ok(corrected.with_undefined_draws(undefined_draws))
    }
}

/// A column of the truth: mean and variance over the runs of each row, `(M)` each.
struct Column {
    runs: f64,
    means: Vec<f64>,
    variances: Vec<f64>,
}

impl Column {
    /// From `(R, M)`; `None` when a run is not finite.
    fn new(measured: ndarray::ArrayView2<'_, f64>) -> Option<Self> {
        if measured.iter().any(|run| !run.is_finite()) {
            return None;
        }
        let runs = measured.nrows() as f64;
        let rows = measured.axis_iter(Axis(1));
        let moments = rows.map(|row| {
            let mean = row.sum() / runs;
            let squares: f64 = row.iter().map(|run| (run - mean).powi(2)).sum();
            (mean, squares / (runs - 1.0))
        });
        let (means, variances) = moments.unzip();
        Some(Self { runs, means, variances })
    }

    /// With row `j` repeated `counts[j]` times; `None` when the means of the rows are all equal.
    fn reliability(&self, counts: &[u32]) -> Option<f64> {
        let weighted = |values: &[f64]| -> f64 {
            values.iter().zip(counts).map(|(value, &count)| value * f64::from(count)).sum()
        };
        let rows: f64 = counts.iter().map(|&count| f64::from(count)).sum();
        let mean = weighted(&self.means) / rows;
        let deviations = self.means.iter().zip(counts);
        let squares: f64 =
            deviations.map(|(row, &count)| (row - mean).powi(2) * f64::from(count)).sum();
        // The mean of equal rows is rounded; what that leaves is no variance.
        if squares <= rows * (rows * f64::EPSILON * mean).powi(2) {
            return None;
        }
        let between = self.runs * squares / (rows - 1.0);
        let within = weighted(&self.variances) / rows;
        Some((1.0 - within / between).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, arr3};

    use super::{Sides, minimum_detectable_difference, reliability, spearman_brown};
    use crate::statistics::{Plan, Resamples, Seeds, StatisticsError};

    fn resamples(rows: usize, columns: usize) -> Resamples {
        Resamples::new(Plan { seed: 1, rows, columns, draws: 50, seeds: Seeds::Fixed }).unwrap()
    }

    #[test]
    fn analysis_of_variance_by_hand() {
        // Rows (1, 3), (4, 6), (9, 7): means 2 5 8, variances 2 2 2.
        // MS_between = 2 * 9 = 18, MS_within = 2, rel_2 = 8/9; rel_1 = 16/20 = 0.8.
        let truth = arr3(&[[[1.0], [4.0], [9.0]], [[3.0], [6.0], [7.0]]]);
        let found = reliability(truth.view(), &resamples(3, 1)).unwrap();
        assert!((found.mean.point() - 8.0 / 9.0).abs() < 1e-15);
        assert!((spearman_brown(0.8, 2) - 8.0 / 9.0).abs() < 1e-15);
        assert!((found.ceiling().point() - (8.0f64 / 9.0).sqrt()).abs() < 1e-15);
        assert_eq!(spearman_brown(0.3, 1), 0.3);
    }

    #[test]
    fn noise_alone_is_refused_and_a_constant_is_counted() {
        // Column 0: both rows have mean 2 and spread, so MS_between = 0. Column 1: rel = 0.
        let truth = arr3(&[[[1.0, 0.0], [3.0, 1.0]], [[3.0, 2.0], [1.0, 3.0]]]);
        let found = reliability(truth.view(), &resamples(2, 2)).unwrap();
        assert_eq!(found.per_query, [None, Some(0.0)]);
        assert_eq!(found.mean.estimate().undefined(), 1);
        let refusal = found.corrected(&found.mean);
        assert!(matches!(refusal, Err(StatisticsError::Unreliable { .. })), "{refusal:?}");
    }

    #[test]
    fn one_run_says_nothing_about_noise() {
        let truth = Array3::zeros((1, 3, 1));
        assert!(matches!(
            reliability(truth.view(), &resamples(3, 1)),
            Err(StatisticsError::TooFew { found: 1, .. })
        ));
    }

    #[test]
    fn detectable_differences_in_standard_errors() {
        assert!((minimum_detectable_difference(1.0, Sides::Two) - 2.8016).abs() < 5e-5);
        assert!((minimum_detectable_difference(1.0, Sides::One) - 2.4865).abs() < 5e-5);
    }
}
