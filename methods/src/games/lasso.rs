//! Least squares with an absolute penalty, from moments alone.

use attribench_core::math::matmul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// Sums from which every regression on these rows follows.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    rows: f64,
    /// Sums of the features, `n`, and of the outcomes, `m`.
    features: Array1<f64>,
    outcomes: Array1<f64>,
    /// Sums of products: `(n, n)`, `(n, m)`, and of squares of the outcomes, `m`.
    gram: Array2<f64>,
    products: Array2<f64>,
    squares: Array1<f64>,
}

impl Moments {
    /// Moments of features `(rows, n)` and outcomes `(rows, m)`.
    pub(crate) fn new(features: ArrayView2<'_, f64>, outcomes: ArrayView2<'_, f64>) -> Self {
        Self {
            rows: features.nrows() as f64,
            features: features.sum_axis(Axis(0)),
            outcomes: outcomes.sum_axis(Axis(0)),
            // (n, rows) x (rows, n) -> (n, n)
            gram: matmul(features.t(), features),
            // (n, rows) x (rows, m) -> (n, m)
            products: matmul(features.t(), outcomes),
            squares: outcomes.mapv(|value| value * value).sum_axis(Axis(0)),
        }
    }

    /// The sums of all parts.
    pub(crate) fn sum<'p>(parts: impl IntoIterator<Item = &'p Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut total = parts.next().expect("at least one part").clone();
        for part in parts {
            total.rows += part.rows;
            total.features += &part.features;
            total.outcomes += &part.outcomes;
            total.gram += &part.gram;
            total.products += &part.products;
            total.squares += &part.squares;
        }
        total
    }

    /// Covariances of the features, `(n, n)`, and of features and outcomes, `(n, m)`.
    fn covariances(&self) -> (Array2<f64>, Array2<f64>) {
        let center = |sums: &Array1<f64>| sums / self.rows;
        let (x, y) = (center(&self.features), center(&self.outcomes));
        let gram = Array2::from_shape_fn(self.gram.dim(), |(i, j)| {
            self.gram[(i, j)] / self.rows - x[i] * x[j]
        });
        let products = Array2::from_shape_fn(self.products.dim(), |(i, outcome)| {
            self.products[(i, outcome)] / self.rows - x[i] * y[outcome]
        });
        (gram, products)
    }

    /// Sum of squared errors on these rows of outcome `outcome` predicted with these coefficients
    /// and the intercept that belongs to them on the rows of `fitted`.
    fn squared_error(&self, outcome: usize, coefficients: &[f64], fitted: &Self) -> f64 {
        let beta = ArrayView1::from(coefficients);
        let intercept = (fitted.outcomes[outcome] - fitted.features.dot(&beta)) / fitted.rows;
        let quadratic = beta.dot(&self.gram.dot(&beta));
        let linear = beta.dot(&self.products.column(outcome));
        let (x, y) = (self.features.dot(&beta), self.outcomes[outcome]);
        self.squares[outcome] - 2.0 * linear + quadratic - 2.0 * intercept * (y - x)
            + self.rows * intercept * intercept
    }
}

/// The largest change of a coefficient, relative to the largest coefficient, at which descent ends.
const TOLERANCE: f64 = 1e-7;
/// Rounds of descent after which it ends anyway; convergence is linear and this is far beyond it.
const MOST_ROUNDS: usize = 2000;

/// `min_b 1/2 b' G b - c' b + penalty |b|_1` by coordinate descent from `start`.
///
/// `gradient` is `c - G b` throughout, so that a coefficient that stays 0 costs one comparison.
fn descend(
    gram: ArrayView2<'_, f64>,
    products: ArrayView1<'_, f64>,
    penalty: f64,
    start: &mut [f64],
) {
    let beta = ArrayView1::from(&*start).to_owned();
    let mut gradient = &products - &gram.dot(&beta);
    for _ in 0..MOST_ROUNDS {
        let (mut largest_step, mut largest) = (0.0f64, 0.0f64);
        for (coordinate, value) in start.iter_mut().enumerate() {
            let curvature = gram[(coordinate, coordinate)];
            if curvature <= 0.0 {
                continue;
            }
            let free = gradient[coordinate] + curvature * *value;
            let next = free.signum() * (free.abs() - penalty).max(0.0) / curvature;
            let step = next - *value;
            if step != 0.0 {
                gradient.scaled_add(-step, &gram.row(coordinate));
                *value = next;
            }
            largest_step = largest_step.max(step.abs());
            largest = largest.max(next.abs());
        }
        if largest_step <= TOLERANCE * largest {
            return;
        }
    }
}

/// Folds of the cross-validation.
pub(crate) const FOLDS: usize = 5;
/// Penalties tried: from the smallest that leaves nothing down by these many factors of two.
const PENALTIES: usize = 12;

/// Coefficients `(n, m)` with an unpenalised intercept, the penalty of each outcome chosen by
/// cross-validation over the parts, and the same without each part in its turn, for a jackknife.
///
/// # Panics
/// With fewer than two parts.
pub(crate) fn cross_validated(parts: &[Moments]) -> (Array2<f64>, Vec<Array2<f64>>) {
    assert!(parts.len() > 1, "cross-validation needs two parts");
    let all = Moments::sum(parts);
    let without: Vec<Moments> = (0..parts.len())
        .map(|out| {
            let rest = parts.iter().enumerate().filter(|(part, _)| *part != out);
            Moments::sum(rest.map(|(_, part)| part))
        })
        .collect();
    let (gram, products) = all.covariances();
    let rest: Vec<_> = without.iter().map(Moments::covariances).collect();
    let mut coefficients = Array2::zeros(products.dim());
    let mut jackknife = vec![Array2::zeros(products.dim()); parts.len()];
    for outcome in 0..products.ncols() {
        let largest = products.column(outcome).iter().fold(0.0f64, |most, c| most.max(c.abs()));
        let mut errors = [0.0; PENALTIES];
        let mut paths = Vec::new();
        for ((part, without), (gram, products)) in parts.iter().zip(&without).zip(&rest) {
            let path = path(gram.view(), products.column(outcome), largest);
            for (error, beta) in errors.iter_mut().zip(&path) {
                *error += part.squared_error(outcome, beta, without);
            }
            paths.push(path);
        }
        let best = (0..PENALTIES)
            .min_by(|&a, &b| errors[a].total_cmp(&errors[b]))
            .expect("there are penalties");
        let own = path(gram.view(), products.column(outcome), largest);
        coefficients.column_mut(outcome).assign(&ArrayView1::from(&own[best]));
        for (matrix, path) in jackknife.iter_mut().zip(&paths) {
            matrix.column_mut(outcome).assign(&ArrayView1::from(&path[best]));
        }
    }
    (coefficients, jackknife)
}

/// Coefficients for every penalty, the largest first, each starting from the one before.
fn path(gram: ArrayView2<'_, f64>, products: ArrayView1<'_, f64>, largest: f64) -> Vec<Vec<f64>> {
    let mut beta = vec![0.0; products.len()];
    (0..PENALTIES)
        .map(|halvings| {
            let penalty = largest * 0.5f64.powi(halvings as i32 + 1);
            descend(gram, products, penalty, &mut beta);
            beta.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::{Moments, cross_validated, descend};

    #[test]
    fn one_feature_is_soft_thresholding() {
        // min b^2 - 3 b + |b|: slope 2 b - 3 + 1 = 0, b = 1. With penalty 4 nothing is left.
        for (penalty, expected) in [(1.0, 1.0), (4.0, 0.0)] {
            let mut beta = [0.0];
            descend(array![[2.0]].view(), array![3.0].view(), penalty, &mut beta);
            assert!((beta[0] - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_noiseless_additive_game_is_recovered() {
        // y = 2 + 3 x_0 - x_2 over all eight corners, each three times.
        let features = Array2::from_shape_fn((24, 3), |(row, i)| f64::from((row >> i & 1) as u8));
        let outcomes = Array2::from_shape_fn((24, 1), |(row, _)| {
            2.0 + 3.0 * features[(row, 0)] - features[(row, 2)]
        });
        let parts: Vec<Moments> = (0..3)
            .map(|part| {
                let rows: Vec<usize> = (part * 8..part * 8 + 8).collect();
                let select = |matrix: &Array2<f64>| matrix.select(ndarray::Axis(0), &rows);
                Moments::new(select(&features).view(), select(&outcomes).view())
            })
            .collect();
        let (found, _) = cross_validated(&parts);
        // What is left is the smallest penalty tried over the variance 1/4.
        for (found, expected) in found.iter().zip([3.0, 0.0, -1.0]) {
            assert!((found - expected).abs() < 2e-3, "{found} {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_slopes_are_those_of_an_optimum(
            numbers in prop::collection::vec(-1.0f64..1.0, 30),
            penalty in 0.01f64..0.5,
        ) {
            let features = Array2::from_shape_vec((10, 3), numbers).unwrap();
            let gram = features.t().dot(&features) / 10.0;
            let products = features.column(0).dot(&features) * 0.3;
            let mut beta = [0.0; 3];
            descend(gram.view(), products.view(), penalty, &mut beta);
            let gradient = &products - &gram.dot(&ndarray::ArrayView1::from(&beta));
            for (slope, beta) in gradient.iter().zip(beta) {
                if beta == 0.0 {
                    prop_assert!(slope.abs() <= penalty + 1e-6);
                } else {
                    prop_assert!((slope - penalty * beta.signum()).abs() < 1e-5);
                }
            }
        }
    }
}
