//! Time of the scores of 1,000 training examples for 100 queries, fitting included, on one thread.
//!
//! Explicit influence takes its short way for the one layer of the regression and its general way,
//! a factor of all parameters, for the small network. Conjugate gradients take a fixed number of
//! iterations and are scored with what they have reached.
//!
//! `pair scoring` is what a fitted method does with 5,000 examples of a larger network, beside a
//! matrix product in the same run. A pair is a dot product in the space of features, so that
//! scoring is a product `(n, p) x (p, q)`: what it loses against the plain product of its number
//! type is what it spends on anything else, captures and maps of the queries included. Throughput
//! counts multiplications and additions. EK-FAC has all 109,386 parameters as features, in `f32`;
//! TRAK 4,096 sums in `f64`.

use std::{hint::black_box, time::Duration};

use attribench_core::{
    Examples, FitReal, Labels, Meter, Method, Optimiser, Queries, Real, Run, Utility, math, stream,
};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{
    CurvatureKind, Damping, EkFac, GradDot, InfluenceCg, InfluenceExplicit, KnnShapley, OnLimit,
    Trak,
};
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

const MODELS: [(&str, &[usize]); 2] =
    [("softmax regression 64-10", &[64, 10]), ("mlp 64-16-10", &[64, 16, 10])];
const TRAIN_ROWS: usize = 1_000;
const QUERIES: usize = 100;
const SEED: u64 = 1;

/// The network, examples and queries of pair scoring, the side of a plain product, and a sketch.
const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const PAIR_ROWS: usize = 5_000;
const PAIR_QUERIES: usize = 128;
const SIDE: usize = 1_024;
const SKETCH: usize = 4_096;

const TRAINING: Training = Training {
    epochs: 5,
    batch_size: 50,
    learning_rate: 0.01,
    optimiser: Optimiser::heavy_ball(0.9, 1e-3),
    clip_norm: None,
    schedule: Schedule::Constant,
    rounds: None,
    given: Given::NONE,
};
const EXPLICIT: InfluenceExplicit =
    InfluenceExplicit { curvature: CurvatureKind::GaussNewton, damping: Damping::Absolute(0.01) };
const CONJUGATE_GRADIENTS: InfluenceCg = InfluenceCg {
    curvature: CurvatureKind::GaussNewton,
    damping: Damping::Absolute(0.01),
    iterations: 5,
    tolerance: 1e-12,
    on_limit: OnLimit::Accept,
};

fn random_examples(rows: usize, inputs: usize, name: &str) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let features = Array2::from_shape_simple_fn((rows, inputs), || {
        let number: f32 = StandardNormal.sample(&mut numbers);
        number / 2.0
    });
    let labels = (0..rows as u32).map(|row| row * 7 % 10).collect();
    Examples::new(features, Labels::Classes(labels))
}

fn bench<M: Method>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    method: &M,
    run: &dyn Run<f32>,
    queries: &Queries<f32>,
) {
    let meter = Meter::default();
    group.bench_function(M::INFO.name, |bencher| {
        bencher.iter(|| {
            let scorer = f32::fit(method, run, &meter, SEED);
            let scores = scorer.and_then(|mut scorer| scorer.score(queries));
            black_box(scores.expect("the method suits the run"))
        });
    });
}

fn attribution(criterion: &mut Criterion) {
    for (name, widths) in MODELS {
        let network = Network::dense(widths, Activation::Tanh);
        let train = random_examples(TRAIN_ROWS, widths[0], "train");
        let examples = random_examples(QUERIES, widths[0], "queries");
        let queries = Queries { examples, utility: Utility::NegativeLoss };
        let trainer = Trainer::new(&network, &train, &TRAINING, SEED);
        let states = train_states(&trainer);
        let run = TrainedRun::new(trainer, states, 1);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        bench(&mut group, &GradDot::default(), &run, &queries);
        bench(&mut group, &KnnShapley::default(), &run, &queries);
        bench(&mut group, &EXPLICIT, &run, &queries);
        bench(&mut group, &CONJUGATE_GRADIENTS, &run, &queries);
        group.finish();
    }
}

/// The plain product that the others are measured by.
fn product<T: Real>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let mut numbers = stream(SEED, name, 0);
    let mut normal = || T::from_f64(StandardNormal.sample(&mut numbers));
    let left = Array2::from_shape_simple_fn((SIDE, SIDE), &mut normal);
    let right = Array2::from_shape_simple_fn((SIDE, SIDE), &mut normal);
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
    group.throughput(Throughput::Elements((2 * PAIR_ROWS * PAIR_QUERIES * features) as u64));
    group.bench_function(M::INFO.name, |bencher| {
        bencher.iter(|| black_box(scorer.score(queries).expect("queries suit the run")));
    });
}

fn pair_scoring(criterion: &mut Criterion) {
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    let train = random_examples(PAIR_ROWS, WIDTHS[0], "train");
    let examples = random_examples(PAIR_QUERIES, WIDTHS[0], "queries");
    let queries = Queries { examples, utility: Utility::NegativeLoss };
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

criterion_group!(benches, attribution, pair_scoring);
criterion_main!(benches);
