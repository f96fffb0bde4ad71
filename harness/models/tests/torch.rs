//! Models of text against numbers of PyTorch and of Hugging Face's library upon it;
//! `oracles/gpt.py`, `oracles/llama.py` and `oracles/text_gen_rnn.py` say how they were made.

use attribench_core::{
    AdamW, DataShape, Examples, Labels, Model, Optimiser, Quantity, Real, StepSize, TokenLoss,
    TokenTargets, UpdateRule, Utility, WeightDecay,
};
use attribench_models::{Gpt, Head, Llama, ModelSpec, Network, Pairs, PositionKind, TextGenRnn};
use ndarray::Array2;
use serde::Deserialize;

const VOCABULARY: usize = 5;
const POSITIONS: usize = 4;
const ROWS: usize = 3;

#[derive(Deserialize)]
struct Oracle {
    losses: Vec<f64>,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Oracles {
    learned_tied_mean: Oracle,
    rotary_untied_sum: Oracle,
    training: Vec<f64>,
}

fn token(row: usize, position: usize) -> usize {
    (row * 7 + position * 3 + position * position) % VOCABULARY
}

fn parameters(network: &Network) -> Vec<f64> {
    let p = <Network as Model<f64>>::layout(network).parameters();
    (0..p).map(|place| 0.6 * (1.7 * place as f64 + 0.3).sin()).collect()
}

fn examples(loss: TokenLoss) -> Examples<f64> {
    let features = Array2::from_shape_fn((ROWS, POSITIONS), |(r, s)| token(r, s) as f64);
    Examples::new(features, labels(loss))
}

/// Row `r` has targets at its first `2 + r` positions.
fn labels<T: Real>(loss: TokenLoss) -> Labels<T> {
    let targets = Array2::from_shape_fn((ROWS, POSITIONS), |(r, s)| {
        if s < 2 + r { token(r, s + 1) as u32 } else { TokenTargets::NONE }
    });
    Labels::Tokens(TokenTargets::new(targets, loss))
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        // Sums of at most a few hundred terms in another order.
        assert!((found - expected).abs() <= 1e-12 * scale, "{index}: {found} is not {expected}");
    }
}

fn small_gpt(positions: PositionKind, head: Head) -> Gpt {
    Gpt { layers: 2, width: 4, heads: 2, positions, head }
}

fn small_llama(head: Head) -> Llama {
    Llama {
        layers: 2,
        width: 8,
        heads: 4,
        key_value_heads: Some(2),
        head_width: Some(4),
        hidden: 6,
        base: 100.0,
        pairs: Pairs::Halves,
        epsilon: 1e-3,
        head,
    }
}

fn agrees(model: impl ModelSpec, loss: TokenLoss, oracle: &Oracle) {
    let network = model.build(POSITIONS, VOCABULARY).unwrap();
    network_agrees(&network, &examples(loss), &labels(loss), oracle);
}

fn network_agrees(
    network: &Network,
    examples: &Examples<f64>,
    single_labels: &Labels<f32>,
    oracle: &Oracle,
) {
    let theta = parameters(network);
    let utilities = network.utilities(&theta, examples, Utility::NegativeLoss);
    let losses: Vec<f64> = utilities.iter().map(|utility| -utility).collect();
    assert_close(&losses, &oracle.losses);
    let weights = [0.5, 1.0, 2.0];
    assert_close(&network.gradient(&theta, examples, Quantity::Loss, &weights), &oracle.gradient);
    let single: Vec<f32> = theta.iter().map(|&value| value as f32).collect();
    let rounded = Examples::new(examples.features().mapv(|x| x as f32), single_labels.clone());
    let found = network.gradient(&single, &rounded, Quantity::Loss, &weights.map(|w| w as f32));
    let scale = oracle.gradient.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    for (&found, &expected) in found.iter().zip(&oracle.gradient) {
        assert!((f64::from(found) - expected).abs() <= 1e-5 * scale, "{found} is not {expected}");
    }
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let oracles: Oracles = serde_json::from_str(include_str!("oracles/gpt.json")).unwrap();
    let (learned, rotary) = (&oracles.learned_tied_mean, &oracles.rotary_untied_sum);
    agrees(small_gpt(PositionKind::Learned, Head::Tied), TokenLoss::Mean, learned);
    agrees(small_gpt(PositionKind::Rotary, Head::Untied), TokenLoss::Sum, rotary);
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OfLlama {
    tied_mean: Oracle,
    untied_sum: Oracle,
}

#[test]
fn losses_and_gradients_are_those_of_transformers() {
    let oracles: OfLlama = serde_json::from_str(include_str!("oracles/llama.json")).unwrap();
    agrees(small_llama(Head::Tied), TokenLoss::Mean, &oracles.tied_mean);
    agrees(small_llama(Head::Untied), TokenLoss::Sum, &oracles.untied_sum);
}

#[test]
fn recurrent_losses_and_gradients_are_those_of_pytorch() {
    const POSITIONS: usize = 6;
    let oracle = include_str!("oracles/text_gen_rnn.json");
    let oracle: Oracle = serde_json::from_str(oracle).unwrap();
    let shape = DataShape { inputs: POSITIONS, outputs: VOCABULARY, asked: vec![1, 3, 5] };
    let model = TextGenRnn { context: 4, embedding: 3, width: 2 };
    let features = Array2::from_shape_fn((ROWS, POSITIONS), |(r, s)| token(r, s) as f64);
    let targets = Array2::from_shape_fn((ROWS, POSITIONS), |(r, s)| match s % 2 {
        1 => token(r, s + 1) as u32,
        _ => TokenTargets::NONE,
    });
    let tokens = TokenTargets::new(targets, TokenLoss::Mean);
    let examples = Examples::new(features, Labels::Tokens(tokens.clone()));
    let network = model.build_for(&shape).unwrap();
    network_agrees(&network, &examples, &Labels::Tokens(tokens), &oracle);
}

/// Mean losses before each of twelve steps of AdamW with clipped gradients, and after the last.
fn curve<T: Real>() -> Vec<f64> {
    let gpt = small_gpt(PositionKind::Learned, Head::Tied);
    let network = gpt.build(POSITIONS, VOCABULARY).unwrap();
    let theta: Vec<T> = parameters(&network).into_iter().map(T::from_f64).collect();
    let examples = examples(TokenLoss::Mean);
    let train = Examples::new(examples.features().mapv(T::from_f64), labels(TokenLoss::Mean));
    let weight_decay = WeightDecay::Decoupled(0.1);
    let adam = AdamW { beta2: 0.99, weight_decay, ..AdamW::default() };
    let optimiser = Optimiser::AdamW(adam);
    let rule = UpdateRule { optimiser, clip_norm: Some(0.5), batch_size: ROWS };
    let mut stack = <_ as Model<T>>::stack(&network, 1, &rule);
    stack.load(0, &theta, &vec![vec![T::zero(); theta.len()]; 2]);
    let mut now = theta;
    let loss = |theta: &[T]| -> f64 {
        let utilities = network.utilities(theta, &train, Utility::NegativeLoss);
        -utilities.iter().sum::<f64>() / ROWS as f64
    };
    let mut curve = vec![loss(&now)];
    for index in 0..12 {
        let size = StepSize { index, learning_rate: 0.02 };
        stack.step(&train, &[0, 1, 2], &[&[T::one(); ROWS]], size);
        stack.read_parameters(0, &mut now);
        curve.push(loss(&now));
    }
    curve
}

#[test]
fn the_loss_falls_as_in_pytorch() {
    let oracles: Oracles = serde_json::from_str(include_str!("oracles/gpt.json")).unwrap();
    assert!(oracles.training[12] < 0.95 * oracles.training[0], "a loss that stays tests little");
    let within = |found: Vec<f64>, tolerance: f64| {
        for (step, (found, expected)) in found.iter().zip(&oracles.training).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= tolerance, "step {step}: {found} is not {expected}");
        }
    };
    within(curve::<f64>(), 1e-11);
    within(curve::<f32>(), 1e-5);
}
