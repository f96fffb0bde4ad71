//! What a run computes does not depend, to the bit, on the runs that it is stepped with.

use attribench_core::{
    AdamW, Examples, Labels, Model, Optimiser, Real, Sgd, StepSize, UpdateRule, WeightDecay, stream,
};
use attribench_models::{Activation, Cnn, ModelSpec, Network, Normalisation};
use ndarray::Array2;
use rand::RngExt;

const TRAIN_ROWS: usize = 200;
const BATCH: usize = 50;
const STEPS: usize = 12;

/// Momentum, which steps as gradients appear, and rules that need the whole gradient: clipped for
/// some models and not for others, and Adam.
fn rules() -> [UpdateRule; 3] {
    let ball = Optimiser::heavy_ball(0.9, 1e-3);
    let nesterov = Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() };
    let adam = AdamW { weight_decay: WeightDecay::Decoupled(0.01), ..AdamW::default() };
    [(ball, None), (Optimiser::Sgd(nesterov), Some(0.5)), (Optimiser::AdamW(adam), Some(0.3))]
        .map(|(optimiser, clip_norm)| UpdateRule { optimiser, clip_norm, batch_size: BATCH })
}

/// The shapes of the experiments, and one whose widths no vector length divides.
const NETWORKS: [&[usize]; 4] = [&[784, 128, 64, 10], &[64, 16, 10], &[784, 10], &[13, 7, 3]];

/// Networks by what is stacked in them: all models at once, or one after the other.
fn networks(activation: Activation) -> Vec<(Network, usize, usize)> {
    let dense = NETWORKS
        .map(|widths| (Network::dense(widths, activation), widths[0], widths[widths.len() - 1]));
    let cnn = Cnn {
        image: [1, 6, 6],
        channels: vec![3],
        kernel: 3,
        pool: 2,
        normalisation: Normalisation::Groups(3),
        hidden: vec![],
        activation,
    };
    let image = (cnn.build(36, 4).unwrap(), 36, 4);
    dense.into_iter().chain([image]).collect()
}

fn examples<T: Real>(inputs: usize, classes: usize) -> Examples<T> {
    let mut numbers = stream(5, "widths", inputs as u64);
    let features = Array2::from_shape_simple_fn((TRAIN_ROWS, inputs), || {
        T::from_f64(numbers.random_range(-1.0..1.0))
    });
    let labels = (0..TRAIN_ROWS).map(|_| numbers.random_range(0..classes as u32)).collect();
    Examples::new(features, Labels::Classes(labels))
}

/// A random half of the training set for each model.
fn half_weights<T: Real>(models: usize) -> Vec<Vec<T>> {
    let mut numbers = stream(6, "widths", 0);
    let mut weight = || if numbers.random_bool(0.5) { T::one() } else { T::zero() };
    (0..models).map(|_| (0..TRAIN_ROWS).map(|_| weight()).collect()).collect()
}

/// Parameters and moments after training model `i` from seed `i` on `weights[i]`, side by side.
fn train<T: Real>(
    network: &Network,
    train: &Examples<T>,
    rule: &UpdateRule,
    models: &[usize],
    weights: &[Vec<T>],
) -> Vec<(Vec<T>, Vec<Vec<T>>)> {
    let mut stack = <Network as Model<T>>::stack(network, models.len(), rule);
    let p = <Network as Model<T>>::layout(network).parameters();
    for (index, &model) in models.iter().enumerate() {
        let start: Vec<T> = network.initial_parameters(model as u64);
        stack.load(index, &start, &vec![vec![T::zero(); p]; rule.optimiser.moments()]);
    }
    let mut draws = stream(7, "widths", 0);
    for index in 0..STEPS {
        let rows: Vec<usize> = (0..BATCH).map(|_| draws.random_range(0..TRAIN_ROWS)).collect();
        let chosen: Vec<Vec<T>> = models
            .iter()
            .map(|&model| rows.iter().map(|&row| weights[model][row]).collect())
            .collect();
        let lists: Vec<&[T]> = chosen.iter().map(Vec::as_slice).collect();
        stack.step(train, &rows, &lists, StepSize { index, learning_rate: learning_rate(rule) });
    }
    (0..models.len())
        .map(|index| {
            let zeros = vec![T::zero(); p];
            let mut read = (zeros.clone(), vec![zeros; rule.optimiser.moments()]);
            stack.read_parameters(index, &mut read.0);
            stack.read_moments(index, &mut read.1);
            read
        })
        .collect()
}

fn learning_rate(rule: &UpdateRule) -> f64 {
    if let Optimiser::AdamW(_) = rule.optimiser { 0.01 } else { 0.1 }
}

fn is_the_same_alone_and_together<T: Real>() {
    const MODELS: usize = 5;
    let all = networks(Activation::Tanh);
    for (rule, (network, inputs, outputs)) in
        rules().iter().flat_map(|rule| all.iter().map(move |network| (rule, network)))
    {
        let data = examples::<T>(*inputs, *outputs);
        let weights = half_weights::<T>(MODELS);
        let everyone: Vec<usize> = (0..MODELS).collect();
        let together = train(network, &data, rule, &everyone, &weights);
        let pair = train(network, &data, rule, &[1, 3], &weights);
        for model in everyone {
            let alone = &train(network, &data, rule, &[model], &weights)[0];
            assert_eq!(
                alone,
                &together[model],
                "model {model} of {inputs}-{outputs} in {}",
                T::NAME
            );
        }
        assert_eq!(pair[0], together[1], "a pair of {inputs}-{outputs} in {}", T::NAME);
        assert_eq!(pair[1], together[3], "a pair of {inputs}-{outputs} in {}", T::NAME);
    }
}

#[test]
fn a_model_is_the_same_alone_and_in_a_stack_in_single_precision() {
    is_the_same_alone_and_together::<f32>();
}

#[test]
fn a_model_is_the_same_alone_and_in_a_stack_in_double_precision() {
    is_the_same_alone_and_together::<f64>();
}

/// Rows without weight are left out of a single model's products, and stand in them with weight 0
/// where another model of the stack uses them.
fn is_the_same_without_and_with_rows_of_weight_zero<T: Real>() {
    let all = networks(Activation::Gelu);
    for (rule, (network, inputs, outputs)) in
        rules().iter().flat_map(|rule| all.iter().map(move |network| (rule, network)))
    {
        let data = examples::<T>(*inputs, *outputs);
        let half = half_weights::<T>(1).remove(0);
        let left_out = train(network, &data, rule, &[0], std::slice::from_ref(&half));
        let stands = train(network, &data, rule, &[0, 1], &[half, vec![T::one(); TRAIN_ROWS]]);
        assert_eq!(left_out[0], stands[0], "{inputs}-{outputs} in {}", T::NAME);
        assert_ne!(left_out[0], stands[1], "{inputs}-{outputs} in {}", T::NAME);
    }
}

#[test]
fn rows_of_weight_zero_leave_no_trace() {
    is_the_same_without_and_with_rows_of_weight_zero::<f32>();
    is_the_same_without_and_with_rows_of_weight_zero::<f64>();
}
