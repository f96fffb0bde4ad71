//! Kronecker factors of the curvature, layer by layer, and the basis in which they are diagonal.
//!
//! A layer's block of the Fisher matrix, `E[vec(delta a^T) vec(delta a^T)^T]`, is near `A (x) S`
//! with the second moments `A` of extended inputs and `S` of output gradients. Both together have
//! the eigenvectors `Q_A (x) Q_S`, so that in gradients turned by `Q_A` and `Q_S` the curvature is
//! diagonal: products of eigenvalues, or second moments of the turned gradients themselves.
//!
//! Inputs are summed over positions and output gradients averaged, so that the product has the
//! scale of an example. Blocks are dense layers with a weight of their own; other parameters are
//! left out, as by the libraries of this field.

use attribench_core::{Captures, Examples, Layer, Layout, MethodError, ModelAt, Real, math};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use rand_chacha::ChaCha8Rng;

use crate::{
    curvature::{Damping, Fisher, for_each_pseudo_gradient},
    eigen::symmetric,
    pair,
    turn::{Sides, Turn, extended_inputs, two_sided_layers},
};

/// A basis of every layer and the factors' eigenvalues in it.
pub(crate) struct Eigenbasis<T> {
    /// Turns gradients to the basis, preconditioned.
    pub(crate) turn: Turn<T>,
    /// The orthogonal maps in `f64`.
    wide: Vec<Sides<f64>>,
    /// Eigenvalues of `S`, then of `A`, of every layer.
    pub(crate) eigenvalues: Vec<(Vec<f64>, Vec<f64>)>,
}

impl<T: Real> Eigenbasis<T> {
    /// One pass over the data.
    pub(crate) fn fit(
        model: ModelAt<'_, T>,
        train: &Examples<T>,
        fisher: Fisher,
        numbers: &mut ChaCha8Rng,
    ) -> Result<Self, MethodError> {
        Self::fit_mean(&[model], train, fisher, None, numbers)
    }

    /// The same for the mean over several parameters of a model, at least one; a pass over the data
    /// each. With the `root` of a preconditioner, `p`, it is a basis of `Q C Q`, `Q = diag(root)`:
    /// in the basis `Q` is the outer product of two vectors by layer, elsewhere what it is.
    pub(crate) fn fit_mean(
        models: &[ModelAt<'_, T>],
        train: &Examples<T>,
        fisher: Fisher,
        root: Option<ArrayView1<'_, f64>>,
        numbers: &mut ChaCha8Rng,
    ) -> Result<Self, MethodError> {
        let layout = models[0].layout();
        let mut factors = Factors::zeros(layout)?;
        for &model in models {
            for_each_pseudo_gradient(model, train, fisher, numbers, |draws| factors.add(draws));
        }
        factors.eigenbasis(layout, models.len() * train.len(), root)
    }

    /// Mean squares of the turned pseudo-gradients, flat; another pass over the data.
    pub(crate) fn second_moments(
        &self,
        model: ModelAt<'_, T>,
        train: &Examples<T>,
        fisher: Fisher,
        numbers: &mut ChaCha8Rng,
    ) -> Vec<f64> {
        let mut sums = vec![0.0; self.turn.layout.parameters()];
        for_each_pseudo_gradient(model, train, fisher, numbers, |draws| {
            add_squares(&self.turn.apply_to_draws(draws), &self.turn.layout, &mut sums);
        });
        sums.iter().map(|sum| sum / train.len() as f64).collect()
    }

    /// Eigenvalues plus weight decay and damping, which is relative to their mean in a layer.
    pub(crate) fn damped(
        &self,
        mut eigenvalues: Vec<f64>,
        gamma: f64,
        damping: Damping,
    ) -> Vec<f64> {
        for block in self.turn.layout.blocks() {
            let values = &mut eigenvalues[block.range.clone()];
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let lambda = damping.relative_to(mean);
            values.iter_mut().for_each(|value| *value += gamma + lambda);
        }
        eigenvalues
    }

    /// Multiplies flat vectors of the model's parameters by `factors` in the basis, `(k, p) -> (k,
    /// p)`; parameters outside of all blocks are multiplied by `other`.
    pub(crate) fn multiply(
        &self,
        layout: &Layout,
        mut x: Array2<f64>,
        factors: &[f64],
        other: impl Fn(usize) -> f64,
    ) -> Array2<f64> {
        let mut covered = vec![false; layout.parameters()];
        for (side, block) in self.wide.iter().zip(self.turn.layout.blocks()) {
            let layer = &layout.layers()[side.layer];
            let (inputs, outputs) = (layer.inputs, layer.outputs);
            let extended = side.inputs.nrows();
            covered[layer.range()].fill(true);
            let factors =
                ArrayView2::from_shape((outputs, extended), &factors[block.range.clone()])
                    .expect("one number for each turned parameter");
            for mut row in x.outer_iter_mut() {
                let v = extended_weight(layer, row.view());
                // (out, out) x (out, in) x (in, in) -> (out, in)
                let turned = math::matmul(side.outputs.t(), v.view());
                let turned = math::matmul(turned.view(), side.inputs.view()) * factors;
                let back = math::matmul(side.outputs.view(), turned.view());
                let back = math::matmul(back.view(), side.inputs.t());
                let weight = back.slice(s![.., ..inputs]).iter().copied().collect::<Array1<f64>>();
                row.slice_mut(s![layer.weight_offset..layer.bias_offset]).assign(&weight);
                if layer.has_bias() {
                    row.slice_mut(s![layer.biases()]).assign(&back.column(inputs));
                }
            }
        }
        for (j, mut column) in x.axis_iter_mut(Axis(1)).enumerate() {
            if !covered[j] {
                column *= other(j);
            }
        }
        x
    }
}

/// Products of every layer's eigenvalues of outputs and of inputs, flat.
pub(crate) fn outer_products(layers: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut flat = Vec::new();
    for (outputs, inputs) in layers {
        for of_outputs in outputs {
            flat.extend(inputs.iter().map(|of_inputs| of_outputs * of_inputs));
        }
    }
    flat
}

/// A layer's weight of flat parameters, with its bias as a last column, `p -> (out, in)`.
fn extended_weight(layer: &Layer, row: ArrayView1<'_, f64>) -> Array2<f64> {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let mut v = Array2::zeros((outputs, extended_inputs(layer)));
    let weight = row.slice(s![layer.weight_offset..layer.bias_offset]);
    let weight = weight.to_shape((outputs, inputs)).expect("a weight is outputs by inputs");
    v.slice_mut(s![.., ..inputs]).assign(&weight);
    if layer.has_bias() {
        v.column_mut(inputs).assign(&row.slice(s![layer.biases()]));
    }
    v
}

/// Vectors `(in, out)` whose outer product is near a layer's `root`: the inverse of the product of
/// the sums of `1 / root` over rows and columns, so that large gradients, which have small roots,
/// count. Exact where the root is an outer product.
fn outer_root(layer: &Layer, root: ArrayView1<'_, f64>) -> (Array1<f64>, Array1<f64>) {
    let divisors = extended_weight(layer, root).mapv_into(|q| 1.0 / q);
    let total = divisors.sum();
    let inputs = divisors.sum_axis(Axis(0)).mapv_into(|sum| total / sum);
    (inputs, divisors.sum_axis(Axis(1)).mapv_into(|sum| 1.0 / sum))
}

/// `x x^T`.
fn outer(x: &Array1<f64>) -> Array2<f64> {
    let column = x.view().insert_axis(Axis(1));
    &column * &x.view().insert_axis(Axis(0))
}

/// Columns of a symmetric product that are formed at once.
const STRIP: usize = 64;

/// Adds `x^T x`, `(m, d) -> (d, d)`, to the lower triangle of `sum`; what is above it is left
/// undefined.
fn add_lower_gram<T: Real>(x: ArrayView2<'_, T>, mut sum: ArrayViewMut2<'_, f64>) {
    for start in (0..x.ncols()).step_by(STRIP) {
        let end = x.ncols().min(start + STRIP);
        // (strip, m) x (m, end) -> (strip, end)
        let products = math::matmul(x.slice(s![.., start..end]).t(), x.slice(s![.., ..end]));
        let mut sum = sum.slice_mut(s![start..end, ..end]);
        sum.zip_mut_with(&products, |sum, product| *sum += product.to_f64());
    }
}

/// Sums of the second moments of both sides of every layer: their lower triangles, which are all
/// that an eigendecomposition reads.
struct Factors {
    layers: Vec<(usize, Array2<f64>, Array2<f64>)>,
}

impl Factors {
    fn zeros(layout: &Layout) -> Result<Self, MethodError> {
        let zeros = |layer: usize| {
            let (inputs, outputs) =
                (extended_inputs(&layout.layers()[layer]), layout.layers()[layer].outputs);
            (layer, Array2::zeros((inputs, inputs)), Array2::zeros((outputs, outputs)))
        };
        let layers: Vec<_> = two_sided_layers(layout).into_iter().map(zeros).collect();
        if layers.is_empty() {
            return Err(MethodError::Unsuitable(
                "the model has no dense layer with a weight of its own\nhint: use influence-cg"
                    .to_owned(),
            ));
        }
        Ok(Self { layers })
    }

    /// Adds pseudo-gradients; inputs are the same in all of them and count once.
    fn add<T: Real>(&mut self, draws: &[Captures<T>]) {
        for (layer, inputs, outputs) in &mut self.layers {
            for draw in draws {
                add_lower_gram(draw.layers[*layer].output_gradients.view(), outputs.view_mut());
            }
            let a = draws[0].layers[*layer].inputs.values().expect("inputs are numbers");
            let width = a.ncols();
            add_lower_gram(a, inputs.slice_mut(s![..width, ..width]));
            if width < inputs.nrows() {
                let mut row = inputs.slice_mut(s![width, ..width]);
                row += &a.mapv(Real::to_f64).sum_axis(Axis(0));
                inputs[(width, width)] += a.nrows() as f64;
            }
        }
    }

    fn eigenbasis<T: Real>(
        self,
        layout: &Layout,
        examples: usize,
        root: Option<ArrayView1<'_, f64>>,
    ) -> Result<Eigenbasis<T>, MethodError> {
        let (mut wide, mut eigenvalues, mut maps) = (Vec::new(), Vec::new(), Vec::new());
        for (index, inputs, outputs) in self.layers {
            let layer = &layout.layers()[index];
            let mut inputs = inputs / examples as f64;
            let mut outputs = outputs / (examples * layer.positions) as f64;
            let scales = root.map(|root| outer_root(layer, root));
            if let Some((of_inputs, of_outputs)) = &scales {
                inputs *= &outer(of_inputs);
                outputs *= &outer(of_outputs);
            }
            let (inputs, outputs) = (symmetric(&inputs)?, symmetric(&outputs)?);
            // Second moments: what is below zero is rounding.
            let kept = |values: Vec<f64>| values.into_iter().map(|value| value.max(0.0)).collect();
            eigenvalues.push((kept(outputs.values), kept(inputs.values)));
            let side = Sides { layer: index, inputs: inputs.vectors, outputs: outputs.vectors };
            let mut map = side.clone();
            if let Some((of_inputs, of_outputs)) = scales {
                map.inputs *= &of_inputs.insert_axis(Axis(1));
                map.outputs *= &of_outputs.insert_axis(Axis(1));
            }
            maps.push(Sides {
                layer: index,
                inputs: map.inputs.mapv(T::from_f64),
                outputs: map.outputs.mapv(T::from_f64),
            });
            wide.push(side);
        }
        Ok(Eigenbasis { turn: Turn::new(maps, layout), wide, eigenvalues })
    }
}

/// Adds the squares of all gradients of draws that share their inputs to `sums`, flat.
fn add_squares<T: Real>(draws: &[Captures<T>], layout: &Layout, sums: &mut [f64]) {
    for block in layout.blocks() {
        let sums = &mut sums[block.range.clone()];
        let layer = block.layers[0];
        if layout.layers()[layer].positions == 1 {
            // The square of an outer product is the outer product of the squares, and the inputs'
            // squares are the same in all draws.
            let square = |value: T| value.to_f64() * value.to_f64();
            let a = draws[0].layers[layer].inputs.values().expect("inputs are numbers");
            let mut delta = draws[0].layers[layer].output_gradients.mapv(square);
            for draw in &draws[1..] {
                let others = &draw.layers[layer].output_gradients;
                delta.zip_mut_with(others, |sum, &value| *sum += square(value));
            }
            // (out, n) x (n, in) -> (out, in)
            let products = math::matmul(delta.t(), a.mapv(square).view());
            sums.iter_mut().zip(&products).for_each(|(sum, product)| *sum += product);
            continue;
        }
        for g in draws {
            pair::for_each_chunk(g, layout, block, |_, gradients| {
                for row in gradients.outer_iter() {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += value.to_f64() * value.to_f64();
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Captures, Inputs, Layer, LayerCapture, Layout};
    use ndarray::array;

    use super::{Factors, add_squares, outer_products};

    /// A layer of two inputs and one output, the gradients (1, 0) and (0, 6) and their factors.
    fn two_gradients() -> (Layout, Captures<f64>, Factors) {
        let mut layout = Layout::default();
        layout.push(Layer::dense_without_bias("only", 2, 1));
        let capture = LayerCapture {
            positions: 1,
            inputs: Inputs::Values(array![[1.0, 0.0], [0.0, 2.0]]),
            output_gradients: array![[1.0], [3.0]],
        };
        let g = Captures { layers: vec![capture] };
        let mut factors = Factors::zeros(&layout).unwrap();
        factors.add(std::slice::from_ref(&g));
        (layout, g, factors)
    }

    #[test]
    fn a_preconditioned_curvature_by_hand() {
        // As below, with gradients multiplied by Q = (1, 3), an outer product: second moments
        // (1, 0) and (0, 18) and factors 4/3 (3/4) and 4 (3/4), whose eigenvalues are 9 times the
        // one and 1 times the other.
        let (layout, g, factors) = two_gradients();
        let root = array![1.0, 3.0];
        let basis = factors.eigenbasis::<f64>(&layout, 2, Some(root.view())).unwrap();
        for (found, expected) in outer_products(&basis.eigenvalues).iter().zip([90.0, 2.5]) {
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
        let mut sums = vec![0.0; 2];
        add_squares(&basis.turn.apply_to_draws(&[g]), &basis.turn.layout, &mut sums);
        for (found, expected) in sums.iter().zip([324.0, 1.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
        // Directions are turned by the orthogonal maps alone.
        let same = basis.multiply(&layout, array![[5.0, 7.0]], &[1.0, 1.0], |_| 1.0);
        assert_eq!(same, array![[5.0, 7.0]]);
    }

    #[test]
    fn factors_and_corrected_eigenvalues_by_hand() {
        // Inputs (1, 0) and (0, 2), output gradients 1 and 3: A = diag(0.5, 2), S = 5, K-FAC's
        // eigenvalues 2.5 and 10, and the mean squares of the gradients (1, 0) and (0, 6) are
        // (0.5, 18). The largest eigenvalue stands first.
        let (layout, g, factors) = two_gradients();
        let basis = factors.eigenbasis::<f64>(&layout, 2, None).unwrap();
        assert_eq!(outer_products(&basis.eigenvalues), [10.0, 2.5]);
        let mut sums = vec![0.0; 2];
        add_squares(&basis.turn.apply_to_draws(&[g]), &basis.turn.layout, &mut sums);
        assert_eq!(sums, [36.0, 1.0]);
        // lambda = 0.1 mean(18, 0.5) = 0.925 solves b = (1, 1): 1 / 1.425 and 1 / 18.925; with
        // K-FAC's eigenvalues 1 / 3.425 and 1 / 10.925.
        let b = array![[1.0, 1.0]];
        let solve = |damped: [f64; 2]| {
            let inverses = damped.map(|value| 1.0 / value);
            basis.multiply(&layout, b.clone(), &inverses, |_| 1.0)
        };
        let (corrected, products) = (solve([18.925, 1.425]), solve([10.925, 3.425]));
        for (found, expected) in corrected.iter().chain(&products).zip([
            0.701_754_385_965,
            0.052_840_158_520,
            0.291_970_802_920,
            0.091_533_180_778,
        ]) {
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
    }
}
