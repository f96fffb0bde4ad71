//! A run of which only a part was logged, seen through its log.

use std::collections::BTreeSet;

use attribench_core::{
    Captures, Checkpoint, Examples, Inputs, Instrumentation, LayerCapture, LayerKind, Layout,
    Model, Observer, Optimiser, Real, Recipe, Run, RunError, Step, math,
};
use ndarray::Array2;

use crate::trace::TrainedRun;

/// A run that shows what was logged of it and nothing else: steps that were not logged are passed
/// over, gradients of layers that were not are 0, and what was compressed is shown as it comes out
/// of the log.
///
/// The log is made anew from the run whenever it is read, so that the engine need not store one.
pub struct LoggedRun<'a, T> {
    run: &'a TrainedRun<'a, T>,
    log: &'a Instrumentation,
    chosen: Vec<bool>,
    layers: Vec<LoggedLayer<T>>,
}

/// How a layer is logged.
enum LoggedLayer<T> {
    /// Not at all.
    Absent,
    /// With `P P^T` of its inputs and of the gradients at its outputs, where they are compressed.
    Present { inputs: Option<Array2<T>>, outputs: Option<Array2<T>> },
}

/// How large a log is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogSize {
    /// Share of the steps that are logged.
    pub steps: f64,
    /// Bytes of batches, gradients and parameters.
    pub bytes: u64,
}

/// Bytes of the name of an example.
const ROW_BYTES: usize = 4;

/// Whether the inputs of a layer are data, which need no log.
fn reads_data(layout: &Layout, index: usize) -> bool {
    index == 0 && layout.features_enter_first()
}

impl<'a, T: Real> LoggedRun<'a, T> {
    /// What `log` keeps of a run; `seed` is the experiment's.
    pub fn new(run: &'a TrainedRun<'a, T>, log: &'a Instrumentation, seed: u64) -> Self {
        let layout = run.model().layout();
        let square = |width: usize, index: u64| -> Option<Array2<T>> {
            let flat = log.compression(width, seed, index)?;
            let p = Array2::from_shape_vec((width, flat.len() / width), flat).expect("whole rows");
            Some(p.dot(&p.t()).mapv(T::from_f64))
        };
        let layers = layout.layers().iter().enumerate().map(|(index, layer)| {
            if !log.logs_layer(&layer.name) {
                return LoggedLayer::Absent;
            }
            // Tokens are shorter than any compression of them.
            let is_kept = reads_data(layout, index) || layer.kind == LayerKind::Lookup;
            let inputs = if is_kept { None } else { square(layer.inputs, 2 * index as u64) };
            LoggedLayer::Present { inputs, outputs: square(layer.outputs, 2 * index as u64 + 1) }
        });
        let layers = layers.collect();
        Self { run, log, chosen: log.chosen(run.recipe().steps, seed), layers }
    }

    /// How large the log is.
    pub fn size(&self) -> LogSize {
        let logged = || (0..self.chosen.len()).filter(|&step| self.chosen[step]);
        let layout = self.run.model().layout();
        let number = size_of::<T>();
        let of_example: usize = layout
            .layers()
            .iter()
            .enumerate()
            .filter(|(_, layer)| self.log.logs_layer(&layer.name))
            .map(|(index, layer)| {
                let kept = |width: usize| self.log.rank.map_or(width, |rank| rank.min(width));
                let inputs = match layer.kind {
                    _ if reads_data(layout, index) => 0,
                    LayerKind::Lookup => ROW_BYTES,
                    LayerKind::Dense | LayerKind::DenseWithoutBias => kept(layer.inputs) * number,
                };
                layer.positions * (inputs + kept(layer.outputs) * number)
            })
            .sum();
        let batches = self.run.trainer().order().batches();
        let rows: usize = logged().map(|step| batches[step].len()).sum();
        // Parameters before and after every logged step; a step's end is the next one's start.
        let borders: BTreeSet<usize> = logged().flat_map(|step| [step, step + 1]).collect();
        // Of Adam both moments after the step.
        let moments = match self.run.recipe().rule.optimiser {
            Optimiser::Sgd(_) => 0,
            Optimiser::AdamW(_) => 2,
        };
        let vectors = borders.len() + moments * logged().count();
        let bytes = rows * (ROW_BYTES + of_example) + vectors * layout.parameters() * number;
        LogSize {
            steps: logged().count() as f64 / self.chosen.len().max(1) as f64,
            bytes: bytes as u64,
        }
    }

    /// Captures as the log keeps them; `None` where they are kept as they are.
    fn kept(&self, captures: &Captures<T>) -> Option<Captures<T>> {
        let is_whole = |layer: &LoggedLayer<T>| {
            matches!(layer, LoggedLayer::Present { inputs: None, outputs: None })
        };
        if self.layers.iter().all(is_whole) {
            return None;
        }
        let layers = captures.layers.iter().zip(&self.layers).map(|(capture, logged)| {
            let mut capture: LayerCapture<T> = capture.clone();
            match logged {
                LoggedLayer::Absent => capture.output_gradients.fill(T::zero()),
                LoggedLayer::Present { inputs, outputs } => {
                    if let (Inputs::Values(values), Some(square)) = (&mut capture.inputs, inputs) {
                        *values = math::matmul(values.view(), square.view());
                    }
                    if let Some(square) = outputs {
                        let gradients = capture.output_gradients.view();
                        capture.output_gradients = math::matmul(gradients, square.view());
                    }
                }
            }
            capture
        });
        Some(Captures { layers: layers.collect() })
    }
}

/// Shows an observer what was logged.
struct ThroughLog<'a, 'b, T> {
    run: &'b LoggedRun<'a, T>,
    observer: &'b mut dyn Observer<T>,
}

impl<T: Real> Observer<T> for ThroughLog<'_, '_, T> {
    fn step(&mut self, step: &Step<'_, T>) -> Result<(), RunError> {
        if !self.run.chosen[step.index] {
            return Ok(());
        }
        match self.run.kept(step.captures) {
            None => self.observer.step(step),
            Some(captures) => self.observer.step(&Step { captures: &captures, ..*step }),
        }
    }
}

impl<T: Real> Run<T> for LoggedRun<'_, T> {
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

    /// A log has steps, not checkpoints.
    fn checkpoints(&self) -> &[Checkpoint<T>] {
        &[]
    }

    fn moments(&self) -> &[Vec<Vec<T>>] {
        &[]
    }

    fn log(&self) -> Instrumentation {
        self.log.clone()
    }

    fn replay(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.run.replay(&mut ThroughLog { run: self, observer })
    }

    fn replay_backwards(&self, observer: &mut dyn Observer<T>) -> Result<(), RunError> {
        self.run.replay_backwards(&mut ThroughLog { run: self, observer })
    }
}
