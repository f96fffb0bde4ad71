//! Means of sequences whose weights the network chooses.

use attribench_core::Real;

use crate::local::{Direction, Local, Point};

/// `y = sum_t a_t x_t` with `a = softmax(scores)` over the steps of a sequence, whose score stands
/// behind each `x_t`: `(sequences, steps, width + 1) -> (sequences, width)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightedMean {
    pub steps: usize,
    pub width: usize,
}

impl WeightedMean {
    fn sequence(&self) -> usize {
        self.steps * (self.width + 1)
    }

    /// `x_t` and its score.
    fn rows<'a, T: Real>(&self, sequence: &'a [T]) -> impl Iterator<Item = (&'a [T], T)> + 'a {
        let width = self.width;
        sequence.chunks_exact(width + 1).map(move |row| (&row[..width], row[width]))
    }

    /// `da_t = a_t (ds_t - sum_u a_u ds_u)`.
    fn weights_tangent<T: Real>(&self, weights: &[T], moved: &[T]) -> Vec<T> {
        let mean: T = self.rows(moved).zip(weights).map(|((_, ds), &a)| a * ds).sum();
        self.rows(moved).zip(weights).map(|((_, ds), &a)| a * (ds - mean)).collect()
    }
}

fn dot<T: Real>(left: &[T], right: &[T]) -> T {
    left.iter().zip(right).map(|(&left, &right)| left * right).sum()
}

fn add_scaled<T: Real>(to: &mut [T], factor: T, from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to += factor * from);
}

impl<T: Real> Local<T> for WeightedMean {
    fn output_width(&self, input_width: usize) -> usize {
        input_width / self.sequence() * self.width
    }

    /// The weights.
    fn kept(&self, input_width: usize) -> usize {
        input_width / (self.width + 1)
    }

    fn forward(&self, _parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        let sequences = input.chunks_exact(self.sequence());
        let sequences = sequences.zip(kept.chunks_exact_mut(self.steps));
        for ((sequence, weights), y) in sequences.zip(output.chunks_exact_mut(self.width)) {
            let top = self.rows(sequence).map(|(_, score)| score);
            let top = top.fold(T::from_f64(f64::NEG_INFINITY), T::max);
            for (weight, (_, score)) in weights.iter_mut().zip(self.rows(sequence)) {
                *weight = score - top;
            }
            T::exp_in_place(weights);
            let total: T = weights.iter().copied().sum();
            weights.iter_mut().for_each(|weight| *weight = *weight / total);
            y.fill(T::zero());
            for (&mut weight, (x, _)) in weights.iter_mut().zip(self.rows(sequence)) {
                add_scaled(y, weight, x);
            }
        }
    }

    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let sequences = point.input.chunks_exact(self.sequence());
        let sequences = sequences.zip(point.kept.chunks_exact(self.steps));
        let ends = delta.chunks_exact(self.width).zip(at_input.chunks_exact_mut(self.sequence()));
        for ((sequence, weights), (delta, at_input)) in sequences.zip(ends) {
            let mean: T =
                weights.iter().zip(self.rows(sequence)).map(|(&a, (x, _))| a * dot(delta, x)).sum();
            let to = at_input.chunks_exact_mut(self.width + 1);
            for ((to, (x, _)), &a) in to.zip(self.rows(sequence)).zip(weights) {
                to[self.width] = a * (dot(delta, x) - mean);
                to[..self.width].iter_mut().zip(delta).for_each(|(to, &delta)| *to = a * delta);
            }
        }
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        let sequences = point.input.chunks_exact(self.sequence());
        let sequences = sequences.zip(along.input.chunks_exact(self.sequence()));
        let ends = point.kept.chunks_exact(self.steps).zip(output.chunks_exact_mut(self.width));
        for ((sequence, moved), (weights, output)) in sequences.zip(ends) {
            let weights_tangent = self.weights_tangent(weights, moved);
            output.fill(T::zero());
            for (t, ((x, _), (dx, _))) in self.rows(sequence).zip(self.rows(moved)).enumerate() {
                add_scaled(output, weights_tangent[t], x);
                add_scaled(output, weights[t], dx);
            }
        }
    }

    /// With `b_t = delta . x_t`, the score's gradient `a_t (b_t - sum a b)` moves by
    /// `a_t' (b_t - sum a b) + a_t (b_t' - sum (a' b + a b'))`.
    fn second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        let (steps, width) = (self.steps, self.width);
        let sequences = point.input.chunks_exact(self.sequence());
        let sequences = sequences.zip(along.input.chunks_exact(self.sequence()));
        let ends = point.kept.chunks_exact(steps).zip(at_input.chunks_exact_mut(self.sequence()));
        let deltas = delta.chunks_exact(width).zip(delta_tangent.chunks_exact(width));
        let all = sequences.zip(ends).zip(deltas);
        for (((sequence, moved), (weights, at_input)), (delta, delta_tangent)) in all {
            let a_tangent = self.weights_tangent(weights, moved);
            let b: Vec<T> = self.rows(sequence).map(|(x, _)| dot(delta, x)).collect();
            let pairs = self.rows(sequence).zip(self.rows(moved));
            let b_tangent: Vec<T> =
                pairs.map(|((x, _), (dx, _))| dot(delta_tangent, x) + dot(delta, dx)).collect();
            let mean = dot(weights, &b);
            let mean_tangent = dot(&a_tangent, &b) + dot(weights, &b_tangent);
            for (t, to) in at_input.chunks_exact_mut(width + 1).enumerate() {
                to[width] =
                    a_tangent[t] * (b[t] - mean) + weights[t] * (b_tangent[t] - mean_tangent);
                for (to, (&d, &moved)) in
                    to[..width].iter_mut().zip(delta.iter().zip(delta_tangent))
                {
                    *to = a_tangent[t] * d + weights[t] * moved;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WeightedMean;
    use crate::local::Local;

    #[test]
    fn a_mean_by_hand() {
        // Scores 0 and ln 3 weigh 1/4 and 3/4.
        let mean = WeightedMean { steps: 2, width: 2 };
        let input = [4.0, 8.0, 0.0, 12.0, 0.0, 3f64.ln()];
        let (mut kept, mut output) = ([0.0; 2], [0.0; 2]);
        mean.forward(&[], &input, &mut kept, &mut output);
        assert!((output[0] - 10.0).abs() < 1e-14 && (output[1] - 2.0).abs() < 1e-14);
    }
}
