//! Random data that the benchmarks of this crate share: what is measured does not depend on them.

use attribench_core::{Examples, Labels, TokenLoss, TokenTargets, stream};
use ndarray::Array2;
use rand::RngExt;

/// Seed of all data.
pub const SEED: u64 = 1;

/// Examples of ten classes.
pub fn random_examples(rows: usize, inputs: usize, name: &str) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let features =
        Array2::from_shape_simple_fn((rows, inputs), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..10)).collect();
    Examples::new(features, Labels::Classes(labels))
}

/// Windows of `positions` tokens out of `vocabulary`.
pub fn random_texts(
    (rows, positions): (usize, usize),
    vocabulary: usize,
    name: &str,
) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let mut draw = || numbers.random_range(0..vocabulary as u32);
    let features = Array2::from_shape_simple_fn((rows, positions), || draw() as f32);
    let targets = Array2::from_shape_simple_fn((rows, positions), draw);
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Mean)))
}
