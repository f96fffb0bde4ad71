//! Layer and group normalisation with their scales and shifts.

use attribench_core::{Real, vector::vectorized};

use crate::local::{Direction, Local, Point};

/// Added to the variance.
const EPSILON: f64 = 1e-5;

/// Running sums side by side: wide enough for vector code, the same order on every machine.
const LANES: usize = 16;

/// `y = gamma x^ + beta` with `x^ = (x - mean) / sqrt(variance + 1e-5)`.
///
/// Mean and variance are those of `rows` rows of `channels / groups` channels of one example. With
/// one row and one group this is layer normalisation (Ba and others 2016), with all rows of an
/// image group normalisation (Wu and He 2018). Other examples are never read.
///
/// Parameters are `channels` scales and then `channels` shifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Normalise {
    pub rows: usize,
    pub channels: usize,
    pub groups: usize,
}

impl Normalise {
    /// Numbers that share a mean, a unit at a time, are cut into `groups` groups.
    fn unit(&self) -> usize {
        self.rows * self.channels
    }

    fn units(&self, width: usize) -> usize {
        width / self.unit()
    }

    /// Start and length of the runs of group `group` in a unit.
    #[inline(always)]
    fn runs(&self, group: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Clone {
        let (channels, length) = (self.channels, self.channels / self.groups);
        (0..self.rows).map(move |row| {
            let start = row * channels + group * length;
            start..start + length
        })
    }

    fn count<T: Real>(&self) -> T {
        T::from_f64((self.unit() / self.groups) as f64)
    }
}

/// Sum over all runs of `term(i)`.
#[inline(always)]
fn sum_over<T: Real>(
    runs: impl Iterator<Item = std::ops::Range<usize>>,
    left: &[T],
    right: &[T],
    term: impl Fn(T, T) -> T,
) -> T {
    let mut sums = [T::zero(); LANES];
    let mut rest = T::zero();
    for run in runs {
        let (left, left_rest) = left[run.clone()].as_chunks::<LANES>();
        let (right, right_rest) = right[run].as_chunks::<LANES>();
        for (left, right) in left.iter().zip(right) {
            for lane in 0..LANES {
                sums[lane] += term(left[lane], right[lane]);
            }
        }
        for (&left, &right) in left_rest.iter().zip(right_rest) {
            rest += term(left, right);
        }
    }
    let mut total = rest;
    for sum in sums {
        total += sum;
    }
    total
}

/// `to[i] = function(left[i], right[i])` over all runs.
#[inline(always)]
fn map_over<T: Real>(
    runs: impl Iterator<Item = std::ops::Range<usize>>,
    (left, right): (&[T], &[T]),
    to: &mut [T],
    function: impl Fn(T, T) -> T,
) {
    for run in runs {
        let pairs = left[run.clone()].iter().zip(&right[run.clone()]);
        for (to, (&left, &right)) in to[run].iter_mut().zip(pairs) {
            *to = function(left, right);
        }
    }
}

impl<T: Real> Local<T> for Normalise {
    fn output_width(&self, input_width: usize) -> usize {
        input_width
    }

    /// `x^`, and one over the standard deviation of every group.
    fn kept(&self, input_width: usize) -> usize {
        input_width + self.units(input_width) * self.groups
    }

    fn forward(&self, parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        let this = *self;
        vectorized(
            #[inline(always)]
            move || this.normalise(parameters, input, kept, output),
        );
    }

    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let (scales, _) = point.parameters.split_at(self.channels);
        let (normal, inverse) = point.kept.split_at(point.input.len());
        let this = *self;
        vectorized(
            #[inline(always)]
            move || {
                this.scaled(scales, delta, at_input);
                this.project(normal, inverse, at_input);
            },
        );
    }

    fn add_gradient(&self, point: &Point<'_, T>, delta: &[T], gradient: &mut [T]) {
        let (scales, shifts) = gradient.split_at_mut(self.channels);
        let normal = &point.kept[..point.input.len()];
        for (normal, delta) in
            normal.chunks_exact(self.channels).zip(delta.chunks_exact(self.channels))
        {
            add_products(scales, normal, delta);
            crate::activation::each(shifts, delta, |sum, delta| sum + delta);
        }
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        let normal_tangent = self.normal_tangent(point, along);
        let (scales, shifts) = along.parameters.split_at(self.channels);
        for (row, output) in output.chunks_exact_mut(self.channels).enumerate() {
            let start = row * self.channels;
            for channel in 0..self.channels {
                output[channel] = point.parameters[channel] * normal_tangent[start + channel]
                    + scales[channel] * point.kept[start + channel]
                    + shifts[channel];
            }
        }
    }

    /// With `u = gamma delta`, `r = 1 / sigma` and means over a group,
    /// `dx = r (u - mean(u) - x^ mean(u x^))`, whose derivative is
    /// `-r mean(x^ dx/de) dx + r (u' - mean(u') - x^' mean(u x^) - x^ mean(u' x^ + u x^'))`.
    fn second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        let width = point.input.len();
        let (normal, inverse) = point.kept.split_at(width);
        let normal_tangent = self.normal_tangent(point, along);
        let (mut u, mut u_tangent) = (vec![T::zero(); width], vec![T::zero(); width]);
        self.scaled(point.parameters, delta, &mut u);
        self.scaled(point.parameters, delta_tangent, &mut u_tangent);
        self.scaled(along.parameters, delta, at_input);
        u_tangent.iter_mut().zip(&*at_input).for_each(|(sum, &value)| *sum += value);
        let count = self.count::<T>();
        for unit in 0..self.units(width) {
            let part = unit * self.unit()..(unit + 1) * self.unit();
            let (x, dx) = (&normal[part.clone()], &normal_tangent[part.clone()]);
            let (u, du) = (&u[part.clone()], &u_tangent[part.clone()]);
            let moved = &along.input[part.clone()];
            let to = &mut at_input[part];
            for group in 0..self.groups {
                let runs = self.runs(group);
                let mean = |left: &[T], right: &[T]| {
                    sum_over(runs.clone(), left, right, |a, b| a * b) / count
                };
                let total = |values: &[T]| sum_over(runs.clone(), values, values, |a, _| a) / count;
                let r = inverse[unit * self.groups + group];
                // How the inverse deviation moves: r' = -r^2 mean(x^ dx_input).
                let shrink = r * mean(x, moved);
                let (mean_u, mean_ux) = (total(u), mean(u, x));
                let (mean_du, mean_dux) = (total(du), mean(du, x) + mean(u, dx));
                for index in runs.clone().flatten() {
                    let value = r * (u[index] - mean_u - x[index] * mean_ux);
                    let moved = du[index] - mean_du - dx[index] * mean_ux - x[index] * mean_dux;
                    to[index] = r * moved - shrink * value;
                }
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
        let normal_tangent = self.normal_tangent(point, along);
        let scales = &mut gradient[..self.channels];
        for (normal, delta) in
            normal_tangent.chunks_exact(self.channels).zip(delta.chunks_exact(self.channels))
        {
            add_products(scales, normal, delta);
        }
    }
}

/// `sums += left * right`, entry by entry.
fn add_products<T: Real>(sums: &mut [T], left: &[T], right: &[T]) {
    vectorized(
        #[inline(always)]
        move || {
            for ((sum, &left), &right) in sums.iter_mut().zip(left).zip(right) {
                *sum += left * right;
            }
        },
    );
}

impl Normalise {
    #[inline(always)]
    fn normalise<T: Real>(self, parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        let (normal, inverse) = kept.split_at_mut(input.len());
        let (scales, shifts) = parameters.split_at(self.channels);
        let (count, epsilon) = (self.count::<T>(), T::from_f64(EPSILON));
        let units = input.chunks_exact(self.unit()).zip(normal.chunks_exact_mut(self.unit()));
        for ((x, normal), inverse) in units.zip(inverse.chunks_exact_mut(self.groups)) {
            for (group, inverse) in inverse.iter_mut().enumerate() {
                let runs = self.runs(group);
                let mean = sum_over(runs.clone(), x, x, |x, _| x) / count;
                let square = |x: T, _: T| (x - mean) * (x - mean);
                let variance = sum_over(runs.clone(), x, x, square) / count;
                *inverse = T::one() / (variance + epsilon).sqrt();
                let scale = *inverse;
                map_over(runs, (x, x), normal, |x, _| (x - mean) * scale);
            }
        }
        let rows = normal.chunks_exact(self.channels).zip(output.chunks_exact_mut(self.channels));
        for (normal, output) in rows {
            for (channel, output) in output.iter_mut().enumerate() {
                *output = scales[channel] * normal[channel] + shifts[channel];
            }
        }
    }

    /// `to = gamma delta`.
    #[inline(always)]
    fn scaled<T: Real>(self, scales: &[T], delta: &[T], to: &mut [T]) {
        let rows = delta.chunks_exact(self.channels).zip(to.chunks_exact_mut(self.channels));
        for (delta, to) in rows {
            for ((to, &delta), &scale) in to.iter_mut().zip(delta).zip(scales) {
                *to = scale * delta;
            }
        }
    }

    /// `u <- r (u - mean(u) - x^ mean(u x^))`: the derivative of `x^` by `x`, which is symmetric.
    #[inline(always)]
    fn project<T: Real>(self, normal: &[T], inverse: &[T], values: &mut [T]) {
        let count = self.count::<T>();
        let units = normal.chunks_exact(self.unit()).zip(values.chunks_exact_mut(self.unit()));
        for ((normal, values), inverse) in units.zip(inverse.chunks_exact(self.groups)) {
            for (group, &scale) in inverse.iter().enumerate() {
                let runs = self.runs(group);
                let mean = sum_over(runs.clone(), values, values, |u, _| u) / count;
                let along = sum_over(runs.clone(), values, normal, |u, x| u * x) / count;
                for run in runs {
                    for (value, &x) in values[run.clone()].iter_mut().zip(&normal[run]) {
                        *value = scale * (*value - mean - x * along);
                    }
                }
            }
        }
    }

    /// How `x^` moves with the input.
    fn normal_tangent<T: Real>(&self, point: &Point<'_, T>, along: &Direction<'_, T>) -> Vec<T> {
        let (normal, inverse) = point.kept.split_at(point.input.len());
        let mut tangent = along.input.to_vec();
        self.project(normal, inverse, &mut tangent);
        tangent
    }
}

#[cfg(test)]
mod tests {
    use super::Normalise;
    use crate::local::Local;

    #[test]
    fn layers_and_groups_by_hand() {
        // Rows (1, 3) and (2, 2): means 2 and 2, variances 1 and 0.
        let layer = Normalise { rows: 1, channels: 2, groups: 1 };
        let (input, parameters) = ([1.0f64, 3.0, 2.0, 2.0], [2.0, 1.0, 0.5, 0.0]);
        let (mut kept, mut output) = ([0.0; 6], [0.0; 4]);
        layer.forward(&parameters, &input, &mut kept, &mut output);
        let r = 1.0 / (1.0f64 + 1e-5).sqrt();
        assert!((output[0] - (0.5 - 2.0 * r)).abs() < 1e-15);
        assert!((output[1] - r).abs() < 1e-15);
        assert_eq!(output[2..], [0.5, 0.0]);
        // One group a channel over both rows: columns (1, 2) and (3, 2), variance 1/4.
        let groups = Normalise { rows: 2, channels: 2, groups: 2 };
        groups.forward(&[1.0, 1.0, 0.0, 0.0], &input, &mut kept, &mut output);
        let half = 0.5 / (0.25f64 + 1e-5).sqrt();
        for (found, expected) in output.iter().zip([-half, half, half, -half]) {
            assert!((found - expected).abs() < 1e-15);
        }
    }
}
