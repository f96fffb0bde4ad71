//! One forward and backward pass, for one model or for several that share a batch.
//!
//! Values of a node are `[rows][m][width]`, except the input, which all models share.

use attribench_core::{Layout, Real};

use crate::{activation::each, dense::Dense, network::Op};

/// Buffers of a pass, kept from one to the next.
pub(crate) struct Tape<T> {
    models: usize,
    /// Values of node 0 (the input) and after each op.
    nodes: Vec<Vec<T>>,
    /// Gradients at each node; that of the input is never asked for.
    gradients: Vec<Vec<T>>,
    widths: Vec<usize>,
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
        let empty = vec![Vec::new(); widths.len()];
        let mut tape = Self { models, nodes: empty.clone(), gradients: empty, widths };
        tape.input(rows);
        tape
    }

    /// Makes room for `rows` rows and hands out the input to be filled, `(rows, d)`.
    pub(crate) fn input(&mut self, rows: usize) -> &mut [T] {
        self.nodes[0].resize(rows * self.widths[0], T::zero());
        for node in 1..self.widths.len() {
            let length = rows * self.models * self.widths[node];
            self.nodes[node].resize(length, T::zero());
            self.gradients[node].resize(length, T::zero());
        }
        &mut self.nodes[0]
    }

    pub(crate) fn node(&self, node: usize) -> &[T] {
        &self.nodes[node]
    }

    pub(crate) fn gradient(&self, node: usize) -> &[T] {
        &self.gradients[node]
    }

    pub(crate) fn gradient_mut(&mut self, node: usize) -> &mut [T] {
        &mut self.gradients[node]
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
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
    pub(crate) fn forward(&mut self, ops: &[Op], layout: &Layout, dense: &impl Dense<T>) {
        for (index, op) in ops.iter().enumerate() {
            let (before, after) = self.nodes.split_at_mut(index + 1);
            let (input, output) = (&before[index], &mut after[0]);
            match *op {
                Op::Dense(layer) => {
                    dense.forward(&layout.layers()[layer], index == 0, input, output);
                }
                Op::Activation(activation) => activation.forward(input, output),
            }
        }
    }

    /// Computes gradients at every node from the one at the output, and those of the parameters.
    pub(crate) fn backward(&mut self, ops: &[Op], layout: &Layout, dense: &mut impl Dense<T>) {
        for (index, op) in ops.iter().enumerate().rev() {
            let (before, after) = self.gradients.split_at_mut(index + 1);
            let (at_input, at_output) = (&mut before[index], &after[0]);
            let input = &self.nodes[index];
            match *op {
                Op::Dense(layer) => {
                    let layer = &layout.layers()[layer];
                    if index > 0 {
                        dense.backward(layer, at_output, at_input);
                    }
                    dense.gradient(layer, index == 0, input, at_output);
                }
                Op::Activation(activation) => {
                    activation.first_derivative(input, &self.nodes[index + 1], at_input);
                    each(at_input, at_output, |slope, gradient| slope * gradient);
                }
            }
        }
    }
}
