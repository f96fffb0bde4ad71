//! Explicit influence of 1,000 training examples on 500 queries, as a process of its own, as JSON.
//!
//! Softmax regression 784 -> 10 on Fashion-MNIST in single precision, trained as in the jobs of
//! `bench-peers`: 200 full-batch steps. Seconds are those of the parts; the whole process is timed
//! from outside. Threads are the caller's choice: `RAYON_NUM_THREADS=1`.

use attribench_core::{Examples, FitReal, Meter, Model, Optimiser, Queries, Run, Utility};
use attribench_datasets::{Source, SplitOptions, Standardisation, Stratification, load, split};
use attribench_engine::{
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{CurvatureKind, Damping, InfluenceExplicit};
use attribench_models::{Activation, Network};
use mimalloc::MiMalloc;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TRAIN_ROWS: usize = 1_000;
const QUERIES: usize = 500;
const SEED: u64 = 0;
const TRAINING: Training = Training {
    epochs: 200,
    batch_size: TRAIN_ROWS,
    learning_rate: 0.05,
    optimiser: Optimiser::heavy_ball(0.9, 1e-3),
    clip_norm: None,
    schedule: Schedule::Constant,
};
const METHOD: InfluenceExplicit =
    InfluenceExplicit { curvature: CurvatureKind::Hessian, damping: Damping::Absolute(0.01) };

/// What `work` returns, and its seconds.
#[allow(clippy::disallowed_types, reason = "a measurement of a method, not a method")]
fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Most memory that the process has held, where the system tells.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// Training examples and queries, with pixels standardised.
fn fashion() -> (Examples<f32>, Queries<f32>) {
    let options = SplitOptions {
        train_size: Some(TRAIN_ROWS),
        query_size: QUERIES,
        tuning_query_size: 0,
        stratification: Stratification::ByClass,
    };
    let loaded = load(&Source::Embedded("fashion-mnist".into())).expect("the set is embedded");
    let splits = split(loaded, &options, SEED).expect("the set is large enough");
    let splits = splits.standardised(Standardisation::Global).expect("pixels are finite");
    let (train, queries, _) = splits.into_parts();
    let examples = Examples::from_dataset(&queries);
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    (Examples::from_dataset(&train), queries)
}

fn main() {
    let ((train, queries), load_seconds) = timed(fashion);
    let network = Network::dense(&[train.features().ncols(), 10], Activation::Tanh);
    let (run, train_seconds) = timed(|| {
        let trainer = Trainer::new(&network, &train, &TRAINING, SEED);
        let states = train_states(&trainer);
        TrainedRun::new(trainer, states, 1)
    });
    let utilities = network.utilities(run.final_parameters(), &queries.examples, queries.utility);
    let query_loss = -utilities.iter().sum::<f64>() / utilities.len() as f64;
    let meter = Meter::default();
    let (scorer, fit_seconds) = timed(|| f32::fit(&METHOD, &run, &meter, SEED));
    let mut scorer = scorer.expect("the damped curvature is positive definite");
    let (scores, score_seconds) = timed(|| scorer.score(&queries));
    let scores = scores.expect("the scores are finite");
    let facts = json!({
        "shape": scores.values().shape(),
        "query_loss": query_loss,
        "load_seconds": load_seconds,
        "train_seconds": train_seconds,
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
        "peak_megabytes": peak_megabytes(),
    });
    println!("{facts}");
}
