//! Element-wise non-linearities with their first two derivatives.

use attribench_core::{Real, vector::vectorized};
use serde::{Deserialize, Serialize};

/// A non-linearity between two dense layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `tanh(x)`.
    #[default]
    Tanh,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, the tanh form of the Gaussian error
    /// linear unit (Hendrycks and Gimpel 2016).
    Gelu,
    /// `max(x, 0)`, with derivative 0 at 0. Not smooth: derivatives and removals can disagree.
    Relu,
}

/// `sqrt(2 / pi)`.
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
/// Cubic coefficient of the tanh form of GELU.
const GELU_CUBIC: f64 = 0.044_715;

impl Activation {
    /// Value of every entry of `inputs`.
    pub(crate) fn forward<T: Real>(self, inputs: &[T], outputs: &mut [T]) {
        outputs.copy_from_slice(inputs);
        match self {
            Self::Tanh => T::tanh_in_place(outputs),
            Self::Gelu => {
                gelu_inner(outputs);
                T::tanh_in_place(outputs);
                each(outputs, inputs, |tanh, x| T::HALF * x * (T::one() + tanh));
            }
            Self::Relu => each(outputs, inputs, |_, x| x.max(T::zero())),
        }
    }

    /// First derivative at every entry, given inputs and outputs.
    pub(crate) fn first_derivative<T: Real>(self, inputs: &[T], outputs: &[T], first: &mut [T]) {
        match self {
            // d/dx tanh x = 1 - tanh(x)^2
            Self::Tanh => {
                first.copy_from_slice(outputs);
                each(first, inputs, |y, _| T::one() - y * y);
            }
            Self::Gelu => {
                let (scale, cubic) = (T::from_f64(GELU_SCALE), T::from_f64(3.0 * GELU_CUBIC));
                first.copy_from_slice(inputs);
                gelu_inner(first);
                T::tanh_in_place(first);
                // With u = scale (x + cubic x^3): y' = (1 + tanh u) / 2 + x/2 (1 - tanh(u)^2) u'.
                each(first, inputs, move |t, x| {
                    let inner = scale * (T::one() + cubic * x * x);
                    T::HALF * (T::one() + t) + T::HALF * x * (T::one() - t * t) * inner
                });
            }
            Self::Relu => {
                first.copy_from_slice(inputs);
                each(first, inputs, |_, x| if x > T::zero() { T::one() } else { T::zero() });
            }
        }
    }

    /// Second derivative at every entry, given inputs and outputs.
    pub(crate) fn second_derivative<T: Real>(self, inputs: &[T], outputs: &[T], second: &mut [T]) {
        let two = T::one() + T::one();
        match self {
            // d2/dx2 tanh x = -2 tanh x (1 - tanh(x)^2)
            Self::Tanh => {
                second.copy_from_slice(outputs);
                each(second, inputs, move |y, _| -(two * y * (T::one() - y * y)));
            }
            Self::Gelu => {
                let (scale, cubic) = (T::from_f64(GELU_SCALE), T::from_f64(3.0 * GELU_CUBIC));
                second.copy_from_slice(inputs);
                gelu_inner(second);
                T::tanh_in_place(second);
                // y'' = s u' - x s t u'^2 + x/2 s u'' with s = 1 - t^2 and u'' = 2 scale cubic x.
                each(second, inputs, move |t, x| {
                    let slope = T::one() - t * t;
                    let inner = scale * (T::one() + cubic * x * x);
                    slope * inner - x * slope * t * inner * inner + x * slope * scale * cubic * x
                });
            }
            Self::Relu => second.fill(T::zero()),
        }
    }
}

/// `u = scale (x + cubic x^3)`, in place.
fn gelu_inner<T: Real>(values: &mut [T]) {
    let (scale, cubic) = (T::from_f64(GELU_SCALE), T::from_f64(GELU_CUBIC));
    vectorized(
        #[inline(always)]
        move || {
            for value in values {
                let x = *value;
                *value = scale * (x + cubic * x * x * x);
            }
        },
    );
}

/// `left[i] = function(left[i], right[i])`, as vector code where `function` owns what it uses:
/// behind a reference the compiler must expect that writing to `left` changes it.
#[inline(always)]
pub(crate) fn each<T: Real>(left: &mut [T], right: &[T], function: impl Fn(T, T) -> T) {
    vectorized(
        #[inline(always)]
        move || {
            for (left, &right) in left.iter_mut().zip(right) {
                *left = function(*left, right);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Activation;

    fn value(activation: Activation, x: f64) -> f64 {
        let mut y = [0.0];
        activation.forward(&[x], &mut y);
        y[0]
    }

    fn derivatives(activation: Activation, x: f64) -> (f64, f64) {
        let (mut first, mut second) = ([0.0], [0.0]);
        activation.first_derivative(&[x], &[value(activation, x)], &mut first);
        activation.second_derivative(&[x], &[value(activation, x)], &mut second);
        (first[0], second[0])
    }

    #[test]
    fn values_by_hand() {
        // gelu(1) = 1/2 (1 + tanh(0.7978845608 * 1.044715)) = 0.8411919906 (tanh form).
        assert!((value(Activation::Gelu, 1.0) - 0.841_191_990_607_477_1).abs() < 1e-12);
        assert_eq!(value(Activation::Tanh, 0.5), 0.5f64.tanh());
        assert_eq!((value(Activation::Relu, -2.0), value(Activation::Relu, 2.0)), (0.0, 2.0));
    }

    proptest! {
        #[test]
        fn derivatives_agree_with_central_differences(x in -4.0f64..4.0) {
            for activation in [Activation::Tanh, Activation::Gelu] {
                let h = 1e-5;
                let (first, second) = derivatives(activation, x);
                let slope = (value(activation, x + h) - value(activation, x - h)) / (2.0 * h);
                let bend = (derivatives(activation, x + h).0 - derivatives(activation, x - h).0)
                    / (2.0 * h);
                prop_assert!((first - slope).abs() < 1e-9, "{activation:?}' at {x}");
                prop_assert!((second - bend).abs() < 1e-9, "{activation:?}'' at {x}");
            }
        }
    }
}
