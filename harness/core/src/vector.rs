//! Element-wise functions over slices, written so that the compiler turns them into vector code.
//!
//! The instruction set is chosen at run time. Nothing here changes its result with the width of the
//! vectors: every entry is computed by the same operations in the same order.

use pulp::Arch;

/// Runs `work` compiled for the widest vectors that this processor has.
///
/// `work` must be `#[inline(always)]` all the way down, or it is compiled for the oldest ones.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Work(work))
}

/// `exp(x)` in `f32`: `2^n * p(r)` with `x = n ln 2 + r`, `|r| <= ln(2)/2` (Cody and Waite's
/// reduction), and `p` the Taylor series to the seventh power, whose remainder is below 6e-9.
#[inline(always)]
fn exp_one(x: f32) -> f32 {
    // Keeps the exponent in range: results saturate near 1.2e-38 and 2.4e38. NaN stays NaN.
    let clamped = x.clamp(-87.336_54, 88.376_26);
    // Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the lowest bits. A
    // conversion to an integer would saturate, one lane at a time.
    let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, clamped));
    let p = 1.0f32 / 5040.0;
    let p = p.mul_add(r, 1.0 / 720.0);
    let p = p.mul_add(r, 1.0 / 120.0);
    let p = p.mul_add(r, 1.0 / 24.0);
    let p = p.mul_add(r, 1.0 / 6.0);
    let p = p.mul_add(r, 0.5);
    let p = (p * r).mul_add(r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    p * scale
}

/// `tanh(x) = 1 - 2 / (exp(2|x|) + 1)`, with the sign put back; an odd polynomial near zero, where
/// that difference cancels.
#[inline(always)]
fn tanh_one(x: f32) -> f32 {
    let magnitude = x.abs();
    // Not `min`, which would turn NaN into a number.
    let bounded = if magnitude > 10.0 { 10.0 } else { magnitude };
    let far = 1.0 - 2.0 / (exp_one(2.0 * bounded) + 1.0);
    let square = x * x;
    // Taylor series of tanh(x)/x to x^14: the remainder is below 1e-8 for |x| < 0.5.
    let near = -929_569.0f32 / 638_512_875.0;
    let near = near.mul_add(square, 21_844.0 / 6_081_075.0);
    let near = near.mul_add(square, -1382.0 / 155_925.0);
    let near = near.mul_add(square, 62.0 / 2835.0);
    let near = near.mul_add(square, -17.0 / 315.0);
    let near = near.mul_add(square, 2.0 / 15.0);
    let near = near.mul_add(square, -1.0 / 3.0);
    let near = (magnitude * near).mul_add(square, magnitude);
    let value = if magnitude < 0.5 { near } else { far };
    value.copysign(x)
}

#[inline(always)]
fn map(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in values {
        *value = function(*value);
    }
}

pub(crate) fn tanh_f32(values: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || map(values, tanh_one),
    )
}

pub(crate) fn exp_f32(values: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || map(values, exp_one),
    )
}

pub(crate) fn tanh_f64(values: &mut [f64]) {
    for value in values {
        *value = value.tanh();
    }
}

pub(crate) fn exp_f64(values: &mut [f64]) {
    for value in values {
        *value = value.exp();
    }
}

#[cfg(test)]
mod tests {
    use super::{exp_f32, tanh_f32};

    /// Distance in units in the last place of `expected`.
    fn ulps(found: f32, expected: f64) -> f64 {
        let unit = f64::from((expected as f32).abs().max(f32::MIN_POSITIVE)) * 2f64.powi(-23);
        (f64::from(found) - expected).abs() / unit
    }

    #[test]
    fn vector_functions_agree_with_the_standard_library() {
        let inputs: Vec<f32> = (-200_000..=200_000).map(|i| i as f32 * 1e-4).collect();
        let (mut tanh, mut exp) = (inputs.clone(), inputs.clone());
        tanh_f32(&mut tanh);
        exp_f32(&mut exp);
        for (index, &x) in inputs.iter().enumerate() {
            assert!(ulps(tanh[index], f64::from(x).tanh()) < 2.5, "tanh({x}) = {}", tanh[index]);
            assert!(ulps(exp[index], f64::from(x).exp()) < 2.5, "exp({x}) = {}", exp[index]);
        }
    }

    #[test]
    fn extremes_saturate() {
        let mut tanh = [-1e30, -30.0, -0.0, 0.0, 30.0, 1e30];
        tanh_f32(&mut tanh);
        assert_eq!(tanh, [-1.0, -1.0, 0.0, 0.0, 1.0, 1.0]);
        let mut exp = [-200.0];
        exp_f32(&mut exp);
        assert!(exp[0] < 1.3e-38);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let (mut tanh, mut exp) = ([f32::NAN; 3], [f32::NAN; 3]);
        tanh_f32(&mut tanh);
        exp_f32(&mut exp);
        assert!(tanh.iter().chain(&exp).all(|value| value.is_nan()));
    }
}
