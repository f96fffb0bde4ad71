//! Laws of methods on texts: a small transformer, with every method that does not ask for numbers.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use attribench_core::{
    AdamW, Examples, Labels, LayerKind, MethodEntry, Model, ModelInput, Optimiser, Quantity,
    Queries, Scale, Scores, TokenLoss, TokenTargets, UpdateRule, Utility,
};
use attribench_methods::{Fisher, KFac, REGISTRY};
use attribench_models::{Gpt, Head, ModelSpec, PositionKind};
use common::{DRAWN, Plan, SEED, TestRun, deviation, scores_of_entry};
use ndarray::{Array2, ArrayView1, Axis, concatenate};

const POSITIONS: usize = 8;

/// Windows of text, an edge before each; shorter ones end in padding.
const TRAIN: [&str; 12] = [
    "to be or", "the cat ", "or not t", "sat on a", "a green ", "mat and ", "be to a", "no cat i",
    "it is on", "the mat", "a red ro", "not be t",
];

fn texts(windows: &[&str]) -> Examples<f64> {
    let byte = |row: usize, at: usize| windows[row].as_bytes().get(at).copied();
    let shape = (windows.len(), POSITIONS);
    let features = Array2::from_shape_fn(shape, |(row, position)| {
        let before = position.checked_sub(1).and_then(|at| byte(row, at));
        f64::from(before.filter(|_| byte(row, position).is_some()).unwrap_or(0))
    });
    let targets = Array2::from_shape_fn(shape, |(row, position)| {
        byte(row, position).map_or(TokenTargets::NONE, u32::from)
    });
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Sum)))
}

fn run(windows: &[&str], batch: usize) -> TestRun<f64> {
    let (positions, head) = (PositionKind::Learned, Head::Tied);
    let gpt = Gpt { layers: 1, width: 3, heads: 1, positions, head };
    let model = gpt.build(POSITIONS, 128).unwrap();
    let initial: Vec<f64> = model.initial_parameters(3);
    let n = windows.len();
    let rows: Vec<usize> = (0..3 * n).map(|i| (i * 7) % n).collect();
    let batches = match batch {
        batch if batch == n => vec![(0..n).collect(); 6],
        batch => rows.chunks(batch).map(<[usize]>::to_vec).collect(),
    };
    let optimiser = Optimiser::heavy_ball(0.5, 0.01);
    let rule = UpdateRule { optimiser, clip_norm: None, batch_size: batch };
    let plan = Plan { batches, learning_rate: 0.003, rule, interval: 3 };
    TestRun::new(model, texts(windows), initial, &plan)
}

/// The same transformer under AdamW, with gradients that are clipped now and then.
fn clipped_adam(windows: &[&str], weights: &[f64]) -> TestRun<f64> {
    let (positions, head) = (PositionKind::Learned, Head::Tied);
    let gpt = Gpt { layers: 1, width: 4, heads: 2, positions, head };
    let model = gpt.build(POSITIONS, 128).unwrap();
    // Larger than usual starts, so that attention and norms are far from linear.
    let initial: Vec<f64> = model.initial_parameters(3);
    let initial = initial.iter().map(|value| 8.0 * value).collect();
    let adam = AdamW { beta2: 0.95, eps_root: 1e-4, ..AdamW::default() };
    let (optimiser, clip_norm) = (Optimiser::AdamW(adam), Some(CLIP_NORM));
    let rule = UpdateRule { optimiser, clip_norm, batch_size: 4 };
    let batches = (0..6).map(|step| (0..4).map(|at| (step * 5 + at * 3) % 12).collect()).collect();
    let plan = Plan { batches, learning_rate: 0.02, rule, interval: 3 };
    TestRun::weighted(model, texts(windows), initial, &plan, weights)
}

/// Between the lengths of the gradients of [`clipped_adam`].
const CLIP_NORM: f64 = 50.0;

#[test]
fn the_metagradient_is_the_slope_of_the_training_of_a_transformer() {
    let (ones, asked) = (vec![1.0; TRAIN.len()], queries(&["to be a ", "the red "]));
    let run = clipped_adam(&TRAIN, &ones);
    let clipped = run.steps.iter().filter(|step| step.clip_factor < 1.0).count();
    let lengths: Vec<f64> = run.steps.iter().map(|step| step.clip_factor).collect();
    assert!((1..run.steps.len()).contains(&clipped), "clipped to {lengths:?}");
    let entry = REGISTRY.iter().find(|entry| entry.info.name == "metagradient").unwrap();
    let scores = scored(entry, &run, &asked);
    // `(f(1 + h e_i) - f(1 - h e_i)) / 2h` with one step of Richardson's extrapolation. Where a
    // second moment is near `eps_root`, larger steps see the bend of its root.
    let slopes = |row: usize, h: f64| -> Vec<f64> {
        let at = |h: f64| {
            let mut weights = ones.clone();
            weights[row] += h;
            let run = clipped_adam(&TRAIN, &weights);
            run.model.utilities(&run.parameters, &asked.examples, asked.utility)
        };
        at(h).iter().zip(at(-h)).map(|(up, down)| (up - down) / (2.0 * h)).collect()
    };
    let largest = scores.values().iter().fold(0.0f64, |top, score| top.max(score.abs()));
    for row in 0..TRAIN.len() {
        for (query, (wide, narrow)) in slopes(row, 2e-4).iter().zip(slopes(row, 1e-4)).enumerate() {
            let (found, expected) = (scores.values()[(row, query)], (4.0 * narrow - wide) / 3.0);
            let error = (found - expected).abs() / largest;
            assert!(error < 1e-6, "text {row}, query {query}: {found} and {expected}");
        }
    }
}

/// `(n, p) . ((A + pi sqrt(lambda)) (x) (S + sqrt(lambda) / pi))^-1 b / n` layer by layer, with
/// gradients one at a time and the factors of the labels that the texts have.
#[test]
fn kronecker_factors_of_layers_at_several_positions_by_definition() {
    let (run, asked) = (run(&TRAIN, 4), queries(&["to be a ", "the red "]));
    let layout = Model::<f64>::layout(&run.model);
    let captures = run.model.captures(&run.parameters, &run.train, Quantity::Loss);
    let (g, b) = common::gradients_one_at_a_time(&run, &asked);
    let n = run.train.len() as f64;
    let mut expected = Array2::<f64>::zeros((run.train.len(), 2));
    let gamma = run.recipe.rule.optimiser.ridge();
    for block in layout.blocks() {
        let [index] = block.layers[..] else { continue };
        let layer = &layout.layers()[index];
        if layer.kind != LayerKind::Dense || layer.inputs == 0 {
            continue;
        }
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let a = captures.layers[index].inputs.values().unwrap();
        let a = concatenate![Axis(1), a, Array2::<f64>::ones((a.nrows(), 1))];
        let delta = &captures.layers[index].output_gradients;
        let (mut a, mut s) = (a.t().dot(&a) / n, delta.t().dot(delta) / delta.nrows() as f64);
        let mean_a = a.diag().sum() / (inputs + 1) as f64;
        let mean_s = s.diag().sum() / outputs as f64;
        let (root, pi) = ((gamma + 0.1 * mean_a * mean_s).sqrt(), (mean_a / mean_s).sqrt());
        a.diag_mut().mapv_inplace(|x| x + root * pi);
        s.diag_mut().mapv_inplace(|x| x + root / pi);
        let matrix = |flat: ArrayView1<'_, f64>| {
            Array2::from_shape_fn((outputs, inputs + 1), |(o, k)| match k {
                k if k == inputs => flat[layer.bias_offset + o],
                k => flat[layer.weight_offset + o * inputs + k],
            })
        };
        for (i, g) in g.outer_iter().enumerate() {
            let left = common::solve_slowly(s.clone(), matrix(g));
            let both = common::solve_slowly(a.clone(), left.reversed_axes()).reversed_axes();
            for (q, b) in b.outer_iter().enumerate() {
                expected[(i, q)] += (matrix(b) * &both).sum() / n;
            }
        }
    }
    let method = KFac { fisher: Fisher::Empirical, ..KFac::default() };
    let found = common::scores_of(&method, &run, &asked);
    common::assert_close(found.values(), expected.as_slice().unwrap(), 1e-9);
}

fn queries(windows: &[&str]) -> Queries<f64> {
    Queries { examples: texts(windows), utility: Utility::NegativeLoss }
}

/// Every method that reads texts.
fn registered() -> impl Iterator<Item = &'static MethodEntry> {
    REGISTRY.iter().filter(|entry| entry.reads != Some(ModelInput::Numbers))
}

fn scored(entry: &MethodEntry, run: &TestRun<f64>, queries: &Queries<f64>) -> Scores {
    scores_of_entry(entry, run, queries, SEED)
        .unwrap_or_else(|error| panic!("{}: {error}", entry.info.name))
}

#[test]
fn scores_carry_ids_and_are_the_same_bits_again() {
    let (run, queries) = (run(&TRAIN, 4), queries(&["to be a ", "the cat "]));
    for entry in registered() {
        let scores = scored(entry, &run, &queries);
        assert_eq!(scores.train_ids(), run.train.ids(), "{}", entry.info.name);
        assert_eq!(scores.query_ids(), queries.ids(), "{}", entry.info.name);
        assert!(scores.values().iter().any(|&score| score != 0.0), "{}", entry.info.name);
        assert_eq!(scores, scored(entry, &run, &queries), "{}", entry.info.name);
    }
}

#[test]
fn a_window_is_the_sum_of_its_tokens() {
    // One query for every token of a window, each with all that stands before it as its prompt.
    let run = run(&TRAIN, 4);
    let whole = queries(&["to be a "]);
    let Labels::Tokens(tokens) = whole.examples.labels() else { panic!("tokens") };
    let every = vec![0; POSITIONS];
    let single = tokens
        .select(&every)
        .map(|row, position, target| if row == position { target } else { TokenTargets::NONE });
    let features = whole.examples.select(&every).features().to_owned();
    let examples = Examples::new(features, Labels::Tokens(single));
    let tokens = Queries { examples, utility: Utility::NegativeLoss };
    for entry in registered().filter(|entry| entry.info.scale != Scale::Arbitrary) {
        let window = scored(entry, &run, &whole).values().column(0).to_vec();
        let sums = scored(entry, &run, &tokens).values().sum_axis(ndarray::Axis(1));
        let found = deviation(sums.insert_axis(ndarray::Axis(1)).view(), &window);
        // Ledgers close to 1e-9 of a utility of about 40 nats, for the window and for each token.
        assert!(found <= 1e-7, "{}: {found:e}", entry.info.name);
    }
}

#[test]
fn exact_copies_score_alike_and_lead() {
    // Text 12 repeats text 4; the query is the same text once more. Full batches treat both alike.
    let windows: Vec<&str> = TRAIN.into_iter().chain([TRAIN[4]]).collect();
    let (run, queries) = (run(&windows, windows.len()), queries(&[TRAIN[4]]));
    for entry in registered().filter(|entry| !DRAWN.contains(&entry.info.name)) {
        let name = entry.info.name;
        let scores = scored(entry, &run, &queries).values().column(0).to_vec();
        let largest = scores.iter().fold(0.0f64, |top, score| top.max(score.abs()));
        let apart = (scores[4] - scores[12]).abs();
        assert!(apart <= 1e-10 * largest, "{name}: {} and {}", scores[4], scores[12]);
        assert!(scores[4] > 0.0, "{name}: its own text scores {}", scores[4]);
    }
    // The exact derivative of the training, and its exact books, put both first.
    for name in ["metagradient", "path-ledger", "bm25", "n-gram-spans", "tf-idf"] {
        let entry = REGISTRY.iter().find(|entry| entry.info.name == name).unwrap();
        let scores = scored(entry, &run, &queries).values().column(0).to_vec();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut first = order[..2].to_vec();
        first.sort_unstable();
        assert_eq!(first, [4, 12], "{name}: {scores:?}");
    }
}

#[test]
fn what_reads_numbers_alone_says_so() {
    let (run, queries) = (run(&TRAIN, 4), queries(&["to be a "]));
    let numbers = |entry: &&MethodEntry| entry.reads == Some(ModelInput::Numbers);
    // Those that train again ask a test run for what it counts, and it counts classes alone.
    for entry in REGISTRY.iter().filter(numbers).filter(|entry| !entry.retrains) {
        // Declared, so that a plan refuses it before anything trains.
        let found = scores_of_entry(entry, &run, &queries, SEED);
        let is_similarity = entry.info.name == "input-similarity";
        assert!(found.is_err() || is_similarity, "{} reads texts after all", entry.info.name);
    }
}
