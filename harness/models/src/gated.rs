//! A linear unit behind a smooth gate.

use attribench_core::{Real, vector::vectorized};

use crate::local::{Direction, Local, Point};

/// `y = silu(a) b` with `silu(a) = a / (1 + e^-a)`, where a row holds its gates `a` and then its
/// values `b`: `(s, 2 m) -> (s, m)` (Shazeer 2020, SwiGLU).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gated {
    /// Values in a row, `m`.
    pub width: usize,
}

/// `silu(a)` and its first two derivatives, given `p = 1 / (1 + e^-a)`.
#[inline(always)]
fn silu<T: Real>(a: T, p: T) -> (T, T, T) {
    let (one, two) = (T::one(), T::one() + T::one());
    let rest = one - p;
    (a * p, p * (one + a * rest), p * rest * (two + a * (one - two * p)))
}

impl Gated {
    /// Calls `visit(place of a, place of b, place of y)` for every value.
    #[inline(always)]
    fn for_each(self, rows: usize, mut visit: impl FnMut(usize, usize, usize)) {
        for row in 0..rows {
            for column in 0..self.width {
                let gate = 2 * row * self.width + column;
                visit(gate, gate + self.width, row * self.width + column);
            }
        }
    }
}

impl<T: Real> Local<T> for Gated {
    fn output_width(&self, input_width: usize) -> usize {
        input_width / 2
    }

    /// `1 / (1 + e^-a)` of every gate.
    fn kept(&self, input_width: usize) -> usize {
        input_width / 2
    }

    fn forward(&self, _parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        let (this, rows) = (*self, output.len() / self.width);
        // The exponential of a number that is not positive: nothing overflows or cancels.
        this.for_each(rows, |a, _, y| kept[y] = -input[a].abs());
        T::exp_in_place(kept);
        vectorized(
            #[inline(always)]
            move || {
                this.for_each(rows, |a, b, y| {
                    let above = if input[a] < T::zero() { kept[y] } else { T::one() };
                    kept[y] = above / (T::one() + kept[y]);
                    output[y] = input[a] * kept[y] * input[b];
                });
            },
        );
    }

    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let (this, rows, kept, x) = (*self, delta.len() / self.width, point.kept, point.input);
        vectorized(
            #[inline(always)]
            move || {
                this.for_each(rows, |a, b, y| {
                    let (value, slope, _) = silu(x[a], kept[y]);
                    at_input[a] = delta[y] * slope * x[b];
                    at_input[b] = delta[y] * value;
                });
            },
        );
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        let (x, dx) = (point.input, along.input);
        self.for_each(output.len() / self.width, |a, b, y| {
            let (value, slope, _) = silu(x[a], point.kept[y]);
            output[y] = slope * dx[a] * x[b] + value * dx[b];
        });
    }

    fn second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        let (x, dx) = (point.input, along.input);
        self.for_each(delta.len() / self.width, |a, b, y| {
            let (value, slope, bend) = silu(x[a], point.kept[y]);
            let (d, dd) = (delta[y], delta_tangent[y]);
            at_input[a] = dd * slope * x[b] + d * (bend * dx[a] * x[b] + slope * dx[b]);
            at_input[b] = dd * value + d * slope * dx[a];
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Gated;
    use crate::local::Local;

    #[test]
    fn gates_by_hand() {
        // silu(0) = 0, silu(ln 3) = ln 3 * 3/4, silu(-ln 3) = -ln 3 / 4; far out it is the identity
        // or nothing, and never NaN.
        let log = 3f64.ln();
        let (input, gated) = ([0.0, log, 5.0, 2.0, -log, -1e4, 4.0, 1.0], Gated { width: 2 });
        let (mut kept, mut output) = ([0.0; 4], [0.0; 4]);
        gated.forward(&[], &input, &mut kept, &mut output);
        for (found, expected) in output.iter().zip([0.0, 1.5 * log, -log, 0.0]) {
            assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
        }
        gated.forward(&[], &[1e4, 0.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0], &mut kept, &mut output);
        assert_eq!(output, [3e4, 0.0, 0.0, 0.0]);
    }
}
