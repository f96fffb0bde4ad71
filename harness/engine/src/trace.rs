//! A finished run with what is needed to replay it, bit for bit, in both directions.

use attribench_core::{
    Captures, Checkpoint, Examples, Measured, Model, Observer, Queries, Real, Recipe, Run,
    RunError, Step, Utility,
};
use ndarray::Array2;

use crate::evaluations::Wanted;
use crate::progress::Silent;
use crate::retrain::Retrainer;
use crate::training::{State, Trainer};
use crate::truths::repeat_seed;

/// A run that kept its state every `ceil(sqrt(T))` steps: about `sqrt(T)` states in memory, and as
/// many steps at a time while it is replayed backwards.
pub struct TrainedRun<'a, T> {
    trainer: Trainer<'a, T>,
    states: Vec<State<T>>,
    checkpoints: Vec<Checkpoint<T>>,
    /// The optimiser's state at each checkpoint.
    moments: Vec<Vec<Vec<T>>>,
    /// Who trains the recipe again, and the seed of this run.
    retrainer: Option<(&'a Retrainer<'a, T>, u64)>,
}

/// Steps at which a run of `steps` steps keeps its state: the first, the last, and every
/// `ceil(sqrt(steps))` between.
pub fn kept_steps(steps: usize) -> Vec<usize> {
    let interval = ((steps as f64).sqrt().ceil() as usize).max(1);
    let mut kept: Vec<usize> = (0..steps).step_by(interval).collect();
    kept.push(steps);
    kept
}

/// Trains with all weights 1 and returns the states to be kept, in order of time.
pub fn train_states<T: Real>(trainer: &Trainer<'_, T>) -> Vec<State<T>> {
    let mut states = vec![trainer.start()];
    for &until in &kept_steps(trainer.order().batches().len())[1..] {
        let last = states.last().expect("the start is kept");
        states.push(trainer.advance(last, until));
    }
    states
}

impl<'a, T: Real> TrainedRun<'a, T> {
    /// A run from its kept states, with `checkpoints` of them chosen at equal decrease of the loss.
    ///
    /// # Panics
    /// When the states are not those of [`train_states`].
    pub fn new(trainer: Trainer<'a, T>, states: Vec<State<T>>, checkpoints: usize) -> Self {
        let steps: Vec<usize> = states.iter().map(|state| state.step).collect();
        assert_eq!(steps, kept_steps(trainer.order().batches().len()), "states to be kept");
        let chosen = choose_checkpoints(&trainer, &states, checkpoints);
        let moments = chosen.iter().map(|&index| states[index].moments.clone()).collect();
        let mut start = 0;
        let checkpoints = chosen
            .into_iter()
            .map(|index| {
                let state = &states[index];
                let exposure = exposure(&trainer, start..state.step);
                start = state.step;
                Checkpoint { step: state.step, parameters: state.parameters.clone(), exposure }
            })
            .collect();
        Self { trainer, states, checkpoints, moments, retrainer: None }
    }

    /// The same run, whose recipe `retrainer` trains again for methods that may; `seed` is that of
    /// the run.
    #[must_use]
    pub fn trained_again_by(self, retrainer: &'a Retrainer<'a, T>, seed: u64) -> Self {
        Self { retrainer: Some((retrainer, seed)), ..self }
    }

    /// The fixed part of the run.
    pub fn trainer(&self) -> &Trainer<'a, T> {
        &self.trainer
    }

    /// States kept, in order of time.
    pub fn states(&self) -> &[State<T>] {
        &self.states
    }

    fn checked_segment(
        &self,
        segment: usize,
        observer: &mut dyn Observer<T>,
    ) -> Result<(), RunError> {
        let (from, until) = (&self.states[segment], &self.states[segment + 1]);
        let reached = self.trainer.observe(from, until.step, observer)?;
        if reached == *until { Ok(()) } else { Err(RunError::ReplayDiffers { step: until.step }) }
    }
}

/// `(1 / B) sum_t eta_t #{i in B_t}` over the steps of an interval, times the optimiser's gain.
fn exposure<T: Real>(trainer: &Trainer<'_, T>, steps: std::ops::Range<usize>) -> Vec<f64> {
    let (training, examples) = (trainer.training(), trainer.train().len());
    let scale = training.optimiser.gain() / training.batch_size as f64;
    let mut exposure = vec![0.0; examples];
    for step in steps {
        let learning_rate = training.learning_rate_at(step, examples);
        for &row in &trainer.order().batches()[step] {
            exposure[row] += scale * learning_rate;
        }
    }
    exposure
}

/// Indices of states that split the way of the training loss, from its start to its end, evenly.
///
/// The loss is made monotone first (its running minimum), so that a rise does not confuse the
/// search. The last state is always chosen, and none twice; a run that keeps fewer states than
/// asked for gives them all but the first.
fn choose_checkpoints<T: Real>(
    trainer: &Trainer<'_, T>,
    states: &[State<T>],
    checkpoints: usize,
) -> Vec<usize> {
    let mut lowest = f64::INFINITY;
    let losses: Vec<f64> = states
        .iter()
        .map(|state| {
            let utilities = trainer.model().utilities(
                &state.parameters,
                trainer.train(),
                Utility::NegativeLoss,
            );
            lowest = lowest.min(-utilities.iter().sum::<f64>() / utilities.len() as f64);
            lowest
        })
        .collect();
    let last = states.len() - 1;
    let wanted = checkpoints.clamp(1, last);
    let (top, bottom) = (losses[0], losses[last]);
    let mut chosen = Vec::with_capacity(wanted);
    for k in 1..wanted {
        let target = top - (top - bottom) * k as f64 / wanted as f64;
        let first = chosen.last().map_or(1, |&previous| previous + 1);
        // Enough states must be left for the checkpoints that follow.
        let final_choice = last - (wanted - k);
        let found = (first..=final_choice).find(|&index| losses[index] <= target);
        chosen.push(found.unwrap_or(final_choice));
    }
    chosen.push(last);
    chosen
}

/// A step kept while a segment is walked forward, to be shown backwards.
struct KeptStep<T> {
    index: usize,
    rows: Vec<usize>,
    weights: Vec<T>,
    learning_rate: f64,
    before: Vec<T>,
    after: Vec<T>,
    moments: Vec<Vec<T>>,
    captures: Captures<T>,
}

struct Keep<T>(Vec<KeptStep<T>>);

impl<T: Real> Observer<T> for Keep<T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        self.0.push(KeptStep {
            index: step.index,
            rows: step.rows.to_vec(),
            weights: step.weights.to_vec(),
            learning_rate: step.learning_rate,
            before: step.before.to_vec(),
            after: step.after.to_vec(),
            moments: step.moments.to_vec(),
            captures: step.captures.clone(),
        });
        Ok(())
    }
}

impl<T: Real> Run<T> for TrainedRun<'_, T> {
    fn train(&self) -> &Examples<T> {
        self.trainer.train()
    }

    fn model(&self) -> &dyn Model<T> {
        self.trainer.model()
    }

    fn final_parameters(&self) -> &[T] {
        &self.states.last().expect("the end is kept").parameters
    }

    fn recipe(&self) -> Recipe {
        self.trainer.training().recipe(self.trainer.train().len())
    }

    fn checkpoints(&self) -> &[Checkpoint<T>] {
        &self.checkpoints
    }

    fn moments(&self) -> &[Vec<Vec<T>>] {
        &self.moments
    }

    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        (0..self.states.len() - 1).try_for_each(|segment| self.checked_segment(segment, observer))
    }

    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        for segment in (0..self.states.len() - 1).rev() {
            let mut kept = Keep(Vec::new());
            self.checked_segment(segment, &mut kept)?;
            for step in kept.0.iter().rev() {
                observer.step(&Step {
                    index: step.index,
                    rows: &step.rows,
                    weights: &step.weights,
                    learning_rate: step.learning_rate,
                    before: &step.before,
                    after: &step.after,
                    moments: &step.moments,
                    captures: &step.captures,
                })?;
            }
        }
        Ok(())
    }

    fn retrain(
        &self,
        weights: &[Vec<T>],
        repeats: &[u64],
        measured: Measured,
        at: &Queries<T>,
    ) -> Result<Array2<f64>, RunError> {
        let Some((retrainer, seed)) = self.retrainer else {
            return Err(RunError::NotKept { what: "recipe to be trained again" });
        };
        let wanted = |at: usize| Wanted {
            weights: weights[at].clone(),
            seed: repeat_seed(seed, repeats[at] as usize),
        };
        retrainer
            .evaluate(weights.len(), &wanted, (measured, at), &Silent)
            .map_err(|error| RunError::Retraining { reason: error.to_string() })
    }
}
