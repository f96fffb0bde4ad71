//! Cholesky factor of a symmetric positive definite matrix, in the memory of its lower triangle.

use attribench_core::{Real, math};
use ndarray::{Array2, ArrayView2, Axis, s};

/// Columns of one panel.
const PANEL_COLUMNS: usize = 256;

/// The lower triangle of a symmetric matrix, as panels of columns that start at the diagonal.
pub(crate) struct LowerTriangle<T> {
    size: usize,
    panels: Vec<Array2<T>>,
}

impl<T: Real> LowerTriangle<T> {
    /// A matrix of `size` rows; `columns(start, end)` gives the columns `start..end` from row
    /// `start` downwards, `(size - start, end - start)`.
    pub(crate) fn from_columns(
        size: usize,
        mut columns: impl FnMut(usize, usize) -> Array2<T>,
    ) -> Self {
        let mut triangle = Self { size, panels: Vec::new() };
        for start in (0..size).step_by(PANEL_COLUMNS) {
            let end = (start + PANEL_COLUMNS).min(size);
            let panel = columns(start, end);
            assert_eq!(panel.dim(), (size - start, end - start), "shape of a panel");
            triangle.panels.push(panel);
        }
        triangle
    }

    /// The factor `L` with `L L^T` equal to the matrix; nothing when it is not positive definite.
    pub(crate) fn factor(self) -> Option<Cholesky<T>> {
        let mut factored: Vec<Panel<T>> = Vec::with_capacity(self.panels.len());
        for (index, mut panel) in self.panels.into_iter().enumerate() {
            let (start, width) = (index * PANEL_COLUMNS, panel.ncols());
            for earlier in &factored {
                let below = earlier.columns.slice(s![start - earlier.start.., ..]);
                // (size - start, w) x (w, width) -> (size - start, width)
                let across = below.slice(s![..width, ..]);
                math::matmul_into(panel.view_mut(), T::one(), below, across.t(), -T::one());
            }
            let (head, mut tail) = panel.view_mut().split_at(Axis(0), width);
            let inverse = inverse_of_factor(head.mapv(Real::to_f64))?.mapv(T::from_f64);
            // In place by pieces: a second panel would cost more time in new pages than this does.
            for mut piece in tail.axis_chunks_iter_mut(Axis(0), PANEL_COLUMNS) {
                let solved = math::matmul(piece.view(), inverse.t());
                piece.assign(&solved);
            }
            factored.push(Panel { start, inverse, columns: panel });
        }
        Some(Cholesky { size: self.size, panels: factored })
    }
}

/// The factor, with the inverses of its diagonal blocks in place of the blocks.
pub(crate) struct Cholesky<T> {
    size: usize,
    panels: Vec<Panel<T>>,
}

struct Panel<T> {
    start: usize,
    inverse: Array2<T>,
    /// Columns of the factor below their diagonal block, whose own rows mean nothing any more.
    columns: Array2<T>,
}

impl<T: Real> Panel<T> {
    fn end(&self) -> usize {
        self.start + self.columns.ncols()
    }

    fn below(&self) -> ArrayView2<'_, T> {
        self.columns.slice(s![self.columns.ncols().., ..])
    }
}

impl<T: Real> Cholesky<T> {
    /// The solution for every column of the right-hand sides, `(size, k)`, in their place.
    pub(crate) fn solve_in_place(&self, x: &mut Array2<T>) {
        assert_eq!(x.nrows(), self.size, "length of a right-hand side");
        for panel in &self.panels {
            let (mut above, rest) = x.view_mut().split_at(Axis(0), panel.end());
            let mut block = above.slice_mut(s![panel.start.., ..]);
            let solved = math::matmul(panel.inverse.view(), block.view());
            math::matmul_into(rest, T::one(), panel.below(), solved.view(), -T::one());
            block.assign(&solved);
        }
        for panel in self.panels.iter().rev() {
            let (mut above, rest) = x.view_mut().split_at(Axis(0), panel.end());
            let mut block = above.slice_mut(s![panel.start.., ..]);
            math::matmul_into(
                block.view_mut(),
                T::one(),
                panel.below().t(),
                rest.view(),
                -T::one(),
            );
            let solved = math::matmul(panel.inverse.t(), block.view());
            block.assign(&solved);
        }
    }
}

/// `L^-1` of a small matrix `L L^T`; nothing when it is not positive definite.
fn inverse_of_factor(mut l: Array2<f64>) -> Option<Array2<f64>> {
    let n = l.nrows();
    for i in 0..n {
        for j in 0..=i {
            let (row, other) = (l.row(i), l.row(j));
            let (row, other) = (row.to_slice()?, other.to_slice()?);
            let rest = row[j] - math::dot(&row[..j], &other[..j]);
            l[(i, j)] = if i > j {
                rest / l[(j, j)]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    // Row j of `transposed` is column j of the inverse.
    let mut transposed = Array2::<f64>::zeros((n, n));
    for j in 0..n {
        transposed[(j, j)] = 1.0 / l[(j, j)];
        for i in j + 1..n {
            let (row, column) = (l.row(i), transposed.row(j));
            let (row, column) = (row.to_slice()?, column.to_slice()?);
            transposed[(j, i)] = -math::dot(&row[j..i], &column[j..i]) / row[i];
        }
    }
    Some(transposed.reversed_axes())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use super::LowerTriangle;

    fn triangle(matrix: &Array2<f64>) -> LowerTriangle<f64> {
        LowerTriangle::from_columns(matrix.nrows(), |start, end| {
            matrix.slice(s![start.., start..end]).to_owned()
        })
    }

    /// `R R^T + I` of a matrix without structure.
    fn positive(size: usize) -> Array2<f64> {
        let root = Array2::from_shape_fn((size, size), |(i, j)| {
            ((i * 7919 + j * 104_729) % 1009) as f64 / 1009.0 - 0.5
        });
        root.dot(&root.t()) + Array2::<f64>::eye(size)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn solutions_solve(size in prop_oneof![1usize..9, 250usize..262, 500usize..530]) {
            let matrix = positive(size);
            let entry = |(i, j): (usize, usize)| ((i + 5 * j) % 17) as f64 - 8.0;
            let expected = Array2::from_shape_fn((size, 3), entry);
            let mut x = matrix.dot(&expected);
            triangle(&matrix).factor().unwrap().solve_in_place(&mut x);
            let worst = (&x - &expected).mapv(f64::abs).fold(0.0f64, |a, &b| a.max(b));
            prop_assert!(worst < 1e-9, "error {worst:e}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        // Eigenvalues 3 and -1.
        assert!(triangle(&ndarray::array![[1.0, 2.0], [2.0, 1.0]]).factor().is_none());
        let mut late = positive(300);
        late[(299, 299)] = -1.0;
        assert!(triangle(&late).factor().is_none());
    }
}
