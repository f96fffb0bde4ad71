//! Causal attention of several heads.

use attribench_core::{Real, math, vector::vectorized};
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use crate::local::{Direction, Local, Point};

/// `o = softmax(q k^T / sqrt(d_h)) v` for every head, where position `t` sees positions `..= t`;
/// queries, keys and values lie side by side: `(s, 3 d) -> (s, d)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attention {
    pub positions: usize,
    pub width: usize,
    pub heads: usize,
}

/// Queries, keys and values of one head, `(s, d_h)` each.
struct Triple<'a, T> {
    q: ArrayView2<'a, T>,
    k: ArrayView2<'a, T>,
    v: ArrayView2<'a, T>,
}

impl Attention {
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn scale<T: Real>(&self) -> T {
        T::from_f64(1.0 / (self.head_width() as f64).sqrt())
    }

    /// Columns of one head in rows of `stride` numbers.
    fn columns<'a, T>(&self, values: &'a [T], start: usize, stride: usize) -> ArrayView2<'a, T> {
        let shape = (self.positions, self.head_width()).strides((stride, 1));
        ArrayView2::from_shape(shape, &values[start..]).expect("a head lies in its rows")
    }

    fn columns_mut<'a, T>(
        &self,
        values: &'a mut [T],
        start: usize,
        stride: usize,
    ) -> ArrayViewMut2<'a, T> {
        let shape = (self.positions, self.head_width()).strides((stride, 1));
        ArrayViewMut2::from_shape(shape, &mut values[start..]).expect("a head lies in its rows")
    }

    fn triple<'a, T>(&self, input: &'a [T], head: usize) -> Triple<'a, T> {
        let at = |part: usize| {
            self.columns(input, part * self.width + head * self.head_width(), 3 * self.width)
        };
        Triple { q: at(0), k: at(1), v: at(2) }
    }

    /// A head's part of rows as wide as the output.
    fn part<'a, T>(&self, values: &'a [T], head: usize) -> ArrayView2<'a, T> {
        self.columns(values, head * self.head_width(), self.width)
    }

    /// Writes the gradients (or their tangents) of queries, keys and values of one head.
    fn write<T: Real>(
        &self,
        head: usize,
        at_input: &mut [T],
        keep: T,
        products: [(ArrayView2<'_, T>, ArrayView2<'_, T>); 3],
    ) {
        for (part, (left, right)) in products.into_iter().enumerate() {
            let start = part * self.width + head * self.head_width();
            let to = self.columns_mut(at_input, start, 3 * self.width);
            // (s, s) x (s, d_h) -> (s, d_h)
            math::matmul_into(to, keep, left, right, T::one());
        }
    }

    fn square<'a, T>(&self, values: &'a [T]) -> ArrayView2<'a, T> {
        let s = self.positions;
        ArrayView2::from_shape((s, s), values).expect("probabilities are square")
    }

    /// `square = scale * left right^T (+ keep * square)`.
    fn scores<T: Real>(
        &self,
        square: &mut [T],
        keep: T,
        left: ArrayView2<'_, T>,
        right: ArrayView2<'_, T>,
        scale: T,
    ) {
        let s = self.positions;
        let to = ArrayViewMut2::from_shape((s, s), square).expect("scores are square");
        // (s, d_h) x (d_h, s) -> (s, s)
        math::matmul_into(to, keep, left, right.t(), scale);
    }

    /// `scale P (x - rows' sums of P x)`, in place: the derivative of the softmax, which is
    /// symmetric. What lies above the diagonal becomes 0.
    fn softmax_derivative<T: Real>(&self, probabilities: &[T], values: &mut [T], scale: T) {
        let s = self.positions;
        vectorized(
            #[inline(always)]
            move || {
                for (p, x) in probabilities.chunks_exact(s).zip(values.chunks_exact_mut(s)) {
                    let mean = dot(p, x);
                    for (x, &p) in x.iter_mut().zip(p) {
                        *x = scale * p * (*x - mean);
                    }
                }
            },
        );
    }
}

/// Sum of products in several running sums.
#[inline(always)]
pub(crate) fn dot<T: Real>(left: &[T], right: &[T]) -> T {
    const LANES: usize = 16;
    let mut sums = [T::zero(); LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let mut total = T::zero();
    for (&left, &right) in left_rest.iter().zip(right_rest) {
        total += left * right;
    }
    for sum in sums {
        total += sum;
    }
    total
}

/// Softmax of the first `t + 1` numbers of row `t`, and 0 behind them.
fn causal_softmax<T: Real>(scores: &mut [T], positions: usize) {
    for (t, row) in scores.chunks_exact_mut(positions).enumerate() {
        let (seen, hidden) = row.split_at_mut(t + 1);
        hidden.fill(T::zero());
        let top = seen.iter().copied().fold(seen[0], |top, x| if x > top { x } else { top });
        seen.iter_mut().for_each(|value| *value -= top);
        T::exp_in_place(seen);
        vectorized(
            #[inline(always)]
            move || {
                let ones = [T::one(); 16];
                let mut sum = T::zero();
                for part in seen.chunks(16) {
                    sum += dot(part, &ones[..part.len()]);
                }
                let scale = T::one() / sum;
                seen.iter_mut().for_each(|value| *value *= scale);
            },
        );
    }
}

impl<T: Real> Local<T> for Attention {
    fn output_width(&self, _input_width: usize) -> usize {
        self.positions * self.width
    }

    /// Probabilities of every head.
    fn kept(&self, _input_width: usize) -> usize {
        self.heads * self.positions * self.positions
    }

    fn forward(&self, _parameters: &[T], input: &[T], kept: &mut [T], output: &mut [T]) {
        for head in 0..self.heads {
            let Triple { q, k, v } = self.triple(input, head);
            let square = self.positions * self.positions;
            let probabilities = &mut kept[head * square..(head + 1) * square];
            self.scores(probabilities, T::zero(), q, k, self.scale());
            causal_softmax(probabilities, self.positions);
            let to = self.columns_mut(output, head * self.head_width(), self.width);
            // (s, s) x (s, d_h) -> (s, d_h)
            math::matmul_into(to, T::zero(), self.square(probabilities), v, T::one());
        }
    }

    fn backward(&self, point: &Point<'_, T>, delta: &[T], at_input: &mut [T]) {
        let square = self.positions * self.positions;
        let mut scores = vec![T::zero(); square];
        for (head, p) in point.kept.chunks_exact(square).enumerate() {
            let (Triple { q, k, v }, delta) =
                (self.triple(point.input, head), self.part(delta, head));
            self.scores(&mut scores, T::zero(), delta, v, T::one());
            self.softmax_derivative(p, &mut scores, self.scale());
            let (at_scores, p) = (self.square(&scores), self.square(p));
            let products =
                [(at_scores, k), (at_scores.reversed_axes(), q), (p.reversed_axes(), delta)];
            self.write(head, at_input, T::zero(), products);
        }
    }

    fn tangent(&self, point: &Point<'_, T>, along: &Direction<'_, T>, output: &mut [T]) {
        let square = self.positions * self.positions;
        for (head, p) in point.kept.chunks_exact(square).enumerate() {
            let (at, moved) = (self.triple(point.input, head), self.triple(along.input, head));
            let p_tangent = self.probability_tangent(&at, &moved, p);
            let start = head * self.head_width();
            let to = self.columns_mut(output, start, self.width);
            math::matmul_into(to, T::zero(), self.square(&p_tangent), at.v, T::one());
            let to = self.columns_mut(output, start, self.width);
            math::matmul_into(to, T::one(), self.square(p), moved.v, T::one());
        }
    }

    /// With `x = delta v^T`, the gradient at the scores is `a = scale P (x - sum P x)`; along the
    /// direction `a' = scale (P' (x - sum P x) + P (x' - sum(P' x + P x')))`.
    fn second(
        &self,
        point: &Point<'_, T>,
        along: &Direction<'_, T>,
        (delta, delta_tangent): (&[T], &[T]),
        at_input: &mut [T],
    ) {
        let (s, scale) = (self.positions, self.scale::<T>());
        for (head, p) in point.kept.chunks_exact(s * s).enumerate() {
            let (at, moved) = (self.triple(point.input, head), self.triple(along.input, head));
            let p_tangent = self.probability_tangent(&at, &moved, p);
            let (delta, delta_tangent) = (self.part(delta, head), self.part(delta_tangent, head));
            let (mut a, mut a_tangent) = (vec![T::zero(); s * s], vec![T::zero(); s * s]);
            self.scores(&mut a, T::zero(), delta, at.v, T::one());
            self.scores(&mut a_tangent, T::zero(), delta_tangent, at.v, T::one());
            self.scores(&mut a_tangent, T::one(), delta, moved.v, T::one());
            for t in 0..s {
                let row = t * s..(t + 1) * s;
                let (p, dp) = (&p[row.clone()], &p_tangent[row.clone()]);
                let (x, dx) = (&mut a[row.clone()], &mut a_tangent[row]);
                let mean = dot(p, x);
                let mean_tangent = dot(dp, x) + dot(p, dx);
                for u in 0..s {
                    dx[u] = scale * (dp[u] * (x[u] - mean) + p[u] * (dx[u] - mean_tangent));
                    x[u] = scale * p[u] * (x[u] - mean);
                }
            }
            let (a, a_tangent) = (self.square(&a), self.square(&a_tangent));
            let (p, p_tangent) = (self.square(p), self.square(&p_tangent));
            let moving = [
                (a_tangent, at.k),
                (a_tangent.reversed_axes(), at.q),
                (p_tangent.reversed_axes(), delta),
            ];
            self.write(head, at_input, T::zero(), moving);
            let standing =
                [(a, moved.k), (a.reversed_axes(), moved.q), (p.reversed_axes(), delta_tangent)];
            self.write(head, at_input, T::one(), standing);
        }
    }
}

impl Attention {
    /// How the probabilities of one head move.
    fn probability_tangent<T: Real>(
        &self,
        at: &Triple<'_, T>,
        moved: &Triple<'_, T>,
        p: &[T],
    ) -> Vec<T> {
        let mut tangent = vec![T::zero(); p.len()];
        self.scores(&mut tangent, T::zero(), moved.q, at.k, T::one());
        self.scores(&mut tangent, T::one(), at.q, moved.k, T::one());
        self.softmax_derivative(p, &mut tangent, self.scale());
        tangent
    }
}

#[cfg(test)]
mod tests {
    use super::Attention;
    use crate::local::Local;

    #[test]
    fn two_positions_by_hand() {
        // One head of width 1: q = (1, 2), k = (0, ln 3 / 2), v = (5, 9). The first position sees
        // itself: 5. The second has scores 0 and ln 3, so weights 1/4 and 3/4: 8.
        let attention = Attention { positions: 2, width: 1, heads: 1 };
        let input = [1.0, 0.0, 5.0, 2.0, 3f64.ln() / 2.0, 9.0];
        let (mut kept, mut output) = ([0.0; 4], [0.0; 2]);
        attention.forward(&[], &input, &mut kept, &mut output);
        assert_eq!(output[0], 5.0);
        assert!((output[1] - 8.0).abs() < 1e-14);
        assert_eq!(kept[1], 0.0);
    }
}
