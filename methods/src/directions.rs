//! Products of per-example gradients with directions in the space of parameters.
//!
//! A dense layer's gradient at one position is `delta a^T`, so that its product with a direction
//! `X` is `delta . (X a)`: the images `X a` of all directions are one matrix product, and no
//! gradient is formed. Elsewhere the gradients of some examples at a time are.

use attribench_core::{Block, Captures, LayerCapture, Layout, Real, math, vector::vectorized};
use ndarray::{Array1, Array2, ArrayView2, s};

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
    /// A dense layer at one position: weights below each other, `(k out, in)`, and biases,
    /// `(k, out)`, where the layer has them.
    Layer { index: usize, weights: Array2<T>, biases: Option<Array2<T>> },
    /// Any other, `(k, p_l)`.
    Flat(Array2<T>),
}

impl<T: Real> Directions<T> {
    /// Takes directions `x` of the parameters in `layout`, `(k, p)`.
    pub(crate) fn new(layout: &Layout, x: ArrayView2<'_, f64>) -> Self {
        Self::by_blocks(layout, x.nrows(), |block| {
            x.slice(s![.., block.range.clone()]).mapv(T::from_f64)
        })
    }

    /// The gradients `b`, coordinate by coordinate over `divisors`, `p`.
    pub(crate) fn divided(b: &Captures<T>, layout: &Layout, divisors: &[f64]) -> Self {
        Self::by_blocks(layout, b.len(), |block| {
            let factors = divisors[block.range.clone()].iter().map(|by| T::from_f64(1.0 / by));
            let factors: Array1<T> = factors.collect();
            let mut x = Array2::zeros((b.len(), factors.len()));
            pair::for_each_chunk(b, layout, block, |start, gradients| {
                let mut rows = x.slice_mut(s![start..start + gradients.nrows(), ..]);
                rows.assign(&gradients);
                rows *= &factors;
            });
            x
        })
    }

    /// `count` directions, of which `share` gives what belongs to a block, `(k, p_l)`.
    fn by_blocks(layout: &Layout, count: usize, share: impl Fn(&Block) -> Array2<T>) -> Self {
        let part = |block: &Block| Part::new(layout, block, share(block));
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
                    add_images(g, weights.view(), &mut sum);
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
    /// Takes the directions' share `x` of a block, `(k, p_l)`.
    fn new(layout: &Layout, block: &Block, x: Array2<T>) -> Self {
        let Some(index) = pair::single_layer(layout, block) else { return Self::Flat(x) };
        let layer = &layout.layers()[index];
        let (numbers, k) = (layer.inputs * layer.outputs, x.nrows());
        let biases = layer.has_bias().then(|| x.slice(s![.., numbers..]).to_owned());
        // Without a bias the rows lie as they should already.
        let weights = if biases.is_some() { x.slice(s![.., ..numbers]).to_owned() } else { x };
        let weights = if weights.is_standard_layout() {
            weights
        } else {
            weights.as_standard_layout().into_owned()
        };
        let weights = weights
            .into_shape_with_order((k * layer.outputs, layer.inputs))
            .expect("a layer's weight is outputs by inputs");
        Self::Layer { index, weights, biases }
    }
}

/// `sum[i, k] += delta_i . (W_k a_i)` of one layer, with the weights below each other.
fn add_images<T: Real>(g: &LayerCapture<T>, weights: ArrayView2<'_, T>, sum: &mut Array2<f64>) {
    let (outputs, k) = (g.output_gradients.ncols(), sum.ncols());
    let values = g.inputs.values().expect("dense layers read numbers");
    let chunk = (IMAGE_COLUMNS / outputs).clamp(1, k.max(1));
    let mut images = Array2::zeros((values.nrows(), chunk * outputs));
    for start in (0..k).step_by(chunk) {
        let end = k.min(start + chunk);
        let mut images = images.slice_mut(s![.., ..(end - start) * outputs]);
        let weights = weights.slice(s![start * outputs..end * outputs, ..]);
        // (n, in) x (in, k out) -> (n, k out)
        math::matmul_into(images.view_mut(), T::zero(), values, weights.t(), T::one());
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
