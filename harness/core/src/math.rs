//! Matrix products of this machine's speed over arrays of this crate's number types.

mod product;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

pub use product::{Descent, Factors, Order, Tiles, add_product, descend_product};
pub(crate) use product::{run_tiles_f32, run_tiles_f64};

use crate::Real;

/// `left * right`, `(m, k) x (k, n) -> (m, n)`, on the calling thread.
///
/// # Panics
/// When the inner dimensions differ.
pub fn matmul<T: Real>(left: ArrayView2<'_, T>, right: ArrayView2<'_, T>) -> Array2<T> {
    let mut product = Array2::zeros((left.nrows(), right.ncols()));
    matmul_into(product.view_mut(), T::zero(), left, right, T::one());
    product
}

/// `destination = keep * destination + scale * left * right`.
///
/// # Panics
/// When the shapes do not fit.
pub fn matmul_into<T: Real>(
    mut destination: ArrayViewMut2<'_, T>,
    keep: T,
    left: ArrayView2<'_, T>,
    right: ArrayView2<'_, T>,
    scale: T,
) {
    let ((m, k), (inner, n)) = (left.dim(), right.dim());
    assert_eq!(k, inner, "inner dimensions of a product");
    assert_eq!(destination.dim(), (m, n), "shape of a product");
    let strides = |strides: &[isize]| (strides[0], strides[1]);
    let (to, a, b) =
        (strides(destination.strides()), strides(left.strides()), strides(right.strides()));
    // The views come from the borrow checker: valid, and the destination is borrowed alone.
    unsafe {
        T::gemm(
            (m, k, n),
            (destination.as_mut_ptr(), to.0, to.1),
            keep,
            (left.as_ptr(), a.0, a.1),
            (right.as_ptr(), b.0, b.1),
            scale,
        );
    }
}

/// Sum of products in `f64`, in order.
///
/// # Panics
/// When the lengths differ.
#[inline(always)]
pub fn dot<T: Real>(left: &[T], right: &[T]) -> f64 {
    assert_eq!(left.len(), right.len(), "lengths of a dot product");
    // Eight running sums: wide enough for vector code, and the same order on every machine.
    let mut sums = [0.0f64; 8];
    let (left_chunks, left_rest) = left.as_chunks::<8>();
    let (right_chunks, right_rest) = right.as_chunks::<8>();
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane].to_f64() * b[lane].to_f64();
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::{dot, matmul, matmul_into};

    proptest! {
        #[test]
        fn products_agree_with_the_definition(m in 1usize..9, k in 1usize..40, n in 1usize..9) {
            let left = Array2::from_shape_fn((m, k), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0);
            let right = Array2::from_shape_fn((n, k), |(i, j)| ((i * 5 + j) % 13) as f64 - 6.0);
            let found = matmul(left.view(), right.t());
            for i in 0..m {
                for j in 0..n {
                    let expected: f64 = (0..k).map(|l| left[(i, l)] * right[(j, l)]).sum();
                    prop_assert_eq!(found[(i, j)], expected);
                    prop_assert_eq!(
                        dot(left.row(i).as_slice().unwrap(), right.row(j).as_slice().unwrap()),
                        expected
                    );
                }
            }
        }
    }

    #[test]
    fn accumulation_keeps_and_scales() {
        // 0.5 * [[4]] + 3 * [[2]] * [[5]] = [[32]]
        let mut destination = Array2::from_elem((1, 1), 4.0f32);
        let (left, right) = (Array2::from_elem((1, 1), 2.0), Array2::from_elem((1, 1), 5.0));
        matmul_into(destination.view_mut(), 0.5, left.view(), right.view(), 3.0);
        assert_eq!(destination[(0, 0)], 32.0);
    }
}
