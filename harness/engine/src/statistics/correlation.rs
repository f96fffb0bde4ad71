//! Pearson and Spearman correlations.

use ndarray::{ArrayView1, aview1};

use super::ranks::{Cell, SortOrder, average_ranks, tie_loss};
use super::regression::Moments;

/// What an undefined correlation counts as in a mean: no relation.
pub const DEGENERATE_CORRELATION: f64 = 0.0;

/// The correlation, or [`DEGENERATE_CORRELATION`]; the caller counts the `None` in `undefined`.
pub fn or_degenerate(correlation: Option<f64>) -> f64 {
    correlation.unwrap_or(DEGENERATE_CORRELATION)
}

/// `sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2)` (Pearson 1896).
///
/// Shapes `(m), (m)`. `None` when a vector is constant or holds NaN or an infinity.
///
/// # Panics
/// When the lengths differ.
pub fn pearson(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>) -> Option<f64> {
    Moments::of(x, y)?.pearson()
}

/// Pearson correlation of the average ranks (Spearman 1904).
///
/// Shapes `(m), (m)`. `None` when a vector is constant or holds NaN or an infinity.
///
/// # Panics
/// When the lengths differ.
pub fn spearman(x: ArrayView1<'_, f64>, y: ArrayView1<'_, f64>) -> Option<f64> {
    pearson(aview1(&average_ranks(x)?), aview1(&average_ranks(y)?))
}

/// Spearman correlation in the sample that holds pair `j` `counts[j]` times, without sorting it.
///
/// Computed in integers from doubled ranks, so that no order of summation can change it. `None`
/// when a column is constant in that sample.
///
/// # Panics
/// When `counts` has not one entry a pair.
pub fn spearman_of_counts(x: &SortOrder, y: &SortOrder, counts: &[u32]) -> Option<f64> {
    assert_eq!((x.len(), y.len()), (counts.len(), counts.len()), "one count a pair");
    let mut cells = vec![Cell::default(); counts.len()];
    let loss = y.fill_cells(counts, &mut cells);
    Sample::new(counts).spearman(x, &cells, loss)
}

/// What the rank correlations of all columns share in one resample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    size: u64,
    loss_of_counts: u64,
}

impl Sample {
    pub(crate) fn new(counts: &[u32]) -> Self {
        Self {
            size: counts.iter().map(|&count| u64::from(count)).sum(),
            loss_of_counts: counts.iter().map(|&count| tie_loss(u64::from(count))).sum(),
        }
    }

    /// Correlation of the column `x` with the column in `cells`, whose tie loss is `loss`.
    ///
    /// Twice the ranks of `N` copies have the mean `N + 1`; their squared deviations sum to
    /// `(N^3 - N - sum over ties (c^3 - c)) / 3`.
    pub(crate) fn spearman(self, x: &SortOrder, cells: &[Cell], loss: u64) -> Option<f64> {
        let (products, x_loss) = x.rank_products(cells, self.loss_of_counts);
        let spread = |loss: u64| ((tie_loss(self.size) - loss) / 3) as f64;
        let (x_spread, y_spread) = (spread(x_loss), spread(loss));
        if x_spread == 0.0 || y_spread == 0.0 {
            return None;
        }
        let product_of_means = self.size * (self.size + 1) * (self.size + 1);
        Some((products as f64 - product_of_means as f64) / (x_spread * y_spread).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::aview1;

    use super::{SortOrder, pearson, spearman, spearman_of_counts};

    #[test]
    fn spearman_with_ties() {
        // Ranks 1 2.5 2.5 4 5 and 1 3 2 5 4: cov 8.5, spreads 9.5 and 10.
        let (x, y) = ([1.0, 2.0, 2.0, 4.0, 5.0], [1.0, 3.0, 2.0, 5.0, 4.0]);
        let expected = 8.5 / 95f64.sqrt();
        assert!((expected - 0.872_081_599_272).abs() < 1e-12);
        assert!((spearman(aview1(&x), aview1(&y)).unwrap() - expected).abs() < 1e-14);
        let orders = [x, y].map(|column| SortOrder::new(aview1(&column)).unwrap());
        let fast = spearman_of_counts(&orders[0], &orders[1], &[1; 5]).unwrap();
        assert!((fast - expected).abs() < 1e-14);
    }

    #[test]
    fn constants_and_nan_have_no_correlation() {
        // A third of 0.3 is no binary fraction, so the mean of the constant is rounded.
        let (line, constant) = ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]);
        for correlate in [pearson, spearman] {
            assert_eq!(correlate(aview1(&line), aview1(&constant)), None);
            assert_eq!(correlate(aview1(&constant), aview1(&line)), None);
            assert_eq!(correlate(aview1(&line), aview1(&[1.0, f64::NAN, 2.0])), None);
            assert_eq!(correlate(aview1(&line), aview1(&[1.0, f64::INFINITY, 2.0])), None);
            assert!((correlate(aview1(&line), aview1(&line)).unwrap() - 1.0).abs() < 1e-15);
        }
    }
}
