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

use crate::{pair, turn::Turn};

/// Numbers that gradients that are formed once for many products may hold.
const FORMED_NUMBERS: usize = 1 << 24;

/// Most bytes of gradients of `queries` queries that are formed once for many products.
pub(crate) fn formed_bytes(queries: usize, parameters: usize, number: usize) -> u64 {
    (FORMED_NUMBERS.min(queries * parameters) * number) as u64
}

/// Numbers in the widest vector of a processor: products whose width is a multiple read them as
/// they lie.
const VECTOR: usize = 16;

/// Columns of one product with layer-shaped directions: its images stay near the processor.
const IMAGE_COLUMNS: usize = 512;

/// Directions that many gradients are multiplied by, laid out for that.
pub(crate) struct Directions<T> {
    layout: Layout,
    count: usize,
    /// One for each block of the layout.
    parts: Vec<Part<T>>,
    /// What parts that are captured read.
    captured: Vec<LayerCapture<T>>,
}

/// What the directions hold of one block.
enum Part<T> {
    /// A dense layer at one position: weights of some directions at a time, side by side and
    /// turned, `(in, chunk out)`, as products read them fastest; and biases, `(k, out)`, where the
    /// layer has them.
    Layer { index: usize, weights: Vec<Array2<T>>, biases: Option<Array2<T>> },
    /// Any other, `(p_l, k)`, with columns of 0 up to whole vectors of the processor.
    Flat(Array2<T>),
    /// Gradients that are not formed.
    Captured,
    /// All 0.
    Zero,
}

impl<T: Real> Directions<T> {
    /// Takes directions `x` of the parameters in `layout`, `(k, p)`.
    pub(crate) fn new(layout: &Layout, x: ArrayView2<'_, f64>) -> Self {
        let part = |block: &Block| Part::new(layout, block, x.slice(s![.., block.range.clone()]));
        Self::of(layout, x.nrows(), part)
    }

    /// The gradients `b` themselves, for products with those of `examples` examples: formed where
    /// that is cheaper and they are few.
    pub(crate) fn gradients(b: Captures<T>, layout: &Layout, examples: usize) -> Self {
        let formed = |block: &&Block| pair::is_cheaper_formed(&b.layers, layout, block, examples);
        let numbers: usize =
            layout.blocks().iter().filter(formed).map(|block| b.len() * block.range.len()).sum();
        let part = |block: &Block| {
            if numbers > FORMED_NUMBERS || !formed(&block) {
                return Part::Captured;
            }
            Part::flat(formed_gradients(&b, layout, block).view())
        };
        let directions = Self::of(layout, b.len(), part);
        Self { captured: b.layers, ..directions }
    }

    /// The gradients `b`, coordinate by coordinate over `divisors`, `p`.
    pub(crate) fn divided(b: &Captures<T>, layout: &Layout, divisors: &[f64]) -> Self {
        let part = |block: &Block| {
            let factors = inverses(&divisors[block.range.clone()]);
            if let Some(index) = pair::single_layer(layout, block) {
                return Part::divided(&b.layers[index], index, &layout.layers()[index], factors);
            }
            Part::flat((formed_gradients(b, layout, block) * &factors).view())
        };
        Self::of(layout, b.len(), part)
    }

    /// The same of gradients `b` mapped by `turn`, mapped back by its transpose to the parameters
    /// in `layout`: `g_i . x_k` of gradients `g` that are not mapped are the products of
    /// [`Self::divided`] with mapped ones.
    pub(crate) fn divided_and_turned_back(
        b: &Captures<T>,
        turn: &Turn<T>,
        layout: &Layout,
        divisors: &[f64],
    ) -> Self {
        let part = |block: &Block| {
            let [index] = block.layers[..] else { return Part::Zero };
            let Some(place) = turn.place_of(index) else { return Part::Zero };
            let image = &turn.layout.blocks()[place];
            let factors = inverses(&divisors[image.range.clone()]);
            let x = formed_gradients(b, &turn.layout, image) * &factors;
            let x = turn.turned_back(place, x.view(), &layout.layers()[index]);
            Part::new(layout, block, x.view())
        };
        Self::of(layout, b.len(), part)
    }

    fn of(layout: &Layout, count: usize, part: impl Fn(&Block) -> Part<T>) -> Self {
        let parts = layout.blocks().iter().map(part).collect();
        Self { layout: layout.clone(), count, parts, captured: Vec::new() }
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
                        let products = math::matmul(gradients, x.view());
                        let mut rows = sum.slice_mut(s![start..start + products.nrows(), ..]);
                        let products = products.slice(s![.., ..rows.ncols()]);
                        rows.zip_mut_with(&products, |sum, product| *sum += product.to_f64());
                    });
                }
                Part::Captured => {
                    pair::add_block_products(g, &self.captured, &self.layout, block, &mut sum);
                }
                Part::Zero => {}
            }
        }
        sum
    }
}

/// `1 / divisors` in `T`.
fn inverses<T: Real>(divisors: &[f64]) -> Array1<T> {
    divisors.iter().map(|by| T::from_f64(1.0 / by)).collect()
}

/// All gradients of one block, `(n, p_l)`.
fn formed_gradients<T: Real>(b: &Captures<T>, layout: &Layout, block: &Block) -> Array2<T> {
    let mut x = Array2::zeros((b.len(), block.range.len()));
    pair::for_each_chunk(b, layout, block, |start, gradients| {
        x.slice_mut(s![start..start + gradients.nrows(), ..]).assign(&gradients);
    });
    x
}

impl<T: Real> Part<T> {
    /// Takes the directions' share `x` of a block, `(k, p_l)`.
    fn new<S: Real>(layout: &Layout, block: &Block, x: ArrayView2<'_, S>) -> Self {
        let narrow = |value: &S| T::from_f64(value.to_f64());
        let Some(index) = pair::single_layer(layout, block) else {
            return Self::flat(x);
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
        let biases = layer.has_bias().then(|| x.slice(s![.., inputs * outputs..]).map(narrow));
        Self::Layer { index, weights, biases }
    }

    /// Takes directions that stay what they are, `(k, p_l)`.
    fn flat<S: Real>(x: ArrayView2<'_, S>) -> Self {
        let mut turned = Array2::zeros((x.ncols(), x.nrows().next_multiple_of(VECTOR)));
        assign_turned(turned.slice_mut(s![.., ..x.nrows()]), x);
        Self::Flat(turned)
    }

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
fn assign_turned<T: Real, S: Real>(mut turned: ArrayViewMut2<'_, T>, weight: ArrayView2<'_, S>) {
    const SIDE: usize = 32;
    for (mut turned, weight) in
        turned.axis_chunks_iter_mut(Axis(0), SIDE).zip(weight.axis_chunks_iter(Axis(1), SIDE))
    {
        for (mut turned, weight) in
            turned.axis_chunks_iter_mut(Axis(1), SIDE).zip(weight.axis_chunks_iter(Axis(0), SIDE))
        {
            turned.zip_mut_with(&weight.t(), |to, value| *to = T::from_f64(value.to_f64()));
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
