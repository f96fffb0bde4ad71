//! The two number types in which models run: `f32` for work, `f64` as the oracle.

use std::borrow::Cow;

use gemm::{Parallelism, gemm};

use crate::math::Tiles;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`, with what kernels need of them.
///
/// Everything here runs on the calling thread: parallelism is across runs, never inside a product.
pub trait Real:
    sealed::Sealed
    + Copy
    + Default
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + std::ops::SubAssign
    + std::ops::MulAssign
    + std::iter::Sum
    + ndarray::LinalgScalar
    + 'static
{
    /// Name in reports and in stored files.
    const NAME: &'static str;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;
    /// One half.
    const HALF: Self;
    /// Rounds to this type.
    fn from_f64(value: f64) -> Self;
    /// Widens exactly.
    fn to_f64(self) -> f64;
    /// Exponential.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Larger of the two.
    fn max(self, other: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Hyperbolic tangent of every entry, in place, to within two units in the last place.
    fn tanh_in_place(values: &mut [Self]);
    /// Exponential of every entry, in place, to within two units in the last place.
    fn exp_in_place(values: &mut [Self]);

    /// All values one after the other, little-endian; not copied where memory holds them so.
    fn le_bytes(values: &[Self]) -> Cow<'_, [u8]>;

    /// Runs a checked product; see [`crate::math::add_product`].
    fn run_tiles(tiles: Tiles<'_, Self>);

    /// `destination = keep * destination + scale * left * right` over strided matrices.
    ///
    /// # Safety
    /// The pointers and strides of the three matrices of shape `(m, k)`, `(k, n)` and `(m, n)` must
    /// describe memory that is valid to read (and, for `destination`, to write), and `destination`
    /// must not overlap the other two. With `keep == 0` the destination may be uninitialised.
    #[allow(clippy::too_many_arguments)]
    unsafe fn gemm(
        shape: (usize, usize, usize),
        destination: (*mut Self, isize, isize),
        keep: Self,
        left: (*const Self, isize, isize),
        right: (*const Self, isize, isize),
        scale: Self,
    );
}

macro_rules! implement_real {
    ($number:ident, $tanh:path, $exp:path, $tiles:path) => {
        impl Real for $number {
            const NAME: &'static str = stringify!($number);
            const EPSILON: f64 = $number::EPSILON as f64;
            const HALF: Self = 0.5;
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $number
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $number::exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $number::ln(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $number::max(self, other)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $number::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $number::sqrt(self)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                $number::mul_add(self, factor, addend)
            }
            fn run_tiles(tiles: Tiles<'_, Self>) {
                $tiles(tiles)
            }
            fn tanh_in_place(values: &mut [Self]) {
                $tanh(values)
            }
            fn exp_in_place(values: &mut [Self]) {
                $exp(values)
            }
            fn le_bytes(values: &[Self]) -> Cow<'_, [u8]> {
                if cfg!(target_endian = "big") {
                    return values.iter().flat_map(|value| value.to_le_bytes()).collect();
                }
                // SAFETY: the numbers are valid for as long as the bytes are borrowed, have no
                // padding between or in them, and every byte is a valid `u8`.
                let bytes = unsafe {
                    std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values))
                };
                Cow::Borrowed(bytes)
            }
            unsafe fn gemm(
                (m, k, n): (usize, usize, usize),
                destination: (*mut Self, isize, isize),
                keep: Self,
                left: (*const Self, isize, isize),
                right: (*const Self, isize, isize),
                scale: Self,
            ) {
                // gemm reads `destination` only where told to, which is what lets a caller with
                // `keep == 0` pass memory that holds nothing yet.
                unsafe {
                    gemm(
                        m,
                        n,
                        k,
                        destination.0,
                        destination.2,
                        destination.1,
                        keep != 0.0,
                        left.0,
                        left.2,
                        left.1,
                        right.0,
                        right.2,
                        right.1,
                        keep,
                        scale,
                        false,
                        false,
                        false,
                        Parallelism::None,
                    )
                }
            }
        }
    };
}

implement_real!(f32, crate::vector::tanh_f32, crate::vector::exp_f32, crate::math::run_tiles_f32);
implement_real!(f64, crate::vector::tanh_f64, crate::vector::exp_f64, crate::math::run_tiles_f64);
