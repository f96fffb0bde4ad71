//! Speed of scoring pairs, on one thread, beside the speed of a matrix product in the same run.
//!
//! A pair is a dot product in the space of features, so that scoring is a product `(n, p) x (p,
//! q)`: what it loses against the plain product of its number type is what it spends on anything
//! else, captures and maps of the queries included. Throughput counts multiplications and
//! additions. EK-FAC has all 109,386 parameters as features, in `f32`; TRAK 4,096 sums in `f64`.

use std::{hint::black_box, time::Duration};

use attribench_core::{
    Examples, FitReal, Labels, Meter, Method, Optimiser, Queries, Real, Utility, math, stream,
};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{EkFac, Trak};
use attribench_models::{Activation, Network};
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const TRAIN_ROWS: usize = 5_000;
const QUERIES: usize = 128;
const SIDE: usize = 1_024;
const SKETCH: usize = 4_096;
const SEED: u64 = 1;
const TRAINING: Training = Training {
    epochs: 1,
    batch_size: 50,
    learning_rate: 0.05,
    optimiser: Optimiser::heavy_ball(0.9, 1e-3),
    clip_norm: None,
    schedule: Schedule::Constant,
    rounds: None,
    given: Given::NONE,
};

fn normal<T: Real>(shape: (usize, usize), name: &str) -> Array2<T> {
    let mut numbers = stream(SEED, name, 0);
    Array2::from_shape_simple_fn(shape, || T::from_f64(StandardNormal.sample(&mut numbers)))
}

fn examples(rows: usize, name: &str) -> Examples<f32> {
    let labels = (0..rows as u32).map(|row| row * 7 % 10).collect();
    Examples::new(normal((rows, WIDTHS[0]), name), Labels::Classes(labels))
}

/// The plain product that the others are measured by.
fn product<T: Real>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let (left, right) = (normal::<T>((SIDE, SIDE), "left"), normal::<T>((SIDE, SIDE), "right"));
    group.throughput(Throughput::Elements(2 * SIDE.pow(3) as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| black_box(math::matmul(left.view(), right.view())));
    });
}

/// Scores of a fitted method with `features` numbers a pair.
fn score<M: Method>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    method: &M,
    features: usize,
    (run, queries): (&TrainedRun<'_, f32>, &Queries<f32>),
) {
    let meter = Meter::default();
    let mut scorer = f32::fit(method, run, &meter, SEED).expect("the method suits the run");
    group.throughput(Throughput::Elements((2 * TRAIN_ROWS * QUERIES * features) as u64));
    group.bench_function(M::INFO.name, |bencher| {
        bencher.iter(|| black_box(scorer.score(queries).expect("queries suit the run")));
    });
}

fn pair_scoring(criterion: &mut Criterion) {
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    let train = examples(TRAIN_ROWS, "train");
    let utility = Utility::NegativeLoss;
    let queries = Queries { examples: examples(QUERIES, "queries"), utility };
    let trainer = Trainer::new(&network, &train, &TRAINING, SEED);
    let states = train_states(&trainer);
    let run = TrainedRun::new(trainer, states, 1);
    let mut group = criterion.benchmark_group("pair scoring");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(3));
    product::<f32>(&mut group, "product in f32");
    product::<f64>(&mut group, "product in f64");
    let parameters = WIDTHS.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    score(&mut group, &EkFac::default(), parameters, (&run, &queries));
    score(&mut group, &Trak { size: SKETCH, ..Trak::default() }, SKETCH, (&run, &queries));
    group.finish();
}

criterion_group!(benches, pair_scoring);
criterion_main!(benches);
