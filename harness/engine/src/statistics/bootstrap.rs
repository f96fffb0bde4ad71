//! Bootstrapped statistics, their intervals and their paired differences.

use attribench_core::Estimate;

use super::ceiling::{Sides, minimum_detectable_difference};
use super::error::StatisticsError;
use super::resamples::{Plan, Resamples};

/// Nominal coverage of every interval.
pub const LEVEL: f64 = 0.95;

/// A statistic with its value in every draw of a [`Resamples`].
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrapped {
    point: f64,
    draws: Vec<f64>,
    n: usize,
    undefined: usize,
    undefined_draws: usize,
    plan: Plan,
}

/// Left minus right, paired draw by draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The difference with its two-sided 95 % interval; `undefined` is the larger of both sides.
    pub estimate: Estimate,
    /// Standard deviation of the differences over the draws.
    pub standard_error: f64,
    /// One-sided 95 % lower bound.
    pub lower_bound: f64,
    /// One-sided 95 % upper bound: a gate fails when it lies below minus the tolerance.
    pub upper_bound: f64,
}

impl Difference {
    /// The smallest true difference that this comparison would have found with power 80 %.
    pub fn minimum_detectable(&self, sides: Sides) -> f64 {
        minimum_detectable_difference(self.standard_error, sides)
    }
}

/// The value of a statistic in a sample and in every draw, before it is checked.
pub(crate) struct Parts {
    pub(crate) point: f64,
    pub(crate) draws: Vec<f64>,
    /// Size of the sample, in the unit that the metric names.
    pub(crate) n: usize,
    /// Members of the sample without a value.
    pub(crate) undefined: usize,
    /// Draws in which the statistic took its value for degenerate input.
    pub(crate) undefined_draws: usize,
}

impl Bootstrapped {
    /// # Panics
    /// When a value is not finite or there is not one a draw: a mistake of the statistic.
    pub(crate) fn new(parts: Parts, resamples: &Resamples) -> Self {
        let plan = resamples.plan();
        assert_eq!(parts.draws.len(), plan.draws, "one value a draw");
        let finite = parts.point.is_finite() && parts.draws.iter().all(|draw| draw.is_finite());
        assert!(finite, "degenerate draws must have a value before they come here");
        let Parts { point, draws, n, undefined, undefined_draws } = parts;
        Self { point, draws, n, undefined, undefined_draws, plan }
    }

    /// The statistic of the sample itself.
    pub fn point(&self) -> f64 {
        self.point
    }

    /// The statistic of every draw, `(B)`.
    pub fn draws(&self) -> &[f64] {
        &self.draws
    }

    /// Draws in which the statistic was undefined and took its value for degenerate input.
    pub fn undefined_draws(&self) -> usize {
        self.undefined_draws
    }

    /// Standard deviation over the draws.
    pub fn standard_error(&self) -> f64 {
        standard_deviation(&self.draws)
    }

    /// The point with its percentile interval at [`LEVEL`] (Efron 1979).
    pub fn estimate(&self) -> Estimate {
        let [lower, upper] = interval(&self.draws, (1.0 - LEVEL) / 2.0);
        Estimate::new(self.point, lower, upper, LEVEL, self.n, self.undefined)
    }

    /// This minus `other`, paired draw by draw: what both share cancels.
    ///
    /// # Errors
    /// When the two were not bootstrapped with the same plan.
    pub fn difference(&self, other: &Self) -> Result<Difference, StatisticsError> {
        let gap = self.combined(other, |left, right| left - right)?;
        let [lower_bound, upper_bound] = interval(&gap.draws, 1.0 - LEVEL);
        Ok(Difference {
            estimate: gap.estimate(),
            standard_error: gap.standard_error(),
            lower_bound,
            upper_bound,
        })
    }

    pub(crate) fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        let draws = self.draws.iter().map(|&draw| function(draw)).collect();
        Self { point: function(self.point), draws, ..*self }
    }

    pub(crate) fn combined(
        &self,
        other: &Self,
        function: impl Fn(f64, f64) -> f64,
    ) -> Result<Self, StatisticsError> {
        if self.plan != other.plan {
            return Err(StatisticsError::Unpaired { left: self.plan, right: other.plan });
        }
        let pairs = self.draws.iter().zip(&other.draws);
        Ok(Self {
            point: function(self.point, other.point),
            draws: pairs.map(|(&left, &right)| function(left, right)).collect(),
            n: self.n.min(other.n),
            undefined: self.undefined.max(other.undefined),
            undefined_draws: self.undefined_draws.max(other.undefined_draws),
            plan: self.plan,
        })
    }

    pub(crate) fn with_undefined_draws(self, undefined_draws: usize) -> Self {
        Self { undefined_draws, ..self }
    }
}

/// The quantile at `probability` of sorted values, linear between order statistics.
///
/// With `h = (n - 1) p` the value is `x[floor h] + (h - floor h)(x[floor h + 1] - x[floor h])`,
/// definition 7 of Hyndman and Fan (1996).
///
/// # Panics
/// When `sorted` is empty or the probability is outside [0, 1].
pub fn quantile(sorted: &[f64], probability: f64) -> f64 {
    assert!(!sorted.is_empty(), "a quantile of nothing");
    assert!((0.0..=1.0).contains(&probability), "probability {probability} is not in [0, 1]");
    let position = (sorted.len() - 1) as f64 * probability;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// The quantiles at `tail` and `1 - tail`.
fn interval(draws: &[f64], tail: f64) -> [f64; 2] {
    let mut sorted = draws.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    [quantile(&sorted, tail), quantile(&sorted, 1.0 - tail)]
}

/// Standard deviation about the mean with the divisor `n - 1`; 0 of a single value.
fn standard_deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{Bootstrapped, Parts, quantile, standard_deviation};
    use crate::statistics::{Plan, Resamples, Seeds, Sides, StatisticsError};

    fn of(draws: [f64; 5], seed: u64) -> Bootstrapped {
        let plan = Plan { seed, rows: 2, columns: 1, draws: 5, seeds: Seeds::Fixed };
        let parts =
            Parts { point: 3.0, draws: draws.into(), n: 9, undefined: 1, undefined_draws: 0 };
        Bootstrapped::new(parts, &Resamples::new(plan).unwrap())
    }

    #[test]
    fn quantiles_interpolate() {
        // h = 4 * 0.1 = 0.4, between 1 and 2.
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!((quantile(&sorted, 0.1) - 1.4).abs() < 1e-15);
        assert_eq!((quantile(&sorted, 0.0), quantile(&sorted, 1.0)), (1.0, 5.0));
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn an_interval_is_that_of_the_draws() {
        let estimate = of([5.0, 1.0, 4.0, 2.0, 3.0], 0).estimate();
        // h = 4 * 0.025 = 0.1 from either end.
        assert!((estimate.lower() - 1.1).abs() < 1e-12 && (estimate.upper() - 4.9).abs() < 1e-12);
        assert_eq!((estimate.n(), estimate.undefined()), (9, 1));
        // Squares 4 1 0 1 4 over 4.
        assert!((standard_deviation(&[5.0, 1.0, 4.0, 2.0, 3.0]) - 2.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn differences_are_paired_or_refused() {
        let (left, right) = (of([5.0, 1.0, 4.0, 2.0, 3.0], 0), of([4.0, 0.0, 3.0, 1.0, 2.0], 0));
        let gap = left.difference(&right).unwrap();
        // The draws differ by 1 everywhere although both vary: nothing is left to be unsure of.
        assert_eq!((gap.estimate.lower(), gap.estimate.upper()), (1.0, 1.0));
        assert_eq!((gap.lower_bound, gap.upper_bound), (1.0, 1.0));
        assert_eq!(gap.minimum_detectable(Sides::Two), 0.0);
        let stranger = of([5.0, 1.0, 4.0, 2.0, 3.0], 1);
        assert!(matches!(left.difference(&stranger), Err(StatisticsError::Unpaired { .. })));
    }
}
