//! Time of a training step of small transformers, on one thread.
//!
//! `bench-peers/gpt_step.py` times the same step in PyTorch: the same widths, batch and optimiser.
//! Throughput counts tokens.

use std::{hint::black_box, time::Duration};

use attribench_core::{
    AdamW, Examples, Labels, Model, Optimiser, StepSize, TokenLoss, TokenTargets, UpdateRule,
    WeightDecay, stream,
};
use attribench_models::{Gpt, Head, ModelSpec, PositionKind};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand::RngExt;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 16;
const POSITIONS: usize = 64;
const VOCABULARY: usize = 96;

/// Layers, width and heads.
const MODELS: [(usize, usize, usize); 2] = [(2, 64, 4), (4, 128, 4)];

fn texts() -> Examples<f32> {
    let mut numbers = stream(1, "bench", 0);
    let mut draw = || numbers.random_range(0..VOCABULARY as u32);
    let features = Array2::from_shape_simple_fn((BATCH, POSITIONS), || draw() as f32);
    let targets = Array2::from_shape_simple_fn((BATCH, POSITIONS), draw);
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Mean)))
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gpt step");
    let adam = AdamW { weight_decay: WeightDecay::Decoupled(0.1), ..AdamW::default() };
    let optimiser = Optimiser::AdamW(adam);
    let rule = UpdateRule { optimiser, clip_norm: Some(1.0), batch_size: BATCH };
    let train = texts();
    let (rows, ones): (Vec<usize>, _) = ((0..BATCH).collect(), [1.0; BATCH]);
    for (layers, width, heads) in MODELS {
        let (positions, head) = (PositionKind::Learned, Head::Tied);
        let gpt = Gpt { layers, width, heads, positions, head };
        let network = gpt.build(POSITIONS, VOCABULARY).expect("a model in range");
        let theta: Vec<f32> = network.initial_parameters(1);
        let mut stack = <_ as Model<f32>>::stack(&network, 1, &rule);
        stack.load(0, &theta, &vec![vec![0.0; theta.len()]; 2]);
        let mut index = 0;
        group.throughput(Throughput::Elements((BATCH * POSITIONS) as u64));
        group.bench_function(format!("{layers} layers of {width}"), |bencher| {
            bencher.iter(|| {
                let size = StepSize { index, learning_rate: 1e-3 };
                stack.step(black_box(&train), &rows, &[&ones], size);
                index += 1;
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = step
}
criterion_main!(benches);
