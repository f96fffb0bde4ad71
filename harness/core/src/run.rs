//! A finished training run, as the engine hands it over.

use ndarray::Array2;
use thiserror::Error;

use crate::{Captures, Examples, Instrumentation, Measured, Model, Queries, Real, UpdateRule};

/// Parameters at one moment of the run.
#[derive(Clone, Debug)]
pub struct Checkpoint<T> {
    /// Number of steps taken before this state.
    pub step: usize,
    /// Parameters, `p`.
    pub parameters: Vec<T>,
    /// Step-size exposure of each training example in the interval that this checkpoint stands for:
    /// `(1 / B) sum_t eta_t #{i in B_t}`, times the optimiser's [gain](crate::Optimiser::gain),
    /// which is `1 / (1 - mu)` for momentum `mu`; `n`.
    pub exposure: Vec<f64>,
}

/// Constants that hold for the whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Number of steps `T`.
    pub steps: usize,
    /// How gradients become steps.
    pub rule: UpdateRule,
    /// `sum_t eta_t`.
    pub total_learning_rate: f64,
}

impl Recipe {
    /// Step-size exposure of an example that is seen as often as the average one:
    /// `sum_t eta_t / n`, times the optimiser's [gain](crate::Optimiser::gain).
    pub fn mean_exposure(&self, examples: usize) -> f64 {
        self.total_learning_rate / examples as f64 * self.rule.optimiser.gain()
    }
}

/// One step of a run.
pub struct Step<'a, T> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Rows of the training set in the batch; a row may occur twice.
    pub rows: &'a [usize],
    /// Data weight of each of `rows`.
    pub weights: &'a [T],
    /// Learning rate `eta_t`.
    pub learning_rate: f64,
    /// Parameters before the step, `p`.
    pub before: &'a [T],
    /// Parameters after the step, `p`.
    pub after: &'a [T],
    /// Both moments of Adam after the step, `p` each; none for SGD, whose derivative does not
    /// depend on its velocity.
    pub moments: &'a [Vec<T>],
    /// The batch gradient as the optimiser saw it: divided by `B` and clipped, without decay, `p`;
    /// empty for momentum with coupled decay alone, which never forms it.
    pub gradient: &'a [T],
    /// What clipping left of the gradient, `min(1, c / |G_t|)`.
    pub clip_factor: f64,
    /// Captures of the loss of the batch at `before`, a row for each of `rows`; without layers for
    /// an observer that does not read them.
    pub captures: &'a Captures<T>,
}

/// Sees every step of a run, while it trains or while it is replayed: the steps are the same bits.
pub trait Observer<T: Real> {
    /// Whether it reads the captures, which cost a copy of every layer's inputs.
    fn reads_captures(&self) -> bool {
        true
    }

    /// One step. Forward replay calls it in order; backward replay from the last step to the first.
    ///
    /// # Errors
    /// Whatever the observer cannot go on with; the replay stops.
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError>;
}

/// Why a run could not be read.
#[derive(Debug, Error)]
pub enum RunError {
    /// A replayed state is not the one that was recorded.
    #[error(
        "replayed state at step {step} differs from the recorded one\nhint: the trace was made by another program, on another kind of CPU, or from other data"
    )]
    ReplayDiffers {
        /// The step.
        step: usize,
    },
    /// An observer gave up.
    #[error("step {step}: {reason}")]
    Observer {
        /// The step.
        step: usize,
        /// What it said.
        reason: String,
    },
    /// Models could not be trained again.
    #[error("training again: {reason}")]
    Retraining {
        /// Why.
        reason: String,
    },
    /// An encoder could not read examples.
    #[error("the encoder cannot read the examples: {reason}")]
    Encoding {
        /// Why.
        reason: String,
    },
    /// The run keeps less than was asked for.
    #[error("the run kept no {what}")]
    NotKept {
        /// What is missing.
        what: &'static str,
    },
}

/// A training run. Only [`crate::ErasedMethod`] turns it into a [`crate::View`].
pub trait Run<T: Real>: Sync {
    /// Training examples in training order.
    fn train(&self) -> &Examples<T>;
    /// The model.
    fn model(&self) -> &dyn Model<T>;
    /// Parameters at the end, `p`.
    fn final_parameters(&self) -> &[T];
    /// Constants of the run.
    fn recipe(&self) -> Recipe;
    /// Checkpoints in order of time.
    fn checkpoints(&self) -> &[Checkpoint<T>];
    /// The optimiser's state at each checkpoint, `p` each: the velocity, or both moments.
    fn moments(&self) -> &[Vec<Vec<T>>];
    /// What was logged of the run; replays show no more. Everything, unless the run says otherwise.
    fn log(&self) -> Instrumentation {
        Instrumentation::default()
    }
    /// Replays the run from the first step.
    ///
    /// # Errors
    /// When nothing was kept to replay from, a state differs, or the observer fails.
    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError>;
    /// Replays the run from the last step to the first, from stored states.
    ///
    /// # Errors
    /// As [`Self::replay`].
    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError>;
    /// Trains the run's recipe again, once for each list of data weights `n`, with seed number
    /// `repeats[j]` (0 is the run's own), and measures each model: `(trainings, measured)`.
    ///
    /// # Errors
    /// When this run cannot be trained again, or the results cannot be kept.
    fn retrain(
        &self,
        weights: &[Vec<T>],
        repeats: &[u64],
        measured: Measured,
        at: &Queries<T>,
    ) -> Result<Array2<f64>, RunError> {
        let _ = (weights, repeats, measured, at);
        Err(RunError::NotKept { what: "recipe to be trained again" })
    }
    /// Trains the run's recipe again from its own start with data weights `n`, and shows the steps
    /// of that training from the last to the first.
    ///
    /// # Errors
    /// When this run cannot be trained again, or as [`Self::replay`].
    fn retrain_backwards(
        &self,
        weights: &[T],
        observer: &mut dyn Observer<T>,
    ) -> Result<(), RunError> {
        let _ = (weights, observer);
        Err(RunError::NotKept { what: "recipe to be trained again" })
    }
    /// What examples are to somebody who compares inputs, `(n, d)`: their features, unless an
    /// encoder stands between.
    ///
    /// # Errors
    /// When the encoder cannot read them.
    fn inputs(&self, examples: &Examples<T>) -> Result<Array2<T>, RunError> {
        Ok(examples.features().to_owned())
    }
    /// Outputs at the end, as somebody who can only ask the model would get them.
    fn outputs(&self, examples: &Examples<T>) -> Array2<T> {
        self.model().outputs(self.final_parameters(), examples.features())
    }
}
