//! A model that somebody else trained, as far as a method may see it: data and final parameters.

use attribench_core::{Checkpoint, Examples, Model, Observer, Real, Recipe, Run, RunError};

/// Final parameters of a training that nobody here has seen.
pub struct ImportedRun<'a, T> {
    train: Examples<T>,
    model: &'a dyn Model<T>,
    parameters: Vec<T>,
    recipe: Recipe,
}

impl<'a, T: Real> ImportedRun<'a, T> {
    /// A run as its maker tells it.
    ///
    /// # Panics
    /// When the parameters are not those of the model.
    pub fn new(
        train: Examples<T>,
        model: &'a dyn Model<T>,
        parameters: Vec<T>,
        recipe: Recipe,
    ) -> Self {
        assert_eq!(parameters.len(), model.layout().parameters(), "one number a parameter");
        Self { train, model, parameters, recipe }
    }
}

impl<T: Real> Run<T> for ImportedRun<'_, T> {
    fn train(&self) -> &Examples<T> {
        &self.train
    }

    fn model(&self) -> &dyn Model<T> {
        self.model
    }

    fn final_parameters(&self) -> &[T] {
        &self.parameters
    }

    fn recipe(&self) -> Recipe {
        self.recipe
    }

    fn checkpoints(&self) -> &[Checkpoint<T>] {
        &[]
    }

    fn moments(&self) -> &[Vec<Vec<T>>] {
        &[]
    }

    fn replay(&self, _observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        Err(RunError::NotKept { what: "trace" })
    }

    fn replay_backwards(&self, _observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        Err(RunError::NotKept { what: "trace" })
    }
}
