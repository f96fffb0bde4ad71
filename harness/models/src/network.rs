//! A network as a list of ops, written once and read several ways.
//!
//! | reading | where | gives |
//! |---|---|---|
//! | plain, one model or a stack of them | `tape`, `stack` | outputs, gradients, training |
//! | captures | `captured` | per-example layer inputs and output gradients |
//! | duals | `dual` | directional derivatives, exact curvature products |
//!
//! Each reading runs in `f32` and in `f64`.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use attribench_core::{
    Captures, Curvature, Examples, LabelChoice, Labels, Layer, Layout, Model, Quantity, Real,
    Stack, UpdateRule, Utility, stream,
};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rand::RngExt;

use crate::{
    Activation,
    activation::each,
    captured::Gathered,
    dense::{Parameters, Plain},
    dual::Tangents,
    local::LocalOp,
    looped::LoopedStack,
    loss,
    lstm::Lstm,
    stack::NetworkStack,
    tape::Tape,
};

/// One step of the forward pass. The value after op `i` is node `i + 1`; node 0 is the input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// Dense layer of this index.
    Dense(usize),
    /// Element-wise non-linearity.
    Activation(Activation),
    /// Another op on single examples, with the index of its layer if it has parameters.
    Local {
        /// What it computes.
        op: LocalOp,
        /// Its layer.
        layer: Option<usize>,
    },
    /// The sum of the value so far and an earlier node.
    Add(usize),
    /// An earlier node once more.
    Recall(usize),
    /// At each position an earlier node and then the value so far.
    Join {
        /// The earlier node.
        first: usize,
        /// Positions of an example, in both.
        positions: usize,
    },
    /// From position to position; the layer of this index says how, without bias: its inputs are
    /// the outputs of the position before, its outputs what they add to the input of this op.
    Recurrence(usize, Lstm),
}

impl Op {
    /// Its layer, if it has parameters.
    pub(crate) fn layer(&self) -> Option<usize> {
        match self {
            Self::Dense(layer) | Self::Recurrence(layer, _) => Some(*layer),
            Self::Local { layer, .. } => *layer,
            Self::Activation(_) | Self::Add(_) | Self::Recall(_) | Self::Join { .. } => None,
        }
    }
}

/// How a layer's parameters begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// All uniform on `(-1/sqrt(inputs), 1/sqrt(inputs))`.
    ByInputs,
    /// Weights, or all parameters of a vector, uniform on `(-bound, bound)`; biases 0.
    Within(f64),
    /// All 1.
    Scales,
    /// Half of the parameters 1, then 0.
    ScalesAndShifts,
    /// All 0.
    Zero,
}

/// Rows handled at a time where the caller sets no bound: large enough for fast products, small
/// enough that a block's buffers stay in cache.
const BLOCK_ROWS: usize = 256;

/// Numbers that move with each direction in a block of curvature products: directions are laid out
/// anew for every block, so that models whose values are few take more rows at a time.
const MOVED_NUMBERS: usize = 1 << 14;

/// Bytes of parameters and momenta that a stack may hold: half of a usual core's second-level
/// cache.
const STACK_BYTES: usize = 1 << 20;

/// Most models in a stack; beyond it the buffers of a batch leave the cache.
const WIDEST_STACK: usize = 32;

/// Numbers that the values of one block of rows may hold, where examples are large: so few that
/// they stay in a core's cache, and that their memory is used again and not handed back.
const BLOCK_NUMBERS: usize = 1 << 18;

/// The same where rows run forward and backward and no more: wider products are worth a larger
/// cache.
const TAPE_NUMBERS: usize = 1 << 20;

/// A network: a list of ops whose values are computed one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    ops: Vec<Op>,
    layout: Layout,
    starts: Vec<Start>,
    /// Layers of the layout, and then frozen ones, whose parameters lie behind those of the layout.
    layers: Vec<Layer>,
    frozen: Frozen,
    /// Where training begins, if not as the starts say.
    beginning: Option<Arc<Vec<f64>>>,
    /// Width of each node.
    widths: Vec<usize>,
    /// Whether a node depends on parameters that are not frozen.
    is_moved: Vec<bool>,
}

/// Parameters that stay, shared by all copies of a network.
#[derive(Clone, Debug, Default)]
struct Frozen {
    double: Arc<Vec<f64>>,
    /// The same, rounded when they are first asked for.
    single: Arc<OnceLock<Vec<f32>>>,
}

impl Frozen {
    fn new(values: Vec<f64>) -> Self {
        Self { double: Arc::new(values), single: Arc::default() }
    }

    fn values<T: Real>(&self) -> &[T] {
        if let Some(double) = (&*self.double as &dyn Any).downcast_ref::<Vec<T>>() {
            return double;
        }
        let round = || self.double.iter().map(|&value| value as f32).collect();
        let single: &Vec<f32> = self.single.get_or_init(round);
        (single as &dyn Any).downcast_ref::<Vec<T>>().expect("numbers are single or double")
    }
}

impl PartialEq for Frozen {
    fn eq(&self, other: &Self) -> bool {
        self.double == other.double
    }
}

/// A network that is being put together, op by op.
pub(crate) struct Builder {
    input_width: usize,
    ops: Vec<Op>,
    layout: Layout,
    starts: Vec<Start>,
}

impl Builder {
    pub(crate) fn new(input_width: usize) -> Self {
        Self { input_width, ops: Vec::new(), layout: Layout::default(), starts: Vec::new() }
    }

    /// The node that the last op made.
    pub(crate) fn node(&self) -> usize {
        self.ops.len()
    }

    pub(crate) fn op(&mut self, op: Op) {
        self.ops.push(op);
    }

    pub(crate) fn local(&mut self, op: LocalOp) {
        self.ops.push(Op::Local { op, layer: None });
    }

    pub(crate) fn dense(&mut self, layer: Layer, start: Start) -> usize {
        let index = self.layout.push(layer);
        self.starts.push(start);
        self.ops.push(Op::Dense(index));
        index
    }

    /// Sequences of what the last op made, one after the other.
    pub(crate) fn recurrence(&mut self, layer: Layer, lstm: Lstm, start: Start) {
        let index = self.layout.push(layer);
        self.starts.push(start);
        self.ops.push(Op::Recurrence(index, lstm));
    }

    /// A dense layer that uses the weight of layer `owner`.
    pub(crate) fn tied(&mut self, layer: Layer, owner: usize) {
        let index = self.layout.push_tied(layer, owner);
        self.starts.push(Start::Zero);
        self.ops.push(Op::Dense(index));
    }

    /// An op with parameters that is not dense.
    pub(crate) fn with_layer(&mut self, op: LocalOp, layer: Layer, start: Start) -> usize {
        let index = self.layout.push(layer);
        self.starts.push(start);
        self.ops.push(Op::Local { op, layer: Some(index) });
        index
    }

    pub(crate) fn finish(self) -> Network {
        Network::of_parts(self.input_width, self.ops, self.layout, self.starts, (&[], Vec::new()))
    }
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
        let starts = vec![Start::ByInputs; shapes.len()];
        Self::of_parts(widths[0], ops, Layout::dense(&shapes), starts, (&[], Vec::new()))
    }

    /// A network of ops that name layers of the layout and then frozen ones.
    fn of_parts(
        input_width: usize,
        ops: Vec<Op>,
        layout: Layout,
        starts: Vec<Start>,
        (frozen_layers, frozen): (&[Layer], Vec<f64>),
    ) -> Self {
        let mut layers = layout.layers().to_vec();
        let p = layout.parameters();
        layers.extend(frozen_layers.iter().map(|layer| Layer {
            weight_offset: layer.weight_offset + p,
            bias_offset: layer.bias_offset + p,
            ..layer.clone()
        }));
        let (mut widths, mut is_moved) = (vec![input_width], vec![false]);
        for op in &ops {
            let (width, moves) = (widths[widths.len() - 1], is_moved[is_moved.len() - 1]);
            let is_trained = |layer: usize| layer < layout.layers().len();
            let (width, moves) = match op {
                Op::Dense(index) => {
                    let layer = &layers[*index];
                    assert_eq!(width, layer.positions * layer.inputs, "input of {}", layer.name);
                    (layer.positions * layer.outputs, moves || is_trained(*index))
                }
                Op::Activation(_) => (width, moves),
                Op::Local { op, layer } => {
                    let moves = moves || layer.is_some_and(is_trained);
                    (op.kernel::<f32>().output_width(width), moves)
                }
                Op::Add(node) => {
                    assert_eq!(width, widths[*node], "widths of a sum");
                    (width, moves || is_moved[*node])
                }
                Op::Recall(node) => (widths[*node], is_moved[*node]),
                Op::Join { first, .. } => (widths[*first] + width, moves || is_moved[*first]),
                Op::Recurrence(index, _) => {
                    let layer = &layers[*index];
                    assert_eq!(width, layer.positions * layer.outputs, "input of {}", layer.name);
                    (layer.positions * layer.inputs, moves || is_trained(*index))
                }
            };
            widths.push(width);
            is_moved.push(moves);
        }
        let (frozen, beginning) = (Frozen::new(frozen), None);
        Self { ops, layout, starts, layers, frozen, beginning, widths, is_moved }
    }

    /// The same network, whose training begins at `theta` under every seed.
    ///
    /// # Panics
    /// When `theta` has another length than the parameters.
    #[must_use]
    pub fn beginning_at(self, theta: &[f64]) -> Self {
        assert_eq!(theta.len(), self.layout.parameters(), "length of the parameter vector");
        Self { beginning: Some(Arc::new(theta.to_vec())), ..self }
    }

    /// The same function with all parameters frozen at `theta`, to which every dense layer but the
    /// last adds `(scale / rank) B A x`, if it is wider than `rank` on both sides; the parameters
    /// are the `A` `(rank, inputs)` and `B` `(outputs, rank)`, and `B` begins at 0 (Hu and others,
    /// LoRA, 2021). Kernels of recurrences stay as they are.
    ///
    /// # Panics
    /// When `theta` has another length than the parameters, or something is frozen already.
    #[must_use]
    pub fn with_adapters(&self, theta: &[f64], rank: usize, scale: f64) -> Self {
        assert_eq!(theta.len(), self.layout.parameters(), "length of the parameter vector");
        assert!(
            self.frozen.double.is_empty(),
            "adapters stand on parameters that can all be trained"
        );
        let last = self.head_op();
        let is_adapted = |(index, op): (usize, &Op)| match op {
            Op::Dense(layer) => {
                let layer = &self.layers[*layer];
                index < last && layer.inputs.min(layer.outputs) > rank
            }
            _ => false,
        };
        let adapted = self.ops.iter().enumerate().filter(|&(i, op)| is_adapted((i, op))).count();
        let mut builder = Builder::new(self.widths[0]);
        // Where the old nodes are among the new ones.
        let mut moved_to = vec![0];
        for (index, op) in self.ops.iter().enumerate() {
            let input = builder.node();
            match op {
                Op::Dense(layer) => builder.op(Op::Dense(2 * adapted + layer)),
                Op::Local { op, layer: Some(layer) } => {
                    let layer = Some(2 * adapted + layer);
                    builder.op(Op::Local { op: op.clone(), layer });
                }
                Op::Add(node) => builder.op(Op::Add(moved_to[*node])),
                Op::Recall(node) => builder.op(Op::Recall(moved_to[*node])),
                Op::Join { first, positions } => {
                    builder.op(Op::Join { first: moved_to[*first], positions: *positions });
                }
                Op::Recurrence(layer, lstm) => {
                    builder.op(Op::Recurrence(2 * adapted + layer, *lstm));
                }
                Op::Activation(_) | Op::Local { .. } => builder.op(op.clone()),
            }
            if let (Op::Dense(layer), true) = (op, is_adapted((index, op))) {
                let (layer, frozen) = (&self.layers[*layer], builder.node());
                let (a, b) = (format!("{}.a", layer.name), format!("{}.b", layer.name));
                let a = Layer::dense_without_bias(a, layer.inputs, rank);
                let b = Layer::dense_without_bias(b, rank, layer.outputs);
                builder.op(Op::Recall(input));
                builder.dense(a.at_positions(layer.positions), Start::ByInputs);
                builder.dense(b.at_positions(layer.positions), Start::Zero);
                builder.local(LocalOp::Scale(crate::scale::Scale { factor: scale / rank as f64 }));
                builder.op(Op::Add(frozen));
            }
            moved_to.push(builder.node());
        }
        let Builder { input_width, ops, layout, starts } = builder;
        Self::of_parts(input_width, ops, layout, starts, (&self.layers, theta.to_vec()))
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Layers of the layout, and then frozen ones.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Layers of the layout; those behind them are frozen.
    pub(crate) fn trained_layers(&self) -> usize {
        self.layout.layers().len()
    }

    pub(crate) fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Whether a node depends on parameters that are not frozen.
    pub(crate) fn is_moved(&self, node: usize) -> bool {
        self.is_moved[node]
    }

    /// Adds to the gradient at `node` what ops send back that read it beside the one that follows
    /// it, given the gradients at their ends.
    pub(crate) fn add_other_uses<'g, T: Real>(
        &self,
        node: usize,
        at_node: &mut [T],
        gradient: impl Fn(usize) -> &'g [T],
    ) {
        for (index, op) in self.ops.iter().enumerate() {
            match op {
                Op::Add(read) | Op::Recall(read) if *read == node => {
                    each(at_node, gradient(index + 1), |sum, value| sum + value);
                }
                Op::Join { first, .. } if *first == node => {
                    let (first, second) = self.joined_widths(index);
                    let joined = gradient(index + 1).chunks_exact(first + second);
                    for (sum, row) in at_node.chunks_exact_mut(first).zip(joined) {
                        each(sum, &row[..first], |sum, value| sum + value);
                    }
                }
                _ => {}
            }
        }
    }

    /// Numbers that the two sides of the join `op` have at a position.
    pub(crate) fn joined_widths(&self, op: usize) -> (usize, usize) {
        match self.ops[op] {
            Op::Join { first, positions } => {
                (self.widths[first] / positions, self.widths[op] / positions)
            }
            _ => unreachable!("a join"),
        }
    }

    /// Frozen parameters.
    pub(crate) fn frozen<T: Real>(&self) -> &[T] {
        self.frozen.values()
    }

    /// The given parameters with the frozen ones.
    fn parameters<'a, T: Real>(&'a self, theta: &'a [T]) -> Parameters<'a, T> {
        assert_eq!(theta.len(), self.layout.parameters(), "length of the parameter vector");
        Parameters { theta, frozen: self.frozen() }
    }

    /// Whether there is nothing but dense layers at one position and non-linearities.
    fn is_plain(&self) -> bool {
        let is_plain = |op: &Op| match op {
            Op::Dense(layer) => self.layers[*layer].positions == 1,
            Op::Activation(_) => true,
            Op::Local { .. }
            | Op::Add(_)
            | Op::Recall(_)
            | Op::Join { .. }
            | Op::Recurrence(..) => false,
        };
        self.ops.iter().all(is_plain)
    }

    /// Rows handled at a time where many numbers stand for one example.
    fn block_rows(&self) -> usize {
        if self.is_plain() { BLOCK_ROWS } else { self.rows_of(BLOCK_NUMBERS) }
    }

    /// Rows whose values are about so many numbers.
    fn rows_of(&self, numbers: usize) -> usize {
        (numbers / self.widths.iter().sum::<usize>()).clamp(1, BLOCK_ROWS)
    }

    /// The same for curvature products, whatever the number of directions.
    fn curvature_rows(&self) -> usize {
        if !self.is_plain() {
            return self.block_rows();
        }
        let moved = self.widths.iter().zip(&self.is_moved).filter(|(_, is_moved)| **is_moved);
        let numbers: usize = moved.map(|(width, _)| width).sum();
        (MOVED_NUMBERS / numbers.max(1)).clamp(BLOCK_ROWS, 4 * BLOCK_ROWS)
    }

    /// The op that gives the outputs; behind it they are only put in their places.
    fn head_op(&self) -> usize {
        let is_dense = |op: &Op| matches!(op, Op::Dense(_));
        self.ops.iter().rposition(is_dense).expect("a network has a dense layer")
    }

    /// The layer that gives the outputs.
    fn head(&self) -> &Layer {
        match self.ops[self.head_op()] {
            Op::Dense(layer) => &self.layers[layer],
            _ => unreachable!("the head is dense"),
        }
    }

    /// Runs `features` forward on a tape of one model.
    fn forward<T: Real>(&self, tape: &mut Tape<T>, theta: &[T], features: ArrayView2<'_, T>) {
        let input = tape.input(features.nrows());
        for (to, from) in input.chunks_exact_mut(features.ncols()).zip(features.outer_iter()) {
            to.copy_from_slice(from.as_slice().expect("features in standard layout"));
        }
        let parameters = self.parameters(theta);
        tape.forward(self, &Plain { parameters, gradient: None });
    }

    /// Runs what [`Self::forward`] left on the tape backward, without a sum of gradients.
    fn backward<T: Real>(&self, tape: &mut Tape<T>, theta: &[T]) {
        let parameters = self.parameters(theta);
        tape.backward(self, &mut Plain { parameters, gradient: None });
    }

    /// Rows that run forward or backward at a time where nothing is summed over them: all of them
    /// where examples are small.
    fn rows_at_a_time(&self, all: usize) -> usize {
        if self.is_plain() { all.max(1) } else { self.rows_of(TAPE_NUMBERS) }
    }

    /// Calls `read(first row, tape)` after running blocks of `features` forward.
    fn forward_in_blocks<T: Real>(
        &self,
        theta: &[T],
        features: ArrayView2<'_, T>,
        mut read: impl FnMut(usize, &mut Tape<T>),
    ) {
        let n = features.nrows();
        let block = self.rows_at_a_time(n);
        let mut tape = Tape::new(self);
        for start in (0..n).step_by(block) {
            let rows = features.slice(s![start..(start + block).min(n), ..]);
            self.forward(&mut tape, theta, rows);
            read(start, &mut tape);
        }
    }

    /// Utility of each example, `n`; their labels stand from `first` on.
    fn utilities_at<T: Real>(
        &self,
        theta: &[T],
        features: ArrayView2<'_, T>,
        (labels, first): (&Labels<T>, usize),
        utility: Utility,
    ) -> Vec<T> {
        let classes = self.head().outputs;
        let mut utilities = Vec::with_capacity(features.nrows());
        self.forward_in_blocks(theta, features, |start, tape| {
            let rows = tape.outputs().chunks_exact(tape.width(tape.len() - 1));
            for (row, outputs) in rows.enumerate() {
                let label = first + start + row;
                utilities.push(loss::utility(outputs, classes, labels, label, utility));
            }
        });
        utilities
    }

    /// Forward, then the gradient of the quantity at the output, times the weights.
    fn output_gradients<T: Real>(
        &self,
        tape: &mut Tape<T>,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        weights: Option<&[T]>,
    ) {
        self.forward(tape, theta, examples.features());
        let classes = self.head().outputs;
        let gradients = tape.output_gradient();
        loss::output_gradients(gradients, classes, quantity, examples.labels(), 1, |row| row);
        if let Some(weights) = weights {
            weigh(gradients, weights);
        }
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

impl<T: Real> Model<T> for Network {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Each layer begins as its model says, from the stream `init` of its index.
    fn initial_parameters(&self, seed: u64) -> Vec<T> {
        if let Some(beginning) = &self.beginning {
            return beginning.iter().map(|&value| T::from_f64(value)).collect();
        }
        let mut theta = Vec::with_capacity(self.layout.parameters());
        for block in self.layout.blocks() {
            let index = block.layers[0];
            let layer = &self.layout.layers()[index];
            let mut stream = stream(seed, "init", index as u64);
            let mut draw = |bound: f64| T::from_f64(stream.random_range(-bound..bound));
            let (p, weights) = (layer.parameters(), layer.inputs * layer.outputs);
            match self.starts[index] {
                Start::ByInputs => {
                    let bound = 1.0 / (layer.inputs as f64).sqrt();
                    theta.extend((0..p).map(|_| draw(bound)));
                }
                Start::Within(bound) => {
                    let drawn = if weights == 0 { p } else { weights };
                    theta.extend((0..drawn).map(|_| draw(bound)));
                    theta.resize(block.range.end, T::zero());
                }
                Start::Scales => theta.resize(block.range.end, T::one()),
                Start::ScalesAndShifts => {
                    theta.resize(block.range.start + p / 2, T::one());
                    theta.resize(block.range.end, T::zero());
                }
                Start::Zero => theta.resize(block.range.end, T::zero()),
            }
        }
        theta
    }

    /// Outputs of all positions side by side, `(n, s c)`.
    fn outputs(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T> {
        let width = self.widths[self.ops.len()];
        let mut outputs = Vec::with_capacity(features.nrows() * width);
        self.forward_in_blocks(theta, features, |_, tape| outputs.extend(tape.outputs()));
        Array2::from_shape_vec((features.nrows(), width), outputs)
            .expect("outputs are rows by width")
    }

    /// The last layer's inputs; where it has several positions, their mean.
    fn hidden(&self, theta: &[T], features: ArrayView2<'_, T>) -> Array2<T> {
        let (head, node) = (self.head(), self.head_op());
        let mut hidden = Array2::zeros((features.nrows(), head.inputs));
        let scale = T::one() / T::from_f64(head.positions as f64);
        self.forward_in_blocks(theta, features, |start, tape| {
            for (row, values) in tape.node(node).chunks_exact(tape.width(node)).enumerate() {
                for position in values.chunks_exact(head.inputs) {
                    let mut mean = hidden.row_mut(start + row);
                    mean.iter_mut().zip(position).for_each(|(sum, &value)| *sum += scale * value);
                }
            }
        });
        hidden
    }

    fn utilities(&self, theta: &[T], examples: &Examples<T>, utility: Utility) -> Vec<f64> {
        // In f64 whatever the run's precision: effects of one example drown in single precision.
        let theta: Vec<f64> = theta.iter().map(|value| value.to_f64()).collect();
        let labels = examples.labels().to_f64();
        // Widened block by block: all examples at once would be twice the size of the data.
        let mut utilities = Vec::with_capacity(examples.len());
        for (start, block) in examples.blocks(self.block_rows()) {
            let features = block.features().mapv(Real::to_f64);
            utilities.extend(self.utilities_at(&theta, features.view(), (&labels, start), utility));
        }
        utilities
    }

    fn mean_loss(&self, theta: &[T], examples: &Examples<T>) -> f64 {
        let (features, labels) = (examples.features(), examples.labels());
        let utilities = self.utilities_at(theta, features, (labels, 0), Utility::NegativeLoss);
        -utilities.iter().map(|utility| utility.to_f64()).sum::<f64>() / examples.len() as f64
    }

    fn captures(&self, theta: &[T], examples: &Examples<T>, quantity: Quantity) -> Captures<T> {
        let (mut tape, mut gathered) = (Tape::new(self), Gathered::with_room(self, examples.len()));
        for (_, block) in examples.blocks(self.rows_at_a_time(examples.len())) {
            self.output_gradients(&mut tape, theta, &block, quantity, None);
            self.backward(&mut tape, theta);
            gathered.add(&tape);
        }
        gathered.finish()
    }

    fn captures_of_chosen(
        &self,
        theta: &[T],
        features: ArrayView2<'_, T>,
        choose: &mut LabelChoice<'_, T>,
    ) -> Vec<Captures<T>> {
        let (n, classes) = (features.nrows(), self.head().outputs);
        let mut gathered: Vec<Gathered<'_, T>> = Vec::new();
        self.forward_in_blocks(theta, features, |start, tape| {
            let shape = (tape.rows(), tape.width(self.ops.len()));
            let outputs = ArrayView2::from_shape(shape, tape.outputs());
            let chosen = choose(start, outputs.expect("outputs are rows by width"));
            gathered.resize_with(chosen.len(), || Gathered::with_room(self, n));
            for (labels, gathered) in chosen.iter().zip(&mut gathered) {
                let gradients = tape.output_gradient();
                loss::output_gradients(gradients, classes, Quantity::Loss, labels, 1, |row| row);
                self.backward(tape, theta);
                gathered.add(tape);
            }
        });
        gathered.into_iter().map(Gathered::finish).collect()
    }

    fn gradient(
        &self,
        theta: &[T],
        examples: &Examples<T>,
        quantity: Quantity,
        weights: &[T],
    ) -> Vec<T> {
        let parameters = self.parameters(theta);
        let mut sum = vec![T::zero(); self.layout.parameters()];
        let mut tape = Tape::new(self);
        for (start, block) in examples.blocks(self.block_rows()) {
            let weights = &weights[start..start + block.len()];
            self.output_gradients(&mut tape, theta, &block, quantity, Some(weights));
            tape.backward(self, &mut Plain { parameters, gradient: Some(&mut sum) });
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
        let (parameters, k) = (self.parameters(theta), directions.nrows());
        let directions = directions.as_standard_layout();
        let directions = directions.view();
        let mut result = Array2::zeros((examples.len(), k));
        let mut tape = Tape::new(self);
        for (start, block) in examples.blocks(self.block_rows()) {
            let rows = block.len();
            self.output_gradients(&mut tape, theta, &block, quantity, None);
            let tangents = Tangents::forward(self, &tape, parameters, &directions);
            let along = tangents.of_quantity(tape.gradient(self.ops.len()), rows);
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
        let parameters = self.parameters(theta);
        let directions = directions.as_standard_layout();
        let directions = directions.view();
        let mut products = Array2::zeros(directions.dim());
        let mut tape = Tape::new(self);
        for (start, block) in examples.blocks(self.curvature_rows()) {
            let weights = &weights[start..start + block.len()];
            let quantity = curvature.quantity();
            self.output_gradients(&mut tape, theta, &block, quantity, Some(weights));
            self.backward(&mut tape, theta);
            Tangents::forward(self, &tape, parameters, &directions).curvature(
                (block.labels(), weights),
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
        let parameters = self.parameters(theta);
        let directions = directions.as_standard_layout();
        let directions = directions.view();
        let mut result = Array2::zeros((examples.len(), directions.nrows()));
        let mut tape = Tape::new(self);
        for (start, block) in examples.blocks(self.curvature_rows()) {
            let rows = block.len();
            let weights = &weights[start..start + rows];
            self.output_gradients(&mut tape, theta, &block, Quantity::Loss, None);
            // An example of weight 0 has a derivative of its own all the same.
            let plain = tape.gradient(self.ops.len()).to_vec();
            weigh(tape.gradient_mut(self.ops.len()), weights);
            self.backward(&mut tape, theta);
            let tangents = Tangents::forward(self, &tape, parameters, &directions);
            let along = tangents.of_quantity(&plain, rows);
            result.slice_mut(s![start..start + rows, ..]).assign(&along);
            tangents.curvature((block.labels(), weights), curvature, products.view_mut());
        }
        result
    }

    fn stack(&self, width: usize, rule: &UpdateRule) -> Box<dyn Stack<T>> {
        if self.is_plain() {
            Box::new(NetworkStack::new(self.clone(), width, *rule))
        } else {
            Box::new(LoopedStack::new(self.clone(), width, *rule))
        }
    }

    /// One where models do not share a product.
    fn stack_width(&self) -> usize {
        let bytes = 2 * self.layout.parameters() * size_of::<T>();
        if self.is_plain() { (STACK_BYTES / bytes).clamp(1, WIDEST_STACK) } else { 1 }
    }
}
