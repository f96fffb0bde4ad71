//! Every optimiser in a stack against its formulas, written out in `f64` with single gradients.

use attribench_core::{
    AdamW, Examples, Labels, Model, Optimiser, Quantity, Real, Sgd, StepSize, UpdateRule,
    WeightDecay, stream,
};
use attribench_models::{Activation, Network};
use ndarray::Array2;
use proptest::prelude::*;
use rand::RngExt;

const WIDTHS: [usize; 3] = [5, 7, 3];
const ROWS: usize = 9;
const STEPS: usize = 6;

fn examples<T: Real>(seed: u64) -> Examples<T> {
    let mut numbers = stream(seed, "optimisers", 0);
    let features = Array2::from_shape_simple_fn((ROWS, WIDTHS[0]), || {
        T::from_f64(numbers.random_range(-1.0f32..1.0).into())
    });
    let labels = (0..ROWS).map(|_| numbers.random_range(0..WIDTHS[2] as u32)).collect();
    Examples::new(features, Labels::Classes(labels))
}

/// Moves parameters and moments by the batch gradient, one formula after the other.
fn step_by_formula(
    rule: &UpdateRule,
    (index, eta): (usize, f64),
    mean: &[f64],
    moments: &mut [Vec<f64>],
    theta: &mut [f64],
) {
    let norm = mean.iter().map(|g| g.powi(2)).sum::<f64>().sqrt();
    let clip = rule.clip_norm.map_or(1.0, |c| if norm > c { c / norm } else { 1.0 });
    let (coupled, decoupled) = match rule.optimiser.weight_decay() {
        WeightDecay::None => (0.0, 0.0),
        WeightDecay::Coupled(gamma) => (gamma, 0.0),
        WeightDecay::Decoupled(gamma) => (0.0, gamma),
    };
    for j in 0..theta.len() {
        let gradient = clip * mean[j] + coupled * theta[j];
        let movement = match rule.optimiser {
            Optimiser::Sgd(Sgd { momentum, dampening, nesterov, .. }) => {
                moments[0][j] = momentum * moments[0][j] + (1.0 - dampening) * gradient;
                if nesterov { gradient + momentum * moments[0][j] } else { moments[0][j] }
            }
            Optimiser::AdamW(AdamW { beta1, beta2, eps, eps_root, .. }) => {
                let t = index as i32;
                moments[0][j] = beta1 * moments[0][j] + (1.0 - beta1) * gradient;
                moments[1][j] = beta2 * moments[1][j] + (1.0 - beta2) * gradient.powi(2);
                let m = moments[0][j] / (1.0 - beta1.powi(t + 1));
                let v = moments[1][j] / (1.0 - beta2.powi(t + 1));
                m / ((v + eps_root).sqrt() + eps)
            }
        };
        theta[j] -= eta * (movement + decoupled * theta[j]);
    }
}

fn decays() -> impl Strategy<Value = WeightDecay> {
    prop_oneof![
        Just(WeightDecay::None),
        (0.0..0.3).prop_map(WeightDecay::Coupled),
        (0.0..0.3).prop_map(WeightDecay::Decoupled),
    ]
}

fn optimisers() -> impl Strategy<Value = Optimiser> {
    let sgd = (0.1..0.95, 0.0..0.9, any::<bool>(), decays()).prop_map(
        |(momentum, dampening, nesterov, weight_decay)| {
            Optimiser::Sgd(Sgd { momentum, dampening, nesterov, weight_decay })
        },
    );
    let adam = (0.0..0.95, 0.1..0.999, 1e-8..1e-2, 0.0..1e-3, decays()).prop_map(
        |(beta1, beta2, eps, eps_root, weight_decay)| {
            Optimiser::AdamW(AdamW { beta1, beta2, eps, eps_root, weight_decay })
        },
    );
    prop_oneof![sgd, adam]
}

/// Parameters and moments of two models of a stack, with different starts and weights, and the
/// same by the formulas.
fn both_ways<T: Real>(rule: &UpdateRule, seed: u64) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    let (wide, train) = (examples::<f64>(seed), examples::<T>(seed));
    let p = <Network as Model<f64>>::layout(&network).parameters();
    let rows: Vec<usize> = (0..rule.batch_size).map(|row| row * 2 % ROWS).collect();
    let weights = [vec![1.0; rows.len()], (0..rows.len()).map(|row| (row % 3) as f64).collect()];
    let narrow = weights.each_ref().map(|weights: &Vec<f64>| -> Vec<T> {
        weights.iter().map(|&weight| T::from_f64(weight)).collect()
    });
    let mut stack = <Network as Model<T>>::stack(&network, 2, rule);
    let starts: [Vec<T>; 2] = [network.initial_parameters(1), network.initial_parameters(2)];
    for (index, start) in starts.iter().enumerate() {
        stack.load(index, start, &vec![vec![T::zero(); p]; rule.optimiser.moments()]);
    }
    let rate = |index: usize| 0.05 / (index + 1) as f64;
    for index in 0..STEPS {
        let size = StepSize { index, learning_rate: rate(index) };
        stack.step(&train, &rows, &[&narrow[0], &narrow[1]], size);
    }
    let widened = |values: &[T]| values.iter().map(|value| value.to_f64()).collect::<Vec<f64>>();
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (index, (start, weights)) in starts.iter().zip(&weights).enumerate() {
        let mut theta = vec![T::zero(); p];
        let mut moments = vec![vec![T::zero(); p]; rule.optimiser.moments()];
        stack.read_parameters(index, &mut theta);
        stack.read_moments(index, &mut moments);
        found.push(widened(&theta));
        found.extend(moments.iter().map(|moment| widened(moment)));

        let mut theta = widened(start);
        let mut moments = vec![vec![0.0; p]; rule.optimiser.moments()];
        for step in 0..STEPS {
            let mut mean = vec![0.0; p];
            for (&row, weight) in rows.iter().zip(weights) {
                let one = wide.select(&[row]);
                let gradient = network.gradient(&theta, &one, Quantity::Loss, &[*weight]);
                for (sum, value) in mean.iter_mut().zip(gradient) {
                    *sum += value / rule.batch_size as f64;
                }
            }
            step_by_formula(rule, (step, rate(step)), &mean, &mut moments, &mut theta);
        }
        expected.push(theta);
        expected.extend(moments);
    }
    (found, expected)
}

fn largest_deviation(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    pairs.map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn stacked_steps_follow_the_formulas(
        optimiser in optimisers(),
        clip_norm in prop::option::of(0.02f64..0.5),
        batch_size in 1usize..8,
        seed in 0u64..100,
    ) {
        let rule = UpdateRule { optimiser, clip_norm, batch_size };
        let (found, expected) = both_ways::<f64>(&rule, seed);
        // Numbers of size 1, six steps; Adam divides by roots of at least 1e-8 + sqrt(v).
        let deviation = largest_deviation(&found, &expected);
        prop_assert!(deviation < 1e-9, "{deviation:e} with {rule:?}");
    }
}

#[test]
fn single_precision_follows_to_its_own_rounding() {
    let adam = AdamW { weight_decay: WeightDecay::Decoupled(0.1), ..AdamW::default() };
    let nesterov = Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() };
    for (optimiser, clip_norm) in
        [(Optimiser::AdamW(adam), None), (Optimiser::Sgd(nesterov), Some(0.1))]
    {
        let rule = UpdateRule { optimiser, clip_norm, batch_size: 7 };
        let (found, expected) = both_ways::<f32>(&rule, 3);
        let deviation = largest_deviation(&found, &expected);
        assert!((1e-9..2e-5).contains(&deviation), "{deviation:e} with {rule:?}");
    }
}

#[test]
fn two_steps_of_adam_w_by_hand() {
    // One parameter that moves: the bias of a line whose inputs are 0; l_i = 1/2 (theta - y_i)^2
    // with y = (1, 3), from 0. m^ = -2 and v^ = 4 after one step: theta_1 = 1 / sqrt(4.01).
    let adam = AdamW {
        beta1: 0.5,
        beta2: 0.75,
        eps: 0.0,
        eps_root: 0.01,
        weight_decay: WeightDecay::Decoupled(0.1),
    };
    let rule = UpdateRule { optimiser: Optimiser::AdamW(adam), clip_norm: None, batch_size: 2 };
    let network = Network::dense(&[1, 1], Activation::Tanh);
    let train = Examples::new(Array2::zeros((2, 1)), Labels::Values(vec![1.0, 3.0]));
    let mut stack = <Network as Model<f64>>::stack(&network, 1, &rule);
    stack.load(0, &[0.0, 0.0], &vec![vec![0.0; 2]; 2]);
    for (index, expected) in [1.0 / 4.01f64.sqrt(), 0.954_767_221_942].into_iter().enumerate() {
        let size = StepSize { index, learning_rate: 0.5 };
        stack.step(&train, &[0, 1], &[&[1.0, 1.0]], size);
        let mut theta = [0.0; 2];
        stack.read_parameters(0, &mut theta);
        assert!((theta[1] - expected).abs() < 1e-12, "{theta:?} after {}", index + 1);
        assert_eq!(theta[0], 0.0, "what has no gradient stays");
    }
}
