//! Forward mode and reverse over forward: directional derivatives, and exact curvature products.
//!
//! Tangents along `k` directions lie as `[rows][k][width]`, so that every direction shares the
//! products with the weights.

use std::{borrow::Cow, ops::Range};

use attribench_core::{Curvature, Labels, Layer, Quantity, Real};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::{
    Network,
    activation::each,
    dense::Parameters,
    local::{Direction, LocalOp},
    loss,
    lstm::{Along, Lstm, Moved, Run},
    network::Op,
    tape::{Tape, join, second_of},
};

/// Numbers of the weights of several directions that go into one product with what they share.
const STACKED_NUMBERS: usize = 1 << 20;

/// Tangents of all nodes for one block of rows whose plain pass stands on a tape.
pub(crate) struct Tangents<'a, T> {
    network: &'a Network,
    tape: &'a Tape<T>,
    parameters: Parameters<'a, T>,
    /// `(k, p)`, row after row.
    directions: &'a [T],
    k: usize,
    /// Empty where nothing moves.
    nodes: Vec<Vec<T>>,
}

/// What a dense layer's share of a curvature product is made of: inputs and gradients at the
/// outputs, and how both move.
struct Factors<'a, T> {
    input: &'a [T],
    /// Empty where it does not move.
    input_tangent: &'a [T],
    gradient: &'a [T],
    gradient_tangent: &'a [T],
}

/// Matrices of the rows of one block: all of them at once where a layer has one position, an
/// example at a time where it has several, as its directions then lie between examples.
struct Pieces {
    count: usize,
    rows: usize,
    /// Distance of rows with and without directions, in units of the layer's width.
    stride: usize,
}

impl Pieces {
    fn of(layer: &Layer, rows: usize, k: usize) -> Self {
        if layer.positions == 1 {
            Self { count: 1, rows, stride: k }
        } else {
            Self { count: rows, rows: layer.positions, stride: 1 }
        }
    }

    /// Where piece `piece` starts in values without directions.
    fn plain(&self, piece: usize, width: usize) -> usize {
        piece * self.rows * width
    }

    /// Where direction `direction` of piece `piece` starts in values with directions.
    fn along(&self, piece: usize, k: usize, direction: usize, width: usize) -> usize {
        let rows = if self.stride == 1 { self.rows } else { 1 };
        (piece * k + direction) * rows * width
    }
}

impl<'a, T: Real> Tangents<'a, T> {
    /// Propagates `directions` `(k, p)` through the ops; the tape holds the values of one model.
    pub(crate) fn forward(
        network: &'a Network,
        tape: &'a Tape<T>,
        parameters: Parameters<'a, T>,
        directions: &'a ArrayView2<'a, T>,
    ) -> Self {
        let flat = directions.as_slice().expect("directions in standard layout");
        let k = directions.nrows();
        let mut tangents =
            Self { network, tape, parameters, directions: flat, k, nodes: vec![Vec::new()] };
        for (index, op) in network.ops().iter().enumerate() {
            let tangent = if network.is_moved(index + 1) {
                tangents.op_tangent(index, op)
            } else {
                Vec::new()
            };
            tangents.nodes.push(tangent);
        }
        tangents
    }

    /// A layer's part of direction `direction`; nothing for a frozen layer.
    fn along(&self, layer: &Layer, direction: usize) -> Option<&'a [T]> {
        let p = self.directions.len() / self.k;
        let range = layer.range();
        (range.end <= p).then(|| &self.directions[direction * p..][range])
    }

    fn op_tangent(&self, index: usize, op: &Op) -> Vec<T> {
        let (tape, k) = (self.tape, self.k);
        let input = &self.nodes[index];
        match op {
            Op::Dense(layer) => self.dense_tangent(index, &self.network.layers()[*layer]),
            Op::Activation(activation) => {
                let mut slope = vec![T::zero(); tape.node(index).len()];
                activation.first_derivative(tape.node(index), tape.node(index + 1), &mut slope);
                let mut tangent = input.clone();
                scale_blocks(&mut tangent, &slope, k, tape.width(index));
                tangent
            }
            Op::Add(other) => sum_of(input, &self.nodes[*other]),
            Op::Recall(other) => self.nodes[*other].clone(),
            Op::Join { first, .. } => {
                let mut tangent = vec![T::zero(); tape.rows() * k * tape.width(index + 1)];
                let sides = (self.tangent_at(*first), self.tangent_at(index));
                join((&sides.0, &sides.1), self.network.joined_widths(index), &mut tangent);
                tangent
            }
            Op::Recurrence(layer, lstm) => self.recurrence_tangent(index, *layer, lstm),
            Op::Local { op, layer } => {
                let (width, to) = (tape.width(index), tape.width(index + 1));
                let mut tangent = vec![T::zero(); tape.rows() * k * to];
                self.for_each_point(index, *layer, |block, point, along| {
                    let output = &mut tangent[block * to..][..to];
                    op.kernel().tangent(point, along, output);
                });
                debug_assert!(input.is_empty() || input.len() == tape.rows() * k * width);
                tangent
            }
        }
    }

    /// Calls `visit(row k + direction, point, direction)` for a local op.
    fn for_each_point(
        &self,
        index: usize,
        layer: Option<usize>,
        mut visit: impl FnMut(usize, &crate::local::Point<'_, T>, &Direction<'_, T>),
    ) {
        let layer = layer.map(|layer| &self.network.layers()[layer]);
        let parameters = layer.map_or(&[][..], |layer| self.parameters.at(layer.range()));
        let width = self.tape.width(index);
        let (still, unmoved) = (vec![T::zero(); width], vec![T::zero(); parameters.len()]);
        for row in 0..self.tape.rows() {
            let point = self.tape.point(index, row, parameters);
            for direction in 0..self.k {
                let block = row * self.k + direction;
                let input = match &self.nodes[index][..] {
                    [] => &still,
                    moved => &moved[block * width..][..width],
                };
                let own = layer.and_then(|layer| self.along(layer, direction));
                let along = Direction { parameters: own.unwrap_or(&unmoved), input };
                visit(block, &point, &along);
            }
        }
    }

    /// Tangents at a node, zeros where it does not move.
    fn tangent_at(&self, node: usize) -> Cow<'_, [T]> {
        match &self.nodes[node][..] {
            [] => Cow::Owned(vec![T::zero(); self.tape.rows() * self.k * self.tape.width(node)]),
            moved => Cow::Borrowed(moved),
        }
    }

    /// Calls `visit(row k + direction, run, direction, how it moves)` for a recurrence.
    fn for_each_run(
        &self,
        index: usize,
        layer: usize,
        lstm: &Lstm,
        mut visit: impl FnMut(usize, &Run<'_, T>, &Along<'_, T>, &Moved<T>),
    ) {
        let layer = &self.network.layers()[layer];
        let (weight, input) = (self.parameters.at(layer.range()), self.tangent_at(index));
        let (width, to) = (self.tape.width(index), self.tape.width(index + 1));
        for row in 0..self.tape.rows() {
            let output = &self.tape.node(index + 1)[row * to..][..to];
            let run = Run { weight, kept: self.tape.point(index, row, &[]).kept, output };
            for direction in 0..self.k {
                let block = row * self.k + direction;
                let input = &input[block * width..][..width];
                let along = Along { weight: self.along(layer, direction), input };
                visit(block, &run, &along, &lstm.tangent(&run, &along));
            }
        }
    }

    fn recurrence_tangent(&self, index: usize, layer: usize, lstm: &Lstm) -> Vec<T> {
        let to = self.tape.width(index + 1);
        let mut tangent = vec![T::zero(); self.tape.rows() * self.k * to];
        self.for_each_run(index, layer, lstm, |block, _, _, moved| {
            tangent[block * to..][..to].copy_from_slice(&moved.output);
        });
        tangent
    }

    fn recurrence_delta(
        &self,
        index: usize,
        (layer, lstm): (usize, &Lstm),
        delta: &[T],
        is_hessian: bool,
    ) -> Vec<T> {
        let (width, to) = (self.tape.width(index), self.tape.width(index + 1));
        let mut at_input = vec![T::zero(); self.tape.rows() * self.k * width];
        self.for_each_run(index, layer, lstm, |block, run, along, moved| {
            let row = block / self.k;
            let delta = &delta[block * to..][..to];
            let at_input = &mut at_input[block * width..][..width];
            if is_hessian {
                let plain = &self.tape.gradient(index + 1)[row * to..][..to];
                let dz = &self.tape.gradient(index)[row * width..][..width];
                lstm.second(run, (along, moved), (plain, dz), delta, at_input);
            } else {
                lstm.backward(run, delta, at_input);
            }
        });
        at_input
    }

    fn dense_tangent(&self, index: usize, layer: &Layer) -> Vec<T> {
        let (rows, k) = (self.tape.rows(), self.k);
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let mut tangent = vec![T::zero(); rows * k * layer.positions * outputs];
        if self.along(layer, 0).is_some() {
            for (block, values) in tangent.chunks_exact_mut(layer.positions * outputs).enumerate() {
                let own = self.along(layer, block % k).expect("the layer has directions");
                if layer.has_bias() {
                    for row in values.chunks_exact_mut(outputs) {
                        row.copy_from_slice(&own[inputs * outputs..]);
                    }
                }
            }
            let input = self.tape.node(index);
            if layer.positions == 1 {
                self.product_with_stacked_weights(layer, input, &mut tangent);
            } else {
                let weight = |own: &[T]| (own.as_ptr(), 1, inputs as isize);
                self.product_with_directions(layer, (inputs, outputs), input, weight, &mut tangent);
            }
        }
        if !self.nodes[index].is_empty() {
            // (rows k s, in) x (in, out) -> (rows k s, out), all directions at once.
            unsafe {
                T::gemm(
                    (rows * k * layer.positions, inputs, outputs),
                    (tangent.as_mut_ptr(), outputs as isize, 1),
                    T::one(),
                    (self.nodes[index].as_ptr(), inputs as isize, 1),
                    (self.parameters.weight(layer).as_ptr(), 1, inputs as isize),
                    T::one(),
                );
            }
        }
        tangent
    }

    /// Directions whose weights of a layer are worked on together, group by group.
    fn groups(&self, layer: &Layer) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (k, numbers) = (self.k, layer.inputs * layer.outputs);
        let together = (STACKED_NUMBERS / numbers.max(1)).clamp(1, k.max(1));
        (0..k).step_by(together).map(move |first| first..k.min(first + together))
    }

    /// `tangent[i, k, :] += input[i, :] W_k^T` at a single position. A weight of few outputs makes
    /// a thin product, so that those of several directions are put below each other.
    fn product_with_stacked_weights(&self, layer: &Layer, input: &[T], tangent: &mut [T]) {
        let (inputs, outputs, k) = (layer.inputs, layer.outputs, self.k);
        let rows = self.tape.rows();
        assert_eq!(input.len(), rows * inputs, "input of a dense layer");
        assert_eq!(tangent.len(), rows * k * outputs, "tangent of a dense layer");
        let mut weights = Vec::new();
        for group in self.groups(layer) {
            weights.clear();
            for direction in group.clone() {
                let own = self.along(layer, direction).expect("the layer has directions");
                weights.extend_from_slice(&own[..inputs * outputs]);
            }
            // (rows, in) x (in, k out) -> (rows, k out); the lengths are checked above.
            unsafe {
                T::gemm(
                    (rows, inputs, group.len() * outputs),
                    (tangent[group.start * outputs..].as_mut_ptr(), (k * outputs) as isize, 1),
                    T::one(),
                    (input.as_ptr(), inputs as isize, 1),
                    (weights.as_ptr(), 1, inputs as isize),
                    T::one(),
                );
            }
        }
    }

    /// `destination[i, k, :] += left[i, :] * matrix_k^T` for each direction: the share of a tangent
    /// or of its gradient that comes from the direction's own weights.
    fn product_with_directions(
        &self,
        layer: &Layer,
        (inner, outer): (usize, usize),
        left: &[T],
        matrix: impl Fn(&[T]) -> (*const T, isize, isize),
        destination: &mut [T],
    ) {
        let pieces = Pieces::of(layer, self.tape.rows(), self.k);
        for piece in 0..pieces.count {
            for direction in 0..self.k {
                let own = self.along(layer, direction).expect("the layer has directions");
                let (matrix, row_stride, column_stride) = matrix(own);
                let to = pieces.along(piece, self.k, direction, outer);
                // (rows, inner) x (inner, outer) -> (rows, outer); the pieces lie inside the values
                // of a node, and `matrix` is a whole weight of the direction.
                unsafe {
                    T::gemm(
                        (pieces.rows, inner, outer),
                        (destination[to..].as_mut_ptr(), (pieces.stride * outer) as isize, 1),
                        T::one(),
                        (left[pieces.plain(piece, inner)..].as_ptr(), inner as isize, 1),
                        (matrix, row_stride, column_stride),
                        T::one(),
                    );
                }
            }
        }
    }

    /// Tangents of the outputs, `[rows][k][c]`.
    pub(crate) fn outputs(&self) -> &[T] {
        self.nodes.last().expect("a network has an output")
    }

    /// Derivatives of the quantity whose gradient at the outputs is given, `(rows, k)`.
    pub(crate) fn of_quantity(&self, gradients: &[T], rows: usize) -> Array2<T> {
        let k = self.k;
        let width = gradients.len() / rows.max(1);
        Array2::from_shape_fn((rows, k), |(row, direction)| {
            let gradient = &gradients[row * width..][..width];
            let tangent = &self.outputs()[(row * k + direction) * width..][..width];
            gradient.iter().zip(tangent).map(|(&g, &t)| g * t).sum()
        })
    }

    /// Adds `sum_i w_i C_i direction_k` to `products`, `(k, p)`.
    ///
    /// The tape holds the plain gradients of the quantity, already multiplied by the weights.
    pub(crate) fn curvature(
        &self,
        (labels, weights): (&Labels<T>, &[T]),
        curvature: Curvature,
        mut products: ArrayViewMut2<'_, T>,
    ) {
        let ops = self.network.ops();
        let mut deltas = vec![Vec::new(); ops.len() + 1];
        deltas[ops.len()] = self.output_curvature(labels, weights, curvature.quantity());
        let is_hessian = curvature != Curvature::GaussNewton;
        for (index, op) in ops.iter().enumerate().rev() {
            let delta = &deltas[index + 1];
            if delta.is_empty() {
                continue;
            }
            let is_moved = self.network.is_moved(index);
            let mut at_input = Vec::new();
            if is_moved || matches!(op, Op::Recurrence(..)) {
                at_input = self.delta_at_input(index, op, delta, is_hessian);
            }
            let layer = op.layer().map(|layer| &self.network.layers()[layer]);
            if let Some(layer) = layer.filter(|layer| self.along(layer, 0).is_some()) {
                self.add_products(index, layer, (delta, &at_input), is_hessian, &mut products);
            }
            if is_moved {
                self.network.add_other_uses(index, &mut at_input, |node| &deltas[node]);
                deltas[index] = at_input;
            }
        }
    }

    /// Adds a layer's share of the products, given the tangents of the gradients at the op's output
    /// and at its input.
    fn add_products(
        &self,
        index: usize,
        layer: &Layer,
        (delta, at_input): (&[T], &[T]),
        is_hessian: bool,
        products: &mut ArrayViewMut2<'_, T>,
    ) {
        let (tape, op) = (self.tape, &self.network.ops()[index]);
        let before =
            |lstm: &Lstm| (lstm.before(tape.node(index + 1)), lstm.before(&self.nodes[index + 1]));
        let ends = match op {
            Op::Recurrence(_, lstm) => before(lstm),
            _ => Default::default(),
        };
        let factors = match op {
            Op::Recurrence(..) => Factors {
                input: &ends.0,
                input_tangent: &ends.1,
                gradient: tape.gradient(index),
                gradient_tangent: at_input,
            },
            _ => Factors {
                input: tape.node(index),
                input_tangent: &self.nodes[index],
                gradient: tape.gradient(index + 1),
                gradient_tangent: delta,
            },
        };
        let is_local = matches!(op, Op::Local { .. });
        if layer.positions == 1 && !is_local {
            self.add_stacked_products(layer, &factors, products);
        }
        for direction in 0..self.k {
            let mut row = products.row_mut(direction);
            let row = row.as_slice_mut().expect("products in standard layout");
            let product = &mut row[layer.range()];
            match op {
                Op::Local { op, .. } => {
                    self.add_local_product(index, op, direction, delta, is_hessian, product);
                }
                _ => self.add_dense_product(layer, direction, &factors, is_hessian, product),
            }
        }
    }

    /// `product_k += tangent_k(delta)^T input` of the weights at a single position.
    fn add_stacked_products(
        &self,
        layer: &Layer,
        factors: &Factors<'_, T>,
        products: &mut ArrayViewMut2<'_, T>,
    ) {
        let (inputs, outputs, k) = (layer.inputs, layer.outputs, self.k);
        let (rows, delta) = (self.tape.rows(), factors.gradient_tangent);
        assert_eq!(factors.input.len(), rows * inputs, "input of a dense layer");
        assert_eq!(delta.len(), rows * k * outputs, "gradients of a dense layer");
        let mut stacked = Vec::new();
        for group in self.groups(layer) {
            stacked.resize(group.len() * outputs * inputs, T::zero());
            // (k out, rows) x (rows, in) -> (k out, in); the lengths are checked above.
            unsafe {
                T::gemm(
                    (group.len() * outputs, rows, inputs),
                    (stacked.as_mut_ptr(), inputs as isize, 1),
                    T::zero(),
                    (delta[group.start * outputs..].as_ptr(), 1, (k * outputs) as isize),
                    (factors.input.as_ptr(), inputs as isize, 1),
                    T::one(),
                );
            }
            for (direction, product) in group.zip(stacked.chunks_exact(outputs * inputs)) {
                let mut row = products.row_mut(direction);
                let row = row.as_slice_mut().expect("products in standard layout");
                each(&mut row[layer.weight_offset..][..product.len()], product, |sum, p| sum + p);
            }
        }
    }

    fn delta_at_input(&self, index: usize, op: &Op, delta: &[T], is_hessian: bool) -> Vec<T> {
        let (tape, k, width) = (self.tape, self.k, self.tape.width(index));
        match op {
            Op::Dense(layer) => {
                self.dense_delta(index, &self.network.layers()[*layer], delta, is_hessian)
            }
            Op::Activation(activation) => {
                let (input, output) = (tape.node(index), tape.node(index + 1));
                let mut slope = vec![T::zero(); input.len()];
                activation.first_derivative(input, output, &mut slope);
                let mut at_input = delta.to_vec();
                scale_blocks(&mut at_input, &slope, k, width);
                if is_hessian {
                    activation.second_derivative(input, output, &mut slope);
                    each(&mut slope, tape.gradient(index + 1), |s, g| s * g);
                    let mut bend = self.nodes[index].clone();
                    scale_blocks(&mut bend, &slope, k, width);
                    each(&mut at_input, &bend, |delta, bend| delta + bend);
                }
                at_input
            }
            Op::Add(_) => delta.to_vec(),
            Op::Recall(_) => vec![T::zero(); tape.rows() * k * width],
            Op::Join { .. } => {
                let mut at_input = vec![T::zero(); tape.rows() * k * width];
                second_of(delta, self.network.joined_widths(index), &mut at_input);
                at_input
            }
            Op::Recurrence(layer, lstm) => {
                self.recurrence_delta(index, (*layer, lstm), delta, is_hessian)
            }
            Op::Local { op, layer } => {
                let to = tape.width(index + 1);
                let mut at_input = vec![T::zero(); tape.rows() * k * width];
                self.for_each_point(index, *layer, |block, point, along| {
                    let moved = &delta[block * to..][..to];
                    let at_input = &mut at_input[block * width..][..width];
                    if is_hessian {
                        let plain = &tape.gradient(index + 1)[block / k * to..][..to];
                        op.kernel().second(point, along, (plain, moved), at_input);
                    } else {
                        op.kernel().backward(point, moved, at_input);
                    }
                });
                at_input
            }
        }
    }

    fn dense_delta(&self, index: usize, layer: &Layer, delta: &[T], is_hessian: bool) -> Vec<T> {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let rows = self.tape.rows() * self.k * layer.positions;
        let mut at_input = vec![T::zero(); rows * inputs];
        if is_hessian && self.along(layer, 0).is_some() {
            let weight = |own: &[T]| (own.as_ptr(), inputs as isize, 1);
            let gradient = self.tape.gradient(index + 1);
            let shape = (outputs, inputs);
            self.product_with_directions(layer, shape, gradient, weight, &mut at_input);
        }
        // (rows k s, out) x (out, in) -> (rows k s, in)
        unsafe {
            T::gemm(
                (rows, outputs, inputs),
                (at_input.as_mut_ptr(), inputs as isize, 1),
                T::one(),
                (delta.as_ptr(), outputs as isize, 1),
                (self.parameters.weight(layer).as_ptr(), inputs as isize, 1),
                T::one(),
            );
        }
        at_input
    }

    /// `product += tangent(delta)^T input + delta^T tangent(input)` for one direction of one layer,
    /// and the sum of `tangent(delta)` for the bias; the first of them only at several positions,
    /// as [`Self::add_stacked_products`] adds it at a single one.
    fn add_dense_product(
        &self,
        layer: &Layer,
        direction: usize,
        factors: &Factors<'_, T>,
        is_hessian: bool,
        product: &mut [T],
    ) {
        let (inputs, outputs, k) = (layer.inputs, layer.outputs, self.k);
        let pieces = Pieces::of(layer, self.tape.rows(), k);
        let Factors { input, input_tangent, gradient, gradient_tangent: delta } = *factors;
        let moved = Some(input_tangent).filter(|moved| is_hessian && !moved.is_empty());
        for piece in 0..pieces.count {
            let (plain_in, plain_out) = (pieces.plain(piece, inputs), pieces.plain(piece, outputs));
            let along_in = pieces.along(piece, k, direction, inputs);
            let along_out = pieces.along(piece, k, direction, outputs);
            // (out, rows) x (rows, in) -> (out, in); the pieces lie inside the values of a node,
            // and `product` is the layer's own share.
            unsafe {
                if layer.positions > 1 {
                    T::gemm(
                        (outputs, pieces.rows, inputs),
                        (product.as_mut_ptr(), inputs as isize, 1),
                        T::one(),
                        (delta[along_out..].as_ptr(), 1, outputs as isize),
                        (input[plain_in..].as_ptr(), inputs as isize, 1),
                        T::one(),
                    );
                }
                if let Some(moved) = moved {
                    T::gemm(
                        (outputs, pieces.rows, inputs),
                        (product.as_mut_ptr(), inputs as isize, 1),
                        T::one(),
                        (gradient[plain_out..].as_ptr(), 1, outputs as isize),
                        (moved[along_in..].as_ptr(), (pieces.stride * inputs) as isize, 1),
                        T::one(),
                    );
                }
            }
        }
        if layer.has_bias() {
            let bias = &mut product[inputs * outputs..];
            let width = layer.positions * outputs;
            for block in delta.chunks_exact(k * width) {
                for row in block[direction * width..][..width].chunks_exact(outputs) {
                    bias.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
                }
            }
        }
    }

    fn add_local_product(
        &self,
        index: usize,
        op: &LocalOp,
        direction: usize,
        delta: &[T],
        is_hessian: bool,
        product: &mut [T],
    ) {
        let (k, to) = (self.k, self.tape.width(index + 1));
        let layer = match &self.network.ops()[index] {
            Op::Local { layer, .. } => *layer,
            _ => None,
        };
        self.for_each_point(index, layer, |block, point, along| {
            if block % k != direction {
                return;
            }
            let moved = &delta[block * to..][..to];
            if is_hessian {
                let plain = &self.tape.gradient(index + 1)[block / k * to..][..to];
                op.kernel().add_second(point, along, (plain, moved), product);
            } else {
                op.kernel().add_gradient(point, moved, product);
            }
        });
    }

    fn output_curvature(&self, labels: &Labels<T>, weights: &[T], quantity: Quantity) -> Vec<T> {
        let width = self.tape.width(self.network.ops().len());
        let classes = width / loss::positions(labels);
        let mut delta = self.outputs().to_vec();
        let mut plain = vec![T::zero(); classes];
        for (row, block) in delta.chunks_exact_mut(self.k * width).enumerate() {
            let scale = weights[row] * loss::scale(labels, row);
            for position in 0..width / classes {
                let asked = loss::asked(labels, row, position);
                let start = position * classes;
                plain.copy_from_slice(&self.tape.outputs()[row * width + start..][..classes]);
                loss::output_gradient(&mut plain, asked, quantity);
                for tangents in block.chunks_exact_mut(width) {
                    let tangent = &mut tangents[start..start + classes];
                    loss::output_curvature(tangent, &plain, asked);
                    for value in tangent {
                        *value *= scale;
                    }
                }
            }
        }
        delta
    }
}

/// The sum of two tangents, of which either may not move.
fn sum_of<T: Real>(left: &[T], right: &[T]) -> Vec<T> {
    if left.is_empty() {
        return right.to_vec();
    }
    let mut sum = left.to_vec();
    if !right.is_empty() {
        each(&mut sum, right, |left, right| left + right);
    }
    sum
}

/// `values[i, k, :] *= factors[i, :]` for every direction `k`.
fn scale_blocks<T: Real>(values: &mut [T], factors: &[T], directions: usize, width: usize) {
    for (block, factor) in
        values.chunks_exact_mut(directions * width).zip(factors.chunks_exact(width))
    {
        for row in block.chunks_exact_mut(width) {
            each(row, factor, |value, factor| value * factor);
        }
    }
}
