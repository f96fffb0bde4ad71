//! Captures gathered from one tape after another.

use attribench_core::{Captures, Inputs, LayerCapture, LayerKind, Real};
use ndarray::Array2;

use crate::{Network, embedding::token, network::Op, tape::Tape};

/// Layer inputs and output gradients of the examples that were on tapes of one model.
pub(crate) struct Gathered<'a, T> {
    network: &'a Network,
    examples: usize,
    layers: Vec<Sides<T>>,
}

/// Layer inputs and output gradients of the examples on one tape, after a pass backward.
pub(crate) fn captures_of<T: Real>(network: &Network, tape: &Tape<T>) -> Captures<T> {
    let mut gathered = Gathered::with_room(network, tape.rows());
    gathered.add(tape);
    gathered.finish()
}

/// What was gathered of a layer, position by position.
#[derive(Clone)]
struct Sides<T> {
    inputs: Vec<T>,
    /// In place of inputs, where these are tokens.
    tokens: Vec<u32>,
    output_gradients: Vec<T>,
}

impl<'a, T: Real> Gathered<'a, T> {
    /// Nothing yet, with room for `examples` examples.
    pub(crate) fn with_room(network: &'a Network, examples: usize) -> Self {
        let room = |index: usize| {
            let layer = &network.layers()[index];
            let rows = examples * layer.positions;
            let (inputs, tokens) = match layer.kind {
                LayerKind::Lookup => (0, rows),
                LayerKind::Dense | LayerKind::DenseWithoutBias => (rows * layer.inputs, 0),
            };
            Sides {
                inputs: Vec::with_capacity(inputs),
                tokens: Vec::with_capacity(tokens),
                output_gradients: Vec::with_capacity(rows * layer.outputs),
            }
        };
        Self { network, examples: 0, layers: (0..network.trained_layers()).map(room).collect() }
    }

    /// Adds the examples on a tape after a pass backward.
    pub(crate) fn add(&mut self, tape: &Tape<T>) {
        self.examples += tape.rows();
        for (index, op) in self.network.ops().iter().enumerate() {
            let Some(layer) = op.layer() else { continue };
            let Some(sides) = self.layers.get_mut(layer) else { continue };
            match op {
                Op::Local { op, .. } if self.network.layers()[layer].kind == LayerKind::Dense => {
                    let outputs = self.network.layers()[layer].outputs;
                    let deltas = tape.gradient(index + 1).chunks_exact(tape.width(index + 1));
                    for (row, delta) in deltas.enumerate() {
                        let start = sides.output_gradients.len();
                        sides.output_gradients.resize(start + outputs, T::zero());
                        let gradient = &mut sides.output_gradients[start..];
                        op.kernel::<T>().add_gradient(
                            &tape.point(index, row, &[]),
                            delta,
                            gradient,
                        );
                    }
                }
                Op::Local { .. } => {
                    sides.tokens.extend(tape.node(index).iter().map(|&value| token(value) as u32));
                    sides.output_gradients.extend_from_slice(tape.gradient(index + 1));
                }
                Op::Recurrence(_, lstm) => {
                    sides.inputs.extend_from_slice(&lstm.before(tape.node(index + 1)));
                    sides.output_gradients.extend_from_slice(tape.gradient(index));
                }
                _ => {
                    sides.inputs.extend_from_slice(tape.node(index));
                    sides.output_gradients.extend_from_slice(tape.gradient(index + 1));
                }
            }
        }
    }

    /// All of it.
    pub(crate) fn finish(self) -> Captures<T> {
        let layers = self.layers.into_iter().zip(self.network.layers()).map(|(sides, layer)| {
            let matrix = |values: Vec<T>, width: usize| {
                Array2::from_shape_vec((self.examples * layer.positions, width), values)
                    .expect("a layer was on every tape")
            };
            let inputs = match layer.kind {
                LayerKind::Lookup => Inputs::Tokens(sides.tokens),
                LayerKind::Dense | LayerKind::DenseWithoutBias => {
                    Inputs::Values(matrix(sides.inputs, layer.inputs))
                }
            };
            let output_gradients = matrix(sides.output_gradients, layer.outputs);
            LayerCapture { positions: layer.positions, inputs, output_gradients }
        });
        Captures { layers: layers.collect() }
    }
}
