//! What instrumentation costs: a plain run beside the same run with credits drawn at every step.
//!
//! `plain` trains and shows its steps to nobody. `in-run-shapley` and `path-ledger` take the same
//! steps by replay and draw the scores of a validation batch of 64 queries, one column each: the
//! ratio of their times to `plain` is the price of an instrumented run. With momentum the replay
//! runs backwards and a tail of all parameters is kept for every query.

use std::{hint::black_box, time::Duration};

use attribench_core::{Examples, FitReal, Labels, Meter, Optimiser, Queries, Run, Utility, stream};
use attribench_engine::{
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{InRunShapley, PathLedger};
use attribench_models::{Activation, Network};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand::RngExt;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const TRAIN_ROWS: usize = 1_000;
const QUERIES: usize = 64;
const SEED: u64 = 1;

fn random_examples(rows: usize, name: &str) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let features =
        Array2::from_shape_simple_fn((rows, WIDTHS[0]), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..10)).collect();
    Examples::new(features, Labels::Classes(labels))
}

fn scores(run: &dyn Run<f32>, queries: &Queries<f32>, nodes: Option<usize>) {
    let meter = Meter::default();
    let scorer = match nodes {
        None => f32::fit(&InRunShapley::default(), run, &meter, SEED),
        Some(nodes) => f32::fit(&PathLedger { nodes }, run, &meter, SEED),
    };
    black_box(scorer.and_then(|mut scorer| scorer.score(queries)).expect("the run is finite"));
}

fn instrumented(criterion: &mut Criterion) {
    let train = random_examples(TRAIN_ROWS, "train");
    let examples = random_examples(QUERIES, "queries");
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    // Tails make every step dear, so that fewer are taken; throughput is steps a second.
    for (momentum, steps) in [(0.0, 100), (0.9, 20)] {
        for batch_size in [50, 500] {
            let training = Training {
                epochs: steps * batch_size / TRAIN_ROWS,
                batch_size,
                learning_rate: 0.05 * (1.0 - momentum),
                optimiser: Optimiser::heavy_ball(momentum, 0.0),
                clip_norm: None,
                schedule: Schedule::Constant,
            };
            let trainer = Trainer::new(&network, &train, &training, SEED);
            let states = train_states(&trainer);
            let run = TrainedRun::new(trainer.clone(), states, 1);
            let mut group =
                criterion.benchmark_group(format!("momentum {momentum}, batch {batch_size}"));
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
            group.warm_up_time(Duration::from_millis(200));
            group.measurement_time(Duration::from_secs(1));
            group.throughput(Throughput::Elements(steps as u64));
            let start = trainer.start();
            group.bench_function("plain", |bencher| {
                bencher.iter(|| black_box(trainer.advance(&start, steps)));
            });
            group.bench_function("in-run-shapley", |bencher| {
                bencher.iter(|| scores(&run, &queries, None));
            });
            // With momentum the ledger's tails take minutes, and tell what the line above has told.
            if momentum == 0.0 {
                group.bench_function("path-ledger, 2 nodes", |bencher| {
                    bencher.iter(|| scores(&run, &queries, Some(2)));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, instrumented);
criterion_main!(benches);
