//! Training steps of several models at once, in buffers that are used again.

use attribench_core::{
    Captures, Examples, Inputs, Labels, Model, Quantity, Real, Stack, StepSize, UpdateRule,
    math::{self, Descent},
};

use crate::{
    Network,
    captured::captures_of,
    dense::{Gradients, Stacked, stacked_weight},
    loss,
    tape::Tape,
};

/// See [`Stack`]. Parameters, moments and gradients lie as [`Stacked`] wants them.
///
/// Momentum with coupled decay takes its step as the gradient appears; the other rules compute the
/// whole gradient first.
pub(crate) struct NetworkStack<T> {
    network: Network,
    rule: UpdateRule,
    width: usize,
    tape: Tape<T>,
    parameters: Vec<T>,
    moments: Vec<Vec<T>>,
    /// Sum of gradients, where the rule needs it as a whole.
    gradient: Vec<T>,
    /// What clipping left of each model's gradient.
    clip_factors: Vec<f64>,
    /// Positions of the step's rows that some model gives a weight, and how many rows there were.
    present: Vec<usize>,
    rows: usize,
    /// Room for the transposed weight of a layer.
    transposed: Vec<T>,
    /// Weights of model 0 at the present rows, to take them out of its captures again.
    weights: Vec<T>,
}

impl<T: Real> NetworkStack<T> {
    pub(crate) fn new(network: Network, width: usize, rule: UpdateRule) -> Self {
        let layout = <Network as Model<T>>::layout(&network);
        let batch = rule.batch_size;
        let tape = Tape::stacked(&network, width, batch);
        let zeros = vec![T::zero(); layout.parameters() * width];
        let has_gradient = rule.heavy_ball().is_none();
        Self {
            tape,
            network,
            rule,
            width,
            moments: vec![zeros.clone(); rule.optimiser.moments()],
            gradient: if has_gradient { zeros.clone() } else { Vec::new() },
            clip_factors: vec![1.0; width],
            parameters: zeros,
            present: Vec::with_capacity(batch),
            rows: 0,
            transposed: Vec::new(),
            weights: Vec::with_capacity(batch),
        }
    }

    /// Copies the rows that some model gives a weight into the tape.
    fn gather(&mut self, train: &Examples<T>, rows: &[usize]) {
        let features = train.features();
        let features = features.as_slice().expect("features in standard layout");
        let width = self.tape.width(0);
        let input = self.tape.input(self.present.len());
        for (to, &position) in input.chunks_exact_mut(width).zip(&self.present) {
            to.copy_from_slice(&features[rows[position] * width..][..width]);
        }
    }

    /// Calls `copy(offset in one model, offset in the stack, stride in the stack, length)` for each
    /// row of the weights, and for the biases, of model `index`.
    fn for_each_run(&self, index: usize, mut copy: impl FnMut(usize, usize, usize, usize)) {
        let models = self.width;
        for layer in <Network as Model<T>>::layout(&self.network).layers() {
            let (inputs, outputs) = (layer.inputs, layer.outputs);
            let place = |input, output| stacked_weight(layer, (models, index), (input, output));
            let stride = if inputs > 1 { place(1, 0) - place(0, 0) } else { 1 };
            for output in 0..outputs {
                copy(layer.weight_offset + output * inputs, place(0, output), stride, inputs);
            }
            let biases = layer.bias_offset * models + index * outputs;
            copy(layer.bias_offset, biases, 1, outputs);
        }
    }

    /// Clips the gradients and takes the step on all entries at once.
    fn update(&mut self, size: StepSize) {
        if self.rule.clip_norm.is_some() {
            (0..self.width).for_each(|index| self.clip(index));
        }
        self.rule.update(size, &self.gradient, &mut self.moments, &mut self.parameters);
    }

    /// Shortens the gradient of model `index`. Squares are summed row by row of the weights as they
    /// lie, so that the sum does not depend on the other models.
    fn clip(&mut self, index: usize) {
        let mut rows = Vec::new();
        for layer in <Network as Model<T>>::layout(&self.network).layers() {
            let place = |input| stacked_weight(layer, (self.width, index), (input, 0));
            rows.extend((0..layer.inputs).map(|input| (place(input), layer.outputs)));
            rows.push((layer.bias_offset * self.width + index * layer.outputs, layer.outputs));
        }
        let square: f64 = rows
            .iter()
            .map(|&(start, length)| {
                let row = &self.gradient[start..start + length];
                math::dot(row, row)
            })
            .sum();
        self.clip_factors[index] = self.rule.clip_factor(square);
        let factor = T::from_f64(self.clip_factors[index]);
        for (start, length) in rows {
            for value in &mut self.gradient[start..start + length] {
                *value *= factor;
            }
        }
    }

    /// Copies one model's share of `stacked`, which lies as the parameters do, to `flat`.
    fn read(&self, index: usize, stacked: &[T], flat: &mut [T]) {
        self.for_each_run(index, |to, from, stride, length| {
            let run = stacked[from..].iter().step_by(stride);
            for (value, &found) in flat[to..to + length].iter_mut().zip(run) {
                *value = found;
            }
        });
    }
}

/// Turns the outputs on the tape into weighted gradients of the loss; the tape's row `i` is row
/// `present[i]` of the batch.
fn weigh_output_gradients<T: Real>(
    tape: &mut Tape<T>,
    labels: &Labels<T>,
    rows: &[usize],
    present: &[usize],
    weights: &[&[T]],
) {
    let models = weights.len();
    let classes = tape.width(tape.len() - 1);
    let gradients = tape.output_gradient();
    let label_of = |row: usize| rows[present[row]];
    loss::output_gradients(gradients, classes, Quantity::Loss, labels, models, label_of);
    for (block, &position) in gradients.chunks_exact_mut(classes * models).zip(present) {
        for (gradient, weights) in block.chunks_exact_mut(classes).zip(weights) {
            let weight = weights[position];
            for value in gradient {
                *value *= weight;
            }
        }
    }
}

impl<T: Real> Stack<T> for NetworkStack<T> {
    fn width(&self) -> usize {
        self.width
    }

    fn load(&mut self, index: usize, theta: &[T], moments: &[Vec<T>]) {
        assert_eq!(moments.len(), self.moments.len(), "vectors of the optimiser's state");
        let mut runs = Vec::new();
        self.for_each_run(index, |from, to, stride, length| runs.push((from, to, stride, length)));
        let stacked = [&mut self.parameters].into_iter().chain(&mut self.moments);
        let flat = [theta].into_iter().chain(moments.iter().map(Vec::as_slice));
        for (stacked, flat) in stacked.zip(flat) {
            for &(from, to, stride, length) in &runs {
                for offset in 0..length {
                    stacked[to + offset * stride] = flat[from + offset];
                }
            }
        }
    }

    fn read_parameters(&self, index: usize, theta: &mut [T]) {
        self.read(index, &self.parameters, theta);
    }

    fn read_moments(&self, index: usize, moments: &mut [Vec<T>]) {
        for (stacked, flat) in self.moments.iter().zip(moments) {
            self.read(index, stacked, flat);
        }
    }

    fn read_gradient(&self, index: usize, gradient: &mut [T]) -> f64 {
        if !self.gradient.is_empty() {
            self.read(index, &self.gradient, gradient);
            let scale = T::from_f64(1.0 / self.rule.batch_size as f64);
            gradient.iter_mut().for_each(|value| *value *= scale);
        }
        self.clip_factors[index]
    }

    fn step(&mut self, train: &Examples<T>, rows: &[usize], weights: &[&[T]], size: StepSize) {
        assert_eq!(weights.len(), self.width, "one list of weights a model");
        let is_present = |&position: &usize| weights.iter().any(|w| w[position] != T::zero());
        self.rows = rows.len();
        self.present.clear();
        self.present.extend((0..rows.len()).filter(is_present));
        self.weights.clear();
        self.weights.extend(self.present.iter().map(|&position| weights[0][position]));
        self.gather(train, rows);
        let gradients = match self.rule.heavy_ball() {
            Some(ball) => Gradients::Descend(
                Descent {
                    momentum: T::from_f64(ball.momentum),
                    scale: T::from_f64(1.0 / self.rule.batch_size as f64),
                    weight_decay: T::from_f64(ball.weight_decay),
                    learning_rate: T::from_f64(size.learning_rate),
                },
                &mut self.moments[0],
            ),
            None => {
                self.gradient.fill(T::zero());
                Gradients::Sum(&mut self.gradient)
            }
        };
        let mut dense = Stacked {
            models: self.width,
            parameters: &mut self.parameters,
            gradients,
            transposed: &mut self.transposed,
        };
        self.tape.forward(&self.network, &dense);
        let (tape, labels) = (&mut self.tape, train.labels());
        weigh_output_gradients(tape, labels, rows, &self.present, weights);
        self.tape.backward(&self.network, &mut dense);
        if self.rule.heavy_ball().is_none() {
            self.update(size);
        }
    }

    fn captures(&self) -> Captures<T> {
        assert_eq!(self.width, 1, "captures are those of a single model");
        let mut layers = captures_of(&self.network, &self.tape).layers;
        for layer in &mut layers {
            for (mut row, &weight) in layer.output_gradients.outer_iter_mut().zip(&self.weights) {
                // Exact for the weight 1 of the run that happened.
                row.mapv_inplace(|value| value / weight);
            }
            if self.present.len() < self.rows {
                let inputs = layer.inputs.values().expect("dense layers read numbers");
                layer.inputs = Inputs::Values(spread(inputs, &self.present, self.rows));
                layer.output_gradients =
                    spread(layer.output_gradients.view(), &self.present, self.rows);
            }
        }
        Captures { layers }
    }
}

/// Rows put at `positions` of a matrix of zeros with `rows` rows.
pub(crate) fn spread<T: Real>(
    packed: ndarray::ArrayView2<'_, T>,
    positions: &[usize],
    rows: usize,
) -> ndarray::Array2<T> {
    let mut full = ndarray::Array2::zeros((rows, packed.ncols()));
    for (row, &position) in packed.outer_iter().zip(positions) {
        full.row_mut(position).assign(&row);
    }
    full
}
