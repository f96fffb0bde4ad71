//! Products with per-example gradients, read off layer captures.
//!
//! A dense layer's gradient is the outer product `delta (a, 1)^T` of its output gradient and its
//! extended input, so products with it need the two vectors and never the matrix.

use attribench_core::{Captures, Examples, Layout, ModelAt, Quantity, Queries, Real, math};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

/// Training rows captured at a time: enough for fast products, few enough to stay in cache.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Columns of one product with layer-shaped directions.
const DIRECTION_COLUMNS: usize = 512;

/// Captures of the training loss in blocks of rows, with the first row of each.
pub(crate) fn train_captures<'a, T: Real>(
    model: ModelAt<'a, T>,
    train: &'a Examples<T>,
) -> impl Iterator<Item = (usize, Captures<T>)> + 'a {
    train
        .blocks(BLOCK_ROWS)
        .map(move |(start, block)| (start, model.captures(&block, Quantity::Loss)))
}

/// Captures of the descent gradients `b_q` of the queries.
pub(crate) fn query_captures<T: Real>(model: ModelAt<'_, T>, queries: &Queries<T>) -> Captures<T> {
    model.captures(&queries.examples, Quantity::NegativeUtility(queries.utility))
}

/// `g_i . b_q` of all training examples and queries, `(n, q)`.
pub(crate) fn train_query_products<T: Real>(
    model: ModelAt<'_, T>,
    train: &Examples<T>,
    queries: &Queries<T>,
) -> Array2<f64> {
    let b = query_captures(model, queries);
    let mut products = Array2::zeros((train.len(), queries.examples.len()));
    for (start, g) in train_captures(model, train) {
        products.slice_mut(s![start..start + g.len(), ..]).assign(&gradient_products(&g, &b));
    }
    products
}

/// `sum_l (a_i . a_q + 1) (delta_i . delta_q)` over the layers `l`, `(n, q)`.
///
/// The products run in `T`; layers are summed in `f64`.
pub(crate) fn gradient_products<T: Real>(g: &Captures<T>, b: &Captures<T>) -> Array2<f64> {
    let mut sum = Array2::zeros((g.len(), b.len()));
    for (g, b) in g.layers.iter().zip(&b.layers) {
        // (n, inputs) x (inputs, q) and (n, outputs) x (outputs, q), both -> (n, q)
        let inputs = math::matmul(g.inputs.view(), b.inputs.t());
        let outputs = math::matmul(g.output_gradients.view(), b.output_gradients.t());
        ndarray::Zip::from(&mut sum).and(&inputs).and(&outputs).for_each(
            |sum: &mut f64, &inputs, &outputs| {
                *sum += (inputs.to_f64() + 1.0) * outputs.to_f64();
            },
        );
    }
    sum
}

/// Squared norm of every gradient, `n`.
pub(crate) fn squared_norms<T: Real>(g: &Captures<T>) -> Vec<f64> {
    let mut sums = vec![0.0; g.len()];
    for layer in 0..g.layers.len() {
        for (sum, norm) in sums.iter_mut().zip(layer_squared_norms(g, layer)) {
            *sum += norm;
        }
    }
    sums
}

/// Squared norm of every gradient's part in one layer, `(|a|^2 + 1) |delta|^2`, `n`.
pub(crate) fn layer_squared_norms<T: Real>(g: &Captures<T>, layer: usize) -> Vec<f64> {
    let layer = &g.layers[layer];
    let square = |row: ndarray::ArrayView1<'_, T>| -> f64 {
        row.iter().map(|value| value.to_f64() * value.to_f64()).sum()
    };
    layer
        .inputs
        .outer_iter()
        .zip(layer.output_gradients.outer_iter())
        .map(|(a, delta)| (square(a) + 1.0) * square(delta))
        .collect()
}

/// `g_i . x_k` for directions `x`, `(k, p) -> (n, k)`.
///
/// The products run in `T`; outputs and layers are summed in `f64`.
pub(crate) fn directional_products<T: Real>(
    g: &Captures<T>,
    layout: &Layout,
    x: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let (n, k) = (g.len(), x.nrows());
    let mut sum = Array2::zeros((n, k));
    for (layer, g) in layout.layers().iter().zip(&g.layers) {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let chunk = (DIRECTION_COLUMNS / outputs).max(1);
        for start in (0..k).step_by(chunk) {
            let width = chunk.min(k - start);
            let chosen = x.slice(s![start..start + width, ..]);
            let weight = chosen
                .slice(s![.., layer.weight_offset..layer.weight_offset + outputs * inputs])
                .as_standard_layout()
                .mapv(T::from_f64)
                .into_shape_with_order((width * outputs, inputs))
                .expect("a layer's weight is outputs by inputs");
            // (n, inputs) x (inputs, width * outputs) -> (n, width * outputs)
            let images = math::matmul(g.inputs.view(), weight.t());
            for i in 0..n {
                let delta = g.output_gradients.row(i);
                for direction in 0..width {
                    let bias =
                        chosen.slice(s![direction, layer.bias_offset..layer.bias_offset + outputs]);
                    let image = images.slice(s![i, direction * outputs..(direction + 1) * outputs]);
                    let product: f64 = (0..outputs)
                        .map(|o| (image[o].to_f64() + bias[o]) * delta[o].to_f64())
                        .sum();
                    sum[(i, start + direction)] += product;
                }
            }
        }
    }
    sum
}

/// `into += scale * gradients`, both `(n, p)`.
pub(crate) fn add_gradients<T: Real>(
    g: &Captures<T>,
    layout: &Layout,
    scale: f64,
    mut into: ArrayViewMut2<'_, f64>,
) {
    for (layer, g) in layout.layers().iter().zip(&g.layers) {
        for (i, mut row) in into.axis_iter_mut(Axis(0)).enumerate() {
            let row = row.as_slice_mut().expect("gradients in standard layout");
            let a = g.inputs.row(i);
            for (o, &delta) in g.output_gradients.row(i).iter().enumerate() {
                let delta = scale * delta.to_f64();
                let start = layer.weight_offset + o * layer.inputs;
                for (to, a) in row[start..start + layer.inputs].iter_mut().zip(&a) {
                    *to += delta * a.to_f64();
                }
                row[layer.bias_offset + o] += delta;
            }
        }
    }
}

/// The gradients themselves, `(n, p)` in `f64`; for few examples.
pub(crate) fn gradients<T: Real>(g: &Captures<T>, layout: &Layout) -> Array2<f64> {
    let mut gradients = Array2::zeros((g.len(), layout.parameters()));
    add_gradients(g, layout, 1.0, gradients.view_mut());
    gradients
}
