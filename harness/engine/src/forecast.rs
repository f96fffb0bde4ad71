//! What a plan will cost in trainings, time and memory.

use std::time::Instant;

use attribench_core::{Examples, FitReal, ProblemSize, StepSize};
use attribench_datasets::Dataset;
use serde::Serialize;

use crate::{
    diagnostics::Diagnostic,
    games,
    plan::Plan,
    spec::{Precision, Removals},
    trace::Keeping,
    truths,
};

/// Memory of the program before it has done anything, measured with the smallest experiment: code,
/// table library, embedded data.
const PROGRAM_BYTES: u64 = 80 << 20;

/// Memory of one predicted and measured effect, with its names and its place in a table.
const EFFECT_BYTES: usize = 250;

/// What a plan will cost, before any of it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Models to be trained for truths.
    pub trainings: usize,
    /// Steps of each.
    pub steps: usize,
    /// Parameters of each.
    pub parameters: usize,
    /// Seconds for all of them on one thread, from a measured step.
    pub training_seconds: f64,
    /// Most bytes of memory in use at one time.
    pub bytes: u64,
}

impl Plan {
    /// Trainings, time and memory, with a few training steps taken to measure their time.
    ///
    /// `jobs` is the number of threads.
    pub fn forecast(&self, jobs: usize) -> Forecast {
        match self.spec.precision {
            Precision::F32 => self.forecast_in::<f32>(jobs),
            Precision::F64 => self.forecast_in::<f64>(jobs),
        }
    }

    /// The most threads, `jobs` or fewer, with which the run stays below the `memory` it may take.
    ///
    /// # Errors
    /// When one thread takes more.
    pub fn threads_within_memory(&self, jobs: usize) -> Result<usize, Diagnostic> {
        let Some(memory) = &self.spec.memory else { return Ok(jobs) };
        let fits = |jobs: &usize| self.bytes(*jobs) <= memory.value.0;
        (1..=jobs).rev().find(fits).ok_or_else(|| {
            let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
            let message = format!(
                "the run takes about {} MiB with one thread, and `memory` is {} MiB",
                mebibytes(self.bytes(1)),
                mebibytes(memory.value.0)
            );
            let hint = "allow more, or take fewer queries, removals or methods";
            Diagnostic::at(memory, message).hint(hint)
        })
    }

    fn trainings(&self) -> usize {
        let contributors = self.train.contributors().len();
        truths::trainings(&self.spec.truths.value, self.train.len(), contributors)
    }

    fn forecast_in<T: FitReal>(&self, jobs: usize) -> Forecast {
        let model = T::model(self.model.as_ref());
        let (trainings, steps) =
            (self.trainings(), self.spec.training.value.steps(self.train.len()));
        let width = model.stack_width().min(trainings.max(1));
        let seconds = self.measured_step::<T>(width) / width as f64;
        Forecast {
            trainings,
            steps,
            parameters: model.layout().parameters(),
            training_seconds: seconds * (trainings * steps) as f64,
            bytes: self.bytes_in::<T>(jobs),
        }
    }

    /// Most bytes of memory in use at one time.
    fn bytes(&self, jobs: usize) -> u64 {
        match self.spec.precision {
            Precision::F32 => self.bytes_in::<f32>(jobs),
            Precision::F64 => self.bytes_in::<f64>(jobs),
        }
    }

    fn bytes_in<T: FitReal>(&self, jobs: usize) -> u64 {
        let model = T::model(self.model.as_ref());
        let (n, training) = (self.train.len(), &self.spec.training.value);
        let (steps, p) = (training.steps(n), model.layout().parameters());
        let width = model.stack_width().min(self.trainings().max(1));
        let number = size_of::<T>() as u64;
        let queries = self.queries.len() + self.tuning_queries.as_ref().map_or(0, Dataset::len);
        let inputs = self.train.features().ncols();
        // Values and gradients at every layer's output, and values at its input.
        let layers = model.layout().layers().iter();
        let units: usize = layers.map(|l| l.positions * (l.inputs + 2 * l.outputs)).sum();
        // The data twice (as stored, and in the run's precision); every kept state; while replaying
        // backwards, a segment's steps; a stack a thread; scores of every method and their
        // bootstrap.
        let held = self.spec.replay_states.kept_steps(steps);
        let segment = match self.spec.replay_states {
            Keeping::All | Keeping::SquareRoot => {
                held.windows(2).map(|pair| pair[1] - pair[0]).max()
            }
            // One step at a time, from states of its own.
            Keeping::Binomial { states } => Some(states),
        };
        let segment = segment.unwrap_or(0) as u64;
        let data = (n + queries) as u64 * inputs as u64 * (4 + number);
        let moments = training.optimiser.moments();
        let states = ((1 + moments) * held.len() * p) as u64 * number;
        let replay = segment * ((2 + moments) * p + training.batch_size * units) as u64 * number;
        // Parameters, moments, and a gradient where it is not used as it appears.
        let vectors = if training.rule().heavy_ball().is_some() { 2 } else { 2 + moments };
        let stacks = (jobs * width * (vectors * p + training.batch_size * units)) as u64 * number;
        let scores = (self.methods.len() * n * queries * 8) as u64;
        let size = ProblemSize { examples: n, queries, parameters: p, number: size_of::<T>() };
        let settings = self.methods.iter().flat_map(|method| &method.settings);
        let methods = settings.map(|method| method.working_bytes(size)).max().unwrap_or(0);
        let pairs = self.removals() * self.queries.len() * self.methods.len();
        let effects = (pairs * EFFECT_BYTES) as u64;
        let work = methods.max(replay).max(stacks).max(effects);
        let contributors = self.train.contributors().len();
        let game = self.spec.truths.value.game.as_ref();
        let table = game.map_or(0, |game| games::table_bytes(game, contributors, queries));
        let encoders = self.methods.iter().filter_map(|method| method.encoder.as_ref());
        let encoders: u64 = encoders.map(|encoder| encoder.bytes()).sum();
        PROGRAM_BYTES + data + states + scores + work + table + encoders
    }

    /// Removals whose effects are kept, pair by pair, for the report.
    fn removals(&self) -> usize {
        let truths = &self.spec.truths.value;
        let of = |removals: Option<Removals>, total: usize| {
            removals.map_or(0, |removals| removals.count.unwrap_or(total).min(total))
        };
        of(truths.leave_one_out, self.train.len())
            + of(truths.leave_contributor_out, self.train.contributors().len())
    }

    /// Seconds of one step of a stack, the least of several.
    fn measured_step<T: FitReal>(&self, width: usize) -> f64 {
        let model = T::model(self.model.as_ref());
        let train = Examples::<T>::from_dataset(&self.train);
        let training = &self.spec.training.value;
        let batch = training.batch_size.min(train.len());
        let rows: Vec<usize> = (0..batch).collect();
        let mut stack = model.stack(width, &training.rule());
        let theta = model.initial_parameters(self.spec.seed);
        let moments = vec![vec![T::zero(); theta.len()]; training.optimiser.moments()];
        for index in 0..width {
            stack.load(index, &theta, &moments);
        }
        let ones = vec![T::one(); batch];
        let weights = vec![&ones[..]; width];
        let size = StepSize { index: 0, learning_rate: training.learning_rate };
        (0..10)
            .map(|_| {
                let start = Instant::now();
                stack.step(&train, &rows, &weights, size);
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min)
    }
}
