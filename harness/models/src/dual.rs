//! Forward mode and reverse over forward: directional derivatives, and exact curvature products.
//!
//! Tangents along `k` directions lie as `[rows][k][width]`, so that every direction shares the
//! products with the weights.

use attribench_core::{Curvature, Labels, Layout, Real};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::{loss, network::Op, tape::Tape};

/// Tangents of all nodes for one block of rows whose plain pass stands on a tape.
pub(crate) struct Tangents<T> {
    directions: usize,
    nodes: Vec<Vec<T>>,
}

/// `destination[i, k, :] (+)= left[i, :] * matrix_k^T` for each direction: the share of a tangent
/// or of its gradient that comes from the direction's own weights.
fn product_with_directions<T: Real>(
    rows: usize,
    (inner, outer): (usize, usize),
    left: &[T],
    matrices: impl Fn(usize) -> (*const T, isize, isize),
    directions: usize,
    destination: &mut [T],
) {
    for direction in 0..directions {
        let (matrix, row_stride, column_stride) = matrices(direction);
        // (rows, inner) x (inner, outer) -> (rows, outer); `destination` holds `rows` rows of
        // `directions` blocks, `matrix` is a whole weight of the direction.
        unsafe {
            T::gemm(
                (rows, inner, outer),
                (destination[direction * outer..].as_mut_ptr(), (directions * outer) as isize, 1),
                T::one(),
                (left.as_ptr(), inner as isize, 1),
                (matrix, row_stride, column_stride),
                T::one(),
            );
        }
    }
}

impl<T: Real> Tangents<T> {
    /// Propagates `directions` `(k, p)` through the ops; the tape holds the values of one model.
    pub(crate) fn forward(
        tape: &Tape<T>,
        rows: usize,
        ops: &[Op],
        layout: &Layout,
        theta: &[T],
        directions: ArrayView2<'_, T>,
    ) -> Self {
        let (k, parameters) = directions.dim();
        let flat = directions.to_slice().expect("directions in standard layout");
        let mut nodes: Vec<Vec<T>> = vec![Vec::new()];
        for (index, op) in ops.iter().enumerate() {
            let width = tape.width(index + 1);
            let mut tangent = vec![T::zero(); rows * k * width];
            match *op {
                Op::Dense(layer) => {
                    let layer = &layout.layers()[layer];
                    let (inputs, outputs) = (layer.inputs, layer.outputs);
                    for row in tangent.chunks_exact_mut(k * outputs) {
                        for (block, direction) in
                            row.chunks_exact_mut(outputs).zip(directions.outer_iter())
                        {
                            for (output, value) in block.iter_mut().enumerate() {
                                *value = direction[layer.bias_offset + output];
                            }
                        }
                    }
                    let weight = |direction: usize| {
                        let own = &flat[direction * parameters + layer.weight_offset..];
                        (own.as_ptr(), 1, inputs as isize)
                    };
                    let input = tape.node(index);
                    product_with_directions(
                        rows,
                        (inputs, outputs),
                        input,
                        weight,
                        k,
                        &mut tangent,
                    );
                    if index > 0 {
                        // (rows k, in) x (in, out) -> (rows k, out), all directions at once.
                        unsafe {
                            T::gemm(
                                (rows * k, inputs, outputs),
                                (tangent.as_mut_ptr(), outputs as isize, 1),
                                T::one(),
                                (nodes[index].as_ptr(), inputs as isize, 1),
                                (theta[layer.weight_offset..].as_ptr(), 1, inputs as isize),
                                T::one(),
                            );
                        }
                    }
                }
                Op::Activation(activation) => {
                    let mut slope = vec![T::zero(); rows * width];
                    activation.first_derivative(tape.node(index), tape.node(index + 1), &mut slope);
                    tangent.copy_from_slice(&nodes[index]);
                    scale_blocks(&mut tangent, &slope, k, width);
                }
            }
            nodes.push(tangent);
        }
        Self { directions: k, nodes }
    }

    /// Tangents of the outputs, `[rows][k][c]`.
    pub(crate) fn outputs(&self) -> &[T] {
        self.nodes.last().expect("a network has an output")
    }

    /// Derivatives of the quantity whose gradient at the outputs is given, `(rows, k)`.
    pub(crate) fn along(&self, gradients: &[T], rows: usize) -> Array2<T> {
        let k = self.directions;
        let classes = gradients.len() / rows.max(1);
        Array2::from_shape_fn((rows, k), |(row, direction)| {
            let gradient = &gradients[row * classes..][..classes];
            let tangent = &self.outputs()[(row * k + direction) * classes..][..classes];
            gradient.iter().zip(tangent).map(|(&g, &t)| g * t).sum()
        })
    }

    /// Adds `sum_i w_i C_i direction_k` to `products`, `(k, p)`.
    ///
    /// The tape holds the plain gradients of the loss, already multiplied by the weights.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn curvature(
        self,
        tape: &Tape<T>,
        ops: &[Op],
        layout: &Layout,
        theta: &[T],
        directions: ArrayView2<'_, T>,
        (labels, weights): (&Labels<T>, &[T]),
        curvature: Curvature,
        mut products: ArrayViewMut2<'_, T>,
    ) {
        let (rows, k) = (weights.len(), self.directions);
        let parameters = directions.ncols();
        let flat = directions.to_slice().expect("directions in standard layout");
        let classes = tape.width(ops.len());
        let mut delta = self.output_curvature(tape, labels, weights, classes);
        let hessian = curvature == Curvature::Hessian;
        for (index, op) in ops.iter().enumerate().rev() {
            let width = tape.width(index);
            match *op {
                Op::Dense(layer) => {
                    let layer = &layout.layers()[layer];
                    let (inputs, outputs) = (layer.inputs, layer.outputs);
                    let input_tangent = (hessian && index > 0).then(|| &self.nodes[index]);
                    for direction in 0..k {
                        let mut row = products.row_mut(direction);
                        let product = row.as_slice_mut().expect("products in standard layout");
                        add_layer_products(
                            (rows, k, direction),
                            (inputs, outputs),
                            &mut product[layer.weight_offset..],
                            (&delta, tape.node(index)),
                            input_tangent.map(|tangent| (tape.gradient(index + 1), &tangent[..])),
                        );
                        let bias = &mut product[layer.bias_offset..][..outputs];
                        for block in delta.chunks_exact(k * outputs) {
                            let block = &block[direction * outputs..][..outputs];
                            for (sum, &value) in bias.iter_mut().zip(block) {
                                *sum += value;
                            }
                        }
                    }
                    if index == 0 {
                        break;
                    }
                    let mut at_input = vec![T::zero(); rows * k * width];
                    if hessian {
                        let weight = |direction: usize| {
                            let own = &flat[direction * parameters + layer.weight_offset..];
                            (own.as_ptr(), inputs as isize, 1)
                        };
                        let gradient = tape.gradient(index + 1);
                        let shape = (outputs, inputs);
                        product_with_directions(rows, shape, gradient, weight, k, &mut at_input);
                    }
                    // (rows k, out) x (out, in) -> (rows k, in)
                    unsafe {
                        T::gemm(
                            (rows * k, outputs, inputs),
                            (at_input.as_mut_ptr(), inputs as isize, 1),
                            T::one(),
                            (delta.as_ptr(), outputs as isize, 1),
                            (theta[layer.weight_offset..].as_ptr(), inputs as isize, 1),
                            T::one(),
                        );
                    }
                    delta = at_input;
                }
                Op::Activation(activation) => {
                    let (input, output) = (tape.node(index), tape.node(index + 1));
                    let mut slope = vec![T::zero(); rows * width];
                    activation.first_derivative(input, output, &mut slope);
                    scale_blocks(&mut delta, &slope, k, width);
                    if hessian {
                        activation.second_derivative(input, output, &mut slope);
                        crate::activation::each(&mut slope, tape.gradient(index + 1), |s, g| s * g);
                        let mut bend = self.nodes[index].clone();
                        scale_blocks(&mut bend, &slope, k, width);
                        crate::activation::each(&mut delta, &bend, |delta, bend| delta + bend);
                    }
                }
            }
        }
    }

    fn output_curvature(
        &self,
        tape: &Tape<T>,
        labels: &Labels<T>,
        weights: &[T],
        classes: usize,
    ) -> Vec<T> {
        let k = self.directions;
        let mut delta = self.outputs().to_vec();
        let mut plain = vec![T::zero(); classes];
        for (row, block) in delta.chunks_exact_mut(k * classes).enumerate() {
            plain.copy_from_slice(&tape.outputs()[row * classes..][..classes]);
            loss::output_gradient(&mut plain, labels, row, attribench_core::Quantity::Loss);
            for tangent in block.chunks_exact_mut(classes) {
                loss::output_curvature(tangent, &plain, labels, row);
                for value in tangent {
                    *value *= weights[row];
                }
            }
        }
        delta
    }
}

/// `values[i, k, :] *= factors[i, :]` for every direction `k`.
fn scale_blocks<T: Real>(values: &mut [T], factors: &[T], directions: usize, width: usize) {
    for (block, factor) in
        values.chunks_exact_mut(directions * width).zip(factors.chunks_exact(width))
    {
        for row in block.chunks_exact_mut(width) {
            crate::activation::each(row, factor, |value, factor| value * factor);
        }
    }
}

/// `product += tangent(delta)^T input + delta^T tangent(input)` for one direction of one layer.
fn add_layer_products<T: Real>(
    (rows, k, direction): (usize, usize, usize),
    (inputs, outputs): (usize, usize),
    product: &mut [T],
    (delta_tangent, input): (&[T], &[T]),
    second: Option<(&[T], &[T])>,
) {
    // (out, rows) x (rows, in) -> (out, in); the buffers hold `rows` rows of (`k` blocks of) the
    // widths named, and `product` is the layer's own share.
    unsafe {
        T::gemm(
            (outputs, rows, inputs),
            (product.as_mut_ptr(), inputs as isize, 1),
            T::one(),
            (delta_tangent[direction * outputs..].as_ptr(), 1, (k * outputs) as isize),
            (input.as_ptr(), inputs as isize, 1),
            T::one(),
        );
        if let Some((delta, input_tangent)) = second {
            T::gemm(
                (outputs, rows, inputs),
                (product.as_mut_ptr(), inputs as isize, 1),
                T::one(),
                (delta.as_ptr(), 1, outputs as isize),
                (input_tangent[direction * inputs..].as_ptr(), (k * inputs) as isize, 1),
                T::one(),
            );
        }
    }
}
