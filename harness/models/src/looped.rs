//! Training of networks whose models share no product: one model after the other.
//!
//! Each model runs on the rows that it gives a weight and on no others, so that its bits depend
//! neither on the models beside it nor on rows of weight zero.

use attribench_core::{
    Captures, Examples, Inputs, Model, Quantity, Real, Stack, StepSize, UpdateRule, math,
};

use crate::{
    Network,
    captured::captures_of,
    dense::{Parameters, Plain},
    loss,
    tape::Tape,
};

/// See [`Stack`].
pub(crate) struct LoopedStack<T> {
    network: Network,
    rule: UpdateRule,
    models: Vec<Single<T>>,
    tape: Tape<T>,
    /// Positions among the step's rows of those on the tape, their weights, and how many rows there
    /// were.
    present: Vec<usize>,
    weights: Vec<T>,
    rows: usize,
}

/// One model: its parameters, the optimiser's state, and the last step's sum of gradients with what
/// clipping left of it.
struct Single<T> {
    parameters: Vec<T>,
    moments: Vec<Vec<T>>,
    gradient: Vec<T>,
    clip_factor: f64,
}

impl<T: Real> LoopedStack<T> {
    pub(crate) fn new(network: Network, width: usize, rule: UpdateRule) -> Self {
        let p = <Network as Model<T>>::layout(&network).parameters();
        let single = || Single {
            parameters: vec![T::zero(); p],
            moments: vec![vec![T::zero(); p]; rule.optimiser.moments()],
            gradient: vec![T::zero(); p],
            clip_factor: 1.0,
        };
        Self {
            rule,
            models: (0..width).map(|_| single()).collect(),
            tape: Tape::new(&network),
            present: Vec::new(),
            weights: Vec::new(),
            rows: 0,
            network,
        }
    }

    /// Runs the rows that have a weight and leaves the sum of their gradients.
    fn sum_gradients(&mut self, model: usize, train: &Examples<T>, rows: &[usize], weights: &[T]) {
        self.present.clear();
        self.present.extend((0..rows.len()).filter(|&row| weights[row] != T::zero()));
        self.weights.clear();
        self.weights.extend(self.present.iter().map(|&row| weights[row]));
        self.rows = rows.len();
        let features = train.features();
        let features = features.as_slice().expect("features in standard layout");
        let width = self.tape.width(0);
        let input = self.tape.input(self.present.len());
        for (to, &position) in input.chunks_exact_mut(width).zip(&self.present) {
            to.copy_from_slice(&features[rows[position] * width..][..width]);
        }
        let Single { parameters: theta, gradient, .. } = &mut self.models[model];
        gradient.fill(T::zero());
        let parameters = Parameters { theta, frozen: self.network.frozen() };
        let mut plain = Plain { parameters, gradient: Some(gradient) };
        self.tape.forward(&self.network, &plain);
        let (labels, last) = (train.labels(), self.tape.len() - 1);
        let width = self.tape.width(last);
        let gradients = self.tape.output_gradient();
        let classes = width / loss::positions(labels);
        let label_of = |row: usize| rows[self.present[row]];
        loss::output_gradients(gradients, classes, Quantity::Loss, labels, 1, label_of);
        for (gradient, &weight) in gradients.chunks_exact_mut(width).zip(&self.weights) {
            gradient.iter_mut().for_each(|value| *value *= weight);
        }
        self.tape.backward(&self.network, &mut plain);
    }
}

impl<T: Real> Stack<T> for LoopedStack<T> {
    fn width(&self) -> usize {
        self.models.len()
    }

    fn load(&mut self, index: usize, theta: &[T], moments: &[Vec<T>]) {
        let model = &mut self.models[index];
        assert_eq!(moments.len(), model.moments.len(), "vectors of the optimiser's state");
        model.parameters.copy_from_slice(theta);
        model.moments.clone_from_slice(moments);
    }

    fn read_parameters(&self, index: usize, theta: &mut [T]) {
        theta.copy_from_slice(&self.models[index].parameters);
    }

    fn read_moments(&self, index: usize, moments: &mut [Vec<T>]) {
        for (to, from) in moments.iter_mut().zip(&self.models[index].moments) {
            to.copy_from_slice(from);
        }
    }

    fn read_gradient(&self, index: usize, gradient: &mut [T]) -> f64 {
        let scale = T::from_f64(1.0 / self.rule.batch_size as f64);
        for (to, &sum) in gradient.iter_mut().zip(&self.models[index].gradient) {
            *to = sum * scale;
        }
        self.models[index].clip_factor
    }

    fn step(&mut self, train: &Examples<T>, rows: &[usize], weights: &[&[T]], size: StepSize) {
        assert_eq!(weights.len(), self.models.len(), "one list of weights a model");
        for (index, weights) in weights.iter().enumerate() {
            self.sum_gradients(index, train, rows, weights);
            let Single { parameters, moments, gradient, clip_factor } = &mut self.models[index];
            if self.rule.clip_norm.is_some() {
                *clip_factor = self.rule.clip_factor(math::dot(gradient, gradient));
                let factor = T::from_f64(*clip_factor);
                gradient.iter_mut().for_each(|value| *value *= factor);
            }
            self.rule.update(size, gradient, moments, parameters);
        }
    }

    fn captures(&self) -> Captures<T> {
        assert_eq!(self.models.len(), 1, "captures are those of a single model");
        let mut captures = captures_of(&self.network, &self.tape);
        for layer in &mut captures.layers {
            let rows = layer.output_gradients.outer_iter_mut().enumerate();
            for (row, mut gradients) in rows {
                // Exact for the weight 1 of the run that happened.
                let weight = self.weights[row / layer.positions];
                gradients.mapv_inplace(|value| value / weight);
            }
            if self.present.len() < self.rows {
                let positions = layer.positions;
                let rows = self.rows * positions;
                let places: Vec<usize> = self
                    .present
                    .iter()
                    .flat_map(|&row| (0..positions).map(move |s| row * positions + s))
                    .collect();
                layer.output_gradients =
                    crate::stack::spread(layer.output_gradients.view(), &places, rows);
                layer.inputs = match &layer.inputs {
                    Inputs::Values(values) => {
                        Inputs::Values(crate::stack::spread(values.view(), &places, rows))
                    }
                    Inputs::Tokens(tokens) => {
                        let mut all = vec![0; rows];
                        places.iter().zip(tokens).for_each(|(&place, &token)| all[place] = token);
                        Inputs::Tokens(all)
                    }
                };
            }
        }
        captures
    }
}
