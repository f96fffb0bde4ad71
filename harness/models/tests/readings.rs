//! Every reading of every model against finite differences, loops over single examples and each
//! other, in double precision.

use attribench_core::{
    Curvature, Examples, Labels, LayerCapture, Model, Optimiser, Quantity, StepSize, UpdateRule,
    Utility,
};
use attribench_models::{Activation, Network};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};
use proptest::prelude::*;

const QUANTITIES: [Quantity; 2] = [Quantity::Loss, Quantity::NegativeUtility(Utility::Margin)];

/// Numbers in (-1, 1) that look random and depend on `seed` alone.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

#[derive(Debug)]
struct Case {
    network: Network,
    theta: Vec<f64>,
    examples: Examples<f64>,
    weights: Vec<f64>,
}

fn case(widths: &[usize], activation: Activation, seed: u64, rows: usize) -> Case {
    let network = Network::dense(widths, activation);
    let p = <Network as Model<f64>>::layout(&network).parameters();
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    let features = Array2::from_shape_vec((rows, inputs), numbers(seed, rows * inputs)).unwrap();
    let labels = if outputs == 1 {
        Labels::Values(numbers(seed + 1, rows))
    } else {
        Labels::Classes((0..rows).map(|row| ((row * 7 + seed as usize) % outputs) as u32).collect())
    };
    Case {
        theta: numbers(seed + 2, p),
        network,
        examples: Examples::new(features, labels),
        weights: numbers(seed + 3, rows).iter().map(|w| w + 1.5).collect(),
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let activation = prop_oneof![Just(Activation::Tanh), Just(Activation::Gelu)];
    let widths = prop_oneof![
        Just(vec![4, 3]),
        Just(vec![5, 1]),
        Just(vec![4, 6, 3]),
        Just(vec![3, 5, 4, 2]),
        Just(vec![3, 4, 1]),
    ];
    (widths, activation, 0u64..1000, 1usize..7)
        .prop_map(|(widths, activation, seed, rows)| case(&widths, activation, seed, rows))
}

fn is_margin_of_a_number(case: &Case, quantity: Quantity) -> bool {
    quantity.is_margin() && matches!(case.examples.labels(), Labels::Values(_))
}

/// The quantity of each example, from utilities.
fn quantities(case: &Case, theta: &[f64], quantity: Quantity) -> Vec<f64> {
    let utility = if quantity.is_margin() { Utility::Margin } else { Utility::NegativeLoss };
    case.network.utilities(theta, &case.examples, utility).iter().map(|u| -u).collect()
}

fn moved(theta: &[f64], direction: ArrayView1<'_, f64>, step: f64) -> Vec<f64> {
    theta.iter().zip(direction).map(|(t, d)| t + step * d).collect()
}

fn values(capture: &LayerCapture<f64>) -> ArrayView2<'_, f64> {
    capture.inputs.values().expect("dense layers read numbers")
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    let scale = expected.iter().fold(1e-3f64, |top, value| top.max(value.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-6 * scale, "{what}[{index}]: {f} is not {e}");
    }
    assert_eq!(found.len(), expected.len());
}

proptest! {
    #[test]
    fn gradients_are_the_slope_of_the_quantity(case in cases()) {
        for quantity in QUANTITIES {
            if is_margin_of_a_number(&case, quantity) { continue; }
            let p = case.theta.len();
            let gradient =
                case.network.gradient(&case.theta, &case.examples, quantity, &case.weights);
            let mut slopes = Vec::new();
            for parameter in 0..p {
                let mut unit = Array1::zeros(p);
                unit[parameter] = 1.0;
                let total = |step: f64| -> f64 {
                    quantities(&case, &moved(&case.theta, unit.view(), step), quantity)
                        .iter().zip(&case.weights).map(|(q, w)| q * w).sum()
                };
                slopes.push((total(1e-5) - total(-1e-5)) / 2e-5);
            }
            assert_close(&gradient, &slopes, "gradient");
        }
    }

    #[test]
    fn captures_describe_each_examples_gradient(case in cases()) {
        for quantity in QUANTITIES {
            if is_margin_of_a_number(&case, quantity) { continue; }
            let captures = case.network.captures(&case.theta, &case.examples, quantity);
            let layout = <Network as Model<f64>>::layout(&case.network);
            for row in 0..case.examples.len() {
                let alone = case.examples.select(&[row]);
                let expected = case.network.gradient(&case.theta, &alone, quantity, &[1.0]);
                let mut found = vec![0.0; case.theta.len()];
                for (layer, capture) in layout.layers().iter().zip(&captures.layers) {
                    for (o, &delta) in capture.output_gradients.row(row).iter().enumerate() {
                        for (k, &a) in values(capture).row(row).iter().enumerate() {
                            found[layer.weight_offset + o * layer.inputs + k] = delta * a;
                        }
                        found[layer.bias_offset + o] = delta;
                    }
                }
                assert_close(&found, &expected, "captured gradient");
            }
        }
    }

    #[test]
    fn tangents_are_directional_slopes(case in cases(), seed in 0u64..100) {
        let p = case.theta.len();
        let directions = Array2::from_shape_vec((3, p), numbers(seed, 3 * p)).unwrap();
        for quantity in QUANTITIES {
            if is_margin_of_a_number(&case, quantity) { continue; }
            let tangents =
                case.network.tangents(&case.theta, &case.examples, quantity, directions.view());
            for (k, direction) in directions.outer_iter().enumerate() {
                let at = |step| quantities(&case, &moved(&case.theta, direction, step), quantity);
                let slopes: Vec<f64> =
                    at(1e-5).iter().zip(at(-1e-5)).map(|(up, down)| (up - down) / 2e-5).collect();
                assert_close(&tangents.column(k).to_vec(), &slopes, "tangent");
            }
        }
    }

    #[test]
    fn hessian_products_are_the_slope_of_the_gradient(case in cases(), seed in 0u64..100) {
        let p = case.theta.len();
        let directions = Array2::from_shape_vec((2, p), numbers(seed, 2 * p)).unwrap();
        let products = case.network.curvature_products(
            &case.theta, &case.examples, &case.weights, Curvature::Hessian, directions.view(),
        );
        for (k, direction) in directions.outer_iter().enumerate() {
            let gradient = |step| {
                let theta = moved(&case.theta, direction, step);
                case.network.gradient(&theta, &case.examples, Quantity::Loss, &case.weights)
            };
            let slopes: Vec<f64> = gradient(1e-5)
                .iter().zip(gradient(-1e-5)).map(|(up, down)| (up - down) / 2e-5).collect();
            assert_close(&products.row(k).to_vec(), &slopes, "hessian product");
        }
    }

    /// `u^T G v = sum_i w_i (J_i u)^T (d2 loss) (J_i v)`, with the Jacobian by differences.
    #[test]
    fn gauss_newton_products_are_those_of_the_definition(case in cases(), seed in 0u64..100) {
        let p = case.theta.len();
        let directions = Array2::from_shape_vec((2, p), numbers(seed, 2 * p)).unwrap();
        let products = case.network.curvature_products(
            &case.theta, &case.examples, &case.weights, Curvature::GaussNewton, directions.view(),
        );
        let jacobian_times = |direction: ArrayView1<'_, f64>| {
            let at = |step| {
                let theta = moved(&case.theta, direction, step);
                case.network.outputs(&theta, case.examples.features())
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        };
        let (u, v) = (directions.row(0), directions.row(1));
        let (ju, jv) = (jacobian_times(u), jacobian_times(v));
        let outputs = case.network.outputs(&case.theta, case.examples.features());
        let mut expected = 0.0;
        for row in 0..case.examples.len() {
            let inner = match case.examples.labels() {
                Labels::Values(_) => ju[(row, 0)] * jv[(row, 0)],
                Labels::Classes(_) => {
                    let exp: Vec<f64> = outputs.row(row).iter().map(|z| z.exp()).collect();
                    let sum: f64 = exp.iter().sum();
                    let probability: Vec<f64> = exp.iter().map(|e| e / sum).collect();
                    let mean = |j: &Array2<f64>| -> f64 {
                        (0..probability.len()).map(|c| probability[c] * j[(row, c)]).sum()
                    };
                    let second: f64 = (0..probability.len())
                        .map(|c| probability[c] * ju[(row, c)] * jv[(row, c)])
                        .sum();
                    second - mean(&ju) * mean(&jv)
                }
            };
            expected += case.weights[row] * inner;
        }
        let found = products.row(1).dot(&u);
        prop_assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0));
    }

    /// Both readings at once are the readings one by one.
    #[test]
    fn derivatives_are_tangents_and_curvature_products(case in cases()) {
        let p = case.theta.len();
        let directions = Array2::from_shape_fn((3, p), |(k, j)| numbers(k as u64, p)[j]);
        let start = Array2::from_shape_fn((3, p), |(k, j)| numbers(k as u64 + 9, p)[j]);
        for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
            let mut products = start.clone();
            let tangents = case.network.derivatives(
                &case.theta, &case.examples, &case.weights, curvature, directions.view(),
                products.view_mut(),
            );
            let expected = case.network.tangents(
                &case.theta, &case.examples, Quantity::Loss, directions.view(),
            );
            assert_close(tangents.as_slice().unwrap(), expected.as_slice().unwrap(), "tangents");
            let expected = &start + &case.network.curvature_products(
                &case.theta, &case.examples, &case.weights, curvature, directions.view(),
            );
            assert_close(products.as_slice().unwrap(), expected.as_slice().unwrap(), "products");
        }
    }

    /// Stacked training against the update written out with single gradients.
    #[test]
    fn stacked_steps_are_momentum_descent(case in cases(), steps in 1usize..5) {
        let (n, p, models) = (case.examples.len(), case.theta.len(), 3);
        let (rule, size) = (momentum(0.8, 0.05, n + 1), step_size(0.3));
        // Row 0 twice: an index that occurs twice counts twice.
        let rows: Vec<usize> = [0].into_iter().chain(0..n).collect();
        let weights: Vec<Vec<f64>> =
            (0..models).map(|m| numbers(m, n + 1).iter().map(|w| w.max(0.0)).collect()).collect();
        let mut stack = case.network.stack(models as usize, &rule);
        for model in 0..models as usize {
            stack.load(model, &case.theta, &[vec![0.0; p]]);
        }
        let lists: Vec<&[f64]> = weights.iter().map(|w| &w[..]).collect();
        for _ in 0..steps {
            stack.step(&case.examples, &rows, &lists, size);
        }
        for (model, weights) in weights.iter().enumerate() {
            let (mut theta, mut v) = (case.theta.clone(), vec![0.0; p]);
            for _ in 0..steps {
                let batch = case.examples.select(&rows);
                let sum = case.network.gradient(&theta, &batch, Quantity::Loss, weights);
                for index in 0..p {
                    v[index] =
                        0.8 * v[index] + sum[index] / (n + 1) as f64 + 0.05 * theta[index];
                    theta[index] -= 0.3 * v[index];
                }
            }
            let mut found = vec![0.0; p];
            stack.read_parameters(model, &mut found);
            assert_close(&found, &theta, "parameters");
            let mut moments = [found];
            stack.read_moments(model, &mut moments);
            assert_close(&moments[0], &v, "velocity");
        }
    }
}

fn momentum(momentum: f64, weight_decay: f64, batch_size: usize) -> UpdateRule {
    let optimiser = Optimiser::heavy_ball(momentum, weight_decay);
    UpdateRule { optimiser, clip_norm: None, batch_size }
}

fn step_size(learning_rate: f64) -> StepSize {
    StepSize { index: 0, learning_rate }
}

#[test]
fn a_row_without_weight_is_never_read() {
    let case = case(&[4, 6, 3], Activation::Tanh, 5, 6);
    let mut garbage = case.examples.features().to_owned();
    garbage.slice_mut(s![2, ..]).fill(1e30);
    let Labels::Classes(labels) = case.examples.labels().clone() else { unreachable!() };
    let spoiled = Examples::new(garbage, Labels::Classes(labels));
    let (rule, size) = (momentum(0.9, 0.0, 6), step_size(0.1));
    let rows: Vec<usize> = (0..6).collect();
    let train = |examples: &Examples<f64>| {
        let mut stack = case.network.stack(1, &rule);
        stack.load(0, &case.theta, &[vec![0.0; case.theta.len()]]);
        let mut weights = [1.0; 6];
        weights[2] = 0.0;
        for _ in 0..10 {
            stack.step(examples, &rows, &[&weights], size);
        }
        let mut theta = vec![0.0; case.theta.len()];
        stack.read_parameters(0, &mut theta);
        (theta, stack.captures().layers[0].output_gradients.clone())
    };
    let ((clean, captures), (with_garbage, _)) = (train(&case.examples), train(&spoiled));
    assert_eq!(clean, with_garbage);
    assert!(captures.row(2).iter().all(|&value| value == 0.0));
    assert!(captures.row(3).iter().any(|&value| value != 0.0));
}

#[test]
fn captures_of_a_step_are_those_of_the_model() {
    let case = case(&[4, 6, 3], Activation::Gelu, 9, 5);
    let (rule, size) = (momentum(0.0, 0.0, 5), step_size(0.0));
    let mut stack = case.network.stack(1, &rule);
    stack.load(0, &case.theta, &[vec![0.0; case.theta.len()]]);
    stack.step(&case.examples, &[0, 1, 2, 3, 4], &[&[1.0, 0.5, 2.0, 1.0, 1.0]], size);
    let expected = case.network.captures(&case.theta, &case.examples, Quantity::Loss);
    for (found, expected) in stack.captures().layers.iter().zip(&expected.layers) {
        assert_close(
            found.output_gradients.as_slice().unwrap(),
            expected.output_gradients.as_slice().unwrap(),
            "output gradients",
        );
        assert_close(
            values(found).as_slice().unwrap(),
            values(expected).as_slice().unwrap(),
            "inputs",
        );
    }
}
