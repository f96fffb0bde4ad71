//! A run whose texts are compared through somebody else's encoder.

use attribench_core::{Checkpoint, Examples, Model, Observer, Real, Recipe, Run, RunError};
use ndarray::Array2;

use crate::files::encoder::TextEncoder;

/// The run with an encoder before the inputs of its examples.
pub struct EncodedRun<'a, T> {
    run: &'a dyn Run<T>,
    encoder: &'a TextEncoder,
}

impl<'a, T: Real> EncodedRun<'a, T> {
    /// `run` as `encoder` shows it.
    pub fn new(run: &'a dyn Run<T>, encoder: &'a TextEncoder) -> Self {
        Self { run, encoder }
    }
}

impl<T: Real> Run<T> for EncodedRun<'_, T> {
    fn train(&self) -> &Examples<T> {
        self.run.train()
    }

    fn model(&self) -> &dyn Model<T> {
        self.run.model()
    }

    fn final_parameters(&self) -> &[T] {
        self.run.final_parameters()
    }

    fn recipe(&self) -> Recipe {
        self.run.recipe()
    }

    fn checkpoints(&self) -> &[Checkpoint<T>] {
        self.run.checkpoints()
    }

    fn moments(&self) -> &[Vec<Vec<T>>] {
        self.run.moments()
    }

    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.run.replay(observer)
    }

    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.run.replay_backwards(observer)
    }

    fn inputs(&self, examples: &Examples<T>) -> Result<Array2<T>, RunError> {
        self.encoder.embed(examples).map_err(|reason| RunError::Encoding { reason })
    }
}
