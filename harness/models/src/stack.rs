//! Training steps of several models at once, in buffers that are used again.

use attribench_core::{
    Captures, Examples, Labels, Model, Quantity, Real, Stack, StepSize, vector::vectorized,
};

use crate::{
    Network, loss,
    network::captures_of,
    tape::{Accumulate, Tape},
};

/// See [`Stack`]. Parameters and momenta lie as `tape` wants them.
pub(crate) struct NetworkStack<T> {
    network: Network,
    width: usize,
    tape: Tape<T>,
    parameters: Vec<T>,
    velocity: Vec<T>,
    /// Positions of the step's rows that some model gives a weight, and how many rows there were.
    present: Vec<usize>,
    rows: usize,
    /// Weights of model 0 at the present rows, to take them out of its captures again.
    weights: Vec<T>,
}

impl<T: Real> NetworkStack<T> {
    pub(crate) fn new(network: Network, width: usize, batch: usize) -> Self {
        let layout = <Network as Model<T>>::layout(&network);
        let tape = Tape::new(network.ops(), layout, width, batch);
        let length = layout.parameters() * width;
        let zeros = vec![T::zero(); length];
        Self {
            tape,
            network,
            width,
            velocity: zeros.clone(),
            parameters: zeros,
            present: Vec::with_capacity(batch),
            rows: 0,
            weights: Vec::with_capacity(batch),
        }
    }

    /// Calls `copy(offset in the stack, offset in one model, length)` for each run of parameters of
    /// model `index` that lies together.
    fn for_each_run(&self, index: usize, mut copy: impl FnMut(usize, usize, usize)) {
        for layer in <Network as Model<T>>::layout(&self.network).layers() {
            let weights = layer.inputs * layer.outputs;
            let weight = layer.weight_offset * self.width + index * weights;
            copy(weight, layer.weight_offset, weights);
            let bias = layer.bias_offset * self.width + index * layer.outputs;
            copy(bias, layer.bias_offset, layer.outputs);
        }
    }

    fn gather(&mut self, train: &Examples<T>, rows: &[usize]) -> Labels<T> {
        let features = train.features();
        let features = features.as_slice().expect("features in standard layout");
        let width = self.tape.width(0);
        let input = self.tape.input(self.present.len());
        for (to, &position) in input.chunks_exact_mut(width).zip(&self.present) {
            to.copy_from_slice(&features[rows[position] * width..][..width]);
        }
        let picked: Vec<usize> = self.present.iter().map(|&position| rows[position]).collect();
        train.labels().select(&picked)
    }

    fn weigh_output_gradients(&mut self, labels: &Labels<T>, weights: &[&[T]]) {
        let classes = self.tape.width(self.network.ops().len());
        let models = self.width;
        let gradients = self.tape.output_gradient();
        for (block, (row, &position)) in
            gradients.chunks_exact_mut(classes * models).zip(self.present.iter().enumerate())
        {
            for (gradient, weights) in block.chunks_exact_mut(classes).zip(weights) {
                loss::output_gradient(gradient, labels, row, Quantity::Loss);
                let weight = weights[position];
                for value in gradient {
                    *value *= weight;
                }
            }
        }
    }
}

impl<T: Real> Stack<T> for NetworkStack<T> {
    fn width(&self) -> usize {
        self.width
    }

    fn load(&mut self, index: usize, theta: &[T], velocity: &[T]) {
        let mut runs = Vec::new();
        self.for_each_run(index, |to, from, length| runs.push((to, from, length)));
        for (to, from, length) in runs {
            self.parameters[to..to + length].copy_from_slice(&theta[from..from + length]);
            self.velocity[to..to + length].copy_from_slice(&velocity[from..from + length]);
        }
    }

    fn read_parameters(&self, index: usize, theta: &mut [T]) {
        self.for_each_run(index, |from, to, length| {
            theta[to..to + length].copy_from_slice(&self.parameters[from..from + length]);
        });
    }

    fn read_velocity(&self, index: usize, velocity: &mut [T]) {
        self.for_each_run(index, |from, to, length| {
            velocity[to..to + length].copy_from_slice(&self.velocity[from..from + length]);
        });
    }

    fn step(&mut self, train: &Examples<T>, rows: &[usize], weights: &[&[T]], size: StepSize) {
        assert_eq!(weights.len(), self.width, "one list of weights a model");
        let is_present = |&position: &usize| weights.iter().any(|w| w[position] != T::zero());
        self.rows = rows.len();
        self.present.clear();
        self.present.extend((0..rows.len()).filter(is_present));
        self.weights.clear();
        self.weights.extend(self.present.iter().map(|&position| weights[0][position]));
        let momentum = T::from_f64(size.momentum);
        if self.present.is_empty() {
            for value in &mut self.velocity {
                *value *= momentum;
            }
        } else {
            let labels = self.gather(train, rows);
            let layout = <Network as Model<T>>::layout(&self.network);
            self.tape.forward(self.network.ops(), layout, &self.parameters);
            self.weigh_output_gradients(&labels, weights);
            // The momentum takes the place of a gradient buffer: v <- mu v + (1/B) sum.
            let scale = T::from_f64(1.0 / size.batch_size as f64);
            let accumulate = Accumulate { gradient: &mut self.velocity, keep: momentum, scale };
            let layout = <Network as Model<T>>::layout(&self.network);
            self.tape.backward(self.network.ops(), layout, &self.parameters, Some(accumulate));
        }
        let learning_rate = T::from_f64(size.learning_rate);
        let weight_decay = T::from_f64(size.weight_decay);
        descend(&mut self.parameters, &mut self.velocity, learning_rate, weight_decay);
    }

    fn captures(&self) -> Captures<T> {
        assert_eq!(self.width, 1, "captures are those of a single model");
        let present = captures_of(self.network.ops(), &self.tape, self.present.len());
        let mut layers = present.layers;
        for layer in &mut layers {
            for (mut row, &weight) in layer.output_gradients.outer_iter_mut().zip(&self.weights) {
                // Exact for the weight 1 of the run that happened.
                row.mapv_inplace(|value| value / weight);
            }
            if self.present.len() < self.rows {
                layer.inputs = spread(&layer.inputs, &self.present, self.rows);
                layer.output_gradients = spread(&layer.output_gradients, &self.present, self.rows);
            }
        }
        Captures { layers }
    }
}

/// Rows put at `positions` of a matrix of zeros with `rows` rows.
fn spread<T: Real>(
    packed: &ndarray::Array2<T>,
    positions: &[usize],
    rows: usize,
) -> ndarray::Array2<T> {
    let mut full = ndarray::Array2::zeros((rows, packed.ncols()));
    for (row, &position) in packed.outer_iter().zip(positions) {
        full.row_mut(position).assign(&row);
    }
    full
}

/// `v <- v + gamma theta; theta <- theta - eta v`, in one pass over memory.
fn descend<T: Real>(parameters: &mut [T], velocity: &mut [T], learning_rate: T, weight_decay: T) {
    vectorized(
        #[inline(always)]
        || {
            for (theta, v) in parameters.iter_mut().zip(velocity.iter_mut()) {
                let moved = *v + weight_decay * *theta;
                *v = moved;
                *theta -= learning_rate * moved;
            }
        },
    );
}
