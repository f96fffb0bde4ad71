//! Mean and standard deviation of feature columns.

use ndarray::{ArrayView1, Axis};

use crate::dataset::Dataset;

/// Mean and population standard deviation (divisor n) of some numbers, accumulated in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: f64,
    pub(crate) sd: f64,
}

impl Moments {
    /// Moments of the numbers; both are 0 for none.
    ///
    /// `sd` is exactly 0 when all numbers are equal, which rounding in the mean could hide.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> Self {
        let Some(&first) = values.clone().next() else { return Self { mean: 0.0, sd: 0.0 } };
        if values.clone().all(|&value| value == first) {
            return Self { mean: f64::from(first), sd: 0.0 };
        }
        let count = values.clone().count() as f64;
        let mean = values.clone().map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = values.map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        Self { mean, sd: variance.sqrt() }
    }

    fn of_column(column: ArrayView1<'_, f32>) -> Self {
        Self::of(column.iter())
    }
}

/// Moments of each feature column, `d`.
pub(crate) fn column_moments(dataset: &Dataset) -> Vec<Moments> {
    dataset.features().axis_iter(Axis(1)).map(Moments::of_column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Mean 2.5, squared deviations 2.25, 0.25, 0.25, 2.25: variance 5/4.
        let moments = Moments::of([1.0, 2.0, 3.0, 4.0].iter());
        assert_eq!(moments, Moments { mean: 2.5, sd: 1.25f64.sqrt() });
        assert_eq!(Moments::of([0.1f32; 7].iter()).sd, 0.0);
    }
}
