//! Time of a training step and of the readings that methods ask for, on one thread.
//!
//! Throughput counts examples: those of a step once for each model of the stack.

use std::{hint::black_box, time::Duration};

use attribench_core::{
    Curvature, Examples, Labels, Model, Optimiser, Quantity, StepSize, UpdateRule, stream,
};
use attribench_models::{Activation, Network};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand::RngExt;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 50;
const TRAIN_ROWS: usize = 1_000;
const DIRECTIONS: usize = 8;

const MODELS: [(&str, &[usize]); 3] = [
    ("mlp 784-128-64-10", &[784, 128, 64, 10]),
    ("mlp 64-16-10", &[64, 16, 10]),
    ("softmax regression 784-10", &[784, 10]),
];

fn examples(inputs: usize, classes: u32, rows: usize) -> Examples<f32> {
    let mut numbers = stream(1, "bench", 0);
    let features =
        Array2::from_shape_simple_fn((rows, inputs), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..classes)).collect();
    Examples::new(features, Labels::Classes(labels))
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    let optimiser = Optimiser::heavy_ball(0.9, 1e-3);
    let rule = UpdateRule { optimiser, clip_norm: None, batch_size: BATCH };
    let size = StepSize { index: 0, learning_rate: 0.05 };
    for (name, widths) in MODELS {
        let network = Network::dense(widths, Activation::Tanh);
        let train = examples(widths[0], widths[widths.len() - 1] as u32, TRAIN_ROWS);
        let mut stack_widths = vec![1, <Network as Model<f32>>::stack_width(&network)];
        stack_widths.dedup();
        for width in stack_widths {
            let mut stack = <Network as Model<f32>>::stack(&network, width, &rule);
            let theta: Vec<f32> = network.initial_parameters(1);
            for index in 0..width {
                stack.load(index, &theta, &[vec![0.0; theta.len()]]);
            }
            let weights = [1.0; BATCH];
            let lists = vec![&weights[..]; width];
            let rows: Vec<usize> = (0..BATCH).map(|row| row * 7).collect();
            group.throughput(Throughput::Elements((width * BATCH) as u64));
            group.bench_function(BenchmarkId::new(name, width), |bencher| {
                bencher.iter(|| stack.step(&train, &rows, &lists, size));
            });
        }
    }
    group.finish();
}

fn readings(criterion: &mut Criterion) {
    for (name, widths) in MODELS {
        let mut group = criterion.benchmark_group(name);
        let network = Network::dense(widths, Activation::Tanh);
        let batch = examples(widths[0], widths[widths.len() - 1] as u32, 256);
        let theta: Vec<f32> = network.initial_parameters(1);
        let weights = vec![1.0; batch.len()];
        let directions = Array2::from_shape_fn((DIRECTIONS, theta.len()), |(i, j)| {
            ((i + 3 * j) % 11) as f32 / 11.0 - 0.5
        });
        group.throughput(Throughput::Elements(batch.len() as u64));
        group.bench_function("captures", |bencher| {
            bencher.iter(|| black_box(network.captures(&theta, &batch, Quantity::Loss)));
        });
        group.bench_function("gradient", |bencher| {
            bencher.iter(|| black_box(network.gradient(&theta, &batch, Quantity::Loss, &weights)));
        });
        let curvatures =
            [("hessian", Curvature::Hessian), ("gauss-newton", Curvature::GaussNewton)];
        for (kind, curvature) in curvatures {
            let label = BenchmarkId::new(format!("{kind} products"), DIRECTIONS);
            group.bench_function(label, |bencher| {
                bencher.iter(|| {
                    let directions = directions.view();
                    black_box(
                        network.curvature_products(&theta, &batch, &weights, curvature, directions),
                    )
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = step, readings
}
criterion_main!(benches);
