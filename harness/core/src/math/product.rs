//! Matrix products whose result does not depend on how they are cut.
//!
//! Every entry is one chain of fused multiply-adds in the order of the inner index. So the same two
//! vectors give the same bits whatever stands beside them: a column more, a row with weight zero, a
//! longer vector register, another size of cache. Training needs that: what a run computes must not
//! depend on the runs it shares a product with.

use pulp::{Arch, Simd, WithSimd};

use crate::Real;

/// Inner indices worked on before moving to other rows: a panel of the right factor that stays in a
/// first-level cache, of which rows a power of two apart can use only a part. Cuts do not show in
/// the result, as the chains go on where they stopped.
const INNER_BLOCK: usize = 64;

/// How the left factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Entry `(i, l)` at `i * stride + l`.
    Rows,
    /// Entry `(i, l)` at `l * stride + i`: the transpose of a matrix in rows.
    Columns,
}

/// Two factors, `(m, k) x (k, n)`.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a, T> {
    /// `(m, k, n)`.
    pub shape: (usize, usize, usize),
    /// The left factor, `(m, k)`.
    pub left: &'a [T],
    /// Order and stride of the left factor.
    pub left_order: (Order, usize),
    /// The right factor, `(k, n)`, entry `(l, j)` at `l * right_stride + j`.
    pub right: &'a [T],
    /// Stride of the right factor.
    pub right_stride: usize,
}

impl<T: Real> Factors<'_, T> {
    /// Panics unless every entry of the factors and of `destination` lies inside its slice.
    fn check(&self, destination: &[T], stride: usize) {
        let (m, k, n) = self.shape;
        let reach = |rows: usize, columns: usize, stride: usize| {
            assert!(rows <= 1 || columns <= stride, "rows of a matrix overlap");
            if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns }
        };
        let left = match self.left_order {
            (Order::Rows, stride) => reach(m, k, stride),
            (Order::Columns, stride) => reach(k, m, stride),
        };
        assert!(left <= self.left.len(), "left factor is too short");
        assert!(reach(k, n, self.right_stride) <= self.right.len(), "right factor is too short");
        assert!(reach(m, n, stride) <= destination.len(), "destination is too short");
    }
}

/// `destination += left * right`: the chains begin at what the destination holds.
///
/// Rows of the destination lie `stride` apart.
///
/// # Panics
/// When an entry lies outside its slice.
pub fn add_product<T: Real>(factors: Factors<'_, T>, destination: &mut [T], stride: usize) {
    factors.check(destination, stride);
    let (m, k, n) = factors.shape;
    for start in (0..k).step_by(INNER_BLOCK) {
        let length = INNER_BLOCK.min(k - start);
        let skip = match factors.left_order {
            (Order::Rows, _) => start,
            (Order::Columns, stride) => start * stride,
        };
        if m > 0 && n > 0 {
            let part = Factors {
                shape: (m, length, n),
                left: &factors.left[skip..],
                right: &factors.right[start * factors.right_stride..],
                ..factors
            };
            T::run_tiles(Tiles { factors: part, destination, stride, finish: None });
        }
    }
}

/// Constants of a step of momentum descent, in the number type of the run.
#[derive(Clone, Copy, Debug)]
pub struct Descent<T> {
    /// What is kept of the velocity, `mu`.
    pub momentum: T,
    /// Factor of the sum of gradients, `1 / B`.
    pub scale: T,
    /// Coupled weight decay, `gamma`.
    pub weight_decay: T,
    /// Learning rate, `eta`.
    pub learning_rate: T,
}

impl<T: Real> Descent<T> {
    /// Velocity and parameter after a step on the sum of gradients `sum`:
    /// `v <- mu v + scale sum + gamma theta; theta <- theta - eta v`.
    #[inline(always)]
    pub fn step(&self, sum: T, velocity: T, parameter: T) -> (T, T) {
        let velocity = self.scale.mul_add(sum, self.momentum * velocity);
        let velocity = self.weight_decay.mul_add(parameter, velocity);
        (velocity, (-self.learning_rate).mul_add(velocity, parameter))
    }
}

/// A step of descent on the gradient `left * right`, whose chains begin at zero.
///
/// Velocity and parameters are matrices of the product's shape with rows `stride` apart, and are
/// read and written once, tile by tile, as the gradient comes out of the registers.
///
/// # Panics
/// When an entry lies outside its slice.
pub fn descend_product<T: Real>(
    factors: Factors<'_, T>,
    velocity: &mut [T],
    parameters: &mut [T],
    stride: usize,
    descent: Descent<T>,
) {
    factors.check(velocity, stride);
    factors.check(parameters, stride);
    let finish = Some((descent, parameters));
    T::run_tiles(Tiles { factors, destination: velocity, stride, finish });
}

/// A checked product, handed to the vector code of a number type.
pub struct Tiles<'a, T> {
    factors: Factors<'a, T>,
    /// Where the chains begin and end, or the velocity of a descent.
    destination: &'a mut [T],
    stride: usize,
    /// The descent that the product is the gradient of, and its parameters.
    finish: Option<(Descent<T>, &'a mut [T])>,
}

macro_rules! for_constants {
    ($count:ident, $work:ident, $($index:literal),*) => {
        $(if $index < $count {
            $work($index);
        })*
    };
}

/// `work(0)`, `work(1)`, .. `work(N - 1)` for `N` of at most 8, without a loop: a loop that the
/// compiler leaves standing would keep the sums of a tile in memory, which makes it three times as
/// slow.
#[inline(always)]
fn unrolled<const N: usize>(mut work: impl FnMut(usize)) {
    const { assert!(N <= 8) };
    for_constants!(N, work, 0, 1, 2, 3, 4, 5, 6, 7);
}

/// Asks for the cache line that `address` lies in, which need not be readable.
#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // Safety: a hint, which touches no memory as far as the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

macro_rules! implement_tiles {
    (
        $run:ident, $number:ident, $vector:ident, $lanes:ident, $splat:ident, $multiply:ident,
        $multiply_add:ident, $mask:ident, $load:ident, $store:ident, $index:ident
    ) => {
        pub(crate) fn $run(tiles: Tiles<'_, $number>) {
            Arch::new().dispatch(tiles)
        }

        impl WithSimd for Tiles<'_, $number> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(mut self, simd: S) {
                match self.factors.left_order.0 {
                    Order::Rows => self.all_columns::<S, true>(simd),
                    Order::Columns => self.all_columns::<S, false>(simd),
                }
            }
        }

        impl Tiles<'_, $number> {
            #[inline(always)]
            fn all_columns<S: Simd, const BY_ROWS: bool>(&mut self, simd: S) {
                let (n, lanes) = (self.factors.shape.2, S::$lanes);
                let mut column = 0;
                while column < n {
                    let left = n - column;
                    if S::REGISTER_COUNT >= 32 && left >= 4 * lanes {
                        self.panel::<S, BY_ROWS, 4>(simd, column, lanes);
                        column += 4 * lanes;
                    } else if left >= 2 * lanes {
                        self.panel::<S, BY_ROWS, 2>(simd, column, lanes);
                        column += 2 * lanes;
                    } else {
                        let valid = left.min(lanes);
                        self.panel::<S, BY_ROWS, 1>(simd, column, valid);
                        column += valid;
                    }
                }
            }

            /// All rows of `VECTORS` vectors of columns, the last of which has `valid` lanes.
            #[inline(always)]
            fn panel<S: Simd, const BY_ROWS: bool, const VECTORS: usize>(
                &mut self,
                simd: S,
                column: usize,
                valid: usize,
            ) {
                let m = self.factors.shape.0;
                let mut row = 0;
                while row < m {
                    let left = m - row;
                    // As many rows as leave registers for the right factor.
                    row += if VECTORS <= 2 && S::REGISTER_COUNT >= 32 && left >= 8 {
                        self.tile::<S, BY_ROWS, VECTORS, 8>(simd, row, column, valid)
                    } else if left >= 6 {
                        self.tile::<S, BY_ROWS, VECTORS, 6>(simd, row, column, valid)
                    } else if left >= 4 {
                        self.tile::<S, BY_ROWS, VECTORS, 4>(simd, row, column, valid)
                    } else if left >= 2 {
                        self.tile::<S, BY_ROWS, VECTORS, 2>(simd, row, column, valid)
                    } else {
                        self.tile::<S, BY_ROWS, VECTORS, 1>(simd, row, column, valid)
                    };
                }
            }

            /// One tile of the destination, held in registers; returns its number of rows.
            #[inline(always)]
            fn tile<S: Simd, const BY_ROWS: bool, const VECTORS: usize, const ROWS: usize>(
                &mut self,
                simd: S,
                row: usize,
                column: usize,
                valid: usize,
            ) -> usize {
                let inner = self.factors.shape.1;
                let (left_stride, right_stride) =
                    (self.factors.left_order.1, self.factors.right_stride);
                let (row_stride, inner_stride) =
                    if BY_ROWS { (left_stride, 1) } else { (1, left_stride) };
                // A vector that may be cut is alone in its tile.
                let mask = simd.$mask(0, valid as $index).mask().into();
                let is_masked = VECTORS == 1;
                // Safety: `check` has seen that all rows and columns of the shape lie inside the
                // slices; `row + ROWS` and the columns of `valid` lanes do not leave the shape, and
                // masked lanes are neither read nor written.
                unsafe {
                    let load = |from: *const $number| {
                        if is_masked {
                            simd.$load(mask, from)
                        } else {
                            from.cast::<S::$vector>().read_unaligned()
                        }
                    };
                    let store = |to: *mut $number, value: S::$vector| {
                        if is_masked {
                            simd.$store(mask, to, value);
                        } else {
                            to.cast::<S::$vector>().write_unaligned(value);
                        }
                    };
                    let place = |index: usize, vector: usize| {
                        (row + index) * self.stride + column + vector * S::$lanes
                    };
                    let target = self.destination.as_mut_ptr();
                    let mut sums = [[simd.$splat(0.0); VECTORS]; ROWS];
                    if self.finish.is_none() {
                        for (index, sums) in sums.iter_mut().enumerate() {
                            for (vector, sum) in sums.iter_mut().enumerate() {
                                *sum = load(target.add(place(index, vector)));
                            }
                        }
                    }
                    let mut left = self.factors.left.as_ptr().wrapping_add(row * row_stride);
                    let mut right = self.factors.right.as_ptr().wrapping_add(column);
                    for step in 0..inner {
                        // Velocity and parameters come from afar: one vector of each is asked for
                        // at every step, so that they are there when the sums are done.
                        if let Some((_, parameters)) = &self.finish {
                            let next = place(step / VECTORS, step % VECTORS);
                            if step < ROWS * VECTORS {
                                prefetch(target.wrapping_add(next));
                                prefetch(parameters.as_ptr().wrapping_add(next));
                            }
                        }
                        let mut vectors = [simd.$splat(0.0); VECTORS];
                        for (vector, value) in vectors.iter_mut().enumerate() {
                            *value = load(right.wrapping_add(vector * S::$lanes));
                        }
                        for (index, sums) in sums.iter_mut().enumerate() {
                            let factor = simd.$splat(*left.wrapping_add(index * row_stride));
                            for (sum, &value) in sums.iter_mut().zip(&vectors) {
                                *sum = simd.$multiply_add(factor, value, *sum);
                            }
                        }
                        left = left.wrapping_add(inner_stride);
                        right = right.wrapping_add(right_stride);
                    }
                    unrolled::<ROWS>(
                        #[inline(always)]
                        |index| {
                            unrolled::<VECTORS>(
                                #[inline(always)]
                                |vector| {
                                    let sum = sums[index][vector];
                                    let at = place(index, vector);
                                    let to = target.add(at);
                                    let Some((descent, parameters)) = &mut self.finish else {
                                        return store(to, sum);
                                    };
                                    // The operations of `Descent::step`.
                                    let [momentum, scale, decay, back] = [
                                        descent.momentum,
                                        descent.scale,
                                        descent.weight_decay,
                                        -descent.learning_rate,
                                    ]
                                    .map(|constant| simd.$splat(constant));
                                    let parameter = parameters.as_mut_ptr().add(at);
                                    let theta = load(parameter);
                                    let kept = simd.$multiply(momentum, load(to));
                                    let moved = simd.$multiply_add(scale, sum, kept);
                                    let moved = simd.$multiply_add(decay, theta, moved);
                                    store(to, moved);
                                    store(parameter, simd.$multiply_add(back, moved, theta));
                                },
                            )
                        },
                    );
                }
                ROWS
            }
        }
    };
}

implement_tiles!(
    run_tiles_f32,
    f32,
    f32s,
    F32_LANES,
    splat_f32s,
    mul_f32s,
    mul_add_f32s,
    mask_between_m32s,
    mask_load_ptr_f32s,
    mask_store_ptr_f32s,
    u32
);
implement_tiles!(
    run_tiles_f64,
    f64,
    f64s,
    F64_LANES,
    splat_f64s,
    mul_f64s,
    mul_add_f64s,
    mask_between_m64s,
    mask_load_ptr_f64s,
    mask_store_ptr_f64s,
    u64
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Descent, Factors, Order, add_product, descend_product};
    use crate::Real;

    /// One entry, by the definition.
    fn chain<T: Real>(start: T, pairs: impl Iterator<Item = (T, T)>) -> T {
        pairs.fold(start, |sum, (left, right)| left.mul_add(right, sum))
    }

    fn entry<T: Real>(i: usize, j: usize, seed: usize) -> T {
        T::from_f64(((i * 37 + j * 101 + seed * 7) % 197) as f64 / 31.0 - 3.0)
    }

    fn agrees<T: Real>((m, k, n): (usize, usize, usize), order: Order, gap: usize) {
        let (rows, columns) = if order == Order::Rows { (m, k) } else { (k, m) };
        let matrix = |rows: usize, columns: usize, seed: usize| -> Vec<T> {
            let stride = columns + gap;
            (0..rows * stride).map(|at| entry(at / stride, at % stride, seed)).collect()
        };
        let (left, right, before) = (matrix(rows, columns, 1), matrix(k, n, 2), matrix(m, n, 3));
        let factors = Factors {
            shape: (m, k, n),
            left: &left,
            left_order: (order, columns + gap),
            right: &right,
            right_stride: n + gap,
        };
        let descent = Descent {
            momentum: T::from_f64(0.9),
            scale: T::from_f64(0.02),
            weight_decay: T::from_f64(1e-3),
            learning_rate: T::from_f64(0.1),
        };
        let theta = matrix(m, n, 4);
        let (mut added, mut velocity, mut parameters) =
            (before.clone(), before.clone(), theta.clone());
        add_product(factors, &mut added, n + gap);
        descend_product(factors, &mut velocity, &mut parameters, n + gap, descent);
        let (mut sums, mut moved) = (before.clone(), (before.clone(), theta.clone()));
        for i in 0..m {
            for j in 0..n {
                let pairs = || {
                    (0..k).map(|l| match order {
                        Order::Rows => (left[i * (k + gap) + l], right[l * (n + gap) + j]),
                        Order::Columns => (left[l * (m + gap) + i], right[l * (n + gap) + j]),
                    })
                };
                let at = i * (n + gap) + j;
                sums[at] = chain(before[at], pairs());
                (moved.0[at], moved.1[at]) =
                    descent.step(chain(T::zero(), pairs()), before[at], theta[at]);
            }
        }
        assert_eq!(added, sums, "sum {m} {k} {n} {order:?}");
        assert_eq!((velocity, parameters), moved, "descent {m} {k} {n} {order:?}");
    }

    proptest! {
        /// Bit for bit, and nothing beside the matrix is touched.
        #[test]
        fn every_entry_is_one_chain(
            m in 0usize..23, k in 0usize..210, n in 0usize..140, gap in 0usize..3,
        ) {
            for order in [Order::Rows, Order::Columns] {
                agrees::<f32>((m, k, n), order, gap);
                agrees::<f64>((m, k, n), order, gap);
            }
        }
    }

    #[test]
    #[should_panic(expected = "right factor is too short")]
    fn a_short_slice_is_refused() {
        let factors = Factors {
            shape: (1, 2, 2),
            left: &[1.0f32, 2.0],
            left_order: (Order::Rows, 2),
            right: &[1.0, 2.0, 3.0],
            right_stride: 2,
        };
        add_product(factors, &mut [0.0; 2], 2);
    }
}
