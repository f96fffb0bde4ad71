//! What instrumentation costs: a plain run beside the same run with credits drawn at every step.
//!
//! `plain` trains and shows its steps to nobody. The others take the same steps once more, with an
//! observer: the ratio of their times to `plain` is the price of an instrumented run, which trains
//! once. Without momentum they walk forwards, as training itself does. With momentum they walk
//! backwards from kept states, which needs the run to have been made before: a run that is scored
//! by replay costs `plain` on top.
//!
//! The published price of first-order in-run Shapley is that of one utility, the loss of a
//! validation batch: here `mean`, one column. `each` draws a column for every query of the batch,
//! which is what payouts ask for.

use std::{hint::black_box, time::Duration};

use attribench_core::{ErasedMethod, FitReal, Meter, Optimiser, Queries, Run, Utility};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{InRunShapley, PathLedger, StepGame};
use attribench_models::{Activation, Network};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;

use common::{SEED, random_examples};

#[allow(dead_code, reason = "shared with other benchmarks")]
mod common;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const TRAIN_ROWS: usize = 1_000;
const QUERIES: usize = 64;

/// What an instrumented run computes.
#[derive(Clone, Copy)]
enum Asked {
    Each,
    Mean,
}

fn score(method: &dyn ErasedMethod, run: &dyn Run<f32>, queries: &Queries<f32>, asked: Asked) {
    let meter = Meter::default();
    let mut scorer = f32::fit(method, run, &meter, SEED).expect("the method fits the run");
    match asked {
        Asked::Each => drop(black_box(scorer.score(queries).expect("the run is finite"))),
        Asked::Mean => drop(black_box(scorer.score_mean(queries).expect("the run is finite"))),
    }
}

/// Names, methods and questions that are timed with and without momentum.
fn cases(has_momentum: bool) -> Vec<(&'static str, Box<dyn ErasedMethod>, Asked)> {
    let first = || Box::new(InRunShapley { order: StepGame::First });
    let second = || Box::new(InRunShapley { order: StepGame::Second });
    let ledger = || Box::new(PathLedger { nodes: 2, ..Default::default() });
    if has_momentum {
        // With a column for each query the ledger's tails take minutes, and tell what the second
        // line has told.
        return vec![
            ("in-run-shapley, mean", first(), Asked::Mean),
            ("in-run-shapley, each", first(), Asked::Each),
            ("path-ledger with 2 nodes, mean", ledger(), Asked::Mean),
        ];
    }
    vec![
        ("in-run-shapley, mean", first(), Asked::Mean),
        ("in-run-shapley, each", first(), Asked::Each),
        ("in-run-shapley to second order, mean", second(), Asked::Mean),
        ("path-ledger with 2 nodes, mean", ledger(), Asked::Mean),
        ("path-ledger with 2 nodes, each", ledger(), Asked::Each),
    ]
}

fn instrumented(criterion: &mut Criterion) {
    let train = random_examples(TRAIN_ROWS, WIDTHS[0], "train");
    let examples = random_examples(QUERIES, WIDTHS[0], "queries");
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
                rounds: None,
                given: Given::NONE,
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
            for (name, method, asked) in cases(momentum != 0.0) {
                group.bench_function(name, |bencher| {
                    bencher.iter(|| score(method.as_ref(), &run, &queries, asked));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, instrumented);
criterion_main!(benches);
