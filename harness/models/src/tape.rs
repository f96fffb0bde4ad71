//! One forward and backward pass, for one model or for several that share a batch.
//!
//! Parameters of `m` models lie layer by layer, not model by model: `weight[m][out][in]`, then
//! `bias[m][out]`, then the next layer. Values of a node are `[rows][m][width]`, except the input,
//! which all models share. So the first layer of all models is a single wide product.

use attribench_core::{DenseLayer, Layout, Real};

use crate::{activation::each, network::Op};

/// Buffers of a pass, kept from one to the next.
pub(crate) struct Tape<T> {
    models: usize,
    rows: usize,
    /// Values of node 0 (the input) and after each op.
    nodes: Vec<Vec<T>>,
    /// Gradients at each node; that of the input is never asked for.
    gradients: Vec<Vec<T>>,
    widths: Vec<usize>,
}

/// Where gradients of the parameters go: `gradient = keep * gradient + scale * sum`.
pub(crate) struct Accumulate<'a, T> {
    pub gradient: &'a mut [T],
    pub keep: T,
    pub scale: T,
}

impl<T: Real> Tape<T> {
    pub(crate) fn new(ops: &[Op], layout: &Layout, models: usize, rows: usize) -> Self {
        let mut widths = vec![layout.layers()[0].inputs];
        for op in ops {
            widths.push(match *op {
                Op::Dense(layer) => layout.layers()[layer].outputs,
                Op::Activation(_) => widths[widths.len() - 1],
            });
        }
        let buffer = |node: usize| {
            let models = if node == 0 { 1 } else { models };
            vec![T::zero(); rows * models * widths[node]]
        };
        let nodes = (0..widths.len()).map(buffer).collect();
        let gradients = (0..widths.len())
            .map(|node| if node == 0 { Vec::new() } else { buffer(node) })
            .collect();
        Self { models, rows, nodes, gradients, widths }
    }

    /// Makes room for `rows` rows and hands out the input to be filled, `(rows, d)`.
    pub(crate) fn input(&mut self, rows: usize) -> &mut [T] {
        self.rows = rows;
        for node in 0..self.widths.len() {
            let models = if node == 0 { 1 } else { self.models };
            let length = rows * models * self.widths[node];
            self.nodes[node].resize(length, T::zero());
            if node > 0 {
                self.gradients[node].resize(length, T::zero());
            }
        }
        &mut self.nodes[0]
    }

    pub(crate) fn node(&self, node: usize) -> &[T] {
        &self.nodes[node]
    }

    pub(crate) fn gradient(&self, node: usize) -> &[T] {
        &self.gradients[node]
    }

    pub(crate) fn width(&self, node: usize) -> usize {
        self.widths[node]
    }

    /// Outputs of the last op, `[rows][m][c]`.
    pub(crate) fn outputs(&self) -> &[T] {
        self.nodes.last().expect("a network has an output")
    }

    /// Copies the outputs into the gradient at the output, there to be turned into one.
    pub(crate) fn output_gradient(&mut self) -> &mut [T] {
        let last = self.widths.len() - 1;
        self.gradients[last].copy_from_slice(&self.nodes[last]);
        &mut self.gradients[last]
    }

    /// Computes every node from the input.
    pub(crate) fn forward(&mut self, ops: &[Op], layout: &Layout, parameters: &[T]) {
        for (index, op) in ops.iter().enumerate() {
            let (before, after) = self.nodes.split_at_mut(index + 1);
            let (input, output) = (&before[index], &mut after[0]);
            match *op {
                Op::Dense(layer) => {
                    let layer = &layout.layers()[layer];
                    let shared = index == 0;
                    dense_forward(layer, self.models, self.rows, shared, parameters, input, output);
                }
                Op::Activation(activation) => activation.forward(input, output),
            }
        }
    }

    /// Computes gradients at every node from the one at the output, and those of the parameters.
    pub(crate) fn backward(
        &mut self,
        ops: &[Op],
        layout: &Layout,
        parameters: &[T],
        mut accumulate: Option<Accumulate<'_, T>>,
    ) {
        for (index, op) in ops.iter().enumerate().rev() {
            let (before, after) = self.gradients.split_at_mut(index + 1);
            let (at_input, at_output) = (&mut before[index], &after[0]);
            match *op {
                Op::Dense(layer) => {
                    let layer = &layout.layers()[layer];
                    let shape = (self.models, self.rows);
                    if let Some(accumulate) = &mut accumulate {
                        let input = &self.nodes[index];
                        dense_gradient(layer, shape, index == 0, input, at_output, accumulate);
                    }
                    if index > 0 {
                        dense_backward(layer, shape, parameters, at_output, at_input);
                    }
                }
                Op::Activation(activation) => {
                    let (input, output) = (&self.nodes[index], &self.nodes[index + 1]);
                    activation.first_derivative(input, output, at_input);
                    each(at_input, at_output, |slope, gradient| slope * gradient);
                }
            }
        }
    }
}

/// `y_j = x_j W_j^T + b_j` for each model `j`.
fn dense_forward<T: Real>(
    layer: &DenseLayer,
    models: usize,
    rows: usize,
    shared: bool,
    parameters: &[T],
    input: &[T],
    output: &mut [T],
) {
    let weight = &parameters[layer.weight_offset * models..];
    let bias = &parameters[layer.bias_offset * models..][..layer.outputs * models];
    for row in output.chunks_exact_mut(layer.outputs * models) {
        row.copy_from_slice(bias);
    }
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let (products, width) = if shared { (1, outputs * models) } else { (models, outputs) };
    let input_stride = if shared { inputs } else { inputs * models };
    for model in 0..products {
        // (rows, in) x (in, width) -> (rows, width)
        // In bounds: `input`, `weight` and `output` hold `rows` rows and `models` blocks each.
        unsafe {
            T::gemm(
                (rows, inputs, width),
                (output[model * outputs..].as_mut_ptr(), (outputs * models) as isize, 1),
                T::one(),
                (input[model * inputs..].as_ptr(), input_stride as isize, 1),
                (weight[model * outputs * inputs..].as_ptr(), 1, inputs as isize),
                T::one(),
            );
        }
    }
}

/// `dW_j = delta_j^T x_j`, `db_j = sum of rows of delta_j`.
fn dense_gradient<T: Real>(
    layer: &DenseLayer,
    (models, rows): (usize, usize),
    shared: bool,
    input: &[T],
    delta: &[T],
    accumulate: &mut Accumulate<'_, T>,
) {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let (keep, scale) = (accumulate.keep, accumulate.scale);
    let weight = &mut accumulate.gradient[layer.weight_offset * models..];
    let (products, width) = if shared { (1, outputs * models) } else { (models, outputs) };
    let input_stride = if shared { inputs } else { inputs * models };
    for model in 0..products {
        // (width, rows) x (rows, in) -> (width, in)
        // In bounds as in `dense_forward`; the gradient overlaps neither operand.
        unsafe {
            T::gemm(
                (width, rows, inputs),
                (weight[model * outputs * inputs..].as_mut_ptr(), inputs as isize, 1),
                keep,
                (delta[model * outputs..].as_ptr(), 1, (outputs * models) as isize),
                (input[model * inputs..].as_ptr(), input_stride as isize, 1),
                scale,
            );
        }
    }
    let bias = &mut accumulate.gradient[layer.bias_offset * models..][..outputs * models];
    for value in bias.iter_mut() {
        *value *= keep;
    }
    for row in delta.chunks_exact(outputs * models) {
        each(bias, row, |sum, gradient| sum + scale * gradient);
    }
}

/// `dx_j = delta_j W_j`.
fn dense_backward<T: Real>(
    layer: &DenseLayer,
    (models, rows): (usize, usize),
    parameters: &[T],
    delta: &[T],
    at_input: &mut [T],
) {
    let (inputs, outputs) = (layer.inputs, layer.outputs);
    let weight = &parameters[layer.weight_offset * models..];
    for model in 0..models {
        // (rows, out) x (out, in) -> (rows, in); in bounds as in `dense_forward`.
        unsafe {
            T::gemm(
                (rows, outputs, inputs),
                (at_input[model * inputs..].as_mut_ptr(), (inputs * models) as isize, 1),
                T::zero(),
                (delta[model * outputs..].as_ptr(), (outputs * models) as isize, 1),
                (weight[model * outputs * inputs..].as_ptr(), inputs as isize, 1),
                T::one(),
            );
        }
    }
}
