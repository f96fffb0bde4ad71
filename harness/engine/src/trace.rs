//! A finished run with what is needed to replay it, bit for bit, in both directions.

use std::sync::OnceLock;

use attribench_core::{
    Captures, Checkpoint, Examples, Measured, Model, Observer, Queries, Real, Recipe, Run,
    RunError, Step,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::evaluations::Wanted;
use crate::progress::Silent;
use crate::retrain::Retrainer;
use crate::training::{State, Trainer};
use crate::truths::repeat_seed;

/// A run with the states that it kept, from which every step can be replayed.
pub struct TrainedRun<'a, T> {
    trainer: Trainer<'a, T>,
    states: Vec<State<T>>,
    /// How many checkpoints there are; they are chosen when they are first asked for.
    wanted: usize,
    chosen: OnceLock<Chosen<T>>,
    /// Who trains the recipe again, and the seed of this run.
    retrainer: Option<(&'a Retrainer<'a, T>, u64)>,
}

/// Checkpoints, and the optimiser's state at each of them.
struct Chosen<T> {
    checkpoints: Vec<Checkpoint<T>>,
    moments: Vec<Vec<Vec<T>>>,
}

/// Which states a run keeps; the fewer, the more steps are taken again while it is replayed
/// backwards. What is replayed does not depend on it, to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Keeping {
    /// The state before every step.
    All,
    /// The first and every `ceil(sqrt(T))`-th: each step is taken once more, and as many steps are
    /// held at a time.
    #[default]
    SquareRoot,
    /// So many, spread so that no step is taken again more often than it must: `states` of them
    /// and `r` repetitions serve `(states + r)! / (states! r!)` steps.
    Binomial {
        /// States kept, besides the last.
        states: usize,
    },
}

impl Keeping {
    /// The steps before which a run of `steps` steps keeps its state, and its end.
    pub fn kept_steps(self, steps: usize) -> Vec<usize> {
        let every = |interval: usize| (0..steps).step_by(interval.max(1)).collect();
        let mut kept: Vec<usize> = match self {
            Self::All => every(1),
            Self::SquareRoot => every((steps as f64).sqrt().ceil() as usize),
            Self::Binomial { states } => {
                let mut kept = vec![0];
                while kept.len() < states && steps - kept[kept.len() - 1] > 1 {
                    let last = kept[kept.len() - 1];
                    kept.push(last + first_part(steps - last, states + 1 - kept.len()));
                }
                kept
            }
        };
        kept.push(steps);
        kept.dedup();
        kept
    }
}

/// Where `length` steps, at least two, are cut so that they can be reversed with `states` states in
/// memory, the first of them given, and the fewest repetitions.
///
/// `(states + r)! / (states! r!)` is the most that `r` repetitions reverse: a first part with one
/// repetition less, and a second part with one state less (Griewank, Walther, ACM TOMS 26, 2000).
fn first_part(length: usize, states: usize) -> usize {
    let most = |states: usize, repetitions: usize| -> usize {
        (1..=states).fold(1, |product: usize, k| product.saturating_mul(repetitions + k) / k)
    };
    let repetitions =
        (1..).find(|&r| most(states, r) >= length).expect("more repetitions reverse more");
    // Where there is a choice, in the proportion of a length that leaves none.
    let least = length.saturating_sub(most(states - 1, repetitions)).max(1);
    let largest = most(states, repetitions - 1).min(length - 1);
    (length * repetitions / (states + repetitions)).clamp(least, largest)
}

/// Trains with the weights of the run and returns the states to be kept, in order of time.
pub fn train_states<T: Real>(trainer: &Trainer<'_, T>) -> Vec<State<T>> {
    let mut states = vec![trainer.start()];
    for &until in &trainer.kept_steps()[1..] {
        let last = states.last().expect("the start is kept");
        states.push(trainer.advance(last, until));
    }
    states
}

impl<'a, T: Real> TrainedRun<'a, T> {
    /// A run from its kept states, with `checkpoints` of them to be chosen at equal decrease of the
    /// loss.
    ///
    /// # Panics
    /// When the states are not those of [`train_states`].
    pub fn new(trainer: Trainer<'a, T>, states: Vec<State<T>>, checkpoints: usize) -> Self {
        let steps: Vec<usize> = states.iter().map(|state| state.step).collect();
        assert_eq!(steps, trainer.kept_steps(), "states to be kept");
        Self { trainer, states, wanted: checkpoints, chosen: OnceLock::new(), retrainer: None }
    }

    fn chosen(&self) -> &Chosen<T> {
        self.chosen.get_or_init(|| {
            let Self { trainer, states, .. } = self;
            let chosen = choose_checkpoints(trainer, states, self.wanted);
            let moments = chosen.iter().map(|&index| states[index].moments.clone()).collect();
            let mut start = 0;
            let checkpoint = |index: usize| {
                let State { step, parameters, .. } = states[index].clone();
                let exposure = exposure(trainer, start..step);
                start = step;
                Checkpoint { step, parameters, exposure }
            };
            Chosen { checkpoints: chosen.into_iter().map(checkpoint).collect(), moments }
        })
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

    /// States kept, in order of time, where the run is not needed any more.
    pub fn into_states(self) -> Vec<State<T>> {
        self.states
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

/// How many examples tell how far the training loss has come: their mean is known to a few
/// hundredths of an example's spread, and all of many states would cost more than the training.
const JUDGING_EXAMPLES: usize = 1_000;

/// Indices of states that split the way of the training loss, from its start to its end, evenly.
///
/// The loss is that of [`JUDGING_EXAMPLES`] of the examples, evenly apart, and is made monotone
/// first (its running minimum), so that a rise does not confuse the search. The last state is
/// always chosen, and none twice; a run that keeps fewer states than asked for gives them all but
/// the first.
fn choose_checkpoints<T: Real>(
    trainer: &Trainer<'_, T>,
    states: &[State<T>],
    checkpoints: usize,
) -> Vec<usize> {
    let last = states.len() - 1;
    let wanted = checkpoints.clamp(1, last);
    if wanted == 1 {
        return vec![last];
    }
    let examples = trainer.train().len();
    let judging = examples.min(JUDGING_EXAMPLES);
    let rows: Vec<usize> = (0..judging).map(|place| place * examples / judging).collect();
    let judging = trainer.train().select(&rows);
    let mut lowest = f64::INFINITY;
    let losses: Vec<f64> = states
        .iter()
        .map(|state| {
            lowest = lowest.min(trainer.model().mean_loss(&state.parameters, &judging));
            lowest
        })
        .collect();
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
    after: Vec<T>,
    moments: Vec<Vec<T>>,
    gradient: Vec<T>,
    clip_factor: f64,
    captures: Captures<T>,
}

/// A segment as it was walked.
struct Keep<T> {
    reads_captures: bool,
    /// Parameters before the first step.
    start: Vec<T>,
    steps: Vec<KeptStep<T>>,
}

impl<T: Real> Observer<T> for Keep<T> {
    fn reads_captures(&self) -> bool {
        self.reads_captures
    }

    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        self.steps.push(KeptStep {
            index: step.index,
            rows: step.rows.to_vec(),
            weights: step.weights.to_vec(),
            learning_rate: step.learning_rate,
            after: step.after.to_vec(),
            moments: step.moments.to_vec(),
            gradient: step.gradient.to_vec(),
            clip_factor: step.clip_factor,
            captures: step.captures.clone(),
        });
        Ok(())
    }
}

impl<T: Real> Keep<T> {
    fn show_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        for (position, step) in self.steps.iter().enumerate().rev() {
            let before = match position.checked_sub(1) {
                Some(previous) => &self.steps[previous].after,
                None => &self.start,
            };
            observer.step(&Step {
                index: step.index,
                rows: &step.rows,
                weights: &step.weights,
                learning_rate: step.learning_rate,
                before,
                after: &step.after,
                moments: &step.moments,
                gradient: &step.gradient,
                clip_factor: step.clip_factor,
                captures: &step.captures,
            })?;
        }
        Ok(())
    }
}

/// A replay from the last step to the first.
struct Backwards<'a, 'o, T> {
    trainer: &'a Trainer<'a, T>,
    observer: &'o mut dyn Observer<T>,
    /// The state that the next segment must lead to.
    expected: State<T>,
}

impl<T: Real> Backwards<'_, '_, T> {
    /// Walks from `from` to the expected state and shows the steps backwards.
    fn segment(&mut self, from: &State<T>) -> Result<(), RunError> {
        let mut kept = Keep {
            reads_captures: self.observer.reads_captures(),
            start: from.parameters.clone(),
            steps: Vec::new(),
        };
        let reached = self.trainer.observe(from, self.expected.step, &mut kept)?;
        if reached != self.expected {
            return Err(RunError::ReplayDiffers { step: self.expected.step });
        }
        kept.show_backwards(self.observer)?;
        self.expected = from.clone();
        Ok(())
    }

    /// Shows the steps from `from` to the expected state with `states` states in memory, the first
    /// of them `from`: steps are taken again as often as that needs, and shown one at a time.
    fn cut(&mut self, from: &State<T>, states: usize) -> Result<(), RunError> {
        while self.expected.step - from.step > 1 {
            let length = self.expected.step - from.step;
            if states > 1 {
                let until = from.step + first_part(length, states);
                self.cut(&self.trainer.advance(from, until), states - 1)?;
            } else {
                self.segment(&self.trainer.advance(from, self.expected.step - 1))?;
            }
        }
        self.segment(from)
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
        &self.chosen().checkpoints
    }

    fn moments(&self) -> &[Vec<Vec<T>>] {
        &self.chosen().moments
    }

    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        (0..self.states.len() - 1).try_for_each(|segment| self.checked_segment(segment, observer))
    }

    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        show_backwards(&self.trainer, &self.states, observer)
    }

    fn retrain_backwards(
        &self,
        weights: &[T],
        observer: &mut dyn Observer<T>,
    ) -> Result<(), RunError> {
        let trainer = self.trainer.clone().with_weights(weights.to_vec());
        show_backwards(&trainer, &train_states(&trainer), observer)
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

/// Shows all steps of a training, from the last to the first, given the states that it kept.
fn show_backwards<T: Real>(
    trainer: &Trainer<'_, T>,
    states: &[State<T>],
    observer: &mut dyn Observer<T>,
) -> Result<(), RunError> {
    let (expected, kept) = states.split_last().expect("the end is kept");
    let mut backwards = Backwards { trainer, observer, expected: expected.clone() };
    for (index, from) in kept.iter().enumerate().rev() {
        match trainer.keeping() {
            // The states kept after this one have been used and left their room.
            Keeping::Binomial { states } => backwards.cut(from, states - index)?,
            Keeping::All | Keeping::SquareRoot => backwards.segment(from)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Keeping, first_part};

    /// Most often that a step is taken again when `length` steps are reversed with `states` states.
    fn repetitions(length: usize, states: usize) -> usize {
        match (length, states) {
            (1, _) => 0,
            (_, 1) => length - 1,
            _ => {
                let first = first_part(length, states);
                let (before, after) =
                    (repetitions(first, states), repetitions(length - first, states - 1));
                (before + 1).max(after)
            }
        }
    }

    #[test]
    fn binomial_cuts_repeat_steps_as_seldom_as_the_formula_says() {
        // 10 states and 3 repetitions: 13 choose 3 = 286 steps; one step more needs a fourth.
        assert_eq!((repetitions(286, 10), repetitions(287, 10)), (3, 4));
        // 3 states: 4, 10, 20 steps for 1, 2, 3 repetitions.
        assert_eq!([4, 5, 10, 11, 20].map(|length| repetitions(length, 3)), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn kept_steps_by_hand() {
        assert_eq!(Keeping::All.kept_steps(3), [0, 1, 2, 3]);
        assert_eq!(Keeping::SquareRoot.kept_steps(10), [0, 4, 8, 10]);
        // 10 steps, 3 states: 10 = 4 + 6 with two repetitions for both parts, 6 = 3 + 3.
        assert_eq!(Keeping::Binomial { states: 3 }.kept_steps(10), [0, 4, 7, 10]);
        assert_eq!(Keeping::Binomial { states: 9 }.kept_steps(2), [0, 1, 2]);
        assert_eq!(Keeping::SquareRoot.kept_steps(0), [0]);
    }
}
