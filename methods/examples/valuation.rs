//! Banzhaf by MSR and permutation Shapley of 100 handwritten digits, softmax regression, accuracy
//! on 500 others: as many evaluations as the peers make, for `bench-peers`.
//!
//! Prints one JSON object: seconds, evaluations, and the share of the time outside of evaluations.

#![allow(clippy::disallowed_types, reason = "the clock is what this program reports")]

use std::{cell::Cell, sync::Mutex, time::Instant};

use attribench_core::{
    Ask, Examples, Game, GameError, Labels, Model, Optimiser, Repeats, Valuation, ValuationContext,
};
use attribench_datasets::{Source, SplitOptions, Standardisation, Stratification, load, split};
use attribench_engine::{
    given::Given,
    training::{Schedule, Trainer, Training},
};
use attribench_methods::games::{BanzhafMsr, PermutationShapley, Stop};
use attribench_models::{Activation, Network};
use ndarray::Array2;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Accuracy of the model that a coalition of examples trains.
struct Digits {
    network: Network,
    train: Examples<f32>,
    queries: Examples<f32>,
    training: Training,
    spent: Mutex<f64>,
}

impl Digits {
    fn new() -> Self {
        let options = SplitOptions {
            train_size: Some(100),
            query_size: 500,
            tuning_query_size: 0,
            stratification: Stratification::ByClass,
        };
        let digits = load(&Source::Embedded("digits".into())).expect("digits are embedded");
        let splits = split(digits, &options, 1).expect("there are enough digits");
        let splits = splits.standardised(Standardisation::Global).expect("digits vary");
        let (train, queries, _) = splits.into_parts();
        Self {
            network: Network::dense(&[64, 10], Activation::Tanh),
            train: Examples::from_dataset(&train),
            queries: Examples::from_dataset(&queries),
            training: Training {
                epochs: 30,
                batch_size: 100,
                learning_rate: 0.5,
                optimiser: Optimiser::heavy_ball(0.9, 0.01),
                clip_norm: None,
                schedule: Schedule::Constant,
                rounds: None,
                given: Given::NONE,
            },
            spent: Mutex::new(0.0),
        }
    }

    fn accuracy(&self, theta: &[f32]) -> f64 {
        let Labels::Classes(labels) = self.queries.labels() else { return 0.0 };
        let model: &dyn Model<f32> = &self.network;
        let outputs = model.outputs(theta, self.queries.features());
        let right = outputs.outer_iter().zip(labels).filter(|(row, label)| {
            let top = (0..row.len()).fold(0, |top, at| if row[at] > row[top] { at } else { top });
            top == **label as usize
        });
        right.count() as f64 / labels.len() as f64
    }
}

impl Game for Digits {
    fn players(&self) -> usize {
        self.train.len()
    }

    fn outcomes(&self) -> usize {
        1
    }

    fn repeats(&self) -> Repeats {
        Repeats::One
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let start = Instant::now();
        let trainer = Trainer::new(&self.network, &self.train, &self.training, 0);
        let width = <Network as Model<f32>>::stack_width(&self.network);
        let mut values = Vec::with_capacity(asks.len());
        for stack in asks.chunks(width) {
            let weights: Vec<Vec<f32>> = stack
                .iter()
                .map(|ask| {
                    let mut weights = vec![0.0; self.players()];
                    ask.coalition.members().for_each(|member| weights[member] = 1.0);
                    weights
                })
                .collect();
            values.extend(trainer.final_parameters(&weights).iter().map(|t| self.accuracy(t)));
        }
        *self.spent.lock().expect("one thread") += start.elapsed().as_secs_f64();
        Ok(Array2::from_shape_vec((asks.len(), 1), values).expect("a value an ask"))
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "msr".to_owned());
    let stop = Stop::after(5000);
    let valuation: Box<dyn Valuation> = match name.as_str() {
        "msr" => Box::new(BanzhafMsr { stop }),
        _ => Box::new(PermutationShapley { stop }),
    };
    let game = Digits::new();
    let told = Cell::new(0usize);
    let ear = |reached: attribench_core::Reached| told.set(reached.evaluations);
    let start = Instant::now();
    let found =
        valuation.value(&game, &ValuationContext::new(0, &ear)).expect("digits can be valued");
    let seconds = start.elapsed().as_secs_f64();
    let spent = *game.spent.lock().expect("one thread");
    let everybody = Ask::first(attribench_core::Coalition::full(game.players()));
    let accuracy = game.values(&[everybody]).expect("everybody trains")[(0, 0)];
    println!(
        "{}",
        serde_json::json!({
            "seconds": seconds,
            "evaluations": found.evaluations(),
            "evaluations_per_second": found.evaluations() as f64 / seconds,
            "overhead_share": (seconds - spent) / seconds,
            "accuracy": accuracy,
            "told": told.get(),
        })
    );
}
