//! Milliseconds that one model's training step takes, on one thread, as JSON.
//!
//! Every figure is for one model and one step of 50 rows with momentum and weight decay, alone and
//! in a stack, with all weights 1 and with a random half of the training set at weight 0. The speed
//! of a large matrix product in the same run says what the machine could have done.
//!
//! An argument restricts the run to the models whose name contains it.

use std::time::Instant;

use attribench_core::{
    Examples, Labels, Model, Optimiser, StepSize, UpdateRule, math::matmul, stream,
};
use attribench_models::{Activation, Network};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand::RngExt;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TRAIN_ROWS: usize = 1_000;
const BATCH: usize = 50;
const STEPS: usize = 50;
const REPEATS: usize = 40;
const RULE: UpdateRule =
    UpdateRule { optimiser: Optimiser::heavy_ball(0.9, 1e-3), clip_norm: None, batch_size: BATCH };
const SIZE: StepSize = StepSize { index: 0, learning_rate: 0.05 };

/// Least and median milliseconds of many short runs of `work`: on a busy machine the least of them
/// is what the code costs.
fn time(mut work: impl FnMut()) -> (f64, f64) {
    work();
    let mut milliseconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    milliseconds.sort_by(f64::total_cmp);
    (milliseconds[0], milliseconds[REPEATS / 2])
}

fn random_examples(inputs: usize, classes: u32) -> Examples<f32> {
    let mut numbers = stream(1, "throughput", 0);
    let features =
        Array2::from_shape_simple_fn((TRAIN_ROWS, inputs), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..TRAIN_ROWS).map(|_| numbers.random_range(0..classes)).collect();
    Examples::new(features, Labels::Classes(labels))
}

/// Least and median milliseconds of a step of one model, in a stack of `width`.
fn step_time(widths: &[usize], width: usize, is_half: bool) -> (f64, f64) {
    let network = Network::dense(widths, Activation::Tanh);
    let examples = random_examples(widths[0], widths[widths.len() - 1] as u32);
    let mut stack = <Network as Model<f32>>::stack(&network, width, &RULE);
    for index in 0..width {
        let theta: Vec<f32> = network.initial_parameters(index as u64);
        stack.load(index, &theta, &[vec![0.0; theta.len()]]);
    }
    let mut numbers = stream(2, "throughput", width as u64);
    let weights: Vec<Vec<f32>> = (0..width)
        .map(|_| {
            let mut weight = || if is_half && numbers.random_bool(0.5) { 0.0 } else { 1.0 };
            (0..TRAIN_ROWS).map(|_| weight()).collect()
        })
        .collect();
    let rows: Vec<usize> = (0..TRAIN_ROWS).map(|_| numbers.random_range(0..TRAIN_ROWS)).collect();
    let (least, median) = time(|| {
        for step in 0..STEPS {
            let rows = &rows[step * BATCH % TRAIN_ROWS..][..BATCH];
            let batch: Vec<Vec<f32>> =
                weights.iter().map(|w| rows.iter().map(|&row| w[row]).collect()).collect();
            let lists: Vec<&[f32]> = batch.iter().map(Vec::as_slice).collect();
            stack.step(&examples, rows, &lists, SIZE);
        }
    });
    let each = (STEPS * width) as f64;
    (least / each, median / each)
}

/// Thousand millions of operations a second of a large product.
fn product_speed() -> f64 {
    let matrix = Array2::from_shape_fn((1024, 1024), |(i, j)| ((i * 3 + j) % 7) as f32);
    let (least, _) = time(|| {
        std::hint::black_box(matmul(matrix.view(), matrix.view()));
    });
    2.0 * 1024f64.powi(3) / (least * 1e6)
}

/// Operations of the matrix products of one step of one model.
fn product_operations(widths: &[usize]) -> f64 {
    let layers: Vec<f64> = widths.windows(2).map(|pair| (pair[0] * pair[1]) as f64).collect();
    // Forward and parameter gradients everywhere, input gradients except at the first layer.
    2.0 * BATCH as f64 * (3.0 * layers.iter().sum::<f64>() - layers[0])
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let peak = product_speed();
    let models: [(&str, &[usize]); 3] = [
        ("mlp 784-128-64-10", &[784, 128, 64, 10]),
        ("mlp 64-16-10", &[64, 16, 10]),
        ("softmax regression 784-10", &[784, 10]),
    ];
    let mut results: Vec<Value> = Vec::new();
    for (name, widths) in models.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let network = Network::dense(widths, Activation::Tanh);
        let best = <Network as Model<f32>>::stack_width(&network);
        let mut stack_widths = vec![1, best];
        stack_widths.dedup();
        for width in stack_widths {
            for (subset, is_half) in [("all", false), ("half", true)] {
                let (least, median) = step_time(widths, width, is_half);
                let speed = product_operations(widths) / (least * 1e6);
                results.push(json!({
                    "model": name,
                    "stack_width": width,
                    "rows": subset,
                    "least_ms": least,
                    "median_ms": median,
                    "share_of_product_speed": speed / peak,
                }));
            }
        }
    }
    println!("{}", json!({ "product_gflops": peak, "batch": BATCH, "steps": results }));
}
