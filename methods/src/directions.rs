//! Products of per-example gradients with directions in the space of parameters.
//!
//! A dense layer's gradient at one position is `delta a^T`, so that its product with a direction
//! `X` is `delta . (X a)`: the images `X a` of all directions are one matrix product, and no
//! gradient is formed. Elsewhere the gradients of some examples at a time are.

use std::ops::Range;

use attribench_core::{
    Block, Captures, Layer, LayerCapture, Layout, Real, math, vector::vectorized,
};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};

use crate::pair;

/// Columns of one product with layer-shaped directions: its images stay near the processor.
const IMAGE_COLUMNS: usize = 512;

/// Directions that many gradients are multiplied by, laid out for that.
pub(crate) struct Directions<T> {
    layout: Layout,
    count: usize,
    /// One for each block of the layout.
    parts: Vec<Part<T>>,
}

/// What the directions hold of one block.
enum Part<T> {
    /// A dense layer at one position: weights of some directions at a time, side by side and
    /// turned, `(in, chunk out)`, as products read them fastest; and biases, `(k, out)`, where the
    /// layer has them.
    Layer { index: usize, weights: Vec<Array2<T>>, biases: Option<Array2<T>> },
    /// Any other, `(k, p_l)`.
    Flat(Array2<T>),
}

impl<T: Real> Directions<T> {
    /// Takes directions `x` of the parameters in `layout`, `(k, p)`.
    pub(crate) fn new(layout: &Layout, x: ArrayView2<'_, f64>) -> Self {
        let part = |block: &Block| {
            let x = x.slice(s![.., block.range.clone()]);
            let Some(index) = pair::single_layer(layout, block) else {
                return Part::Flat(x.mapv(T::from_f64));
            };
            let layer = &layout.layers()[index];
            let (inputs, outputs) = (layer.inputs, layer.outputs);
            let turned = |range: Range<usize>| {
                let mut turned = Array2::zeros((inputs, range.len() * outputs));
                for (place, direction) in range.enumerate() {
                    let weight = x.slice(s![direction, ..inputs * outputs]);
                    let weight = weight.to_shape((outputs, inputs)).expect("outputs by inputs");
                    let columns = place * outputs..(place + 1) * outputs;
                    assign_turned(turned.slice_mut(s![.., columns]), weight.view());
                }
                turned
            };
            let weights = chunks(x.nrows(), outputs).map(turned).collect();
            let biases = layer.has_bias().then(|| x.slice(s![.., inputs * outputs..]));
            Part::Layer { index, weights, biases: biases.map(|biases| biases.mapv(T::from_f64)) }
        };
        Self::of(layout, x.nrows(), part)
    }

    /// The gradients `b`, coordinate by coordinate over `divisors`, `p`.
    pub(crate) fn divided(b: &Captures<T>, layout: &Layout, divisors: &[f64]) -> Self {
        let part = |block: &Block| {
            let factors = divisors[block.range.clone()].iter().map(|by| T::from_f64(1.0 / by));
            let factors: Array1<T> = factors.collect();
            if let Some(index) = pair::single_layer(layout, block) {
                return Part::divided(&b.layers[index], index, &layout.layers()[index], factors);
            }
            let mut x = Array2::zeros((b.len(), factors.len()));
            pair::for_each_chunk(b, layout, block, |start, gradients| {
                let mut rows = x.slice_mut(s![start..start + gradients.nrows(), ..]);
                rows.assign(&gradients);
                rows *= &factors;
            });
            Part::Flat(x)
        };
        Self::of(layout, b.len(), part)
    }

    fn of(layout: &Layout, count: usize, part: impl Fn(&Block) -> Part<T>) -> Self {
        let parts = layout.blocks().iter().map(part).collect();
        Self { layout: layout.clone(), count, parts }
    }

    /// `g_i . x_k`, `(n, k)`.
    ///
    /// The products run in `T`; outputs and layers are summed in `f64`.
    pub(crate) fn products(&self, g: &Captures<T>) -> Array2<f64> {
        self.products_of(&g.layers)
    }

    /// [`Self::products`] of layers that the layout describes by themselves.
    pub(crate) fn products_of(&self, g: &[LayerCapture<T>]) -> Array2<f64> {
        let mut sum = Array2::zeros((pair::examples_of(g), self.count));
        for (part, block) in self.parts.iter().zip(self.layout.blocks()) {
            match part {
                Part::Layer { index, weights, biases } => {
                    let g = &g[*index];
                    add_images(g, weights, &mut sum);
                    if let Some(biases) = biases {
                        // (n, out) x (out, k) -> (n, k)
                        let products = math::matmul(g.output_gradients.view(), biases.t());
                        sum.zip_mut_with(&products, |sum, product| *sum += product.to_f64());
                    }
                }
                Part::Flat(x) => {
                    pair::for_each_chunk_of(g, &self.layout, block, |start, gradients| {
                        // (m, p_l) x (p_l, k) -> (m, k)
                        let products = math::matmul(gradients, x.t());
                        let mut rows = sum.slice_mut(s![start..start + products.nrows(), ..]);
                        rows.zip_mut_with(&products, |sum, product| *sum += product.to_f64());
                    });
                }
            }
        }
        sum
    }
}

impl<T: Real> Part<T> {
    /// Gradients of a dense layer at one position, coordinate by coordinate times `factors`, `p_l`.
    fn divided(b: &LayerCapture<T>, index: usize, layer: &Layer, factors: Array1<T>) -> Self {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let (of_weights, of_biases) = factors.view().split_at(Axis(0), inputs * outputs);
        let mut turned_factors = Array2::zeros((inputs, outputs));
        let of_weights = of_weights.to_shape((outputs, inputs)).expect("outputs by inputs");
        turned_factors.assign(&of_weights.t());
        let a = b.inputs.values().expect("dense layers read numbers");
        let delta = &b.output_gradients;
        let turned = |range: Range<usize>| {
            let mut turned = Array2::zeros((inputs, range.len() * outputs));
            let rows = turned.outer_iter_mut().zip(turned_factors.outer_iter());
            for (input, (mut row, factors)) in rows.enumerate() {
                let row = row.as_slice_mut().expect("a row in standard layout");
                let factors = factors.to_slice().expect("a row in standard layout");
                vectorized(
                    #[inline(always)]
                    || {
                        for (part, query) in row.chunks_exact_mut(outputs).zip(range.clone()) {
                            let a = a[(query, input)];
                            let delta = delta.row(query);
                            for ((to, &factor), &delta) in part.iter_mut().zip(factors).zip(delta) {
                                *to = a * delta * factor;
                            }
                        }
                    },
                );
            }
            turned
        };
        let weights = chunks(delta.nrows(), outputs).map(turned).collect();
        let biases = layer.has_bias().then(|| delta * &of_biases);
        Self::Layer { index, weights, biases }
    }
}

/// Directions whose images are one product, as ranges of all `k`.
fn chunks(k: usize, outputs: usize) -> impl Iterator<Item = Range<usize>> {
    let chunk = (IMAGE_COLUMNS / outputs).max(1);
    (0..k).step_by(chunk).map(move |start| start..k.min(start + chunk))
}

/// `turned = weight^T` in `T`, in squares that stay near the processor.
fn assign_turned<T: Real>(mut turned: ArrayViewMut2<'_, T>, weight: ArrayView2<'_, f64>) {
    const SIDE: usize = 32;
    for (mut turned, weight) in
        turned.axis_chunks_iter_mut(Axis(0), SIDE).zip(weight.axis_chunks_iter(Axis(1), SIDE))
    {
        for (mut turned, weight) in
            turned.axis_chunks_iter_mut(Axis(1), SIDE).zip(weight.axis_chunks_iter(Axis(0), SIDE))
        {
            turned.zip_mut_with(&weight.t(), |to, &value| *to = T::from_f64(value));
        }
    }
}

/// `sum[i, k] += delta_i . (W_k a_i)` of one layer, with the weights of [`Part::Layer`].
fn add_images<T: Real>(g: &LayerCapture<T>, weights: &[Array2<T>], sum: &mut Array2<f64>) {
    let outputs = g.output_gradients.ncols();
    let values = g.inputs.values().expect("dense layers read numbers");
    let widest = weights.iter().map(Array2::ncols).max().unwrap_or(0);
    let mut images = Array2::zeros((values.nrows(), widest));
    let mut start = 0;
    for weights in weights {
        let mut images = images.slice_mut(s![.., ..weights.ncols()]);
        // (n, in) x (in, k out) -> (n, k out)
        math::matmul_into(images.view_mut(), T::zero(), values, weights.view(), T::one());
        let end = start + weights.ncols() / outputs;
        let rows = images.outer_iter().zip(g.output_gradients.outer_iter());
        for ((images, delta), mut sums) in rows.zip(sum.outer_iter_mut()) {
            let images = images.to_slice().expect("a product in standard layout");
            let delta = delta.to_slice().expect("gradients in standard layout");
            let sums = &mut sums.as_slice_mut().expect("sums in standard layout")[start..end];
            vectorized(
                #[inline(always)]
                || {
                    for (sum, image) in sums.iter_mut().zip(images.chunks_exact(outputs)) {
                        *sum += math::dot(image, delta);
                    }
                },
            );
        }
        start = end;
    }
}

/// `g_i . x_k` for directions `x` that are used once, `(k, p) -> (n, k)`.
pub(crate) fn directional_products<T: Real>(
    g: &Captures<T>,
    layout: &Layout,
    x: ArrayView2<'_, f64>,
) -> Array2<f64> {
    Directions::new(layout, x).products(g)
}
