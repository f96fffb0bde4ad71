//! What an exact metagradient costs, in trainings: the run plain, and its metagradient for one
//! query and for several, on one thread; of dense networks and of a transformer.
//!
//! The ratio of `1 query` to `plain` is the price of the first query; the difference between `32
//! queries` and `1 query` divided by 31 is that of each further one.

use std::{hint::black_box, time::Duration};

use attribench_core::{AdamW, Examples, FitReal, Meter, Optimiser, Queries, Run, Utility};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::Metagradient;
use attribench_models::{Activation, Gpt, Head, ModelSpec, Network, PositionKind};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use mimalloc::MiMalloc;

use common::{SEED, random_examples, random_texts};

mod common;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TRAIN_ROWS: usize = 1_000;

/// Windows of a transformer's training, their length, and the tokens that there are.
const TEXTS: usize = 256;
const POSITIONS: usize = 64;
const VOCABULARY: usize = 96;

fn scores(run: &dyn Run<f32>, queries: &Queries<f32>) {
    let meter = Meter::default();
    let scorer = f32::fit(&Metagradient::default(), run, &meter, SEED);
    black_box(scorer.and_then(|mut scorer| scorer.score(queries)).expect("the run is finite"));
}

/// A run without clipping and with a constant rate.
fn training(epochs: usize, batch_size: usize, optimiser: Optimiser) -> Training {
    Training {
        epochs,
        batch_size,
        learning_rate: 0.005,
        optimiser,
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    }
}

/// The run plain, and its metagradient for one of the queries and for all.
fn compare(
    criterion: &mut Criterion,
    name: &str,
    network: &Network,
    (train, asked): (&Examples<f32>, &Examples<f32>),
    training: &Training,
) {
    let trainer = Trainer::new(network, train, training, SEED);
    let (start, steps) = (trainer.start(), training.steps(train.len()));
    let run = TrainedRun::new(trainer.clone(), train_states(&trainer), 1);
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| black_box(trainer.advance(&start, steps)));
    });
    for queries in [1, asked.len()] {
        let examples = asked.select(&(0..queries).collect::<Vec<_>>());
        let queries = Queries { examples, utility: Utility::NegativeLoss };
        let label = format!("{} queries", queries.examples.len());
        group.bench_function(label, |bencher| bencher.iter(|| scores(&run, &queries)));
    }
    group.finish();
}

fn metagradient(criterion: &mut Criterion) {
    let sgd = Optimiser::heavy_ball(0.9, 1e-4);
    let adam = Optimiser::AdamW(AdamW { eps_root: 1e-8, ..AdamW::default() });
    let models: [(&str, &[usize]); 2] =
        [("mlp 64-16-10", &[64, 16, 10]), ("mlp 784-128-64-10", &[784, 128, 64, 10])];
    for (name, widths) in models {
        let network = Network::dense(widths, Activation::Tanh);
        let train = random_examples(TRAIN_ROWS, widths[0], "train");
        let asked = random_examples(32, widths[0], "queries");
        for (optimiser_name, optimiser) in [("momentum", sgd), ("adam-w", adam)] {
            let name = format!("{name}, {optimiser_name}");
            compare(criterion, &name, &network, (&train, &asked), &training(2, 50, optimiser));
        }
    }
    let (positions, head) = (PositionKind::Learned, Head::Tied);
    let gpt = Gpt { layers: 2, width: 64, heads: 4, positions, head };
    let network = gpt.build(POSITIONS, VOCABULARY).expect("a model in range");
    let texts = (
        random_texts((TEXTS, POSITIONS), VOCABULARY, "train"),
        random_texts((8, POSITIONS), VOCABULARY, "queries"),
    );
    let training = Training { clip_norm: Some(1.0), ..training(1, 16, adam) };
    compare(criterion, "gpt 2 x 64, adam-w", &network, (&texts.0, &texts.1), &training);
}

criterion_group!(benches, metagradient);
criterion_main!(benches);
