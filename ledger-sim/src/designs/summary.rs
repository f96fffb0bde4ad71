//! Replicas in a few numbers.

use serde::Serialize;

use crate::refusal::Refusal;

/// Mean with its Monte Carlo standard error, and percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Replicas.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard error of the mean; `None` for one replica.
    pub standard_error: Option<f64>,
    /// Percentiles 5, 25, 50, 75 and 95, interpolated between order statistics.
    pub percentiles: [f64; 5],
}

impl Summary {
    /// Summary of `values`.
    ///
    /// # Errors
    /// [`Refusal::NonFinite`] for a value that is not finite, numbered as a contributor;
    /// [`Refusal::RuleNeeds`] for no values.
    pub fn of(values: &[f64]) -> Result<Self, Refusal> {
        if let Some(contributor) = values.iter().position(|value| !value.is_finite()) {
            return Err(Refusal::NonFinite { contributor, query: 0 });
        }
        if values.is_empty() {
            return Err(Refusal::RuleNeeds { rule: "summary", input: "at least one replica" });
        }
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (count as f64 - 1.0) / count as f64).sqrt();
        let percentile = |share: f64| {
            let at = share * (count - 1) as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            low + (high - low) * at.fract()
        };
        Ok(Self {
            count,
            mean,
            standard_error: (count > 1).then_some(error),
            percentiles: [0.05, 0.25, 0.5, 0.75, 0.95].map(percentile),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five() {
        let summary = Summary::of(&[5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        // Variance 10/4 = 2.5, over 5.
        assert_eq!((summary.count, summary.mean), (5, 3.0));
        assert!((summary.standard_error.unwrap() - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary.percentiles, [1.2, 2.0, 3.0, 4.0, 4.8]);
        assert_eq!(Summary::of(&[1.0]).unwrap().standard_error, None);
        assert!(Summary::of(&[]).is_err() && Summary::of(&[f64::NAN]).is_err());
    }
}
