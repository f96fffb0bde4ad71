//! Long short-term memory: what happens from one position to the next.

use attribench_core::{Real, math, vector::vectorized};
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// Numbers kept for each unit of each step: gates `i`, `f`, `g`, `o`, cell `c` and `tanh(c)`.
const KEPT: usize = 6;

/// With `z_t = x_t + U h_(t-1)` cut into four gates in the order i, f, c, o,
///
/// ```text
/// i, f, o = sigma(z_i, z_f, z_o)      g = tanh(z_c)
/// c_t = f c_(t-1) + i g               h_t = o tanh(c_t)
/// ```
///
/// from `h = c = 0` (Hochreiter and Schmidhuber 1997, with the forget gate of Gers and others
/// 2000): `(sequences, steps, 4 width) -> (sequences, steps, width)`. What the input adds to the
/// gates, `x_t`, is a dense layer in front of it; `U` is `(4 width, width)`, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lstm {
    pub steps: usize,
    pub width: usize,
}

/// The point at which sequences are differentiated.
pub(crate) struct Run<'a, T> {
    pub weight: &'a [T],
    /// What the forward pass kept.
    pub kept: &'a [T],
    /// `h`.
    pub output: &'a [T],
}

/// A direction at a [`Run`]; nothing where the weight stays.
pub(crate) struct Along<'a, T> {
    pub weight: Option<&'a [T]>,
    pub input: &'a [T],
}

/// How a [`Run`] moves along a direction.
pub(crate) struct Moved<T> {
    kept: Vec<T>,
    pub output: Vec<T>,
}

impl Lstm {
    /// Numbers kept for inputs of this many.
    pub(crate) fn kept(&self, inputs: usize) -> usize {
        inputs / 4 * KEPT
    }

    /// `h`.
    pub(crate) fn forward<T: Real>(
        &self,
        weight: &[T],
        input: &[T],
        kept: &mut [T],
        output: &mut [T],
    ) {
        if output.is_empty() {
            return;
        }
        let (w, row) = (self.width, KEPT * self.width);
        for (kept, input) in kept.chunks_exact_mut(row).zip(input.chunks_exact(4 * w)) {
            kept[..4 * w].copy_from_slice(input);
        }
        let mut before = vec![T::zero(); w];
        for t in 0..self.steps {
            if t > 0 {
                let gates = self.gates_mut(kept, row, t);
                // (sequences, w) x (w, 4 w) -> (sequences, 4 w)
                let h = self.step(output, w, t - 1, w);
                math::matmul_into(gates, T::one(), h, self.matrix(weight).t(), T::one());
            }
            for (sequence, output) in output.chunks_exact_mut(self.steps * w).enumerate() {
                let start = (sequence * self.steps + t) * row;
                if t > 0 {
                    before.copy_from_slice(&kept[start - row + 4 * w..][..w]);
                }
                step_forward(&before, &mut kept[start..][..row], &mut output[t * w..][..w]);
                before.fill(T::zero());
            }
        }
    }

    /// `dz`, which is the gradient at the input; that of `U` is the sum of `dz_t h_(t-1)^T`.
    pub(crate) fn backward<T: Real>(&self, run: &Run<'_, T>, delta: &[T], at_input: &mut [T]) {
        if delta.is_empty() {
            return;
        }
        let (w, row) = (self.width, KEPT * self.width);
        let sequences = delta.len() / (self.steps * w);
        let mut at_h = vec![T::zero(); sequences * w];
        let mut at_c = vec![T::zero(); sequences * w];
        let zeros = vec![T::zero(); w];
        for t in (0..self.steps).rev() {
            self.copy_step(delta, t, &mut at_h);
            if t + 1 < self.steps {
                self.add_back(run.weight, at_input, t + 1, &mut at_h);
            }
            for sequence in 0..sequences {
                let place = sequence * self.steps + t;
                let kept = &run.kept[place * row..][..row];
                let before = match t {
                    0 => &zeros,
                    _ => &run.kept[(place - 1) * row + 4 * w..][..w],
                };
                let own = sequence * w..(sequence + 1) * w;
                let at_c = &mut at_c[own.clone()];
                let gates = &mut at_input[place * 4 * w..][..4 * w];
                step_backward((before, kept), &at_h[own], at_c, gates);
            }
        }
    }

    /// How values move along a direction.
    pub(crate) fn tangent<T: Real>(&self, run: &Run<'_, T>, along: &Along<'_, T>) -> Moved<T> {
        let (w, row) = (self.width, KEPT * self.width);
        let mut moved = Moved {
            kept: vec![T::zero(); run.kept.len()],
            output: vec![T::zero(); run.output.len()],
        };
        for (kept, input) in moved.kept.chunks_exact_mut(row).zip(along.input.chunks_exact(4 * w)) {
            kept[..4 * w].copy_from_slice(input);
        }
        let zeros = vec![T::zero(); w];
        let mut before_moved = zeros.clone();
        for t in 0..self.steps {
            if t > 0 {
                let h = self.step(&moved.output, w, t - 1, w);
                let gates = self.gates_mut(&mut moved.kept, row, t);
                math::matmul_into(gates, T::one(), h, self.matrix(run.weight).t(), T::one());
                if let Some(own) = along.weight {
                    let h = self.step(run.output, w, t - 1, w);
                    let gates = self.gates_mut(&mut moved.kept, row, t);
                    math::matmul_into(gates, T::one(), h, self.matrix(own).t(), T::one());
                }
            }
            for sequence in 0..run.output.len() / (self.steps * w) {
                let place = sequence * self.steps + t;
                let mut before = &zeros[..];
                before_moved.fill(T::zero());
                if t > 0 {
                    let start = (place - 1) * row + 4 * w;
                    before = &run.kept[start..][..w];
                    before_moved.copy_from_slice(&moved.kept[start..][..w]);
                }
                let kept = &run.kept[place * row..][..row];
                let moved_kept = &mut moved.kept[place * row..][..row];
                let output = &mut moved.output[place * w..][..w];
                step_tangent((before, kept), &before_moved, moved_kept, output);
            }
        }
        moved
    }

    /// The derivative of what [`Self::backward`] gives along a direction in which `delta` moves as
    /// well; `dz` is what it gave.
    pub(crate) fn second<T: Real>(
        &self,
        run: &Run<'_, T>,
        (along, moved): (&Along<'_, T>, &Moved<T>),
        (delta, dz): (&[T], &[T]),
        delta_tangent: &[T],
        at_input: &mut [T],
    ) {
        let (w, row) = (self.width, KEPT * self.width);
        let sequences = delta.len() / (self.steps * w);
        let [mut at_h, mut at_c, mut at_h_moved, mut at_c_moved] =
            std::array::from_fn(|_| vec![T::zero(); sequences * w]);
        let zeros = vec![T::zero(); w];
        for t in (0..self.steps).rev() {
            self.copy_step(delta, t, &mut at_h);
            self.copy_step(delta_tangent, t, &mut at_h_moved);
            if t + 1 < self.steps {
                self.add_back(run.weight, dz, t + 1, &mut at_h);
                self.add_back(run.weight, at_input, t + 1, &mut at_h_moved);
                if let Some(own) = along.weight {
                    self.add_back(own, dz, t + 1, &mut at_h_moved);
                }
            }
            for sequence in 0..sequences {
                let place = sequence * self.steps + t;
                let (mut before, mut before_moved) = (&zeros[..], &zeros[..]);
                if t > 0 {
                    let start = (place - 1) * row + 4 * w;
                    before = &run.kept[start..][..w];
                    before_moved = &moved.kept[start..][..w];
                }
                let own = sequence * w..(sequence + 1) * w;
                let point = (before, &run.kept[place * row..][..row]);
                let along = (before_moved, &moved.kept[place * row..][..row]);
                let at_h = (&at_h[own.clone()], &at_h_moved[own.clone()]);
                let at_c = (&mut at_c[own.clone()], &mut at_c_moved[own]);
                step_second(point, along, at_h, at_c, &mut at_input[place * 4 * w..][..4 * w]);
            }
        }
    }

    /// `h` of the step before: what `U` is multiplied by.
    pub(crate) fn before<T: Real>(&self, output: &[T]) -> Vec<T> {
        let mut before = vec![T::zero(); output.len()];
        let length = self.steps * self.width;
        for (to, from) in before.chunks_exact_mut(length).zip(output.chunks_exact(length)) {
            to[self.width..].copy_from_slice(&from[..length - self.width]);
        }
        before
    }

    fn matrix<'a, T>(&self, weight: &'a [T]) -> ArrayView2<'a, T> {
        ArrayView2::from_shape((4 * self.width, self.width), weight).expect("four gates")
    }

    /// The first `columns` of `row` numbers at step `t` of every sequence.
    fn step<'a, T>(
        &self,
        values: &'a [T],
        row: usize,
        t: usize,
        columns: usize,
    ) -> ArrayView2<'a, T> {
        let shape = (values.len() / (self.steps * row), columns).strides((self.steps * row, 1));
        ArrayView2::from_shape(shape, &values[t * row..]).expect("a step lies in its sequence")
    }

    fn gates_mut<'a, T>(&self, values: &'a mut [T], row: usize, t: usize) -> ArrayViewMut2<'a, T> {
        let sequences = values.len() / (self.steps * row);
        let shape = (sequences, 4 * self.width).strides((self.steps * row, 1));
        ArrayViewMut2::from_shape(shape, &mut values[t * row..]).expect("gates lie in their step")
    }

    /// `(sequences, steps, w) -> (sequences, w)`
    fn copy_step<T: Real>(&self, values: &[T], t: usize, to: &mut [T]) {
        let w = self.width;
        let sequences = values.chunks_exact(self.steps * w);
        for (to, sequence) in to.chunks_exact_mut(w).zip(sequences) {
            to.copy_from_slice(&sequence[t * w..][..w]);
        }
    }

    /// Adds what step `t` sends back to the one before it.
    fn add_back<T: Real>(&self, weight: &[T], gates: &[T], t: usize, at_h: &mut [T]) {
        let w = self.width;
        let gates = self.step(gates, 4 * w, t, 4 * w);
        let to = ArrayViewMut2::from_shape((at_h.len() / w, w), at_h).expect("one row a sequence");
        // (sequences, 4 w) x (4 w, w) -> (sequences, w)
        math::matmul_into(to, T::one(), gates, self.matrix(weight), T::one());
    }
}

/// One step of one sequence: `kept` comes with `z` in its first four parts.
fn step_forward<T: Real>(before: &[T], kept: &mut [T], output: &mut [T]) {
    let w = output.len();
    // sigma(z) = (1 + tanh(z / 2)) / 2
    let is_gate = |part: usize| part != 2;
    for (part, values) in kept[..4 * w].chunks_exact_mut(w).enumerate() {
        if is_gate(part) {
            values.iter_mut().for_each(|z| *z *= T::HALF);
        }
    }
    T::tanh_in_place(&mut kept[..4 * w]);
    for (part, values) in kept[..4 * w].chunks_exact_mut(w).enumerate() {
        if is_gate(part) {
            values.iter_mut().for_each(|y| *y = T::HALF * (T::one() + *y));
        }
    }
    for u in 0..w {
        let c = kept[w + u] * before[u] + kept[u] * kept[2 * w + u];
        (kept[4 * w + u], kept[5 * w + u]) = (c, c);
    }
    T::tanh_in_place(&mut kept[5 * w..]);
    for u in 0..w {
        output[u] = kept[3 * w + u] * kept[5 * w + u];
    }
}

/// The gates, `c` and `tanh(c)` of one step.
#[inline(always)]
fn parts<T>(kept: &[T], w: usize) -> [&[T]; KEPT] {
    std::array::from_fn(|part| &kept[part * w..][..w])
}

/// `at_c` comes with what the next step sends back, and leaves with what this one does.
fn step_backward<T: Real>(
    (before, kept): (&[T], &[T]),
    at_h: &[T],
    at_c: &mut [T],
    gates: &mut [T],
) {
    let (w, one) = (at_h.len(), T::one());
    vectorized(
        #[inline(always)]
        move || {
            let [i, f, g, o, _, tanh] = parts(kept, w);
            let (at_i, rest) = gates.split_at_mut(w);
            let (at_f, rest) = rest.split_at_mut(w);
            let (at_g, at_o) = rest.split_at_mut(w);
            for u in 0..w {
                let dc = at_c[u] + at_h[u] * o[u] * (one - tanh[u] * tanh[u]);
                at_i[u] = dc * g[u] * i[u] * (one - i[u]);
                at_f[u] = dc * before[u] * f[u] * (one - f[u]);
                at_g[u] = dc * i[u] * (one - g[u] * g[u]);
                at_o[u] = at_h[u] * tanh[u] * o[u] * (one - o[u]);
                at_c[u] = f[u] * dc;
            }
        },
    );
}

/// `moved` comes with the tangents of `z` and leaves with those of all that is kept.
fn step_tangent<T: Real>(
    (before, kept): (&[T], &[T]),
    before_moved: &[T],
    moved: &mut [T],
    output: &mut [T],
) {
    let (w, one) = (output.len(), T::one());
    vectorized(
        #[inline(always)]
        move || {
            let [i, f, g, o, _, tanh] = parts(kept, w);
            for u in 0..w {
                let di = moved[u] * i[u] * (one - i[u]);
                let df = moved[w + u] * f[u] * (one - f[u]);
                let dg = moved[2 * w + u] * (one - g[u] * g[u]);
                let d_o = moved[3 * w + u] * o[u] * (one - o[u]);
                let dc = df * before[u] + f[u] * before_moved[u] + di * g[u] + i[u] * dg;
                let dtanh = (one - tanh[u] * tanh[u]) * dc;
                output[u] = d_o * tanh[u] + o[u] * dtanh;
                for (part, value) in [di, df, dg, d_o, dc, dtanh].into_iter().enumerate() {
                    moved[part * w + u] = value;
                }
            }
        },
    );
}

/// The derivative of [`step_backward`]: every product of it, one factor moved at a time.
fn step_second<T: Real>(
    (before, kept): (&[T], &[T]),
    (before_moved, moved): (&[T], &[T]),
    (at_h, at_h_moved): (&[T], &[T]),
    (at_c, at_c_moved): (&mut [T], &mut [T]),
    gates: &mut [T],
) {
    let (w, one) = (at_h.len(), T::one());
    let two = one + one;
    vectorized(
        #[inline(always)]
        move || {
            let [i, f, g, o, _, tanh] = parts(kept, w);
            let [di, df, dg, d_o, _, dtanh] = parts(moved, w);
            for u in 0..w {
                let slope = one - tanh[u] * tanh[u];
                let c = at_c[u] + at_h[u] * o[u] * slope;
                let dc = at_c_moved[u]
                    + at_h_moved[u] * o[u] * slope
                    + at_h[u] * (d_o[u] * slope - two * o[u] * tanh[u] * dtanh[u]);
                let (slope_i, slope_f) = (i[u] * (one - i[u]), f[u] * (one - f[u]));
                let (slope_g, slope_o) = (one - g[u] * g[u], o[u] * (one - o[u]));
                gates[u] =
                    (dc * g[u] + c * dg[u]) * slope_i + c * g[u] * (one - two * i[u]) * di[u];
                gates[w + u] = (dc * before[u] + c * before_moved[u]) * slope_f
                    + c * before[u] * (one - two * f[u]) * df[u];
                gates[2 * w + u] =
                    (dc * i[u] + c * di[u]) * slope_g - two * c * i[u] * g[u] * dg[u];
                gates[3 * w + u] = (at_h_moved[u] * tanh[u] + at_h[u] * dtanh[u]) * slope_o
                    + at_h[u] * tanh[u] * (one - two * o[u]) * d_o[u];
                at_c_moved[u] = df[u] * c + f[u] * dc;
                at_c[u] = f[u] * c;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::Lstm;

    #[test]
    fn two_steps_by_hand() {
        // One unit with U = 0 but for the cell's gate, 1. Gates of 0 are 1/2, so with x_c = 1 and
        // then 0: c_1 = tanh(1) / 2, h_1 = tanh(c_1) / 2; c_2 = c_1 / 2 + tanh(h_1) / 2.
        let lstm = Lstm { steps: 2, width: 1 };
        let (weight, input) = ([0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let (mut kept, mut output) = ([0.0; 12], [0.0; 2]);
        lstm.forward(&weight, &input, &mut kept, &mut output);
        let c1 = 1f64.tanh() / 2.0;
        let h1 = c1.tanh() / 2.0;
        let c2 = c1 / 2.0 + h1.tanh() / 2.0;
        assert!((output[0] - h1).abs() < 1e-15);
        assert!((output[1] - c2.tanh() / 2.0).abs() < 1e-15);
        assert_eq!(lstm.before(&output), [0.0, output[0]]);
    }
}
