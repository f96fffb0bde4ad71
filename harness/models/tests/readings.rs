//! Every reading of every model against finite differences, loops over single examples and each
//! other, in double precision.

use attribench_core::{
    Captures, Curvature, DataShape, Examples, Inputs, Labels, Layout, Model, Optimiser, Quantity,
    StepSize, TokenLoss, TokenTargets, UpdateRule, Utility,
};
use attribench_models::{
    Activation, Cnn, Gpt, Head, Llama, ModelSpec, Network, Normalisation, Pairs, PositionKind,
    TextGenRnn,
};
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
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    case_of(Network::dense(widths, activation), inputs, outputs, seed, rows)
}

fn case_of(network: Network, inputs: usize, outputs: usize, seed: u64, rows: usize) -> Case {
    let p = <Network as Model<f64>>::layout(&network).parameters();
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

/// Images of 2 x 5 x 4 numbers, of which pooling leaves a row over.
fn image_case(normalisation: Normalisation, pool: usize, seed: u64, rows: usize) -> Case {
    let cnn = Cnn {
        image: [2, 5, 4],
        channels: if pool == 1 { vec![4] } else { vec![2, 4] },
        kernel: 3,
        pool,
        normalisation,
        hidden: if pool == 1 { vec![] } else { vec![3] },
        activation: if pool == 1 { Activation::Tanh } else { Activation::Gelu },
    };
    case_of(cnn.build(40, 3).unwrap(), 40, 3, seed, rows)
}

const POSITIONS: usize = 5;
const VOCABULARY: usize = 4;

/// Texts of different lengths in which tokens occur several times; behind the last target stands
/// padding.
fn text_case(model: impl ModelSpec, loss: TokenLoss, seed: u64, rows: usize) -> Case {
    texts_asked_at(model, &[0, 1, 2, 3, 4], loss, seed, rows)
}

/// The same, asked at some positions only.
fn texts_asked_at(
    model: impl ModelSpec,
    asked: &[usize],
    loss: TokenLoss,
    seed: u64,
    rows: usize,
) -> Case {
    let (inputs, outputs) = (POSITIONS, VOCABULARY);
    let network = model.build_for(&DataShape { inputs, outputs, asked: asked.to_vec() }).unwrap();
    let draws = numbers(seed, rows * (POSITIONS + 1));
    let token = |index: usize| ((draws[index] + 1.0) / 2.0 * VOCABULARY as f64) as u32;
    let at = |row: usize, position: usize| token(row * (POSITIONS + 1) + position);
    let features = Array2::from_shape_fn((rows, POSITIONS), |(row, s)| f64::from(at(row, s)));
    let targets = Array2::from_shape_fn((rows, POSITIONS), |(row, s)| {
        let length = 1 + (seed as usize + row) % POSITIONS;
        if s < length && asked.contains(&s) { at(row, s + 1) } else { TokenTargets::NONE }
    });
    let p = <Network as Model<f64>>::layout(&network).parameters();
    Case {
        theta: numbers(seed + 2, p),
        network,
        examples: Examples::new(features, Labels::Tokens(TokenTargets::new(targets, loss))),
        weights: numbers(seed + 3, rows).iter().map(|w| w + 1.5).collect(),
    }
}

fn small_gpt(positions: PositionKind, head: Head) -> Gpt {
    Gpt { layers: 2, width: 4, heads: 2, positions, head }
}

/// Two heads that share a key and a value, wider than the stream.
fn small_llama(pairs: Pairs, head: Head) -> Llama {
    Llama {
        layers: 2,
        width: 4,
        heads: 2,
        key_value_heads: Some(1),
        head_width: Some(4),
        hidden: 3,
        base: 100.0,
        pairs,
        epsilon: 1e-3,
        head,
    }
}

fn small_rnn() -> TextGenRnn {
    TextGenRnn { context: 3, embedding: 4, width: 3 }
}

/// The same texts, with adapters on random frozen parameters.
fn adapted(case: Case, seed: u64) -> Case {
    let network = case.network.with_adapters(&case.theta, 2, 3.0);
    let p = <Network as Model<f64>>::layout(&network).parameters();
    Case { theta: numbers(seed + 9, p), network, ..case }
}

fn cases() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![4 => 0usize..10, 1 => 10usize..12, 1 => 12usize..19, 1 => 19usize..22];
    (kinds, 0u64..1000, 1usize..7).prop_map(|(kind, seed, rows)| {
        let activation = if kind % 2 == 0 { Activation::Tanh } else { Activation::Gelu };
        let few = rows.min(3);
        match kind {
            0 | 1 => case(&[4, 3], activation, seed, rows),
            2 | 3 => case(&[5, 1], activation, seed, rows),
            4 | 5 => case(&[4, 6, 3], activation, seed, rows),
            6 | 7 => case(&[3, 5, 4, 2], activation, seed, rows),
            8 | 9 => case(&[3, 4, 1], activation, seed, rows),
            10 => image_case(Normalisation::Groups(2), 1, seed, few),
            11 => image_case(Normalisation::None, 2, seed, few),
            12 => {
                let gpt = small_gpt(PositionKind::Learned, Head::Tied);
                text_case(gpt, TokenLoss::Mean, seed, few)
            }
            13 | 14 => {
                let gpt = small_gpt(PositionKind::Rotary, Head::Untied);
                text_case(gpt, TokenLoss::Sum, seed, few)
            }
            15 => {
                let gpt = small_gpt(PositionKind::Learned, Head::Tied);
                adapted(text_case(gpt, TokenLoss::Mean, seed, few), seed)
            }
            16 => {
                let llama = small_llama(Pairs::Halves, Head::Tied);
                text_case(llama, TokenLoss::Sum, seed, few)
            }
            17 => {
                let llama = small_llama(Pairs::Neighbours, Head::Untied);
                text_case(llama, TokenLoss::Mean, seed, few)
            }
            18 => {
                let llama = small_llama(Pairs::Halves, Head::Tied);
                adapted(text_case(llama, TokenLoss::Mean, seed, few), seed)
            }
            19 => texts_asked_at(small_rnn(), &[0, 2, 4], TokenLoss::Mean, seed, few),
            20 => text_case(small_rnn(), TokenLoss::Sum, seed, few),
            _ => adapted(text_case(small_rnn(), TokenLoss::Mean, seed, few), seed),
        }
    })
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

/// The gradient of example `row`, put together from captures one number at a time.
fn captured_gradient(captures: &Captures<f64>, layout: &Layout, row: usize) -> Vec<f64> {
    let mut gradient = vec![0.0; layout.parameters()];
    for (layer, capture) in layout.layers().iter().zip(&captures.layers) {
        assert_eq!(capture.positions, layer.positions);
        for position in row * layer.positions..(row + 1) * layer.positions {
            for (o, &delta) in capture.output_gradients.row(position).iter().enumerate() {
                match &capture.inputs {
                    Inputs::Values(inputs) => {
                        for (k, &a) in inputs.row(position).iter().enumerate() {
                            gradient[layer.weight_offset + o * layer.inputs + k] += delta * a;
                        }
                    }
                    Inputs::Tokens(tokens) => {
                        let start = tokens[position] as usize * layer.outputs;
                        gradient[layer.weight_offset + start + o] += delta;
                    }
                }
                if layer.has_bias() {
                    gradient[layer.bias_offset + o] += delta;
                }
            }
        }
    }
    gradient
}

/// Slopes at 0 by differences of fourth order: normalisations of few numbers bend so much that the
/// second order is off by more than the tolerance.
fn slopes_of(at: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let h = 1e-5;
    let (near, far) = ((at(h), at(-h)), (at(2.0 * h), at(-2.0 * h)));
    let slope = |i: usize| (8.0 * (near.0[i] - near.1[i]) - (far.0[i] - far.1[i])) / (12.0 * h);
    (0..near.0.len()).map(slope).collect()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    let scale = expected.iter().fold(1e-3f64, |top, value| top.max(value.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-6 * scale, "{what}[{index}]: {f} is not {e}");
    }
    assert_eq!(found.len(), expected.len());
}

/// `u^T (diag(p) - p p^T) v` with the softmax `p` of the logits.
fn softmax_covariance(
    u: ArrayView1<'_, f64>,
    v: ArrayView1<'_, f64>,
    logits: ArrayView1<'_, f64>,
) -> f64 {
    let exp = logits.mapv(f64::exp);
    let p = &exp / exp.sum();
    (&p * &u * v).sum() - p.dot(&u) * p.dot(&v)
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
                slopes.push(slopes_of(|step| vec![total(step)])[0]);
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
                let found = captured_gradient(&captures, layout, row);
                assert_close(&found, &expected, "captured gradient");
            }
        }
    }

    #[test]
    fn captures_of_chosen_labels_are_those_of_the_labels(case in cases()) {
        chosen_captures(&case);
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
                let slopes = slopes_of(at);
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
            let slopes = slopes_of(gradient);
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
            (8.0 * (at(1e-5) - at(-1e-5)) - (at(2e-5) - at(-2e-5))) / 12e-5
        };
        let (u, v) = (directions.row(0), directions.row(1));
        let (ju, jv) = (jacobian_times(u), jacobian_times(v));
        let outputs = case.network.outputs(&case.theta, case.examples.features());
        let mut expected = 0.0;
        for row in 0..case.examples.len() {
            let rows = (ju.row(row), jv.row(row), outputs.row(row));
            let inner: f64 = match case.examples.labels() {
                Labels::Values(_) => ju[(row, 0)] * jv[(row, 0)],
                Labels::Classes(_) => softmax_covariance(rows.0, rows.1, rows.2),
                Labels::Tokens(tokens) => (0..POSITIONS)
                    .filter(|&position| tokens.target(row, position).is_some())
                    .map(|position| {
                        let part = s![position * VOCABULARY..(position + 1) * VOCABULARY];
                        let [u, v, z] = [rows.0, rows.1, rows.2].map(|row| row.slice_move(part));
                        tokens.scale(row) * softmax_covariance(u, v, z)
                    })
                    .sum(),
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

/// Captures of the examples' labels, and of those of their neighbours, after one pass forward.
fn chosen_captures(case: &Case) {
    let n = case.examples.len();
    let (features, labels) = (case.examples.features(), case.examples.labels());
    let outputs = case.network.outputs(&case.theta, features);
    let neighbours: Vec<usize> = (0..n).map(|row| (row + 1) % n).collect();
    let lists = [labels.clone(), labels.select(&neighbours)];
    let mut next = 0;
    let found = case.network.captures_of_chosen(&case.theta, features, &mut |start, some| {
        assert_eq!(start, next);
        next += some.nrows();
        assert_eq!(some, outputs.slice(s![start..next, ..]));
        let rows: Vec<usize> = (start..next).collect();
        lists.iter().map(|labels| labels.select(&rows)).collect()
    });
    assert_eq!((next, found.len()), (n, 2));
    for (found, labels) in found.iter().zip(lists) {
        let examples = Examples::new(features.to_owned(), labels);
        let expected = case.network.captures(&case.theta, &examples, Quantity::Loss);
        for (found, expected) in found.layers.iter().zip(&expected.layers) {
            assert_eq!(found.inputs, expected.inputs);
            assert_eq!(found.output_gradients, expected.output_gradients);
        }
    }
}

#[test]
fn captures_of_many_texts_are_those_of_each_alone() {
    // So many that they run in blocks, the last of them a smaller one.
    let gpt = small_gpt(PositionKind::Learned, Head::Tied);
    let case = text_case(gpt, TokenLoss::Sum, 3, 600);
    chosen_captures(&case);
    let all = case.network.captures(&case.theta, &case.examples, Quantity::Loss);
    assert_eq!(all.len(), 600);
    for row in [0, 255, 256, 599] {
        let alone = case.examples.select(&[row]);
        let alone = case.network.captures(&case.theta, &alone, Quantity::Loss);
        for (all, alone) in all.layers.iter().zip(&alone.layers) {
            let rows = row * all.positions..(row + 1) * all.positions;
            match (&all.inputs, &alone.inputs) {
                (Inputs::Values(all), Inputs::Values(alone)) => {
                    let all = all.slice(s![rows.clone(), ..]);
                    assert_close(&flat(all), &flat(alone.view()), "inputs");
                }
                (Inputs::Tokens(all), Inputs::Tokens(alone)) => {
                    assert_eq!(&all[rows.clone()], alone);
                }
                _ => panic!("a layer reads either tokens or numbers"),
            }
            let all = all.output_gradients.slice(s![rows, ..]);
            assert_close(&flat(all), &flat(alone.output_gradients.view()), "output gradients");
        }
    }
}

fn flat(matrix: ArrayView2<'_, f64>) -> Vec<f64> {
    matrix.iter().copied().collect()
}

#[test]
fn a_row_without_weight_is_never_read() {
    never_read(case(&[4, 6, 3], Activation::Tanh, 5, 6));
    never_read(image_case(Normalisation::Groups(2), 1, 5, 6));
}

fn never_read(case: Case) {
    let mut garbage = case.examples.features().to_owned();
    garbage.slice_mut(s![2, ..]).fill(1e30);
    let spoiled = Examples::new(garbage, case.examples.labels().clone());
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
        let layout = <Network as Model<f64>>::layout(&case.network);
        let gradient = |row| captured_gradient(&stack.captures(), layout, row);
        (theta, gradient(2), gradient(3))
    };
    let ((clean, absent, present), (with_garbage, ..)) = (train(&case.examples), train(&spoiled));
    assert_eq!(clean, with_garbage);
    assert!(absent.iter().all(|&value| value == 0.0));
    assert!(present.iter().any(|&value| value != 0.0));
}

#[test]
fn captures_of_a_step_are_those_of_the_model() {
    step_captures(case(&[4, 6, 3], Activation::Gelu, 9, 5));
    step_captures(image_case(Normalisation::Groups(2), 1, 9, 5));
    step_captures(text_case(small_gpt(PositionKind::Learned, Head::Tied), TokenLoss::Sum, 9, 5));
}

fn step_captures(case: Case) {
    let (rule, size) = (momentum(0.0, 0.0, 5), step_size(0.0));
    let mut stack = case.network.stack(1, &rule);
    stack.load(0, &case.theta, &[vec![0.0; case.theta.len()]]);
    stack.step(&case.examples, &[0, 1, 2, 3, 4], &[&[1.0, 0.5, 2.0, 1.0, 1.0]], size);
    let expected = case.network.captures(&case.theta, &case.examples, Quantity::Loss);
    let layout = <Network as Model<f64>>::layout(&case.network);
    for row in 0..5 {
        let found = captured_gradient(&stack.captures(), layout, row);
        assert_close(&found, &captured_gradient(&expected, layout, row), "captured gradient");
    }
}

/// Whatever stands behind the last target, nothing that the model gives changes by a bit.
#[test]
fn padding_has_no_effect() {
    let loss = TokenLoss::Mean;
    for case in [
        text_case(small_gpt(PositionKind::Learned, Head::Tied), loss, 3, 5),
        text_case(small_gpt(PositionKind::Rotary, Head::Tied), loss, 3, 5),
        text_case(small_llama(Pairs::Halves, Head::Tied), loss, 3, 5),
    ] {
        let Labels::Tokens(tokens) = case.examples.labels() else { unreachable!() };
        let mut other = case.examples.features().to_owned();
        let mut changed = 0;
        for ((row, position), token) in other.indexed_iter_mut() {
            if tokens.target(row, position).is_none() {
                *token = (*token + 1.0) % VOCABULARY as f64;
                changed += 1;
            }
        }
        assert!(changed > 5, "{changed} tokens of padding test little");
        let other = Examples::new(other, case.examples.labels().clone());
        let p = case.theta.len();
        let directions = Array2::from_shape_vec((2, p), numbers(8, 2 * p)).unwrap();
        let read = |examples: &Examples<f64>| {
            let (network, theta) = (&case.network, &case.theta);
            let products = [Curvature::Hessian, Curvature::GaussNewton].map(|curvature| {
                let directions = directions.view();
                network.curvature_products(theta, examples, &case.weights, curvature, directions)
            });
            (
                network.utilities(theta, examples, Utility::Margin),
                network.gradient(theta, examples, Quantity::Loss, &case.weights),
                network.tangents(theta, examples, Quantity::Loss, directions.view()),
                products,
            )
        };
        assert_eq!(read(&case.examples), read(&other));
    }
}

/// A text that fills its positions, and the same text in a model with room for more.
#[test]
fn a_longer_window_changes_nothing() {
    let gpt = small_gpt(PositionKind::Rotary, Head::Untied);
    let case = text_case(gpt.clone(), TokenLoss::Sum, 4, 3);
    let longer = gpt.build(POSITIONS + 3, VOCABULARY).unwrap();
    let Labels::Tokens(tokens) = case.examples.labels() else { unreachable!() };
    let features = Array2::from_shape_fn((3, POSITIONS + 3), |(row, s)| {
        if s < POSITIONS { case.examples.features()[(row, s)] } else { 1.0 }
    });
    let targets = Array2::from_shape_fn((3, POSITIONS + 3), |(row, s)| {
        if s < POSITIONS { tokens.targets()[(row, s)] } else { TokenTargets::NONE }
    });
    let labels = Labels::Tokens(TokenTargets::new(targets, TokenLoss::Sum));
    let padded = Examples::new(features, labels);
    let expected = case.network.gradient(&case.theta, &case.examples, Quantity::Loss, &[1.0; 3]);
    let found = longer.gradient(&case.theta, &padded, Quantity::Loss, &[1.0; 3]);
    let scale = expected.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-13 * scale, "{found} is not {expected}");
    }
}

/// Adapters that have not been trained change nothing, and those that have are a change of weights.
#[test]
fn adapters_are_a_change_of_weights() {
    let case = text_case(small_gpt(PositionKind::Learned, Head::Tied), TokenLoss::Mean, 6, 3);
    let network = case.network.with_adapters(&case.theta, 2, 3.0);
    let start: Vec<f64> = network.initial_parameters(1);
    let at = |network: &Network, theta: &[f64]| {
        network.utilities(theta, &case.examples, Utility::NegativeLoss)
    };
    assert_close(&at(&network, &start), &at(&case.network, &case.theta), "untrained");
    let trained = numbers(7, start.len());
    let mut merged = case.theta.clone();
    let own = <Network as Model<f64>>::layout(&case.network).layers();
    let layers = <Network as Model<f64>>::layout(&network).layers();
    for pair in layers.chunks_exact(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let layer = own.iter().find(|layer| a.name == format!("{}.a", layer.name)).unwrap();
        for (o, i, r) in (0..b.outputs)
            .flat_map(|o| (0..a.inputs).flat_map(move |i| (0..2).map(move |r| (o, i, r))))
        {
            let (a, b) =
                (trained[a.weight_offset + r * a.inputs + i], trained[b.weight_offset + 2 * o + r]);
            merged[layer.weight_offset + o * layer.inputs + i] += 1.5 * b * a;
        }
    }
    assert_close(&at(&network, &trained), &at(&case.network, &merged), "merged");
}

#[test]
fn an_example_does_not_depend_on_what_else_is_in_the_call() {
    let cases = [
        image_case(Normalisation::Groups(2), 2, 1, 9),
        text_case(small_gpt(PositionKind::Rotary, Head::Tied), TokenLoss::Mean, 2, 9),
    ];
    for case in cases {
        let together = case.network.captures(&case.theta, &case.examples, Quantity::Loss);
        let layout = <Network as Model<f64>>::layout(&case.network);
        let utilities = case.network.utilities(&case.theta, &case.examples, Utility::Margin);
        for row in 0..9 {
            let alone = case.examples.select(&[row]);
            let captures = case.network.captures(&case.theta, &alone, Quantity::Loss);
            let found = captured_gradient(&captures, layout, 0);
            assert_close(&found, &captured_gradient(&together, layout, row), "gradient");
            let utility = case.network.utilities(&case.theta, &alone, Utility::Margin);
            assert_close(&utility, &utilities[row..=row], "utility");
        }
    }
}

#[test]
fn a_mean_loss_is_the_mean_of_negative_utilities_in_either_precision() {
    let case = text_case(small_gpt(PositionKind::Learned, Head::Tied), TokenLoss::Sum, 6, 3);
    let losses = quantities(&case, &case.theta, Quantity::Loss);
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let found = case.network.mean_loss(&case.theta, &case.examples);
    assert_close(&[found], &[mean], "double");
    let theta: Vec<f32> = case.theta.iter().map(|&value| value as f32).collect();
    let features = case.examples.features().mapv(|value| value as f32);
    let Labels::Tokens(tokens) = case.examples.labels().clone() else { panic!("tokens") };
    let single = case.network.mean_loss(&theta, &Examples::new(features, Labels::Tokens(tokens)));
    assert!(single != mean && (single - mean).abs() < 1e-5 * mean, "{single} is not {mean}");
}
