//! A record of the run, kept while it trains. Who keeps it, and how, is decided elsewhere.

use std::borrow::Cow;

use attribench_core::{Examples, Observer, Quantity, Queries, Real, RunError, Step};
use ndarray::Array2;

use crate::training::{State, Trainer};

/// Queries that credits are drawn for, at the most: the first ones of the run.
pub const CREDITED_QUERIES: usize = 64;

/// Numbers as the bytes of their own type, little-endian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberBytes<'a> {
    /// Bytes of a number: 4 or 8.
    pub width: usize,
    /// The numbers.
    pub bytes: Cow<'a, [u8]>,
}

/// One step as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStep<'a> {
    /// Number of the step, from 0.
    pub index: usize,
    /// Learning rate.
    pub learning_rate: f64,
    /// Ids of the examples in the batch.
    pub batch: Vec<u32>,
    /// Parameters after the step.
    pub parameters: NumberBytes<'a>,
    /// Credit of each example of the batch: `(eta_t / B) (b . g_i)`, where `b` is the gradient of
    /// minus the mean utility of the credited queries. Positive means that it helps. This is the
    /// step's own part to first order, as plain descent would take it: what moments carry on to
    /// later steps, and what clipping and scaling make of the step, is not in it.
    pub credits: Vec<f64>,
}

/// Told what happens, when it happens; it changes nothing.
///
/// It is told on the thread that trains, which may be one of a pool, and shown the numbers where
/// they lie: to read them there costs less than to hand a copy to somebody else.
pub trait Recorder: Send {
    /// Before the first step, with the batches of all steps by ids.
    ///
    /// # Errors
    /// Whatever keeps the record from being kept; the run stops.
    fn begin(&mut self, batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String>;

    /// After a step.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String>;

    /// When the state after `steps` steps is kept; the first is that before any step.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes<'_>,
        optimizer: NumberBytes<'_>,
    ) -> Result<(), String>;

    /// After the last step.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn end(&mut self) -> Result<(), String>;
}

/// Trains as [`crate::trace::train_states`] does, to the same bits, and tells `recorder` of it.
///
/// # Errors
/// When the recorder gives up.
pub fn record_states<T: Real>(
    trainer: &Trainer<'_, T>,
    queries: &Queries<T>,
    recorder: &mut dyn Recorder,
) -> Result<Vec<State<T>>, RunError> {
    let ids = trainer.train().ids();
    let batches = trainer.order().batches();
    let by_ids = |rows: &Vec<usize>| rows.iter().map(|&row| ids[row].0).collect();
    recorder.begin(&mut batches.iter().map(by_ids)).map_err(|reason| failed(0, reason))?;
    let mut states = vec![trainer.start()];
    keep(&states[0], recorder)?;
    for &until in &trainer.kept_steps()[1..] {
        let last = states.last().expect("the start is kept");
        let state = record_segment(trainer, queries, last, until, &mut |step| recorder.step(step))?;
        keep(&state, recorder)?;
        states.push(state);
    }
    recorder.end().map_err(|reason| failed(batches.len(), reason))?;
    Ok(states)
}

fn keep<T: Real>(state: &State<T>, recorder: &mut dyn Recorder) -> Result<(), RunError> {
    recorder
        .keep(state.step, bytes(&state.parameters), optimizer_bytes(state))
        .map_err(|reason| failed(state.step, reason))
}

/// Numbers of the optimiser, one vector behind the other.
fn optimizer_bytes<T: Real>(state: &State<T>) -> NumberBytes<'_> {
    match &state.moments[..] {
        [moment] => bytes(moment),
        moments => {
            let all: Vec<_> = moments.iter().map(|moment| T::le_bytes(moment)).collect();
            NumberBytes { width: size_of::<T>(), bytes: Cow::Owned(all.concat()) }
        }
    }
}

/// A state that outlives its run, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptState {
    /// Steps taken before it.
    pub step: usize,
    /// Parameters.
    pub parameters: NumberBytes<'static>,
    /// State of the optimiser.
    pub optimizer: NumberBytes<'static>,
}

impl KeptState {
    /// The bytes of a state, whose numbers are given up one state at a time.
    pub fn of<T: Real>(state: State<T>) -> Self {
        let owned = |NumberBytes { width, bytes }: NumberBytes<'_>| NumberBytes {
            width,
            bytes: Cow::Owned(bytes.into_owned()),
        };
        let (parameters, optimizer) = (bytes(&state.parameters), optimizer_bytes(&state));
        Self { step: state.step, parameters: owned(parameters), optimizer: owned(optimizer) }
    }
}

/// Takes the steps `from.step..until` and tells of each: also how they are taken again.
///
/// # Errors
/// When `tell` refuses.
pub fn record_segment<T: Real>(
    trainer: &Trainer<'_, T>,
    queries: &Queries<T>,
    from: &State<T>,
    until: usize,
    tell: &mut dyn FnMut(RecordedStep<'_>) -> Result<(), String>,
) -> Result<State<T>, RunError> {
    let shown = queries.examples.len().min(CREDITED_QUERIES);
    let credited = queries.examples.select(&(0..shown).collect::<Vec<_>>());
    let quantity = Quantity::NegativeUtility(queries.utility);
    trainer.observe(from, until, &mut Teller { trainer, credited, quantity, tell })
}

/// State of a run from bytes that were kept; `None` where they are of another length or type.
pub fn state_of_bytes<T: Real>(
    trainer: &Trainer<'_, T>,
    step: usize,
    parameters: &NumberBytes<'_>,
    optimizer: &NumberBytes<'_>,
) -> Option<State<T>> {
    let start = trainer.start();
    let read = |numbers: &NumberBytes<'_>, length: usize| -> Option<Vec<T>> {
        let fits = numbers.width == size_of::<T>() && numbers.bytes.len() == length * numbers.width;
        fits.then(|| numbers.bytes.chunks_exact(numbers.width).map(number).collect())
    };
    let p = start.parameters.len();
    let moments = read(optimizer, start.moments.len() * p)?;
    let moments = moments.chunks_exact(p.max(1)).map(<[T]>::to_vec).collect();
    Some(State { step, parameters: read(parameters, p)?, moments })
}

fn failed(step: usize, reason: String) -> RunError {
    RunError::Observer { step, reason: format!("the record of the run: {reason}") }
}

fn bytes<T: Real>(values: &[T]) -> NumberBytes<'_> {
    NumberBytes { width: size_of::<T>(), bytes: T::le_bytes(values) }
}

fn number<T: Real>(bytes: &[u8]) -> T {
    T::from_f64(match bytes.try_into() {
        Ok(bytes) => f64::from(f32::from_le_bytes(bytes)),
        Err(_) => f64::from_le_bytes(bytes.try_into().expect("numbers have 4 or 8 bytes")),
    })
}

/// Turns what the trainer shows into what a recorder is told.
struct Teller<'a, 'r, T> {
    trainer: &'a Trainer<'a, T>,
    credited: Examples<T>,
    quantity: Quantity,
    tell: &'r mut dyn FnMut(RecordedStep<'_>) -> Result<(), String>,
}

impl<T: Real> Teller<'_, '_, T> {
    fn credits(&self, step: &Step<'_, T>) -> Vec<f64> {
        let (model, train) = (self.trainer.model(), self.trainer.train());
        let share = vec![T::from_f64(1.0 / self.credited.len() as f64); self.credited.len()];
        let b = model.gradient(step.before, &self.credited, self.quantity, &share);
        let b = Array2::from_shape_vec((1, b.len()), b).expect("one direction of p numbers");
        // (b, 1): the derivative of each example's loss along the queries' gradient.
        let products =
            model.tangents(step.before, &train.select(step.rows), Quantity::Loss, b.view());
        let scale = step.learning_rate / self.trainer.training().batch_size as f64;
        products.iter().zip(step.weights).map(|(p, w)| scale * w.to_f64() * p.to_f64()).collect()
    }
}

impl<T: Real> Observer<T> for Teller<'_, '_, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        let ids = self.trainer.train().ids();
        let recorded = RecordedStep {
            index: step.index,
            learning_rate: step.learning_rate,
            batch: step.rows.iter().map(|&row| ids[row].0).collect(),
            parameters: bytes(step.after),
            credits: self.credits(step),
        };
        (self.tell)(recorded).map_err(|reason| failed(step.index, reason))
    }
}
