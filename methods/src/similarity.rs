//! How alike two rows of numbers are.

use attribench_core::{Real, math};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// A measure of likeness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// Cosine of the angle between them, 0 where one of them is 0.
    #[default]
    Cosine,
    /// Dot product.
    Dot,
    /// Minus the squared distance.
    NegativeSquaredDistance,
}

impl Similarity {
    /// Of all pairs of rows in `f64`, `(n, d), (q, d) -> (n, q)`.
    pub(crate) fn of<T: Real>(self, x: ArrayView2<'_, T>, z: ArrayView2<'_, T>) -> Array2<f64> {
        let (x, z) = (x.mapv(Real::to_f64), z.mapv(Real::to_f64));
        // (n, d) x (d, q) -> (n, q)
        let mut values = math::matmul(x.view(), z.t());
        let squares = |rows: &Array2<f64>| -> Vec<f64> {
            rows.outer_iter().map(|row| row.iter().map(|value| value * value).sum()).collect()
        };
        let (of_x, of_z) = (squares(&x), squares(&z));
        for ((i, q), value) in values.indexed_iter_mut() {
            *value = match self {
                Self::Dot => *value,
                Self::Cosine if of_x[i] == 0.0 || of_z[q] == 0.0 => 0.0,
                Self::Cosine => *value / (of_x[i] * of_z[q]).sqrt(),
                Self::NegativeSquaredDistance => 2.0 * *value - of_x[i] - of_z[q],
            };
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::Similarity;

    #[test]
    fn by_hand() {
        // (3, 4) and (4, 3): product 24, lengths 5 and 5, distance^2 = 1 + 1.
        let (x, z) = (array![[3.0, 4.0], [0.0, 0.0]], array![[4.0, 3.0]]);
        let of = |similarity: Similarity| similarity.of(x.view(), z.view());
        assert_eq!(of(Similarity::Dot), array![[24.0], [0.0]]);
        assert_eq!(of(Similarity::Cosine), array![[0.96], [0.0]]);
        assert_eq!(of(Similarity::NegativeSquaredDistance), array![[-2.0], [-25.0]]);
    }
}
