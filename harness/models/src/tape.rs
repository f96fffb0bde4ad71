//! One forward and backward pass, for one model or for several that share a batch.
//!
//! Values of a node are `[rows][m][width]`, except the input, which all models share. Where an op
//! is applied at several positions of an example, these lie side by side within its width. Networks
//! of more than dense layers and non-linearities run one model at a time.

use attribench_core::Real;

use crate::{
    Network,
    activation::each,
    dense::Dense,
    local::{LocalOp, Point},
    lstm::Run,
    network::Op,
};

/// Buffers of a pass, kept from one to the next.
pub(crate) struct Tape<T> {
    models: usize,
    /// Values of node 0 (the input) and after each op.
    nodes: Vec<Vec<T>>,
    /// What each op kept for its derivatives.
    kept: Vec<Vec<T>>,
    /// Gradients at each node; those before the first parameter are never asked for.
    gradients: Vec<Vec<T>>,
    widths: Vec<usize>,
}

impl<T: Real> Tape<T> {
    /// One of a single model, without rows yet.
    pub(crate) fn new(network: &Network) -> Self {
        Self::stacked(network, 1, 0)
    }

    /// One of `models` models, with room for `rows` rows.
    pub(crate) fn stacked(network: &Network, models: usize, rows: usize) -> Self {
        let widths = network.widths().to_vec();
        let empty = vec![Vec::new(); widths.len()];
        let mut tape =
            Self { models, nodes: empty.clone(), kept: empty.clone(), gradients: empty, widths };
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

    /// Rows of the last pass.
    pub(crate) fn rows(&self) -> usize {
        self.nodes[0].len() / self.widths[0]
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

    /// The values of example `row` that op `index` is differentiated at.
    pub(crate) fn point<'a>(
        &'a self,
        index: usize,
        row: usize,
        parameters: &'a [T],
    ) -> Point<'a, T> {
        let (width, kept) = (self.widths[index], self.kept[index].len() / self.rows());
        Point {
            parameters,
            input: &self.nodes[index][row * width..][..width],
            kept: &self.kept[index][row * kept..][..kept],
        }
    }

    /// Computes every node from the input.
    pub(crate) fn forward(&mut self, network: &Network, dense: &impl Dense<T>) {
        for (index, op) in network.ops().iter().enumerate() {
            let (before, after) = self.nodes.split_at_mut(index + 1);
            let (input, output) = (&before[index], &mut after[0]);
            match op {
                Op::Dense(layer) => {
                    dense.forward(&network.layers()[*layer], index == 0, input, output);
                }
                Op::Activation(activation) => activation.forward(input, output),
                Op::Add(other) => {
                    output.copy_from_slice(input);
                    each(output, &before[*other], |sum, value| sum + value);
                }
                Op::Recall(other) => output.copy_from_slice(&before[*other]),
                Op::Join { first, .. } => {
                    join((&before[*first], input), network.joined_widths(index), output);
                }
                Op::Recurrence(layer, lstm) => {
                    let weight = dense.parameters(&network.layers()[*layer]);
                    self.kept[index].resize(lstm.kept(input.len()), T::zero());
                    lstm.forward(weight, input, &mut self.kept[index], output);
                }
                Op::Local { op, layer } => {
                    let parameters = match layer {
                        Some(layer) => dense.parameters(&network.layers()[*layer]),
                        None => &[],
                    };
                    let kernel = op.kernel::<T>();
                    let width = self.widths[index];
                    let (to, kept) = (self.widths[index + 1], kernel.kept(width));
                    let rows = input.len() / width;
                    self.kept[index].resize(rows * kept, T::zero());
                    for row in 0..rows {
                        kernel.forward(
                            parameters,
                            &input[row * width..][..width],
                            &mut self.kept[index][row * kept..][..kept],
                            &mut output[row * to..][..to],
                        );
                    }
                }
            }
        }
    }

    /// Computes gradients at every node from the one at the output, and those of the parameters.
    pub(crate) fn backward(&mut self, network: &Network, dense: &mut impl Dense<T>) {
        for (index, op) in network.ops().iter().enumerate().rev() {
            let mut at_input = std::mem::take(&mut self.gradients[index]);
            let at_output = &self.gradients[index + 1];
            let (input, is_moved) = (&self.nodes[index], network.is_moved(index));
            match op {
                Op::Dense(layer) => {
                    let layer = &network.layers()[*layer];
                    if is_moved {
                        dense.backward(layer, at_output, &mut at_input);
                    }
                    dense.gradient(layer, index == 0, input, at_output);
                }
                Op::Activation(activation) if is_moved => {
                    activation.first_derivative(input, &self.nodes[index + 1], &mut at_input);
                    each(&mut at_input, at_output, |slope, gradient| slope * gradient);
                }
                Op::Add(_) if is_moved => at_input.copy_from_slice(at_output),
                Op::Recall(_) if is_moved => at_input.fill(T::zero()),
                Op::Join { .. } if is_moved => {
                    second_of(at_output, network.joined_widths(index), &mut at_input);
                }
                Op::Activation(_) | Op::Add(_) | Op::Recall(_) | Op::Join { .. } => {}
                // Its kernel's gradient is made from the one at its input, moved or not.
                Op::Recurrence(layer, lstm) if network.is_moved(index + 1) => {
                    let (layer, output) = (&network.layers()[*layer], &self.nodes[index + 1]);
                    let weight = dense.parameters(layer);
                    let run = Run { weight, kept: &self.kept[index], output };
                    lstm.backward(&run, at_output, &mut at_input);
                    dense.gradient(layer, false, &lstm.before(output), &at_input);
                }
                Op::Recurrence(..) => {}
                Op::Local { op, layer } => {
                    if is_moved {
                        self.local_backward(network, dense, index, (op, *layer), &mut at_input);
                    }
                    if let Some(layer) = layer {
                        self.local_gradient(network, dense, index, (op, *layer));
                    }
                }
            }
            if is_moved {
                network.add_other_uses(index, &mut at_input, |node| &self.gradients[node]);
            }
            self.gradients[index] = at_input;
        }
    }

    fn local_backward(
        &self,
        network: &Network,
        dense: &impl Dense<T>,
        index: usize,
        (op, layer): (&LocalOp, Option<usize>),
        at_input: &mut [T],
    ) {
        let parameters = match layer {
            Some(layer) => dense.parameters(&network.layers()[layer]),
            None => &[],
        };
        let (width, to) = (self.widths[index], self.widths[index + 1]);
        for (row, at_input) in at_input.chunks_exact_mut(width).enumerate() {
            let delta = &self.gradients[index + 1][row * to..][..to];
            op.kernel::<T>().backward(&self.point(index, row, parameters), delta, at_input);
        }
    }

    fn local_gradient(
        &self,
        network: &Network,
        dense: &mut impl Dense<T>,
        index: usize,
        (op, layer): (&LocalOp, usize),
    ) {
        let Some(gradient) = dense.gradient_of(&network.layers()[layer]) else { return };
        let to = self.widths[index + 1];
        for (row, delta) in self.gradients[index + 1].chunks_exact(to).enumerate() {
            op.kernel::<T>().add_gradient(&self.point(index, row, &[]), delta, gradient);
        }
    }
}

/// Rows of two nodes side by side.
pub(crate) fn join<T: Real>(
    (first, second): (&[T], &[T]),
    (first_width, second_width): (usize, usize),
    output: &mut [T],
) {
    let rows = first.chunks_exact(first_width).zip(second.chunks_exact(second_width));
    for (row, (first, second)) in output.chunks_exact_mut(first_width + second_width).zip(rows) {
        row[..first_width].copy_from_slice(first);
        row[first_width..].copy_from_slice(second);
    }
}

/// What joined rows hold of the second node.
pub(crate) fn second_of<T: Real>(
    joined: &[T],
    (first_width, second_width): (usize, usize),
    second: &mut [T],
) {
    let rows = joined.chunks_exact(first_width + second_width);
    for (to, row) in second.chunks_exact_mut(second_width).zip(rows) {
        to.copy_from_slice(&row[first_width..]);
    }
}
