//! Eigendecomposition of symmetric matrices, in `f64` on the calling thread.

use attribench_core::MethodError;
use faer::{MatRef, Side};
use ndarray::Array2;

/// `U diag(values) U^T`, largest value first.
pub(crate) struct Eigen {
    /// Eigenvalues.
    pub(crate) values: Vec<f64>,
    /// Orthonormal eigenvectors, in columns.
    pub(crate) vectors: Array2<f64>,
}

/// The decomposition of a symmetric matrix, of which the lower triangle is read.
pub(crate) fn symmetric(matrix: &Array2<f64>) -> Result<Eigen, MethodError> {
    let n = matrix.nrows();
    let entries = matrix.as_standard_layout();
    let entries = entries.as_slice().expect("a matrix in standard layout");
    let decomposition = MatRef::from_row_major_slice(entries, n, n)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| MethodError::NotConverged {
            what: "an eigendecomposition",
            residual: f64::INFINITY,
            iterations: n,
            tolerance: f64::EPSILON,
        })?;
    let (values, vectors) = (decomposition.S(), decomposition.U());
    Ok(Eigen {
        values: (0..n).rev().map(|index| values[index]).collect(),
        vectors: Array2::from_shape_fn((n, n), |(i, j)| vectors[(i, n - 1 - j)]),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::symmetric;

    #[test]
    fn two_by_two_by_hand() {
        // (2 1; 1 2) has the eigenvalue 3 along (1, 1) and 1 along (1, -1).
        let eigen = symmetric(&array![[2.0, 1.0], [1.0, 2.0]]).unwrap();
        assert!((eigen.values[0] - 3.0).abs() < 1e-14 && (eigen.values[1] - 1.0).abs() < 1e-14);
        let (u, v) = (eigen.vectors[(0, 0)], eigen.vectors[(1, 0)]);
        assert!((u - v).abs() < 1e-14 && (u * v - 0.5).abs() < 1e-14);
    }
}
