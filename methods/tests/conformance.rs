//! Laws that every registered method keeps, with its default parameters.
//!
//! What is solved by iteration is defined up to its tolerance only, so that is tightened.

#[allow(dead_code, reason = "shared with the unit tests, which use other parts")]
mod common;

use attribench_core::{
    AccessLevel, Examples, Labels, MethodEntry, Model, ModelInput, Optimiser, Queries, Scores,
    UpdateRule, Utility,
};
use attribench_methods::REGISTRY;
use attribench_models::{Activation, Cnn, ModelSpec, Network, Normalisation};
use common::{
    DRAWN, Plan, Problem, SEED, TestRun, assert_close, deviation, digits_like, scores_of_entry,
};
use ndarray::{Array2, Axis};

/// A run of a small network with momentum and weight decay.
fn problem() -> Problem<f64> {
    digits_like(32).momentum(0.5).decay(0.01)
}

fn scored(entry: &MethodEntry, run: &TestRun<f64>, queries: &Queries<f64>) -> Scores {
    scores_of_entry(entry, run, queries, SEED)
        .unwrap_or_else(|error| panic!("{}: {error}", entry.info.name))
}

/// Every method that reads numbers; `texts.rs` holds those that read texts to their laws.
fn registered() -> impl Iterator<Item = &'static MethodEntry> {
    REGISTRY.iter().filter(|entry| entry.reads != Some(ModelInput::Tokens))
}

/// Every method that draws nothing.
fn entries() -> impl Iterator<Item = &'static MethodEntry> {
    registered().filter(|entry| !DRAWN.contains(&entry.info.name))
}

fn looks_at_gradients(entry: &MethodEntry) -> bool {
    entry.level >= AccessLevel::FinalModel
}

#[test]
fn names_are_sorted_kebab_case_and_unique() {
    let names: Vec<&str> = REGISTRY.iter().map(|entry| entry.info.name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?} are not sorted");
    for name in names {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let plain = name.bytes().all(known);
        assert!(plain, "`{name}` is not in kebab-case");
    }
}

#[test]
fn scores_carry_ids_are_finite_and_keep_their_scale() {
    let (run, queries) = problem().pair(6, Utility::Margin);
    let run = TestRun { train: renamed(&run.train), ..run };
    let queries = Queries { examples: renamed(&queries.examples), ..queries };
    for entry in registered() {
        let scores = scored(entry, &run, &queries);
        assert_eq!(scores.train_ids(), run.train.ids(), "{}", entry.info.name);
        assert_eq!(scores.query_ids(), queries.ids(), "{}", entry.info.name);
        assert_eq!(scores.scale(), entry.info.scale, "{}", entry.info.name);
        assert!(scores.values().iter().any(|&score| score != 0.0), "{}", entry.info.name);
    }
}

/// The same examples with ids `n..2n`.
fn renamed(examples: &Examples<f64>) -> Examples<f64> {
    let n = examples.len();
    let twice = examples.select(&(0..2 * n).map(|row| row % n).collect::<Vec<_>>());
    let numbered = Examples::new(twice.features().to_owned(), twice.labels().clone());
    numbered.select(&(n..2 * n).collect::<Vec<_>>())
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let (run, queries) = problem().pair(6, Utility::Margin);
    for entry in registered() {
        let once = scored(entry, &run, &queries);
        assert_eq!(once, scored(entry, &run, &queries), "{}", entry.info.name);
        let other = scores_of_entry(entry, &run, &queries, SEED + 1).unwrap();
        // Lanczos' iteration begins at a random direction. Sketches and columns are all there is
        // in a model this small.
        let drawn = DRAWN.contains(&entry.info.name) || entry.info.name == "arnoldi";
        assert_eq!(once != other, drawn, "{}: the seed matters or not", entry.info.name);
    }
}

/// All queries together are the validation set of these.
fn scores_queries_apart(entry: &MethodEntry) -> bool {
    !["class-wise-shapley", "lava"].contains(&entry.info.name)
}

#[test]
fn queries_do_not_know_of_each_other() {
    for utility in [Utility::Margin, Utility::NegativeLoss] {
        let (run, queries) = problem().pair(40, utility);
        for entry in registered().filter(|entry| scores_queries_apart(entry)) {
            let all = scored(entry, &run, &queries);
            for q in [0, 7, 39] {
                let one = Queries { examples: queries.examples.select(&[q]), utility };
                let alone = scored(entry, &run, &one);
                let together = all.values().column(q).to_vec();
                let deviation = deviation(alone.values(), &together);
                assert!(deviation <= 1e-10, "{}: {deviation:e}", entry.info.name);
            }
        }
    }
}

#[test]
fn a_permuted_training_set_has_permuted_scores() {
    let (run, queries) = problem().pair(6, Utility::Margin);
    let n = run.train.len();
    // New row r holds old row order[r].
    let order: Vec<usize> = (0..n).map(|row| (row * 13 + 5) % n).collect();
    let mut now_at = vec![0; n];
    for (row, &old) in order.iter().enumerate() {
        now_at[old] = row;
    }
    let mut permuted = run.clone();
    permuted.train = run.train.select(&order);
    for rows in permuted.origin.iter_mut().flat_map(|(_, plan)| &mut plan.batches) {
        rows.iter_mut().for_each(|row| *row = now_at[*row]);
    }
    for step in &mut permuted.steps {
        step.rows.iter_mut().for_each(|row| *row = now_at[*row]);
    }
    for checkpoint in &mut permuted.checkpoints {
        let exposure = checkpoint.exposure.clone();
        checkpoint.exposure = order.iter().map(|&old| exposure[old]).collect();
    }
    for entry in entries() {
        let before = scored(entry, &run, &queries);
        let after = scored(entry, &permuted, &queries);
        let expected: Vec<f64> = before.values().select(Axis(0), &order).iter().copied().collect();
        let deviation = deviation(after.values(), &expected);
        assert!(deviation <= 1e-10, "{}: {deviation:e}", entry.info.name);
    }
}

#[test]
fn exact_duplicates_score_alike() {
    // Full batches treat the two alike; row 32 repeats row 4.
    let mut problem = problem();
    let repeated = problem.train.select(&(0..32).chain([4]).collect::<Vec<_>>());
    problem.train = Examples::new(repeated.features().to_owned(), repeated.labels().clone());
    let (run, queries) = problem.full_batches(12).pair(6, Utility::Margin);
    for entry in entries() {
        let scores = scored(entry, &run, &queries);
        let values = scores.values();
        let largest = values.fold(0.0f64, |top, score| top.max(score.abs()));
        for (a, b) in values.row(4).iter().zip(values.row(32)) {
            assert!((a - b).abs() <= 1e-12 * largest, "{}: {a} and {b}", entry.info.name);
        }
    }
}

#[test]
fn an_example_without_gradient_scores_zero() {
    // Linear regression from 0 on points (x, y) and (-x, -y), full batch: the bias stays 0, so the
    // point (0, 0) is met exactly at every step.
    let pairs = [(1.0, 0.5), (2.0, 1.75), (0.5, -0.25)];
    let points = pairs.iter().flat_map(|&(x, y)| [(x, y), (-x, -y)]).chain([(0.0, 0.0)]);
    let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
    let column = |x: Vec<f64>| Array2::from_shape_vec((x.len(), 1), x).unwrap();
    let train = Examples::new(column(x), Labels::Values(y));
    let plan = Plan {
        batches: vec![(0..7).collect(); 5],
        learning_rate: 0.2,
        rule: UpdateRule {
            optimiser: Optimiser::heavy_ball(0.5, 0.01),
            clip_norm: None,
            batch_size: 7,
        },
        interval: 2,
    };
    let model = Network::dense(&[1, 1], Activation::Tanh);
    let run = TestRun::new(model, train, vec![0.0, 0.0], &plan);
    let examples = Examples::new(column(vec![1.5, -0.75]), Labels::Values(vec![2.0, 0.75]));
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    for entry in entries().filter(|entry| looks_at_gradients(entry)) {
        let scores = scored(entry, &run, &queries);
        assert_close(scores.values().slice(ndarray::s![6.., ..]), &[0.0, 0.0], 0.0);
        let others = scores.values().slice(ndarray::s![..6, ..]).to_owned();
        assert!(others.iter().all(|&score| score != 0.0), "{}: {others}", entry.info.name);
    }
}

#[test]
fn helpful_is_positive() {
    // Two queries that repeat training examples: each example helps its own repetition.
    let problem = problem();
    let run = problem.run();
    let queries = Queries { examples: run.train.select(&[3, 10]), utility: Utility::Margin };
    for entry in entries() {
        let scores = scored(entry, &run, &queries);
        for (q, row) in [(0, 3), (1, 10)] {
            let score = scores.values()[(row, q)];
            assert!(score > 0.0, "{}: example {row} scores {score}", entry.info.name);
        }
    }
}

#[test]
fn single_precision_scores_come_close_to_double() {
    // The same data, parameters and steps; only the arithmetic differs.
    let (run, queries) = problem().pair(6, Utility::Margin);
    let narrow = digits_like::<f32>(32).momentum(0.5).decay(0.01);
    let (narrow_run, narrow_queries) = narrow.pair(6, Utility::Margin);
    for entry in registered() {
        let wide = scored(entry, &run, &queries);
        let found = scores_of_entry(entry, &narrow_run, &narrow_queries, SEED)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.info.name));
        let deviation = deviation(found.values(), wide.values().as_slice().unwrap());
        assert!(deviation <= 1e-4, "{}: {deviation:e}", entry.info.name);
    }
}

/// The problem's data as images of three by four pixels.
fn images(problem: &Problem<f64>) -> TestRun<f64> {
    let cnn = Cnn {
        image: [1, 3, 4],
        channels: vec![4],
        kernel: 3,
        pool: 1,
        normalisation: Normalisation::Groups(2),
        hidden: vec![],
        activation: Activation::Tanh,
    };
    let model = cnn.build(12, 4).unwrap();
    let initial: Vec<f64> = model.initial_parameters(3);
    TestRun::new(model, problem.train.clone(), initial, &problem.plan)
}

#[test]
fn convolutions_are_read_as_dense_layers_are() {
    let problem = problem();
    let run = images(&problem);
    let (_, queries) = problem.pair(6, Utility::Margin);
    let (narrow_run, narrow_queries) = run.in_single_precision(&queries);
    let at_its_end = run.at_parameters_of(&narrow_run);
    for entry in registered() {
        let name = entry.info.name;
        let scores = scored(entry, &run, &queries);
        if scores_queries_apart(entry) {
            let one = Queries { examples: queries.examples.select(&[4]), ..queries.clone() };
            let alone = scored(entry, &run, &one);
            let found = deviation(alone.values(), &scores.values().column(4).to_vec());
            assert!(found <= 1e-10, "{name}: {found:e} by what else is asked");
        }
        // Without steps only what reads the finished model has anything to say.
        if entry.level <= AccessLevel::FinalModel && !entry.retrains {
            let wide = scored(entry, &at_its_end, &queries);
            let narrow = scores_of_entry(entry, &narrow_run, &narrow_queries, SEED).unwrap();
            let found = deviation(narrow.values(), wide.values().as_slice().unwrap());
            assert!(found <= 1e-4, "{name}: {found:e} in single precision");
        }
    }
}

#[test]
fn an_unknown_parameter_is_refused_by_name() {
    for entry in REGISTRY {
        let refusal = (entry.build)(serde_json::json!({ "no_such_thing": 1 }));
        let message = refusal.err().expect("an unknown parameter was accepted").to_string();
        assert!(message.contains("no_such_thing"), "{}: {message}", entry.info.name);
    }
}

#[test]
fn parameters_shown_are_parameters_taken() {
    for entry in REGISTRY {
        let method = (entry.build)(serde_json::json!({})).unwrap();
        let again = (entry.build)(method.parameters()).unwrap();
        assert_eq!(method.parameters(), again.parameters(), "{}", entry.info.name);
    }
}
