//! Dense layers in two arrangements of the parameters.
//!
//! | arrangement | weights | products | for |
//! |---|---|---|---|
//! | [`Plain`] | `[out][in]`, as in the flat vector | fast for any shape | readings of one model |
//! | [`Stacked`] | `[in][m][out]`, then `[m][in][out]` | chains, equal for any `m` | training |

use std::ops::Range;

use attribench_core::{
    Layer, Real,
    math::{Descent, Factors, Order, add_product, descend_product},
    vector::vectorized,
};

use crate::activation::each;

/// What a tape asks of the dense layers of `m` models.
///
/// Values at a node are `[rows][m][width]`, those of the network's input `[rows][width]`.
pub(crate) trait Dense<T> {
    /// `y_j = x_j W_j^T + b_j` for each model `j`; `is_first` where all share the input.
    fn forward(&self, layer: &Layer, is_first: bool, input: &[T], output: &mut [T]);

    /// `dx_j = delta_j W_j`.
    fn backward(&mut self, layer: &Layer, delta: &[T], at_input: &mut [T]);

    /// `dW_j = delta_j^T x_j`, `db_j = sum of rows of delta_j`, where gradients are wanted.
    ///
    /// Called after `backward`, so that it may change the weights.
    fn gradient(&mut self, layer: &Layer, is_first: bool, input: &[T], delta: &[T]);

    /// Parameters of a layer that is not dense.
    fn parameters(&self, layer: &Layer) -> &[T];

    /// Where the sum of gradients of a layer that is not dense goes, if it is wanted.
    fn gradient_of(&mut self, layer: &Layer) -> Option<&mut [T]>;
}

/// Parameters of one model, as in the flat vector, and frozen ones, whose places follow theirs.
#[derive(Clone, Copy)]
pub(crate) struct Parameters<'a, T> {
    pub theta: &'a [T],
    pub frozen: &'a [T],
}

impl<'a, T> Parameters<'a, T> {
    /// Parameters of a layer, or a part of them.
    pub(crate) fn at(self, range: Range<usize>) -> &'a [T] {
        match range.start.checked_sub(self.theta.len()) {
            None => &self.theta[range],
            Some(start) => &self.frozen[start..][..range.len()],
        }
    }

    pub(crate) fn weight(self, layer: &Layer) -> &'a [T] {
        self.at(layer.weight_offset..layer.bias_offset)
    }
}

/// One model.
pub(crate) struct Plain<'a, T> {
    pub parameters: Parameters<'a, T>,
    /// Takes the sum of gradients of the parameters that are not frozen, where it is wanted.
    pub gradient: Option<&'a mut [T]>,
}

impl<T: Real> Dense<T> for Plain<'_, T> {
    fn forward(&self, layer: &Layer, _is_first: bool, input: &[T], output: &mut [T]) {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let rows = output.len() / outputs;
        let mut keep = T::zero();
        if layer.has_bias() {
            keep = T::one();
            for row in output.chunks_exact_mut(outputs) {
                row.copy_from_slice(self.parameters.at(layer.biases()));
            }
        }
        assert_eq!(input.len(), rows * inputs, "input of a dense layer");
        let weight = self.parameters.weight(layer);
        // (rows, in) x (in, out) -> (rows, out); the lengths are checked above.
        unsafe {
            T::gemm(
                (rows, inputs, outputs),
                (output.as_mut_ptr(), outputs as isize, 1),
                keep,
                (input.as_ptr(), inputs as isize, 1),
                (weight.as_ptr(), 1, inputs as isize),
                T::one(),
            );
        }
    }

    fn backward(&mut self, layer: &Layer, delta: &[T], at_input: &mut [T]) {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let rows = delta.len() / outputs;
        assert_eq!(at_input.len(), rows * inputs, "input of a dense layer");
        let weight = self.parameters.weight(layer);
        // (rows, out) x (out, in) -> (rows, in); the lengths are checked above.
        unsafe {
            T::gemm(
                (rows, outputs, inputs),
                (at_input.as_mut_ptr(), inputs as isize, 1),
                T::zero(),
                (delta.as_ptr(), outputs as isize, 1),
                (weight.as_ptr(), inputs as isize, 1),
                T::one(),
            );
        }
    }

    fn gradient(&mut self, layer: &Layer, _is_first: bool, input: &[T], delta: &[T]) {
        let Some(gradient) = &mut self.gradient else { return };
        if layer.weight_offset >= gradient.len() {
            return;
        }
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let rows = delta.len() / outputs;
        assert_eq!(input.len(), rows * inputs, "input of a dense layer");
        let weight = &mut gradient[layer.weight_offset..][..inputs * outputs];
        // (out, rows) x (rows, in) -> (out, in); the lengths are checked above.
        unsafe {
            T::gemm(
                (outputs, rows, inputs),
                (weight.as_mut_ptr(), inputs as isize, 1),
                T::one(),
                (delta.as_ptr(), 1, outputs as isize),
                (input.as_ptr(), inputs as isize, 1),
                T::one(),
            );
        }
        if layer.has_bias() {
            let bias = &mut gradient[layer.biases()];
            for row in delta.chunks_exact(outputs) {
                each(bias, row, |sum, value| sum + value);
            }
        }
    }

    fn parameters(&self, layer: &Layer) -> &[T] {
        self.parameters.at(layer.range())
    }

    fn gradient_of(&mut self, layer: &Layer) -> Option<&mut [T]> {
        self.gradient.as_mut().and_then(|gradient| gradient.get_mut(layer.range()))
    }
}

/// Several models that train together.
///
/// The first layer's weights are `[in][m][out]`, so that all models are one wide product with the
/// input that they share; those of later layers are `[m][in][out]`, and all biases `[m][out]`.
/// Layers follow each other as in the flat vector, each `m` times as long.
pub(crate) struct Stacked<'a, T> {
    pub models: usize,
    pub parameters: &'a mut [T],
    pub gradients: Gradients<'a, T>,
    /// Room for the transposed weight of a layer.
    pub transposed: &'a mut Vec<T>,
}

/// What becomes of the gradients of a stack, which lie as its parameters do.
pub(crate) enum Gradients<'a, T> {
    /// They move velocity and parameters as they appear.
    Descend(Descent<T>, &'a mut [T]),
    /// They are added up here.
    Sum(&'a mut [T]),
}

impl<T: Real> Stacked<'_, T> {
    /// Hands the gradient `factors`, of the shape of the parameters from `start` on, to its use.
    fn use_gradient(&mut self, factors: Factors<'_, T>, start: usize) {
        let stride = factors.shape.2;
        match &mut self.gradients {
            Gradients::Descend(descent, velocity) => {
                let parameters = &mut self.parameters[start..];
                descend_product(factors, &mut velocity[start..], parameters, stride, *descent);
            }
            Gradients::Sum(sum) => add_product(factors, &mut sum[start..], stride),
        }
    }
}

/// Where `(layer, model, input, output)` lies in the parameters of a stack of `models`.
pub(crate) fn stacked_weight(
    layer: &Layer,
    (models, model): (usize, usize),
    (input, output): (usize, usize),
) -> usize {
    let start = layer.weight_offset * models;
    if layer.weight_offset == 0 {
        start + (input * models + model) * layer.outputs + output
    } else {
        start + (model * layer.inputs + input) * layer.outputs + output
    }
}

impl<T: Real> Dense<T> for Stacked<'_, T> {
    fn forward(&self, layer: &Layer, is_first: bool, input: &[T], output: &mut [T]) {
        let (models, inputs, outputs) = (self.models, layer.inputs, layer.outputs);
        let all = outputs * models;
        let rows = output.len() / all;
        let weight = &self.parameters[layer.weight_offset * models..][..inputs * all];
        let bias = &self.parameters[layer.bias_offset * models..][..all];
        for row in output.chunks_exact_mut(all) {
            row.copy_from_slice(bias);
        }
        if is_first {
            // (rows, in) x (in, m out) -> (rows, m out)
            let factors = Factors {
                shape: (rows, inputs, all),
                left: input,
                left_order: (Order::Rows, inputs),
                right: weight,
                right_stride: all,
            };
            add_product(factors, output, all);
            return;
        }
        for model in 0..models {
            // (rows, in) x (in, out) -> (rows, out)
            let factors = Factors {
                shape: (rows, inputs, outputs),
                left: &input[model * inputs..],
                left_order: (Order::Rows, inputs * models),
                right: &weight[model * inputs * outputs..],
                right_stride: outputs,
            };
            add_product(factors, &mut output[model * outputs..], all);
        }
    }

    fn backward(&mut self, layer: &Layer, delta: &[T], at_input: &mut [T]) {
        let (models, inputs, outputs) = (self.models, layer.inputs, layer.outputs);
        let rows = delta.len() / (outputs * models);
        let weight = &self.parameters[layer.weight_offset * models..];
        at_input.fill(T::zero());
        self.transposed.resize(inputs * outputs, T::zero());
        for (model, weight) in weight.chunks_exact(inputs * outputs).take(models).enumerate() {
            transpose(weight, outputs, self.transposed);
            // (rows, out) x (out, in) -> (rows, in)
            let factors = Factors {
                shape: (rows, outputs, inputs),
                left: &delta[model * outputs..],
                left_order: (Order::Rows, outputs * models),
                right: self.transposed,
                right_stride: inputs,
            };
            add_product(factors, &mut at_input[model * inputs..], inputs * models);
        }
    }

    fn gradient(&mut self, layer: &Layer, is_first: bool, input: &[T], delta: &[T]) {
        let (models, inputs, outputs) = (self.models, layer.inputs, layer.outputs);
        let all = outputs * models;
        let rows = delta.len() / all;
        let weights = layer.weight_offset * models;
        // All models are one product with the input that they share, or one product each.
        let products = if is_first { 1 } else { models };
        let columns = all / products;
        for model in 0..products {
            // (in, rows) x (rows, columns) -> (in, columns)
            let factors = Factors {
                shape: (inputs, rows, columns),
                left: input.get(model * inputs..).unwrap_or_default(),
                left_order: (Order::Columns, inputs * products),
                right: delta.get(model * columns..).unwrap_or_default(),
                right_stride: all,
            };
            self.use_gradient(factors, weights + model * inputs * columns);
        }
        // The bias is a weight whose input is always 1.
        let ones = vec![T::one(); rows];
        let factors = Factors {
            shape: (1, rows, all),
            left: &ones,
            left_order: (Order::Rows, rows),
            right: delta,
            right_stride: all,
        };
        self.use_gradient(factors, layer.bias_offset * models);
    }

    fn parameters(&self, _layer: &Layer) -> &[T] {
        unreachable!("networks of more than dense layers train one model at a time")
    }

    fn gradient_of(&mut self, _layer: &Layer) -> Option<&mut [T]> {
        unreachable!("networks of more than dense layers train one model at a time")
    }
}

/// Side of the squares that are turned in registers.
const SIDE: usize = 16;

/// Writes the transpose of a matrix with `columns` columns.
fn transpose<T: Real>(matrix: &[T], columns: usize, transposed: &mut [T]) {
    let rows = matrix.len() / columns;
    vectorized(
        #[inline(always)]
        || {
            for row in (0..rows).step_by(SIDE) {
                for column in (0..columns).step_by(SIDE) {
                    let from = &matrix[row * columns + column..];
                    let to = &mut transposed[column * rows + row..];
                    if row + SIDE <= rows && column + SIDE <= columns {
                        transpose_square((from, columns), (to, rows));
                    } else {
                        let shape = (SIDE.min(rows - row), SIDE.min(columns - column));
                        transpose_corner(shape, (from, columns), (to, rows));
                    }
                }
            }
        },
    );
}

/// Writes the transpose of the first `SIDE` rows and columns; matrices come with their strides.
#[inline(always)]
fn transpose_square<T: Real>(
    (from, from_stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
) {
    let mut square = [[T::zero(); SIDE]; SIDE];
    for (i, row) in square.iter_mut().enumerate() {
        row.copy_from_slice(&from[i * from_stride..][..SIDE]);
    }
    for j in 0..SIDE {
        let column: [T; SIDE] = std::array::from_fn(|i| square[i][j]);
        to[j * to_stride..][..SIDE].copy_from_slice(&column);
    }
}

/// Writes the transpose of the first rows and columns, fewer than fill a square.
fn transpose_corner<T: Real>(
    (rows, columns): (usize, usize),
    (from, from_stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
) {
    for i in 0..rows {
        for j in 0..columns {
            to[j * to_stride + i] = from[i * from_stride + j];
        }
    }
}
