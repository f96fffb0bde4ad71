//! Normalisation by the root of the mean square, with scales and no shifts.

use attribench_core::{Real, vector::vectorized};

use crate::{
    attention::dot,
    local::{Direction, Local, Point},
};

/// `y = gamma x^` with `x^ = r x` and `r = 1 / sqrt(mean(x^2) + epsilon)` for every row of `width`
/// numbers (Zhang and Sennrich 2019). Parameters are the `width` scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RmsNorm {
    pub width: usize,
    pub epsilon: f64,
}

/// Mean of `left * right`.
#[inline(always)]
fn mean<T: Real>(left: &[T], right: &[T]) -> T {
    dot(left, right) / T::from_f64(left.len() as f64)
}

impl RmsNorm {
    /// Rows of the input with their `r`, of `other`, and of the result.
    fn rows<'a, T>(
        &self,
        point: &Point<'a, T>,
        other: &'a [T],
        result: &'a mut [T],
    ) -> impl Iterator<Item = (&'a [T], &'a T, &'a [T], &'a mut [T])> {
        let rows = point.input.chunks_exact(self.width).zip(point.kept);
        let others = other.chunks_exact(self.width).zip(result.chunks_exact_mut(self.width));
        rows.zip(others).map(|((x, r), (other, result))| (x, r, other, result))
    }
}

impl<T: Real> Local<T> for RmsNorm {
    fn output_width(&self, input_width: usize) -> usize {
        input_width
    }

    /// `r` of every row.
    fn kept(&self, input_width: usize) -> usize {
        input_width / self.width
    }

    fn forward(&self, parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        let (width, epsilon) = (self.width, T::from_f64(self.epsilon));
        vectorized(
            #[inline(always)]
            move || {
                let rows = input.chunks_exact(width).zip(output.chunks_exact_mut(width));
                for ((x, y), r) in rows.zip(kept) {
                    *r = T::one() / (mean(x, x) + epsilon).sqrt();
                    for ((y, &x), &scale) in y.iter_mut().zip(x).zip(parameters) {
                        *y = scale * (*r * x);
                    }
                }
            },
        );
    }

    /// `dx = r (u - x^ mean(u x^))` with `u = gamma delta`.
    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let scales = point.parameters;
        let rows = self.rows(point, delta, at_input);
        vectorized(
            #[inline(always)]
            move || {
                for (x, &r, delta, u) in rows {
                    for ((u, &delta), &scale) in u.iter_mut().zip(delta).zip(scales) {
                        *u = scale * delta;
                    }
                    let along = r * r * mean(u, x);
                    for (u, &x) in u.iter_mut().zip(x) {
                        *u = r * (*u - along * x);
                    }
                }
            },
        );
    }

    fn add_gradient(&self, point: &Point<'_, T>, delta: &[T], gradient: &mut [T]) {
        let rows = point.input.chunks_exact(self.width).zip(point.kept);
        for ((x, &r), delta) in rows.zip(delta.chunks_exact(self.width)) {
            for ((sum, &x), &delta) in gradient.iter_mut().zip(x).zip(delta) {
                *sum += r * x * delta;
            }
        }
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        for (x, &r, moved, output) in self.rows(point, along.input, output) {
            let shrink = r * r * mean(x, moved);
            for (i, output) in output.iter_mut().enumerate() {
                let normal_tangent = r * (moved[i] - shrink * x[i]);
                *output = point.parameters[i] * normal_tangent + along.parameters[i] * r * x[i];
            }
        }
    }

    /// With `m = mean(u x^)`, the derivative of `r (u - x^ m)` is
    /// `r'/r dx + r (u' - x^' m - x^ m')`, where `r' / r = -r mean(x^ dx/de)`.
    fn second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        let deltas = delta.chunks_exact(self.width).zip(delta_tangent.chunks_exact(self.width));
        let rows = self.rows(point, along.input, at_input).zip(deltas);
        for ((x, &r, moved, to), (delta, delta_tangent)) in rows {
            let scales = point.parameters.iter().zip(along.parameters);
            let u: Vec<T> = delta.iter().zip(point.parameters).map(|(&d, &g)| g * d).collect();
            let u_tangent: Vec<T> = delta
                .iter()
                .zip(delta_tangent)
                .zip(scales)
                .map(|((&d, &dd), (&g, &dg))| g * dd + dg * d)
                .collect();
            let normal: Vec<T> = x.iter().map(|&x| r * x).collect();
            let shrink = r * mean(&normal, moved);
            let normal_tangent: Vec<T> =
                moved.iter().zip(&normal).map(|(&dx, &normal)| r * dx - shrink * normal).collect();
            let m = mean(&u, &normal);
            let m_tangent = mean(&u_tangent, &normal) + mean(&u, &normal_tangent);
            for (i, to) in to.iter_mut().enumerate() {
                let value = r * (u[i] - normal[i] * m);
                let moved = u_tangent[i] - normal_tangent[i] * m - normal[i] * m_tangent;
                *to = r * moved - shrink * value;
            }
        }
    }

    fn add_second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        gradient: &mut [T],
    ) {
        self.add_gradient(point, delta_tangent, gradient);
        let rows = point.input.chunks_exact(self.width).zip(point.kept);
        let moving = along.input.chunks_exact(self.width).zip(delta.chunks_exact(self.width));
        for ((x, &r), (moved, delta)) in rows.zip(moving) {
            let shrink = r * r * mean(x, moved);
            for (i, sum) in gradient.iter_mut().enumerate() {
                *sum += r * (moved[i] - shrink * x[i]) * delta[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RmsNorm;
    use crate::local::Local;

    #[test]
    fn rows_by_hand() {
        // Row (1, 7): mean square 25, so with epsilon 0 it becomes (1/5, 7/5), times the scales
        // (2, 1). Row (0, 0) stays 0 with epsilon 1, where the other is divided by sqrt(26).
        let norm = |epsilon| {
            let (mut kept, mut output) = ([0.0f64; 2], [0.0; 4]);
            let norm = RmsNorm { width: 2, epsilon };
            norm.forward(&[2.0, 1.0], &[1.0, 7.0, 0.0, 0.0], &mut kept, &mut output);
            output
        };
        assert!((norm(0.0)[0] - 0.4).abs() < 1e-15 && (norm(0.0)[1] - 1.4).abs() < 1e-15);
        let r = 1.0 / 26f64.sqrt();
        assert!((norm(1.0)[0] - 2.0 * r).abs() < 1e-15 && (norm(1.0)[1] - 7.0 * r).abs() < 1e-15);
        assert_eq!(norm(1.0)[2..], [0.0, 0.0]);
    }
}
