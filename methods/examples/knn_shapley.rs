//! KNN-Shapley of 10,000 examples with 784 features for the number of queries that is asked, for
//! `bench-peers`.
//!
//! Prints one JSON object: seconds of the scores, and of the matrix product of the distances alone.

#![allow(clippy::disallowed_types, reason = "the clock is what this program reports")]

use std::time::Instant;

use attribench_core::{
    Examples, FitReal, Labels, Meter, Optimiser, Queries, Utility, math, stream,
};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::KnnShapley;
use attribench_models::{Activation, Network};
use ndarray::Array2;
use rand::RngExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRAIN_ROWS: usize = 10_000;
const FEATURES: usize = 784;
const CLASSES: u32 = 10;
const SEED: u64 = 1;

fn random_examples(rows: usize, index: u64) -> Examples<f32> {
    let mut numbers = stream(SEED, "nearest", index);
    let features =
        Array2::from_shape_simple_fn((rows, FEATURES), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..CLASSES)).collect();
    Examples::new(features, Labels::Classes(labels))
}

fn main() -> Result<(), String> {
    let rows = std::env::args().nth(1).unwrap_or_else(|| "1000".to_owned());
    let rows = rows.parse().map_err(|error| format!("number of queries: {error}"))?;
    let (train, examples) = (random_examples(TRAIN_ROWS, 0), random_examples(rows, 1));
    let queries = Queries { examples, utility: Utility::Margin };
    // The method sees nothing of the model, which takes one step.
    let network = Network::dense(&[FEATURES, CLASSES as usize], Activation::Tanh);
    let training = Training {
        epochs: 1,
        batch_size: TRAIN_ROWS,
        learning_rate: 1.0,
        optimiser: Optimiser::default(),
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    };
    let trainer = Trainer::new(&network, &train, &training, SEED);
    let states = train_states(&trainer);
    let run = TrainedRun::new(trainer, states, 1);

    let start = Instant::now();
    let meter = Meter::default();
    let method = KnnShapley::default();
    let mut scorer = f32::fit(&method, &run, &meter, SEED).map_err(|error| error.to_string())?;
    let scores = scorer.score(&queries).map_err(|error| error.to_string())?;
    let seconds = start.elapsed().as_secs_f64();

    let (x, z) = (train.features().mapv(f64::from), queries.examples.features().mapv(f64::from));
    let start = Instant::now();
    let product = math::matmul(z.view(), x.t());
    let product_seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "shape": scores.values().shape(),
            "seconds": seconds,
            "product_seconds": product_seconds,
            "largest_product": product.iter().copied().fold(0.0, f64::max),
        })
    );
    Ok(())
}
