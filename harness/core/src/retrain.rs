//! Training again, metered: a right of its own beside the levels of access.

use ndarray::Array2;

use crate::{Meter, Observer, Queries, Real, Retrains, Run, RunError, View};

/// What is measured of a model that was trained again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// The utility of each example.
    Utility,
    /// 1 where the largest output is that of the label, else 0.
    Correct,
}

/// The right to have the run's recipe trained again on other data weights. Every training is
/// counted; only a method that declares [`crate::AndRetraining`] is lent one.
pub struct Retrain<'a, T> {
    run: &'a dyn Run<T>,
    meter: &'a Meter,
}

impl<T> Clone for Retrain<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Retrain<'_, T> {}

impl<'a, T: Real> Retrain<'a, T> {
    /// The right that a window carries.
    pub fn of<A: Retrains>(view: View<'a, A, T>) -> Self {
        Self { run: view.run, meter: view.meter }
    }

    /// One training for each list of `n` data weights, with seed number `repeats[j]` of the recipe
    /// (0 is the run's own initial parameters and order): `(trainings, examples measured)`.
    ///
    /// # Errors
    /// When the run cannot be trained again.
    ///
    /// # Panics
    /// When there is not one seed number a list.
    pub fn measure(
        &self,
        weights: &[Vec<T>],
        repeats: &[u64],
        measured: Measured,
        at: &Queries<T>,
    ) -> Result<Array2<f64>, RunError> {
        assert_eq!(weights.len(), repeats.len(), "one seed number a training");
        self.meter.trainings(weights.len());
        self.run.retrain(weights, repeats, measured, at)
    }

    /// One training with data weights `n`, from the run's own start, whose steps are shown to
    /// `observer` from the last to the first.
    ///
    /// # Errors
    /// When the run cannot be trained again, or the observer fails.
    pub fn replay_backwards(
        &self,
        weights: &[T],
        observer: &mut dyn Observer<T>,
    ) -> Result<(), RunError> {
        self.meter.trainings(1);
        self.meter.replayed_steps(self.run.recipe().steps);
        self.run.retrain_backwards(weights, observer)
    }
}
