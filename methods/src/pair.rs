//! Products with per-example gradients, read off layer captures.
//!
//! The gradient of a layer's weight is the sum over an example's positions of the outer products
//! `delta_s a_s^T` of output gradient and input, and the gradient of a block is the sum over the
//! layers that are tied in it. Products with it can be had in two ways, and the cheaper is taken:
//! - ghost products: `sum_{s, s'} (a_s . a'_s' + 1) (delta_s . delta'_s')`, in which no gradient is
//!   formed; always at a single position;
//! - explicit gradients, `out in` numbers for each example, formed for some examples at a time.

use attribench_core::{
    Block, Captures, Examples, Inputs, Layer, LayerCapture, LayerKind, Layout, ModelAt, Quantity,
    Queries, Real, math,
};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

use crate::directions::Directions;

/// Training rows captured at a time: enough for fast products, few enough to stay in cache.
pub(crate) const BLOCK_ROWS: usize = 256;

/// Numbers that the captures of such rows may hold, few enough that their memory is used again.
const CAPTURED_NUMBERS: usize = 1 << 21;

/// Numbers that ghost products or explicit gradients of some examples may hold.
const SCRATCH_NUMBERS: usize = 1 << 22;

/// Training rows captured at a time for a model of this layout.
pub(crate) fn block_rows(layout: &Layout) -> usize {
    (CAPTURED_NUMBERS / layout.captured_numbers().max(1)).clamp(1, BLOCK_ROWS)
}

/// Captures of the training loss in blocks of rows, with the first row of each.
pub(crate) fn train_captures<'a, T: Real>(
    model: ModelAt<'a, T>,
    train: &'a Examples<T>,
) -> impl Iterator<Item = (usize, Captures<T>)> + 'a {
    train
        .blocks(block_rows(model.layout()))
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
    let b = Directions::gradients(query_captures(model, queries), model.layout(), train.len());
    let mut products = Array2::zeros((train.len(), queries.examples.len()));
    for (start, g) in train_captures(model, train) {
        products.slice_mut(s![start..start + g.len(), ..]).assign(&b.products(&g));
    }
    products
}

/// `g_i . b_q` without the share of the first `blocks` blocks, `(n, q)`: at one position
/// `sum_l (a_i . a_q + 1) (delta_i . delta_q)`.
///
/// The products run in `T`; positions and layers are summed in `f64`.
pub(crate) fn gradient_products_from<T: Real>(
    blocks: usize,
    g: &Captures<T>,
    b: &Captures<T>,
    layout: &Layout,
) -> Array2<f64> {
    let mut sum = Array2::zeros((g.len(), b.len()));
    for block in &layout.blocks()[blocks..] {
        add_block_products(&g.layers, &b.layers, layout, block, &mut sum);
    }
    sum
}

/// `sum += g_i . b_q` of the part in one block, `(n, q)`.
pub(crate) fn add_block_products<T: Real>(
    g: &[LayerCapture<T>],
    b: &[LayerCapture<T>],
    layout: &Layout,
    block: &Block,
    sum: &mut Array2<f64>,
) {
    let (of_g, of_b) = (Uses::of(g, layout, block), Uses::of(b, layout, block));
    if single_layer(layout, block).is_some() || !of_g.is_cheaper_formed(of_g.examples, &of_b) {
        of_g.add_ghost_products(&of_b, sum);
    } else {
        of_g.add_explicit_products(&of_b, sum);
    }
}

/// Whether the gradients `b` of one block are better formed for products with those of `examples`
/// examples of the same model.
pub(crate) fn is_cheaper_formed<T: Real>(
    b: &[LayerCapture<T>],
    layout: &Layout,
    block: &Block,
    examples: usize,
) -> bool {
    let of_b = Uses::of(b, layout, block);
    single_layer(layout, block).is_none() && of_b.is_cheaper_formed(examples, &of_b)
}

/// Multiplies every gradient by its number.
pub(crate) fn scale<T: Real>(g: &mut Captures<T>, scales: &[f64]) {
    for layer in &mut g.layers {
        let positions = layer.positions;
        for (row, mut delta) in layer.output_gradients.outer_iter_mut().enumerate() {
            let scale = T::from_f64(scales[row / positions]);
            delta.mapv_inplace(|value| value * scale);
        }
    }
}

/// Forms the gradients of one block for some examples at a time, `(m, p_l)`, and calls
/// `read(first example, gradients)`.
pub(crate) fn for_each_chunk<T: Real>(
    g: &Captures<T>,
    layout: &Layout,
    block: &Block,
    read: impl FnMut(usize, ArrayView2<'_, T>),
) {
    for_each_chunk_of(&g.layers, layout, block, read);
}

/// [`for_each_chunk`] of layers that `layout` describes by themselves.
pub(crate) fn for_each_chunk_of<T: Real>(
    g: &[LayerCapture<T>],
    layout: &Layout,
    block: &Block,
    read: impl FnMut(usize, ArrayView2<'_, T>),
) {
    Uses::of(g, layout, block).for_each_chunk(read);
}

/// The layer of a block that is one dense layer at one position.
pub(crate) fn single_layer(layout: &Layout, block: &Block) -> Option<usize> {
    let is_single = |layer: &Layer| layer.positions == 1 && layer.kind != LayerKind::Lookup;
    match block.layers[..] {
        [index] => Some(index).filter(|&index| is_single(&layout.layers()[index])),
        _ => None,
    }
}

/// Squared norm of every gradient, `n`.
pub(crate) fn squared_norms<T: Real>(g: &Captures<T>, layout: &Layout) -> Vec<f64> {
    let mut sums = vec![0.0; g.len()];
    for block in layout.blocks() {
        for (sum, norm) in sums.iter_mut().zip(block_squared_norms(g, layout, block)) {
            *sum += norm;
        }
    }
    sums
}

/// Squared norm of every gradient's part in one block, `n`: at one position
/// `(|a|^2 + 1) |delta|^2`.
pub(crate) fn block_squared_norms<T: Real>(
    g: &Captures<T>,
    layout: &Layout,
    block: &Block,
) -> Vec<f64> {
    let square = |row: &[T]| math::dot(row, row);
    let of_g = Uses::of(&g.layers, layout, block);
    if single_layer(layout, block).is_some() {
        let [used] = &of_g.uses[..] else { unreachable!("a single use") };
        let Factor::Values(delta) = used.rows else { unreachable!("a dense layer") };
        let Factor::Values(a) = used.columns else { unreachable!("a dense layer") };
        let norm = |row: ndarray::ArrayView1<'_, T>| -> f64 {
            row.iter().map(|value| value.to_f64() * value.to_f64()).sum()
        };
        let rows = a.outer_iter().zip(delta.outer_iter());
        return rows.map(|(a, delta)| (norm(a) + used.bias()) * norm(delta)).collect();
    }
    let mut norms = Vec::with_capacity(g.len());
    of_g.for_each_chunk(|_, gradients| {
        norms.extend(gradients.outer_iter().map(|row| square(row.to_slice().expect("a row"))));
    });
    norms
}

/// `into += scale * gradients`, both `(n, p)`.
pub(crate) fn add_gradients<T: Real>(
    g: &[LayerCapture<T>],
    layout: &Layout,
    scale: f64,
    mut into: ArrayViewMut2<'_, f64>,
) {
    for block in layout.blocks() {
        if let Some(layer) = single_layer(layout, block) {
            add_layer_gradients(&g[layer], &layout.layers()[layer], scale, into.view_mut());
            continue;
        }
        for_each_chunk_of(g, layout, block, |start, gradients| {
            let rows = start..start + gradients.nrows();
            let mut to = into.slice_mut(s![rows, block.range.clone()]);
            to.zip_mut_with(&gradients, |to, gradient| *to += scale * gradient.to_f64());
        });
    }
}

/// `into += scale * sum_i gradients[i]`, `p`.
pub(crate) fn add_sum_of_gradients<T: Real>(
    g: &[LayerCapture<T>],
    layout: &Layout,
    scale: f64,
    into: &mut [f64],
) {
    for block in layout.blocks() {
        let of_g = Uses::of(g, layout, block);
        let mut sum = vec![T::zero(); block.range.len()];
        for used in &of_g.uses {
            used.add_gradient(0..of_g.examples * used.positions, &mut sum);
        }
        for (to, value) in into[block.range.clone()].iter_mut().zip(sum) {
            *to += scale * value.to_f64();
        }
    }
}

/// Gradients of a dense layer at one position.
fn add_layer_gradients<T: Real>(
    g: &LayerCapture<T>,
    layer: &Layer,
    scale: f64,
    mut into: ArrayViewMut2<'_, f64>,
) {
    let values = g.inputs.values().expect("dense layers read numbers");
    for (i, mut row) in into.axis_iter_mut(Axis(0)).enumerate() {
        let row = row.as_slice_mut().expect("gradients in standard layout");
        let a = values.row(i);
        for (o, &delta) in g.output_gradients.row(i).iter().enumerate() {
            let delta = scale * delta.to_f64();
            let start = layer.weight_offset + o * layer.inputs;
            for (to, a) in row[start..start + layer.inputs].iter_mut().zip(&a) {
                *to += delta * a.to_f64();
            }
            if layer.has_bias() {
                row[layer.bias_offset + o] += delta;
            }
        }
    }
}

/// The gradients themselves, `(n, p)` in `f64`; for few examples.
pub(crate) fn gradients<T: Real>(g: &Captures<T>, layout: &Layout) -> Array2<f64> {
    let mut gradients = Array2::zeros((g.len(), layout.parameters()));
    add_gradients(&g.layers, layout, 1.0, gradients.view_mut());
    gradients
}

/// One side of the outer products that a weight's gradient is the sum of, a row a position.
#[derive(Clone, Copy)]
enum Factor<'a, T> {
    /// `(n s, width)`.
    Values(ArrayView2<'a, T>),
    /// One-hot rows.
    Tokens(&'a [u32]),
}

impl<T: Real> Factor<'_, T> {
    /// Multiply-adds of one inner product.
    fn width(&self) -> usize {
        match self {
            Self::Values(values) => values.ncols(),
            Self::Tokens(_) => 1,
        }
    }

    /// The rows `rows`.
    fn part(&self, rows: std::ops::Range<usize>) -> Factor<'_, T> {
        match self {
            Self::Values(values) => Factor::Values(values.slice(s![rows, ..])),
            Self::Tokens(tokens) => Factor::Tokens(&tokens[rows]),
        }
    }

    /// Inner products of all rows, `(n s, m s')`.
    fn products(&self, others: &Factor<'_, T>) -> Array2<T> {
        match (self, others) {
            (Self::Values(left), Factor::Values(right)) => math::matmul(*left, right.t()),
            (Self::Values(left), Factor::Tokens(right)) => {
                Array2::from_shape_fn((left.nrows(), right.len()), |(s, other)| {
                    left[(s, right[other] as usize)]
                })
            }
            (Self::Tokens(left), Factor::Values(right)) => {
                Array2::from_shape_fn((left.len(), right.nrows()), |(s, other)| {
                    right[(other, left[s] as usize)]
                })
            }
            (Self::Tokens(left), Factor::Tokens(right)) => {
                Array2::from_shape_fn((left.len(), right.len()), |(s, other)| {
                    if left[s] == right[other] { T::one() } else { T::zero() }
                })
            }
        }
    }
}

/// One layer's share of a block's gradients: `sum_s rows_s columns_s^T` in the order of the weight
/// in memory, and the sum of `rows_s` for the bias.
struct Use<'a, T> {
    layer: &'a Layer,
    positions: usize,
    rows: Factor<'a, T>,
    columns: Factor<'a, T>,
}

impl<T: Real> Use<'_, T> {
    /// What a bias adds to a product of inputs.
    fn bias(&self) -> f64 {
        if self.layer.has_bias() { 1.0 } else { 0.0 }
    }

    /// Adds the gradient of these rows of the captures, those of one example or of several, to
    /// `gradient`, the block's share of a flat vector.
    fn add_gradient(&self, positions: std::ops::Range<usize>, gradient: &mut [T]) {
        let shape = self.layer.weight_shape();
        let (weight, bias) = gradient.split_at_mut(shape.0 * shape.1);
        match (self.rows.part(positions.clone()), self.columns.part(positions)) {
            (Factor::Values(delta), Factor::Values(a)) => {
                let weight = ArrayViewMut2::from_shape(shape, weight).expect("a weight's length");
                // (out, s) x (s, in) -> (out, in)
                math::matmul_into(weight, T::one(), delta.t(), a, T::one());
                if self.layer.has_bias() {
                    for row in delta.outer_iter() {
                        bias.iter_mut().zip(row).for_each(|(sum, &delta)| *sum += delta);
                    }
                }
            }
            (Factor::Tokens(tokens), Factor::Values(delta)) => {
                for (&token, delta) in tokens.iter().zip(delta.outer_iter()) {
                    let row = &mut weight[token as usize * shape.1..][..shape.1];
                    row.iter_mut().zip(delta).for_each(|(sum, &delta)| *sum += delta);
                }
            }
            (_, Factor::Tokens(_)) => unreachable!("tokens name rows of a table"),
        }
    }
}

/// Number of examples captured.
pub(crate) fn examples_of<T>(g: &[LayerCapture<T>]) -> usize {
    g.first().map_or(0, |layer| layer.output_gradients.nrows() / layer.positions)
}

/// All layers' shares of one block's gradients.
struct Uses<'a, T> {
    parameters: usize,
    examples: usize,
    uses: Vec<Use<'a, T>>,
}

impl<'a, T: Real> Uses<'a, T> {
    fn of(g: &'a [LayerCapture<T>], layout: &'a Layout, block: &Block) -> Self {
        let used = |&index: &usize| {
            let (layer, capture) = (&layout.layers()[index], &g[index]);
            let delta = Factor::Values(capture.output_gradients.view());
            let inputs = match &capture.inputs {
                Inputs::Values(values) => Factor::Values(values.view()),
                Inputs::Tokens(tokens) => Factor::Tokens(tokens),
            };
            let (rows, columns) = match layer.kind {
                LayerKind::Dense | LayerKind::DenseWithoutBias => (delta, inputs),
                LayerKind::Lookup => (inputs, delta),
            };
            Use { layer, positions: capture.positions, rows, columns }
        };
        let uses = block.layers.iter().map(used).collect();
        Self { parameters: block.range.len(), examples: examples_of(g), uses }
    }

    /// Multiply-adds that form one explicit gradient.
    fn forming_cost(&self) -> f64 {
        let cost = |used: &Use<'_, T>| used.positions * used.rows.width() * used.columns.width();
        self.parameters as f64 + self.uses.iter().map(cost).sum::<usize>() as f64
    }

    /// Whether products of `examples` gradients like these and others cost less when formed.
    fn is_cheaper_formed(&self, examples: usize, others: &Self) -> bool {
        let (n, q) = (examples as f64, others.examples as f64);
        let explicit =
            n * q * self.parameters as f64 + n * self.forming_cost() + q * others.forming_cost();
        n * q * self.ghost_cost(others) > explicit
    }

    /// Multiply-adds of one ghost product.
    fn ghost_cost(&self, others: &Self) -> f64 {
        let mut cost = 0;
        for used in &self.uses {
            for other in &others.uses {
                // What is not a product is read and written once more.
                let widths = |left: &Factor<'_, T>, right: &Factor<'_, T>| {
                    left.width().min(right.width()) + 8
                };
                cost += used.positions
                    * other.positions
                    * (widths(&used.rows, &other.rows) + widths(&used.columns, &other.columns));
            }
        }
        cost as f64
    }

    /// `sum += g_i . b_q` as products of rows times products of columns, summed over positions.
    fn add_ghost_products(&self, others: &Self, sum: &mut Array2<f64>) {
        for used in &self.uses {
            for other in &others.uses {
                let bias = used.bias() * other.bias();
                let pairs = used.positions * other.positions * others.examples;
                let chunk = (SCRATCH_NUMBERS / pairs.max(1)).max(1);
                for start in (0..self.examples).step_by(chunk) {
                    let end = (start + chunk).min(self.examples);
                    let rows = start * used.positions..end * used.positions;
                    // (m s, out) x (out, q s') and (m s, in) x (in, q s'), both -> (m s, q s')
                    let outer = used.rows.part(rows.clone()).products(&other.rows);
                    let inner = used.columns.part(rows).products(&other.columns);
                    let mut sum = sum.slice_mut(s![start..end, ..]);
                    if pairs == others.examples {
                        ndarray::Zip::from(&mut sum).and(&inner).and(&outer).for_each(
                            |sum, inner, outer| *sum += (inner.to_f64() + bias) * outer.to_f64(),
                        );
                        continue;
                    }
                    let by_position = inner.outer_iter().zip(outer.outer_iter()).enumerate();
                    for (row, (inner, outer)) in by_position {
                        let inner = inner.to_slice().expect("products in standard layout");
                        let outer = outer.to_slice().expect("products in standard layout");
                        let pairs = inner
                            .chunks_exact(other.positions)
                            .zip(outer.chunks_exact(other.positions));
                        let mut sums = sum.row_mut(row / used.positions);
                        for (sum, (inner, outer)) in sums.iter_mut().zip(pairs) {
                            let biased: f64 = outer.iter().map(|value| value.to_f64()).sum();
                            *sum += math::dot(inner, outer) + bias * biased;
                        }
                    }
                }
            }
        }
    }

    /// `sum += g_i . b_q` with both gradients formed.
    fn add_explicit_products(&self, others: &Self, sum: &mut Array2<f64>) {
        others.for_each_chunk(|first, b| {
            self.for_each_chunk(|start, g| {
                // (m, p_l) x (p_l, q) -> (m, q)
                let products = math::matmul(g, b.t());
                let (m, q) = products.dim();
                let mut sum = sum.slice_mut(s![start..start + m, first..first + q]);
                sum.zip_mut_with(&products, |sum, product| *sum += product.to_f64());
            });
        });
    }

    /// Forms the block's gradients of some examples at a time, `(m, p_l)`, and calls
    /// `read(first example, gradients)`.
    fn for_each_chunk(&self, mut read: impl FnMut(usize, ArrayView2<'_, T>)) {
        let chunk = (SCRATCH_NUMBERS / self.parameters.max(1)).clamp(1, self.examples.max(1));
        let mut gradients = Array2::<T>::zeros((chunk, self.parameters));
        for start in (0..self.examples).step_by(chunk) {
            let rows = chunk.min(self.examples - start);
            let mut gradients = gradients.slice_mut(s![..rows, ..]);
            gradients.fill(T::zero());
            for (row, mut gradient) in gradients.outer_iter_mut().enumerate() {
                let gradient = gradient.as_slice_mut().expect("gradients in standard layout");
                for used in &self.uses {
                    let first = (start + row) * used.positions;
                    used.add_gradient(first..first + used.positions, gradient);
                }
            }
            read(start, gradients.view());
        }
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Captures, Inputs, Layer, LayerCapture, LayerKind, Layout};
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use crate::directions::{Directions, directional_products};

    use super::{
        add_gradients, block_squared_norms, gradient_products_from, gradients, squared_norms,
    };

    /// Numbers in (-1, 1) that look random and depend on `seed` alone.
    fn numbers(seed: u64, shape: (usize, usize)) -> Array2<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        Array2::from_shape_simple_fn(shape, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
    }

    fn captures(layout: &Layout, examples: usize, seed: u64) -> Captures<f64> {
        let layers = layout.layers().iter().enumerate();
        let layers = layers
            .map(|(index, layer)| {
                let (seed, rows) = (seed * 100 + 2 * index as u64, examples * layer.positions);
                let inputs = match layer.kind {
                    // Few different tokens, so that some occur twice in an example.
                    LayerKind::Lookup => Inputs::Tokens(
                        numbers(seed, (rows, 1))
                            .iter()
                            .map(|x| ((x + 1.0) / 2.0 * layer.inputs as f64) as u32)
                            .collect(),
                    ),
                    _ => Inputs::Values(numbers(seed, (rows, layer.inputs))),
                };
                let output_gradients = numbers(seed + 1, (rows, layer.outputs));
                LayerCapture { positions: layer.positions, inputs, output_gradients }
            })
            .collect();
        Captures { layers }
    }

    /// Every gradient by the definition, one number at a time.
    fn slowly(g: &Captures<f64>, layout: &Layout) -> Array2<f64> {
        let mut gradients = Array2::zeros((g.len(), layout.parameters()));
        for (layer, g) in layout.layers().iter().zip(&g.layers) {
            for (row, delta) in g.output_gradients.outer_iter().enumerate() {
                let mut gradient = gradients.row_mut(row / g.positions);
                for (o, delta) in delta.iter().enumerate() {
                    match &g.inputs {
                        Inputs::Values(a) => {
                            for (k, a) in a.row(row).iter().enumerate() {
                                gradient[layer.weight_offset + o * layer.inputs + k] += delta * a;
                            }
                        }
                        Inputs::Tokens(tokens) => {
                            let token = tokens[row] as usize;
                            gradient[layer.weight_offset + token * layer.outputs + o] += delta;
                        }
                    }
                    if layer.has_bias() {
                        gradient[layer.bias_offset + o] += delta;
                    }
                }
            }
        }
        gradients
    }

    /// Few positions make ghost products the cheaper way, many the explicit gradients.
    fn layouts() -> impl Strategy<Value = Layout> {
        (1usize..12, 1usize..9, 1usize..7, 0usize..6).prop_map(|(s, width, tokens, kinds)| {
            let mut layout = Layout::default();
            let table = layout.push(Layer::lookup("table", tokens, width).at_positions(s));
            layout.push(Layer::vector("scale", 2 * width));
            if kinds % 2 == 0 {
                layout.push(Layer::dense("mix", width, 3).at_positions(s));
            }
            if kinds % 3 == 0 {
                layout.push(Layer::dense_without_bias("bare", 3, width).at_positions(s));
                layout.push(Layer::dense_without_bias("single", 2, width));
            }
            if kinds > 2 {
                let head = Layer::dense_without_bias("head", width, tokens);
                layout.push_tied(head.at_positions(s), table);
            }
            layout.push(Layer::dense("last", width, 2));
            layout
        })
    }

    fn assert_close(found: &Array2<f64>, expected: &Array2<f64>, what: &str) {
        let scale = expected.fold(1e-3f64, |top, value| top.max(value.abs()));
        let worst = (found - expected).fold(0.0f64, |top, error| top.max(error.abs()));
        assert!(worst <= 1e-12 * scale, "{what}: off by {worst:e} of {scale}");
    }

    proptest! {
        #[test]
        fn products_are_those_of_explicit_gradients(
            layout in layouts(), n in 1usize..5, q in 1usize..4, seed in 0u64..1000,
        ) {
            let (g, b) = (captures(&layout, n, seed), captures(&layout, q, seed + 1));
            let (slow_g, slow_b) = (slowly(&g, &layout), slowly(&b, &layout));
            assert_close(&gradients(&g, &layout), &slow_g, "gradients");
            let products = gradient_products_from(0, &g, &b, &layout);
            assert_close(&products, &slow_g.dot(&slow_b.t()), "products");
            let formed = Directions::gradients(b.clone(), &layout, n).products(&g);
            assert_close(&formed, &slow_g.dot(&slow_b.t()), "products with formed gradients");
            let norms = Array2::from_shape_vec((n, 1), squared_norms(&g, &layout)).unwrap();
            let squares = |part: ndarray::ArrayView2<'_, f64>| {
                Array2::from_shape_fn((n, 1), |(i, _)| part.row(i).dot(&part.row(i)))
            };
            let expected = squares(slow_g.view());
            assert_close(&norms, &expected, "norms");
            for block in layout.blocks() {
                let expected = squares(slow_g.slice(s![.., block.range.clone()]));
                let norms = block_squared_norms(&g, &layout, block);
                assert_close(&Array2::from_shape_vec((n, 1), norms).unwrap(), &expected, "block");
            }
            let x = numbers(seed + 2, (3, layout.parameters()));
            let along = directional_products(&g, &layout, x.view());
            assert_close(&along, &slow_g.dot(&x.t()), "along directions");
            let mut sum = numbers(seed + 3, slow_g.dim());
            let expected = &sum + &(&slow_g * -0.5);
            add_gradients(&g.layers, &layout, -0.5, sum.view_mut());
            assert_close(&sum, &expected, "sum");
        }
    }

    #[test]
    fn both_ways_of_a_tied_block_agree() {
        let mut layout = Layout::default();
        let table = layout.push(Layer::lookup("table", 5, 3).at_positions(4));
        layout.push_tied(Layer::dense_without_bias("head", 3, 5).at_positions(4), table);
        let (g, b) = (captures(&layout, 3, 1), captures(&layout, 2, 2));
        let block = &layout.blocks()[0];
        let (of_g, of_b) = (
            super::Uses::of(&g.layers, &layout, block),
            super::Uses::of(&b.layers, &layout, block),
        );
        let (mut ghost, mut explicit) = (Array2::zeros((3, 2)), Array2::zeros((3, 2)));
        of_g.add_ghost_products(&of_b, &mut ghost);
        of_g.add_explicit_products(&of_b, &mut explicit);
        assert_close(&ghost, &explicit, "ghost products");
        assert_close(&explicit, &slowly(&g, &layout).dot(&slowly(&b, &layout).t()), "explicit");
    }
}
