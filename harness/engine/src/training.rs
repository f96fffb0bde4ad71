//! The one trainer: final parameters as a function of data weights, seed and hyper-parameters.

use attribench_core::{
    Captures, Examples, Model, Observer, Optimiser, Real, Recipe, RunError, Stack, Step, StepSize,
    UpdateRule, stream,
};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{
    given::Given,
    rounds::{Round, Rounds},
    store::Key,
    trace::Keeping,
};

/// How the learning rate changes over the run. It never depends on the data or their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same at every step.
    #[default]
    Constant,
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two changes.
        every: usize,
        /// What the learning rate is multiplied by.
        factor: f64,
    },
    /// `eta / 2 (1 + cos(pi t / T))`: from the full rate to almost none.
    Cosine,
    /// From almost none in equal steps to the full rate in the first `warmup` epochs, and down a
    /// half cosine in the others.
    WarmupCosine {
        /// Epochs until the full rate.
        warmup: usize,
    },
}

/// Hyper-parameters of a run.
///
/// The batch gradient is `(1/B) sum_i w_i g_i`. Its divisor `B` is a constant: an example is
/// dropped by giving it the weight 0, never by re-batching.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    /// Passes over the training set.
    pub epochs: usize,
    /// Examples a batch, `B`; the last batch of an epoch may be shorter.
    pub batch_size: usize,
    /// Learning rate `eta` at the start.
    pub learning_rate: f64,
    /// How gradients move the parameters; plain descent where absent.
    #[serde(default, rename = "optimizer")]
    pub optimiser: Optimiser,
    /// Longest batch gradient, over all parameters; longer ones are shortened to it.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// Contributors come in rounds; all are there from the first step where absent.
    #[serde(default)]
    pub rounds: Option<Rounds>,
    /// What of the run is read from files instead of drawn from the seed.
    #[serde(default)]
    pub given: Given,
}

impl Training {
    /// Steps of the whole run over `examples` examples.
    pub fn steps(&self, examples: usize) -> usize {
        match &self.rounds {
            Some(rounds) => rounds.steps(self.epochs, self.batch_size),
            None => self.epochs * examples.div_ceil(self.batch_size),
        }
    }

    /// Learning rate of a step.
    pub fn learning_rate_at(&self, step: usize, examples: usize) -> f64 {
        let whole = (0, examples);
        let rounds = self.rounds.as_ref();
        let (first, examples) =
            rounds.map_or(whole, |rounds| rounds.at(step, self.epochs, self.batch_size));
        let (step, per_epoch) = (step - first, examples.div_ceil(self.batch_size));
        let steps = self.epochs * per_epoch;
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Step { every, factor } => {
                let epoch = step / per_epoch;
                self.learning_rate * factor.powi((epoch / every) as i32)
            }
            Schedule::Cosine => {
                let share = step as f64 / steps as f64;
                self.learning_rate * half_cosine(share)
            }
            Schedule::WarmupCosine { warmup } => {
                let rising = warmup * per_epoch;
                if step < rising {
                    return self.learning_rate * ((step + 1) as f64 / rising as f64);
                }
                let share = (step - rising) as f64 / (steps - rising) as f64;
                self.learning_rate * half_cosine(share)
            }
        }
    }

    /// Constants of the run, for methods.
    pub fn recipe(&self, examples: usize) -> Recipe {
        let steps = self.steps(examples);
        Recipe {
            steps,
            rule: self.rule(),
            total_learning_rate: (0..steps).map(|step| self.learning_rate_at(step, examples)).sum(),
        }
    }

    /// How gradients become steps.
    pub fn rule(&self) -> UpdateRule {
        let Self { optimiser, clip_norm, batch_size, .. } = *self;
        UpdateRule { optimiser, clip_norm, batch_size }
    }

    /// What decides the order of a seed beside the numbers here: a given one, or who comes when.
    pub fn order_key(&self) -> Key {
        let mut bytes = Vec::new();
        for cohort in self.rounds.iter().flat_map(Rounds::cohorts) {
            bytes.extend((cohort.len() as u64).to_le_bytes());
            bytes.extend(cohort.iter().flat_map(|&row| (row as u64).to_le_bytes()));
        }
        Key::of("order", &(), &[&self.given.key(), &Key::of_content(&bytes)])
    }

    fn step_size(&self, step: usize, examples: usize) -> StepSize {
        StepSize { index: step, learning_rate: self.learning_rate_at(step, examples) }
    }
}

/// From 1 to 0 as `share` goes from 0 to 1.
fn half_cosine(share: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Rows of every batch: those that are given, or each epoch a fresh shuffle from the stream `order`
/// of the seed, cut in pieces of `B`.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    batches: Vec<Vec<usize>>,
}

impl Order {
    /// The order of a seed.
    pub fn of_seed(training: &Training, examples: usize, seed: u64) -> Self {
        if let Some(batches) = training.given.batches() {
            return Self { batches: batches.to_vec() };
        }
        let whole = || vec![Round { first_step: 0, rows: (0..examples).collect() }];
        let (epochs, size) = (training.epochs, training.batch_size);
        let rounds = training.rounds.as_ref().map_or_else(whole, |all| all.rounds(epochs, size));
        let mut batches = Vec::with_capacity(training.steps(examples));
        let rounds = rounds.iter().flat_map(|round| std::iter::repeat_n(&round.rows, epochs));
        for (epoch, rows) in rounds.enumerate() {
            let mut rows = rows.clone();
            rows.shuffle(&mut stream(seed, "order", epoch as u64));
            batches.extend(rows.chunks(size).map(<[usize]>::to_vec));
        }
        Self { batches }
    }

    /// The batches, first to last.
    pub fn batches(&self) -> &[Vec<usize>] {
        &self.batches
    }
}

/// Everything that is fixed before the first step: `xi` of `theta_T(w; xi)`.
#[derive(Clone)]
pub struct Trainer<'a, T> {
    model: &'a dyn Model<T>,
    train: &'a Examples<T>,
    training: &'a Training,
    order: Order,
    initial: Vec<T>,
    keeping: Keeping,
    /// Data weights of the run that is watched, `n`.
    weights: Vec<T>,
}

/// Parameters and the optimiser's state after some number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State<T> {
    /// Steps taken.
    pub step: usize,
    /// Parameters, `p`.
    pub parameters: Vec<T>,
    /// The velocity, or both moments of Adam, `p` each.
    pub moments: Vec<Vec<T>>,
}

impl<'a, T: Real> Trainer<'a, T> {
    /// The run of a seed: its initial parameters and its order.
    pub fn new(
        model: &'a dyn Model<T>,
        train: &'a Examples<T>,
        training: &'a Training,
        seed: u64,
    ) -> Self {
        let order = Order::of_seed(training, train.len(), seed);
        let (initial, keeping) = (model.initial_parameters(seed), Keeping::default());
        let weights = vec![T::one(); train.len()];
        Self { model, train, training, order, initial, keeping, weights }
    }

    /// The same run from other initial parameters.
    #[must_use]
    pub fn with_initial(self, initial: Vec<T>) -> Self {
        Self { initial, ..self }
    }

    /// The same run with other states kept.
    #[must_use]
    pub fn with_keeping(self, keeping: Keeping) -> Self {
        Self { keeping, ..self }
    }

    /// The same run with other data weights than 1.
    ///
    /// # Panics
    /// When there is not one weight an example.
    #[must_use]
    pub fn with_weights(self, weights: Vec<T>) -> Self {
        assert_eq!(weights.len(), self.train.len(), "one weight an example");
        Self { weights, ..self }
    }

    /// Which states are kept.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// The steps before which a state is kept, and the end.
    pub fn kept_steps(&self) -> Vec<usize> {
        self.keeping.kept_steps(self.order.batches.len())
    }

    /// Initial parameters, `p`.
    pub fn initial(&self) -> &[T] {
        &self.initial
    }

    /// Batches of the run.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The model.
    pub fn model(&self) -> &'a dyn Model<T> {
        self.model
    }

    /// Training examples.
    pub fn train(&self) -> &'a Examples<T> {
        self.train
    }

    /// Hyper-parameters.
    pub fn training(&self) -> &'a Training {
        self.training
    }

    /// State before the first step.
    pub fn start(&self) -> State<T> {
        let zeros = vec![T::zero(); self.initial.len()];
        let moments = vec![zeros; self.training.optimiser.moments()];
        State { step: 0, parameters: self.initial.clone(), moments }
    }

    /// Final parameters for each list of data weights, `m` lists of `n` -> `m` vectors of `p`.
    ///
    /// The models train side by side and share initial parameters and order.
    ///
    /// # Panics
    /// When a list does not have one weight an example.
    pub fn final_parameters(&self, weights: &[Vec<T>]) -> Vec<Vec<T>> {
        let mut stack = self.model.stack(weights.len(), &self.training.rule());
        let start = self.start();
        for (index, weights) in weights.iter().enumerate() {
            assert_eq!(weights.len(), self.train.len(), "one weight an example");
            stack.load(index, &start.parameters, &start.moments);
        }
        let mut batch_weights = vec![Vec::new(); weights.len()];
        for (step, rows) in self.order.batches.iter().enumerate() {
            for (batch, weights) in batch_weights.iter_mut().zip(weights) {
                batch.clear();
                batch.extend(rows.iter().map(|&row| weights[row]));
            }
            let lists: Vec<&[T]> = batch_weights.iter().map(Vec::as_slice).collect();
            stack.step(self.train, rows, &lists, self.training.step_size(step, self.train.len()));
        }
        (0..weights.len())
            .map(|index| {
                let mut theta = vec![T::zero(); start.parameters.len()];
                stack.read_parameters(index, &mut theta);
                theta
            })
            .collect()
    }

    fn batch_weights(&self, rows: &[usize]) -> Vec<T> {
        rows.iter().map(|&row| self.weights[row]).collect()
    }

    /// Takes the steps `from.step..until` with the run's weights, showing each to `observer`.
    ///
    /// # Errors
    /// When the observer fails.
    pub fn observe(
        &self,
        from: &State<T>,
        until: usize,
        observer: &mut dyn Observer<T>,
    ) -> Result<State<T>, RunError> {
        let mut walk = Walk::new(self, from);
        for step in from.step..until {
            let rows = &self.order.batches[step];
            let weights = &self.batch_weights(rows)[..];
            let (learning_rate, clip_factor) = walk.advance(step, rows, weights);
            let captures = if observer.reads_captures() {
                walk.stack.captures()
            } else {
                Captures { layers: Vec::new() }
            };
            observer.step(&Step {
                index: step,
                rows,
                weights,
                learning_rate,
                before: &walk.before,
                after: &walk.after,
                moments: &walk.moments,
                gradient: &walk.gradient,
                clip_factor,
                captures: &captures,
            })?;
        }
        Ok(walk.into_state(until))
    }

    /// Takes the steps `from.step..until` with the run's weights and shows them to nobody.
    pub fn advance(&self, from: &State<T>, until: usize) -> State<T> {
        let mut stack = self.model.stack(1, &self.training.rule());
        stack.load(0, &from.parameters, &from.moments);
        for step in from.step..until {
            let rows = &self.order.batches[step];
            let size = self.training.step_size(step, self.train.len());
            stack.step(self.train, rows, &[&self.batch_weights(rows)], size);
        }
        let mut state = State { step: until, ..from.clone() };
        stack.read_parameters(0, &mut state.parameters);
        stack.read_moments(0, &mut state.moments);
        state
    }
}

/// A single model that remembers the parameters on both sides of its last step.
struct Walk<'a, T> {
    trainer: &'a Trainer<'a, T>,
    stack: Box<dyn Stack<T>>,
    before: Vec<T>,
    after: Vec<T>,
    /// State after the last step, for optimisers whose derivative depends on it.
    moments: Vec<Vec<T>>,
    /// Gradient of the last step, where the rule forms it.
    gradient: Vec<T>,
}

impl<'a, T: Real> Walk<'a, T> {
    fn new(trainer: &'a Trainer<'a, T>, from: &State<T>) -> Self {
        let mut stack = trainer.model.stack(1, &trainer.training.rule());
        stack.load(0, &from.parameters, &from.moments);
        let (before, after) = (from.parameters.clone(), from.parameters.clone());
        let moments = match trainer.training.optimiser {
            Optimiser::Sgd(_) => Vec::new(),
            Optimiser::AdamW(_) => from.moments.clone(),
        };
        let has_gradient = trainer.training.rule().heavy_ball().is_none();
        let gradient = vec![T::zero(); if has_gradient { before.len() } else { 0 }];
        Self { trainer, stack, before, after, moments, gradient }
    }

    fn advance(&mut self, step: usize, rows: &[usize], weights: &[T]) -> (f64, f64) {
        let size = self.trainer.training.step_size(step, self.trainer.train.len());
        std::mem::swap(&mut self.before, &mut self.after);
        self.stack.step(self.trainer.train, rows, &[weights], size);
        self.stack.read_parameters(0, &mut self.after);
        self.stack.read_moments(0, &mut self.moments);
        (size.learning_rate, self.stack.read_gradient(0, &mut self.gradient))
    }

    fn into_state(self, step: usize) -> State<T> {
        let zeros = vec![T::zero(); self.after.len()];
        let mut moments = vec![zeros; self.trainer.training.optimiser.moments()];
        self.stack.read_moments(0, &mut moments);
        State { step, parameters: self.after, moments }
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Optimiser;

    use super::{Given, Order, Rounds, Schedule, Training};

    fn training(schedule: Schedule) -> Training {
        Training {
            epochs: 4,
            batch_size: 3,
            learning_rate: 0.8,
            optimiser: Optimiser::default(),
            clip_norm: None,
            schedule,
            rounds: None,
            given: Given::NONE,
        }
    }

    #[test]
    fn schedules_by_hand() {
        // 7 examples in batches of 3: 3 steps an epoch, 12 in all.
        let rates = |schedule| -> Vec<f64> {
            (0..12).map(|step| training(schedule).learning_rate_at(step, 7)).collect()
        };
        assert_eq!(rates(Schedule::Constant), vec![0.8; 12]);
        let stepped = rates(Schedule::Step { every: 2, factor: 0.5 });
        assert_eq!((stepped[5], stepped[6], stepped[11]), (0.8, 0.4, 0.4));
        let cosine = rates(Schedule::Cosine);
        // Half of the way the cosine is 0, so the rate is half.
        assert_eq!(cosine[0], 0.8);
        assert!((cosine[6] - 0.4).abs() < 1e-15);
        // Three steps up, and of the nine others the first at the full rate; a third of the way
        // down the cosine is 1/2, so the rate is three quarters.
        let warm = rates(Schedule::WarmupCosine { warmup: 1 });
        assert_eq!((warm[2], warm[3]), (0.8, 0.8));
        assert!((warm[0] - 0.8 / 3.0).abs() < 1e-15 && (warm[6] - 0.6).abs() < 1e-15, "{warm:?}");
    }

    #[test]
    fn every_round_trains_on_its_own_and_goes_through_the_schedule() {
        // Contributors 0 and 1 have rows 0..4, contributor 2 rows 4..7.
        let mut rounds: Rounds = serde_json::from_str(r#"{"count": 2}"#).unwrap();
        rounds.divide(&[0, 0, 1, 1, 2, 2, 2], 3).unwrap();
        let training = Training { rounds: Some(rounds), ..training(Schedule::Cosine) };
        // Batches of 3: 4 epochs of 2 steps each, then 4 of 1.
        assert_eq!(training.steps(7), 12);
        let order = Order::of_seed(&training, 7, 3);
        assert_eq!(order.batches().len(), 12);
        assert!(order.batches()[..8].concat().iter().all(|&row| row < 4));
        assert!(order.batches()[8..].concat().iter().all(|&row| row >= 4));
        assert_eq!(order.batches()[6..8].concat().len(), 4);
        let rate = |step| training.learning_rate_at(step, 7);
        assert_eq!((rate(0), rate(8)), (0.8, 0.8));
        assert!((rate(4) - 0.4).abs() < 1e-15 && (rate(10) - 0.4).abs() < 1e-15);
    }

    #[test]
    fn every_epoch_shows_every_example_once_in_a_new_order() {
        let order = Order::of_seed(&training(Schedule::Constant), 7, 3);
        assert_eq!(order.batches().len(), 12);
        let epochs: Vec<Vec<usize>> =
            order.batches().chunks(3).map(|batches| batches.concat()).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(epochs[0], epochs[1]);
        assert_ne!(order, Order::of_seed(&training(Schedule::Constant), 7, 4));
    }
}
