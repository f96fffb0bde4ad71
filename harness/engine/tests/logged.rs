//! A method sees of a run what was logged of it, and no more.

use attribench_core::{
    Examples, FitReal, Instrumentation, Labels, LoggedSteps, Meter, Observer, Optimiser, Queries,
    Run, RunError, Step, Utility, stream,
};
use attribench_engine::{
    given::Given,
    known_part::{KnownPart, KnownShare},
    logged::{LogSize, LoggedRun},
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{GradDot, InRunShapley, PathLedger};
use attribench_models::{Activation, Network};
use ndarray::{Array2, Axis};
use rand::RngExt;

const SEED: u64 = 4;
const TRAIN_ROWS: usize = 20;
const QUERIES: usize = 3;
/// 4 epochs of 3 steps, the last of an epoch with 4 rows.
const STEPS: usize = 12;

fn training(momentum: f64) -> Training {
    Training {
        epochs: 4,
        batch_size: 8,
        learning_rate: 0.1,
        optimiser: Optimiser::heavy_ball(momentum, 0.01),
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    }
}

fn examples(rows: usize, name: &str) -> Examples<f64> {
    let mut numbers = stream(SEED, name, 0);
    let features = Array2::from_shape_simple_fn((rows, 6), || numbers.random_range(-1.0..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..3)).collect();
    Examples::new(features, Labels::Classes(labels))
}

/// Calls `test` with a run and queries.
fn with_run(momentum: f64, test: impl Fn(&TrainedRun<'_, f64>, &Queries<f64>)) {
    let (network, train) = (Network::dense(&[6, 5, 3], Activation::Tanh), examples(20, "train"));
    assert_eq!(train.len(), TRAIN_ROWS);
    let training = training(momentum);
    let trainer = Trainer::new(&network, &train, &training, SEED);
    let states = train_states(&trainer);
    let queries = Queries { examples: examples(QUERIES, "queries"), utility: Utility::Margin };
    test(&TrainedRun::new(trainer, states, 1), &queries);
}

fn steps(steps: LoggedSteps) -> Instrumentation {
    Instrumentation { steps, ..Instrumentation::default() }
}

fn in_run(run: &dyn Run<f64>, queries: &Queries<f64>) -> Array2<f64> {
    let meter = Meter::default();
    let mut scorer = f64::fit(&InRunShapley::default(), run, &meter, SEED).unwrap();
    scorer.score(queries).unwrap().values().to_owned()
}

/// Indices of the steps that are shown.
#[derive(Default)]
struct Seen(Vec<usize>);

impl Observer<f64> for Seen {
    fn step(&mut self, step: &Step<'_, f64>) -> Result<(), RunError> {
        self.0.push(step.index);
        Ok(())
    }
}

#[test]
fn steps_that_were_not_logged_are_not_shown() {
    with_run(0.9, |run, _| {
        for (log, expected) in [
            (steps(LoggedSteps::All), (0..STEPS).collect()),
            (steps(LoggedSteps::From(9)), vec![9, 10, 11]),
            (steps(LoggedSteps::Every(5)), vec![0, 5, 10]),
        ] {
            let logged = LoggedRun::new(run, &log, SEED);
            let (mut forwards, mut backwards) = (Seen::default(), Seen::default());
            logged.replay(&mut forwards).unwrap();
            logged.replay_backwards(&mut backwards).unwrap();
            backwards.0.reverse();
            assert_eq!((&forwards.0, &backwards.0), (&expected, &expected), "{log:?}");
        }
        let log = steps(LoggedSteps::Share(0.5));
        let mut seen = Seen::default();
        LoggedRun::new(run, &log, SEED).replay(&mut seen).unwrap();
        assert_eq!(seen.0.len(), 6);
    });
}

#[test]
fn a_whole_log_gives_the_scores_of_the_run() {
    for momentum in [0.0, 0.9] {
        with_run(momentum, |run, queries| {
            let whole = Instrumentation::default();
            let logged = LoggedRun::new(run, &whole, SEED);
            assert_eq!(in_run(&logged, queries), in_run(run, queries));
        });
    }
}

#[test]
fn parts_of_a_log_add_up_without_momentum() {
    with_run(0.0, |run, queries| {
        let of = |log: &Instrumentation| in_run(&LoggedRun::new(run, log, SEED), queries);
        let layer = |name: &str| Instrumentation {
            layers: Some(vec![name.into()]),
            ..Instrumentation::default()
        };
        let layers = of(&layer("layer0")) + of(&layer("layer1"));
        let whole = in_run(run, queries);
        let largest = whole.iter().fold(0.0f64, |top, value| top.max(value.abs()));
        for (part, whole) in layers.iter().zip(&whole) {
            assert!((part - whole).abs() < 1e-13 * largest);
        }
        // The late steps are what all have beyond the early ones, which no log says by itself.
        let late = of(&steps(LoggedSteps::From(6)));
        assert!(late.iter().any(|&score| score != 0.0) && late != whole);
    });
}

#[test]
fn compressed_gradients_are_right_on_average() {
    with_run(0.0, |run, queries| {
        let log = Instrumentation { rank: Some(2), ..Instrumentation::default() };
        let whole = in_run(run, queries);
        const DRAWS: u64 = 400;
        let draws: Vec<Array2<f64>> =
            (0..DRAWS).map(|seed| in_run(&LoggedRun::new(run, &log, seed), queries)).collect();
        let views: Vec<_> = draws.iter().map(|draw| draw.view()).collect();
        let all = ndarray::stack(Axis(0), &views).unwrap();
        let (mean, deviation) = (all.mean_axis(Axis(0)).unwrap(), all.std_axis(Axis(0), 1.0));
        // 60 scores: five deviations of the mean leave one in 30,000 such tests to chance.
        for ((mean, deviation), whole) in mean.iter().zip(&deviation).zip(&whole) {
            let error = deviation / (DRAWS as f64).sqrt();
            assert!((mean - whole).abs() < 5.0 * error, "{mean} {whole} {error}");
            assert!(*deviation > 0.0);
        }
    });
}

#[test]
fn books_of_a_part_say_what_was_not_logged() {
    for momentum in [0.0, 0.9] {
        with_run(momentum, |run, queries| {
            let log = steps(LoggedSteps::Every(3));
            let logged = LoggedRun::new(run, &log, SEED);
            let meter = Meter::default();
            let mut scorer = f64::fit(&PathLedger::default(), &logged, &meter, SEED).unwrap();
            let scores = scorer.score(queries).unwrap();
            let accounts = scorer.accounts();
            let names: Vec<&str> = accounts.iter().map(|account| account.name).collect();
            assert_eq!(names, ["gain", "weight-decay", "unlogged"]);
            for q in 0..QUERIES {
                let [gain, decay, unlogged] = [0, 1, 2].map(|of| accounts[of].per_query[q]);
                let earned = scores.values().column(q).sum();
                assert!((earned + decay + unlogged - gain).abs() < 1e-13);
                assert!(unlogged.abs() > 1e-3, "{unlogged}");
            }
        });
    }
}

#[test]
fn the_size_of_a_log_by_hand() {
    with_run(0.0, |run, _| {
        // 53 parameters; every batch names its rows (4 bytes each), keeps 5 numbers at the output
        // of the first layer and 5 + 3 of the second: 13 numbers of 8 bytes.
        let size = |log: &Instrumentation| LoggedRun::new(run, log, SEED).size();
        let whole = LogSize { steps: 1.0, bytes: 80 * (4 + 13 * 8) + 13 * 53 * 8 };
        assert_eq!(size(&steps(LoggedSteps::All)), whole);
        // Steps 0 and 6, of 8 rows each, with two states each.
        let some = LogSize { steps: 2.0 / 12.0, bytes: 16 * (4 + 13 * 8) + 4 * 53 * 8 };
        assert_eq!(size(&steps(LoggedSteps::Every(6))), some);
        // At rank 4: 4 of the first layer, 4 + 3 of the second.
        let log = Instrumentation { rank: Some(4), ..Instrumentation::default() };
        assert_eq!(size(&log).bytes, 80 * (4 + 11 * 8) + 13 * 53 * 8);
        let log =
            Instrumentation { layers: Some(vec!["layer1".into()]), ..Instrumentation::default() };
        assert_eq!(size(&log).bytes, 80 * (4 + 8 * 8) + 13 * 53 * 8);
    });
}

#[test]
fn examples_that_are_not_known_are_credited_with_nothing() {
    with_run(0.9, |run, queries| {
        let score = |run: &dyn Run<f64>| {
            let meter = Meter::default();
            let mut scorer = f64::fit(&GradDot::default(), run, &meter, SEED).unwrap();
            scorer.score(queries).unwrap()
        };
        let part = KnownPart::new(run, KnownShare::try_from(0.4).unwrap(), SEED);
        // Two fifths of 20 examples.
        assert_eq!(part.run().train().len(), 8);
        let found = part.spread(&score(part.run()), run, queries).unwrap();
        let whole = score(run);
        assert_eq!(found.train_ids(), whole.train_ids());
        let known = part.run().train().ids();
        for (row, id) in whole.train_ids().iter().enumerate() {
            for query in 0..QUERIES {
                // A product of gradients does not ask what else is in the data.
                let expected = if known.contains(id) { whole.values()[(row, query)] } else { 0.0 };
                let error = (found.values()[(row, query)] - expected).abs();
                assert!(error < 1e-12, "row {row}: off by {error:e}");
            }
        }
        for share in [0.0, 1.0, f64::NAN] {
            let refused = KnownShare::try_from(share).unwrap_err();
            assert!(refused.contains("hint: use more than 0"), "{refused}");
        }
    });
}
