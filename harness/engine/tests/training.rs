//! A run is one function of seed and data weights, however it is asked: alone or beside others,
//! watched or not, forwards or backwards, on one thread or on two.

use attribench_core::{
    AdamW, Examples, FitReal, Meter, Model, Observer, Optimiser, Quantity, Queries, Run, RunError,
    Step, Utility, WeightDecay,
};
use attribench_datasets::{
    Dataset, Ownership, Source, SplitOptions, Standardisation, Stratification, assign_owners, load,
    split,
};
use attribench_engine::{
    given::Given,
    progress::Silent,
    retrain::Retrainer,
    spec::{Coalitions, Removals, Subsets, Truths},
    store::{Key, Store},
    trace::{Keeping, TrainedRun, train_states},
    training::{Schedule, State, Trainer, Training},
    truths::{MeasuredTruths, RemovalTruth, measure, repeat_seed},
};
use attribench_methods::Metagradient;
use attribench_models::{Activation, Cnn, ModelSpec, Network, Normalisation};
use ndarray::Array2;

const SEED: u64 = 11;

/// A batch size that leaves a short last batch, so that the constant divisor matters.
const TRAINING: Training = Training {
    epochs: 6,
    batch_size: 7,
    learning_rate: 0.1,
    optimiser: Optimiser::heavy_ball(0.9, 0.01),
    clip_norm: None,
    schedule: Schedule::Cosine,
    rounds: None,
    given: Given::NONE,
};

/// Wine, split and owned, with the model that is trained on it.
struct Setting {
    network: Network,
    train: Dataset,
    examples: Examples<f64>,
    queries: Queries<f64>,
}

impl Setting {
    fn new() -> Self {
        let options = SplitOptions {
            train_size: Some(40),
            query_size: 9,
            tuning_query_size: 0,
            stratification: Stratification::ByClass,
        };
        let splits = split(load(&Source::Embedded("wine".into())).unwrap(), &options, 2).unwrap();
        let ownership = Ownership::Equal { contributors: 5 };
        let owned = assign_owners(splits.train().clone(), &ownership, 2).unwrap();
        let splits = splits.with_train(owned).unwrap();
        let splits = splits.standardised(Standardisation::PerFeature).unwrap();
        let (train, queries, _) = splits.into_parts();
        Self {
            network: Network::dense(&[13, 8, 3], Activation::Tanh),
            examples: Examples::from_dataset(&train),
            queries: Queries {
                examples: Examples::from_dataset(&queries),
                utility: Utility::Margin,
            },
            train,
        }
    }

    fn trainer(&self) -> Trainer<'_, f64> {
        Trainer::new(&self.network, &self.examples, &TRAINING, SEED)
    }

    fn steps(&self) -> usize {
        TRAINING.steps(self.examples.len())
    }

    /// Weights 1 but for the rows left out.
    fn without(&self, rows: &[usize]) -> Vec<f64> {
        let weight = |row| if rows.contains(&row) { 0.0 } else { 1.0 };
        (0..self.examples.len()).map(weight).collect()
    }

    /// Utilities at the end of the run of a seed with these weights, trained by itself.
    fn utilities(&self, weights: Vec<f64>, seed: u64) -> Vec<f64> {
        let trainer = Trainer::new(&self.network, &self.examples, &TRAINING, seed);
        let theta = trainer.final_parameters(&[weights]).remove(0);
        self.network.utilities(&theta, &self.queries.examples, self.queries.utility)
    }

    /// Truths on a pool of `threads`, and how many trainings it took.
    fn measure(&self, truths: &Truths, store: &Store, threads: usize) -> (MeasuredTruths, usize) {
        let retrainer = Retrainer {
            model: &self.network,
            train: &self.examples,
            training: &TRAINING,
            queries: &self.queries,
            key: Key::of_content(b"the only recipe of this store"),
            store,
            done: Default::default(),
            known: Default::default(),
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| measure(truths, &self.train, SEED, &retrainer, &Silent));
        (found.unwrap(), retrainer.done.into_inner())
    }
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<u64> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

/// All that a step shows, as bits.
#[derive(Debug, PartialEq)]
struct Seen {
    index: usize,
    rows: Vec<usize>,
    weights: Vec<u64>,
    learning_rate: u64,
    before: Vec<u64>,
    after: Vec<u64>,
    moments: Vec<Vec<u64>>,
    captures: Vec<[Vec<u64>; 2]>,
}

#[derive(Default)]
struct Recorder(Vec<Seen>);

impl Observer<f64> for Recorder {
    fn step(&mut self, step: &Step<'_, f64>) -> Result<(), RunError> {
        let layers = step.captures.layers.iter();
        self.0.push(Seen {
            index: step.index,
            rows: step.rows.to_vec(),
            weights: bits(step.weights),
            learning_rate: step.learning_rate.to_bits(),
            before: bits(step.before),
            after: bits(step.after),
            moments: step.moments.iter().map(bits).collect(),
            captures: layers
                .map(|layer| {
                    let inputs = layer.inputs.values().expect("dense layers read numbers");
                    [bits(inputs), bits(&layer.output_gradients)]
                })
                .collect(),
        });
        Ok(())
    }
}

#[test]
fn a_stack_of_any_width_ends_where_single_models_end() {
    let setting = Setting::new();
    let trainer = setting.trainer();
    let weights: Vec<Vec<f64>> = (0..7).map(|model| setting.without(&[model, 3 * model])).collect();
    let alone: Vec<Vec<u64>> = weights
        .iter()
        .map(|weights| bits(&trainer.final_parameters(std::slice::from_ref(weights))[0]))
        .collect();
    assert_ne!(alone[0], alone[1], "data weights change where a model ends");
    for width in [2, 3, 7] {
        let together: Vec<Vec<u64>> = weights
            .chunks(width)
            .flat_map(|weights| trainer.final_parameters(weights))
            .map(|theta| bits(&theta))
            .collect();
        assert!(together == alone, "stacks of {width} differ from single models");
    }
}

#[test]
fn a_watched_run_is_the_run() {
    let setting = Setting::new();
    let (trainer, steps) = (setting.trainer(), setting.steps());
    let ones = setting.without(&[]);
    let weighted = trainer.final_parameters(&[ones]).remove(0);
    let straight = trainer.advance(&trainer.start(), steps);
    let mut recorder = Recorder::default();
    // In two pieces, cut inside an epoch, as a replay does.
    let halfway = trainer.observe(&trainer.start(), 10, &mut recorder).unwrap();
    assert_eq!(halfway.step, 10);
    let watched = trainer.observe(&halfway, steps, &mut recorder).unwrap();

    assert_eq!(bits(&straight.parameters), bits(&weighted));
    assert_eq!(bits(&watched.parameters), bits(&weighted));
    assert_eq!(bits(&watched.moments[0]), bits(&straight.moments[0]));
    assert_eq!((watched.step, straight.step), (steps, steps));

    let seen = recorder.0;
    assert_eq!(seen.len(), steps);
    assert_eq!(seen[0].before, bits(trainer.initial()));
    assert_eq!(seen[steps - 1].after, bits(&weighted));
    for (index, step) in seen.iter().enumerate() {
        assert_eq!(step.index, index);
        assert_eq!(step.rows, trainer.order().batches()[index]);
        assert_eq!(step.captures[0][0].len(), step.rows.len() * 13, "a capture a row");
    }
    assert!(seen.windows(2).all(|pair| pair[0].after == pair[1].before));
}

fn replayed(run: &TrainedRun<'_, f64>, backwards: bool) -> Result<Vec<Seen>, RunError> {
    let mut recorder = Recorder::default();
    if backwards { run.replay_backwards(&mut recorder) } else { run.replay(&mut recorder) }?;
    Ok(recorder.0)
}

#[test]
fn both_replays_show_the_steps_of_the_run() {
    let setting = Setting::new();
    let trainer = setting.trainer();
    let mut recorder = Recorder::default();
    trainer.observe(&trainer.start(), setting.steps(), &mut recorder).unwrap();
    let states = train_states(&trainer);
    let run = TrainedRun::new(trainer, states, 3);

    let forwards = replayed(&run, false).unwrap();
    let mut backwards = replayed(&run, true).unwrap();
    assert_eq!(backwards[0].index, setting.steps() - 1, "backwards begins at the end");
    backwards.reverse();
    assert!(forwards == recorder.0, "the replay differs from the run");
    assert!(backwards == recorder.0, "the replay backwards differs from the run");
    assert_eq!(bits(run.final_parameters()), forwards[setting.steps() - 1].after);
}

#[test]
fn a_run_of_convolutions_replays_both_ways() {
    // Such networks train one after the other in a stack of another kind.
    let cnn = Cnn {
        image: [1, 13, 1],
        channels: vec![2],
        kernel: 1,
        pool: 1,
        normalisation: Normalisation::None,
        hidden: vec![],
        activation: Activation::Tanh,
    };
    let setting = Setting { network: cnn.build(13, 3).unwrap(), ..Setting::new() };
    let trainer = setting.trainer();
    let states = train_states(&trainer);
    let run = TrainedRun::new(trainer, states, 4);
    let mut backwards = replayed(&run, true).unwrap();
    backwards.reverse();
    assert_eq!(backwards.len(), setting.steps());
    assert!(backwards == replayed(&run, false).unwrap(), "the replay backwards differs");
}

#[test]
fn a_state_that_was_changed_is_noticed() {
    let setting = Setting::new();
    let kept = setting.trainer().kept_steps();
    let changes: [fn(&mut State<f64>); 2] =
        [|state| state.parameters[5] += 1e-9, |state| state.moments[0][5] += 1e-9];
    for change in changes {
        let trainer = setting.trainer();
        let mut states = train_states(&trainer);
        change(&mut states[2]);
        let run = TrainedRun::new(trainer, states, 1);
        // Forwards the changed state is not reached; backwards it does not lead to the next one.
        for (backwards, expected) in [(false, kept[2]), (true, kept[3])] {
            match replayed(&run, backwards) {
                Err(RunError::ReplayDiffers { step }) => assert_eq!(step, expected),
                other => panic!("backwards {backwards}: {:?}", other.map(|steps| steps.len())),
            }
        }
    }
}

#[test]
fn a_run_of_adam_with_clipping_replays_both_ways_and_shows_its_moments() {
    let setting = Setting::new();
    let adam = AdamW { weight_decay: WeightDecay::Decoupled(0.01), ..AdamW::default() };
    let training = Training {
        learning_rate: 0.02,
        optimiser: Optimiser::AdamW(adam),
        clip_norm: Some(0.5),
        ..TRAINING
    };
    let trainer = Trainer::new(&setting.network, &setting.examples, &training, SEED);
    let straight = trainer.advance(&trainer.start(), setting.steps());
    let run = TrainedRun::new(trainer.clone(), train_states(&trainer), 3);
    assert_eq!(run.states().last(), Some(&straight));
    let forwards = replayed(&run, false).unwrap();
    let mut backwards = replayed(&run, true).unwrap();
    backwards.reverse();
    assert!(forwards == backwards, "the replay backwards differs");
    assert_eq!(
        forwards[setting.steps() - 1].moments,
        straight.moments.iter().map(bits).collect::<Vec<_>>()
    );
    for (checkpoint, moments) in run.checkpoints().iter().zip(run.moments()) {
        let state = trainer.advance(&trainer.start(), checkpoint.step);
        assert_eq!((&state.parameters, &state.moments), (&checkpoint.parameters, moments));
    }

    // A moment that was changed does not lead to the next state.
    let mut states = train_states(&trainer);
    states[2].moments[1][5] *= 1.0 + 1e-9;
    let run = TrainedRun::new(trainer, states, 1);
    assert!(matches!(replayed(&run, true), Err(RunError::ReplayDiffers { .. })));
}

#[test]
fn what_is_replayed_does_not_depend_on_the_states_kept() {
    let setting = Setting::new();
    let adam = AdamW { eps_root: 1e-6, ..AdamW::default() };
    let optimisers = [TRAINING.optimiser, Optimiser::AdamW(adam)];
    for optimiser in optimisers {
        let training = Training { learning_rate: 0.02, optimiser, ..TRAINING };
        let trainer = Trainer::new(&setting.network, &setting.examples, &training, SEED);
        let seen = |keeping: Keeping| {
            let trainer = trainer.clone().with_keeping(keeping);
            let states = train_states(&trainer);
            let (held, run) = (states.len(), TrainedRun::new(trainer, states, 2));
            let meter = Meter::default();
            let mut scorer = f64::fit(&Metagradient::default(), &run, &meter, SEED).unwrap();
            let scores = bits(&scorer.score(&setting.queries).unwrap().values().to_owned());
            (held, replayed(&run, true).unwrap(), scores)
        };
        let (held, steps, scores) = seen(Keeping::SquareRoot);
        // 36 steps: every sixth state, and the end.
        assert_eq!((setting.steps(), held), (36, 7));
        let others = [(1, 2), (2, 3), (4, 5), (100, 37)]
            .map(|(states, held)| (Keeping::Binomial { states }, held));
        for (keeping, expected) in others.into_iter().chain([(Keeping::All, 37)]) {
            let (held, other_steps, other_scores) = seen(keeping);
            assert_eq!(held, expected, "{keeping:?}");
            assert!(other_steps == steps, "{keeping:?} shows other steps");
            assert!(other_scores == scores, "{keeping:?} gives other scores");
        }
    }
}

#[test]
fn binomial_replay_notices_a_changed_state() {
    let setting = Setting::new();
    for changed in 0..3 {
        let trainer = setting.trainer().with_keeping(Keeping::Binomial { states: 3 });
        let mut states = train_states(&trainer);
        states[changed].moments[0][5] += 1e-9;
        let run = TrainedRun::new(trainer, states, 1);
        assert!(matches!(replayed(&run, true), Err(RunError::ReplayDiffers { .. })), "{changed}");
    }
}

/// The update as it is written down, one gradient at a time, over batches from which some rows
/// have been struck out; the divisor stays.
fn by_hand(setting: &Setting, left_out: &[usize]) -> Vec<f64> {
    let trainer = setting.trainer();
    let mut theta = trainer.initial().to_vec();
    let mut velocity = vec![0.0; theta.len()];
    for (step, batch) in trainer.order().batches().iter().enumerate() {
        let mut mean = vec![0.0; theta.len()];
        for &row in batch.iter().filter(|row| !left_out.contains(row)) {
            let example = setting.examples.select(&[row]);
            let gradient = setting.network.gradient(&theta, &example, Quantity::Loss, &[1.0]);
            for (sum, value) in mean.iter_mut().zip(gradient) {
                *sum += value / TRAINING.batch_size as f64;
            }
        }
        let learning_rate = TRAINING.learning_rate_at(step, setting.examples.len());
        for ((theta, velocity), mean) in theta.iter_mut().zip(&mut velocity).zip(mean) {
            *velocity = 0.9 * *velocity + mean + 0.01 * *theta;
            *theta -= learning_rate * *velocity;
        }
    }
    theta
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn relative_distance(left: &[f64], right: &[f64]) -> f64 {
    let distance = norm(left.iter().zip(right).map(|(left, right)| left - right));
    distance / norm(right.iter().copied())
}

#[test]
fn weight_zero_is_never_having_had_the_example() {
    let setting = Setting::new();
    let everything = by_hand(&setting, &[]);
    // The last list empties whole batches.
    for left_out in [vec![], vec![4], (0..30).collect::<Vec<_>>(), (0..39).collect()] {
        let weights = setting.without(&left_out);
        let theta = setting.trainer().final_parameters(&[weights]).remove(0);
        let expected = by_hand(&setting, &left_out);
        let distance = relative_distance(&theta, &expected);
        assert!(distance < 1e-10, "{} left out: {distance:e}", left_out.len());
        let effect = relative_distance(&expected, &everything);
        assert!(left_out.is_empty() || effect > 1e-4, "leaving out shows: {effect:e}");
    }
}

const REMOVALS: Truths = Truths {
    subsets: None,
    leave_one_out: Some(Removals { count: Some(4), seeds: 2 }),
    leave_contributor_out: Some(Removals { count: None, seeds: 1 }),
    game: None,
};

/// Effects by definition, each model trained by itself.
fn effects_by_hand(setting: &Setting, truth: &RemovalTruth, repeat: usize) -> Array2<f64> {
    let seed = repeat_seed(SEED, repeat);
    let everything = setting.utilities(setting.without(&[]), seed);
    let mut effects = Array2::zeros((truth.groups.len(), everything.len()));
    for (mut row, group) in effects.outer_iter_mut().zip(&truth.groups) {
        let without = setting.utilities(setting.without(group), seed);
        for ((effect, all), without) in row.iter_mut().zip(&everything).zip(&without) {
            *effect = all - without;
        }
    }
    effects
}

#[test]
fn effects_of_removals_are_what_retraining_by_hand_gives() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (truths, trained) = setting.measure(&REMOVALS, &store, 1);
    // Two seeds of four examples and everything; one of five contributors and everything.
    assert_eq!(trained, 2 * (4 + 1) + (5 + 1));
    let [examples, contributors] = &truths.removals[..] else {
        panic!("two truths were asked for")
    };
    assert_eq!((examples.id, examples.effects.len()), ("leave-one-out", 2));
    assert!(examples.groups.iter().all(|group| group.len() == 1));
    assert_eq!((contributors.id, contributors.effects.len()), ("leave-contributor-out", 1));
    assert_eq!(contributors.groups.iter().map(Vec::len).sum::<usize>(), setting.examples.len());
    for truth in [examples, contributors] {
        for (repeat, found) in truth.effects.iter().enumerate() {
            let expected = effects_by_hand(&setting, truth, repeat);
            assert!(expected.iter().any(|effect| effect.abs() > 1e-6), "effects are not nothing");
            assert_eq!(bits(found), bits(&expected), "{} under seed {repeat}", truth.id);
        }
    }
}

#[test]
fn truths_depend_neither_on_threads_nor_on_the_store() {
    let setting = Setting::new();
    // More subsets than a stack is wide, so that two threads have units to share.
    let truths = Truths {
        subsets: Some(Subsets { fraction: 0.5, subsets: 70, seeds: 2, tuning: 0 }),
        ..REMOVALS
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let stores = folders.each_ref().map(|folder| Store::open(folder.path()).unwrap());
    let (one, trained) = setting.measure(&truths, &stores[0], 1);
    let (two, trained_by_two) = setting.measure(&truths, &stores[1], 2);
    assert_eq!((trained, trained_by_two), (140 + 16, 140 + 16));
    let (stored, trained_again) = setting.measure(&truths, &stores[0], 2);
    assert_eq!(trained_again, 0, "everything lies in the store");
    let expected = all_bits(&one);
    assert!(all_bits(&two) == expected, "two threads differ from one");
    assert!(all_bits(&stored) == expected, "the store differs from training");
}

/// Every number of the truths.
fn all_bits(truths: &MeasuredTruths) -> Vec<Vec<u64>> {
    let subsets = truths.subsets.as_ref().expect("subsets were asked for");
    let removals = truths.removals.iter().flat_map(|truth| &truth.effects);
    subsets.utilities.iter().chain(removals).map(bits).collect()
}

const GAME: Truths = Truths {
    subsets: None,
    leave_one_out: None,
    leave_contributor_out: None,
    game: Some(Coalitions { seeds: 1, parts: 1 }),
};

#[test]
fn every_coalition_is_the_model_that_it_alone_would_train() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (found, trained) = setting.measure(&GAME, &store, 2);
    let game = found.game.unwrap();
    assert_eq!((trained, game.table.is_complete()), (32, true));
    let table = game.table.by_seed().next().unwrap().to_owned();
    for mask in [0b00000u32, 0b00001, 0b10110, 0b11111] {
        let owners = setting.train.owners().iter();
        let kept: Vec<f64> = owners.map(|owner| f64::from(mask >> owner & 1)).collect();
        let alone = setting.utilities(kept, SEED);
        assert_eq!(bits(table.row(mask as usize)), bits(&alone), "coalition {mask:b}");
    }
}

#[test]
fn a_table_is_resumed_after_a_kill_and_grows_by_seeds() {
    let setting = Setting::new();
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(whole.path()).unwrap();
    let (first, _) = setting.measure(&GAME, &store, 1);
    // Nothing is trained again, and a second seed trains its own coalitions only.
    assert_eq!(setting.measure(&GAME, &store, 2), (first.clone(), 0));
    let two = Truths { game: Some(Coalitions { seeds: 2, parts: 1 }), ..GAME };
    let (grown, trained) = setting.measure(&two, &store, 2);
    assert_eq!(trained, 32);
    let first = first.game.unwrap().table;
    let grown = grown.game.unwrap().table;
    assert_eq!(first.by_seed().next().unwrap(), grown.by_seed().next().unwrap());
    // A process that was killed between the seeds left one of two blocks.
    let blocks = |folder: &std::path::Path| -> Vec<std::path::PathBuf> {
        let group = std::fs::read_dir(folder.join("evaluations")).unwrap().next().unwrap();
        let files = std::fs::read_dir(group.unwrap().path()).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let files = blocks(whole.path());
    assert_eq!(files.len(), 2);
    let kept = cut.path().join(files[0].strip_prefix(whole.path()).unwrap());
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::copy(&files[0], &kept).unwrap();
    let (resumed, trained) = setting.measure(&two, &Store::open(cut.path()).unwrap(), 2);
    assert_eq!((resumed.game.unwrap().table, trained), (grown, 32));
}

#[test]
fn parts_of_contributors_make_up_the_whole() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (whole, _) = setting.measure(&GAME, &store, 2);
    let halves = Truths { game: Some(Coalitions { seeds: 1, parts: 2 }), ..GAME };
    let (halved, trained) = setting.measure(&halves, &store, 2);
    // 2^10 coalitions of halves, of which the 2^5 of whole contributors were there already.
    assert_eq!(trained, 1024 - 32);
    let by_contributor = halved.game.unwrap().of_contributors(9).unwrap();
    assert_eq!(by_contributor, whole.game.unwrap().table);
}
