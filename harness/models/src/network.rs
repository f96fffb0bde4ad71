//! A network as a list of ops, written once and read several ways.
//!
//! | reading | where | gives |
//! |---|---|---|
//! | plain, one model or a stack of them | `tape`, `stack` | outputs, gradients, training |
//! | captures | here | per-example layer inputs and output gradients |
//! | duals | `dual` | directional derivatives, exact curvature products |
//!
//! Each reading runs in `f32` and in `f64`.

use attribench_core::{
    Captures, Curvature, Examples, Inputs, Labels, LayerCapture, Layout, Model, Quantity, Real,
    Stack, UpdateRule, Utility, stream,
};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rand::RngExt;

use crate::{Activation, dense::Plain, dual::Tangents, loss, stack::NetworkStack, tape::Tape};

/// One step of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Dense layer of this index in the layout.
    Dense(usize),
    /// Element-wise non-linearity.
    Activation(Activation),
}

/// Rows handled at a time where the caller sets no bound: large enough for fast products, small
/// enough that a block's buffers stay in cache.
const BLOCK_ROWS: usize = 256;

/// Bytes of parameters and momenta that a stack may hold: half of a usual core's second-level
/// cache.
const STACK_BYTES: usize = 1 << 20;

/// Most models in a stack; beyond it the buffers of a batch leave the cache.
const WIDEST_STACK: usize = 32;

/// A network of dense layers and element-wise non-linearities.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    ops: Vec<Op>,
    layout: Layout,
}

impl Network {
    /// Dense layers of the given widths, `[inputs, hidden.., outputs]`, with `activation` between.
    ///
    /// # Panics
    /// When fewer than two widths are given.
    pub fn dense(widths: &[usize], activation: Activation) -> Self {
        assert!(widths.len() >= 2, "a network needs an input and an output width");
        let shapes: Vec<(usize, usize)> =
            widths.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut ops = Vec::new();
        for layer in 0..shapes.len() {
            if layer > 0 {
                ops.push(Op::Activation(activation));
            }
            ops.push(Op::Dense(layer));
        }
        Self { ops, layout: Layout::dense(&shapes) }
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// A tape on which `features` has been run forward.
    fn forward<T: Real>(&self, theta: &[T], features: ArrayView2<'_, T>) -> Tape<T> {
        assert_eq!(theta.len(), self.layout.parameters(), "length of the parameter vector");
        let mut tape = Tape::new(&self.ops, &self.layout, 1, features.nrows());
        fill_input(&mut tape, features);
        tape.forward(&self.ops, &self.layout, &Plain { theta, gradient: None });
        tape
    }

    /// Forward, then the gradient of the quantity at the output, times the weights.
    fn output_gradients<T: Real>(
        &self,
        theta: &[T],
        features: ArrayView2<'_, T>,
        labels: &Labels<T>,
        quantity: Quantity,
        weights: Option<&[T]>,
    ) -> Tape<T> {
        let classes = self.layout.layers().last().expect("a network has layers").outputs;
        let mut tape = self.forward(theta, features);
        let gradients = tape.output_gradient();
        loss::output_gradients(gradients, classes, quantity, labels, 1, |row| row);
        if let Some(weights) = weights {
            weigh(gradients, weights);
        }
        tape
    }
}

/// Multiplies each row by its weight.
fn weigh<T: Real>(rows: &mut [T], weights: &[T]) {
    let width = rows.len() / weights.len().max(1);
    for (row, &weight) in rows.chunks_exact_mut(width.max(1)).zip(weights) {
        for value in row {
            *value *= weight;
        }
    }
}

fn fill_input<T: Real>(tape: &mut Tape<T>, features: ArrayView2<'_, T>) {
    let input = tape.input(features.nrows());
    for (to, from) in input.chunks_exact_mut(features.ncols()).zip(features.outer_iter()) {
        to.copy_from_slice(from.as_slice().expect("features in standard layout"));
    }
}

/// Layer inputs and output gradients on a tape of one model, as arrays.
pub(crate) fn captures_of<T: Real>(ops: &[Op], tape: &Tape<T>, rows: usize) -> Captures<T> {
    let array = |values: &[T], width: usize| {
        Array2::from_shape_vec((rows, width), values.to_vec()).expect("a node is rows by width")
    };
    let layers = ops
        .iter()
        .enumerate()
        .filter(|(_, op)| matches!(op, Op::Dense(_)))
        .map(|(index, _)| LayerCapture {
            positions: 1,
            inputs: Inputs::Values(array(tape.node(index), tape.width(index))),
            output_gradients: array(tape.gradient(index + 1), tape.width(index + 1)),
        })
        .collect();
    Captures { layers }
}

impl<T: Real> Model<T> for Network {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Uniform on `(-1/sqrt(inputs), 1/sqrt(inputs))` for weights and biases of each layer.
    fn initial_parameters(&self, seed: u64) -> Vec<T> {
        let mut theta = Vec::with_capacity(self.layout.parameters());
        for (index, layer) in self.layout.layers().iter().enumerate() {
            let mut stream = stream(seed, "init", index as u64);
            let bound = 1.0 / (layer.inputs as f64).sqrt();
            let draw = |_| T::from_f64(stream.random_range(-bound..bound));
            theta.extend((0..layer.parameters()).map(draw));
        }
        theta
    }

    fn outputs(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T> {
        let classes = self.layout.layers().last().expect("a network has layers").outputs;
        let tape = self.forward(theta, features);
        Array2::from_shape_vec((features.nrows(), classes), tape.outputs().to_vec())
            .expect("outputs are rows by classes")
    }

    fn hidden(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T> {
        let last = self.layout.layers().last().expect("a network has layers");
        let tape = self.forward(theta, features);
        Array2::from_shape_vec(
            (features.nrows(), last.inputs),
            tape.node(self.ops.len() - 1).to_vec(),
        )
        .expect("the last layer's input is rows by inputs")
    }

    fn utilities(&self, theta: &[T], examples: &Examples<T>, utility: Utility) -> Vec<f64> {
        // In f64 whatever the run's precision: effects of one example drown in single precision.
        let theta: Vec<f64> = theta.iter().map(|value| value.to_f64()).collect();
        let labels = match examples.labels() {
            Labels::Classes(labels) => Labels::Classes(labels.clone()),
            Labels::Values(values) => {
                Labels::Values(values.iter().map(|value| value.to_f64()).collect())
            }
        };
        let features = examples.features().mapv(Real::to_f64);
        let outputs = <Self as Model<f64>>::outputs(self, &theta, features.view());
        outputs
            .outer_iter()
            .enumerate()
            .map(|(row, outputs)| {
                let outputs = outputs.as_slice().expect("outputs in standard layout");
                loss::utility(outputs, &labels, row, utility)
            })
            .collect()
    }

    fn captures(&self, theta: &[T], examples: &Examples<T>, quantity: Quantity) -> Captures<T> {
        let labels = examples.labels();
        let mut tape = self.output_gradients(theta, examples.features(), labels, quantity, None);
        tape.backward(&self.ops, &self.layout, &mut Plain { theta, gradient: None });
        captures_of(&self.ops, &tape, examples.len())
    }

    fn gradient(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        weights: &[T],
    ) -> Vec<T> {
        let mut sum = vec![T::zero(); self.layout.parameters()];
        for (start, block) in examples.blocks(BLOCK_ROWS) {
            let weights = &weights[start..start + block.len()];
            let (features, labels) = (block.features(), block.labels());
            let mut tape = self.output_gradients(theta, features, labels, quantity, Some(weights));
            let mut dense = Plain { theta, gradient: Some(&mut sum) };
            tape.backward(&self.ops, &self.layout, &mut dense);
        }
        sum
    }

    fn tangents(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T> {
        let k = directions.nrows();
        let directions = directions.as_standard_layout();
        let mut result = Array2::zeros((examples.len(), k));
        for (start, block) in examples.blocks(BLOCK_ROWS) {
            let (features, labels) = (block.features(), block.labels());
            let tape = self.output_gradients(theta, features, labels, quantity, None);
            let (ops, rows) = (&self.ops, block.len());
            let tangents =
                Tangents::forward(&tape, rows, ops, &self.layout, theta, directions.view());
            let along = tangents.along(tape.gradient(ops.len()), rows);
            result.slice_mut(s![start..start + rows, ..]).assign(&along);
        }
        result
    }

    fn curvature_products(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
    ) -> Array2<T> {
        let directions = directions.as_standard_layout();
        let mut products = Array2::zeros(directions.dim());
        for (start, block) in examples.blocks(BLOCK_ROWS) {
            let weights = &weights[start..start + block.len()];
            let (features, labels) = (block.features(), block.labels());
            let mut tape =
                self.output_gradients(theta, features, labels, Quantity::Loss, Some(weights));
            tape.backward(&self.ops, &self.layout, &mut Plain { theta, gradient: None });
            let (ops, layout, rows) = (&self.ops, &self.layout, block.len());
            Tangents::forward(&tape, rows, ops, layout, theta, directions.view()).curvature(
                &tape,
                ops,
                layout,
                theta,
                directions.view(),
                (labels, weights),
                curvature,
                products.slice_mut(s![.., ..]),
            );
        }
        products
    }

    fn derivatives(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        weights: &[T],
        curvature: Curvature,
        directions: ArrayView2<'_, T>,
        mut products: ArrayViewMut2<'_, T>,
    ) -> Array2<T> {
        let (ops, layout) = (&self.ops, &self.layout);
        let directions = directions.as_standard_layout();
        let mut result = Array2::zeros((examples.len(), directions.nrows()));
        for (start, block) in examples.blocks(BLOCK_ROWS) {
            let (features, labels, rows) = (block.features(), block.labels(), block.len());
            let weights = &weights[start..start + rows];
            let mut tape = self.output_gradients(theta, features, labels, Quantity::Loss, None);
            let tangents = Tangents::forward(&tape, rows, ops, layout, theta, directions.view());
            let along = tangents.along(tape.gradient(ops.len()), rows);
            result.slice_mut(s![start..start + rows, ..]).assign(&along);
            weigh(tape.gradient_mut(ops.len()), weights);
            tape.backward(ops, layout, &mut Plain { theta, gradient: None });
            tangents.curvature(
                &tape,
                ops,
                layout,
                theta,
                directions.view(),
                (labels, weights),
                curvature,
                products.view_mut(),
            );
        }
        result
    }

    fn stack(&self, width: usize, rule: &UpdateRule) -> Box<dyn Stack<T>> {
        Box::new(NetworkStack::new(self.clone(), width, *rule))
    }

    fn stack_width(&self) -> usize {
        let bytes = 2 * self.layout.parameters() * size_of::<T>();
        (STACK_BYTES / bytes).clamp(1, WIDEST_STACK)
    }
}
