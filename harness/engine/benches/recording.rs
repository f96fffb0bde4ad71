//! What a record of a run costs beside the run.
//!
//! `--log` does two things. It draws credits at every step, which makes the training an
//! instrumented one; and it writes them down, with the digest of every state, into a log. That is
//! the record, and its price is told as a share
//! - of the training that draws these credits, for one mean over 64 queries: the least that an
//!   instrumented run can be;
//! - of what `attribench run` does where exact methods are asked, in-run Shapley and the path
//!   ledger with a column for each query: the instrumented run that pays people;
//! - of the plain training.
//!
//! The record is kept on the thread that trains, so that the time spent in its calls is its price;
//! what it takes from caches is not in that. So trainings with and without it are also run in
//! turns, and told in elapsed time and in time of processors.

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use attribench_core::{AdamW, ErasedMethod, FitReal, Meter, Optimiser, Queries, Utility};
use attribench_engine::{
    given::Given,
    recording::{NumberBytes, RecordedStep, Recorder, record_states},
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{InRunShapley, PathLedger};
use attribench_models::{Activation, Gpt, Head, ModelSpec, Network, PositionKind};
use attribench_provenance::{
    Digest, SigningKey, StateDigest,
    recorder::{ItemFacts, Recorder as LogRecorder, RunFacts, StepFacts},
    state::StateBytes,
};
use mimalloc::MiMalloc;
use tempfile::TempDir;

use common::{SEED, random_examples, random_texts};

mod common;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const ROWS: usize = 1_000;
const TEXTS: usize = 256;
const POSITIONS: usize = 64;
const VOCABULARY: usize = 96;

/// Listens and writes nothing.
struct Silent;

impl Recorder for Silent {
    fn begin(&mut self, _batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String> {
        Ok(())
    }

    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String> {
        black_box(step);
        Ok(())
    }

    fn keep(
        &mut self,
        _steps: usize,
        _parameters: NumberBytes<'_>,
        _optimizer: NumberBytes<'_>,
    ) -> Result<(), String> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Writes a log, as the program does.
struct Writing<'a> {
    folder: &'a Path,
    log: Option<LogRecorder>,
}

impl Writing<'_> {
    fn log(&mut self) -> &mut LogRecorder {
        self.log.as_mut().expect("the run has begun")
    }
}

impl Recorder for Writing<'_> {
    fn begin(&mut self, batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String> {
        let digest = Digest::of(b"bench");
        let facts = RunFacts {
            run: "bench".to_owned(),
            binary: digest,
            code: digest,
            configuration: digest,
            environment: BTreeMap::new(),
            lockfile: digest,
            model: "mlp".to_owned(),
            parameters: 0,
            precision: "f32".to_owned(),
            seed: SEED,
            time: 1,
        };
        let item = |example: u32| ItemFacts {
            example,
            content: Digest::of(&example.to_be_bytes()),
            owner: example % 10,
            licence: "CC0-1.0".to_owned(),
            time: None,
        };
        let items: Vec<ItemFacts> = (0..ROWS as u32).map(item).collect();
        let names: Vec<String> = (0..10).map(|owner| format!("contributor-{owner}")).collect();
        let key = SigningKey::from_seed("bench", [1; 32]).ok();
        let log = LogRecorder::begin(self.folder, key, facts, &items, &names, batches);
        self.log = Some(log.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String> {
        let facts = StepFacts {
            step: step.index as u64,
            rate: step.learning_rate,
            batch: &step.batch,
            state: StateDigest::of(&step.parameters.bytes),
            credits: &step.credits,
        };
        self.log().step(facts).map_err(|error| error.to_string())
    }

    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes<'_>,
        optimizer: NumberBytes<'_>,
    ) -> Result<(), String> {
        let (width, parameters, optimizer) = (parameters.width, parameters.bytes, optimizer.bytes);
        let state = StateBytes { width, parameters, optimizer };
        self.log().keep(steps as u64, &state).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        self.log().end(2).map_err(|error| error.to_string())
    }
}

/// Time that calls of a recorder took, and how many there were.
#[derive(Default)]
struct Spent {
    begin: Duration,
    steps: (Duration, u32),
    kept: (Duration, u32),
    end: Duration,
}

/// A recorder that is timed.
struct Timed<'a> {
    recorder: &'a mut dyn Recorder,
    spent: Spent,
}

impl Recorder for Timed<'_> {
    fn begin(&mut self, batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String> {
        let start = Instant::now();
        let done = self.recorder.begin(batches);
        self.spent.begin = start.elapsed();
        done
    }

    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String> {
        let start = Instant::now();
        let done = self.recorder.step(step);
        self.spent.steps.0 += start.elapsed();
        self.spent.steps.1 += 1;
        done
    }

    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes<'_>,
        optimizer: NumberBytes<'_>,
    ) -> Result<(), String> {
        let start = Instant::now();
        let done = self.recorder.keep(steps, parameters, optimizer);
        self.spent.kept.0 += start.elapsed();
        self.spent.kept.1 += 1;
        done
    }

    fn end(&mut self) -> Result<(), String> {
        let start = Instant::now();
        let done = self.recorder.end();
        self.spent.end = start.elapsed();
        done
    }
}

fn mlp() {
    let (train, queries) =
        (random_examples(ROWS, WIDTHS[0], "train"), random_examples(64, WIDTHS[0], "queries"));
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    let queries = Queries { examples: queries, utility: Utility::NegativeLoss };
    for (name, optimiser) in [
        ("400 steps of an MLP, plain descent", Optimiser::default()),
        ("400 steps of an MLP with momentum", Optimiser::heavy_ball(0.9, 0.0)),
    ] {
        let training = Training {
            epochs: 20,
            batch_size: 50,
            learning_rate: 0.05,
            optimiser,
            clip_norm: None,
            schedule: Schedule::Constant,
            rounds: None,
            given: Given::NONE,
        };
        let trainer = Trainer::new(&network, &train, &training, SEED);
        let methods: [&dyn ErasedMethod; 2] = [&InRunShapley::default(), &PathLedger::default()];
        take_apart(name, &trainer, &queries, &methods, 5);
        in_turns(name, &trainer, &queries);
    }
}

fn gpt() {
    let (train, queries) = (
        random_texts((TEXTS, POSITIONS), VOCABULARY, "train"),
        random_texts((16, POSITIONS), VOCABULARY, "queries"),
    );
    let (positions, head) = (PositionKind::Learned, Head::Untied);
    let gpt = Gpt { layers: 2, width: 128, heads: 4, positions, head };
    let network = gpt.build(POSITIONS, VOCABULARY).expect("a model in range");
    let training = Training {
        epochs: 7,
        batch_size: 16,
        learning_rate: 0.001,
        optimiser: Optimiser::AdamW(AdamW::default()),
        clip_norm: Some(1.0),
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    };
    let queries = Queries { examples: queries, utility: Utility::NegativeLoss };
    let trainer = Trainer::new(&network, &train, &training, SEED);
    // Its books take minutes: beside them the record is nothing.
    take_apart("112 steps of a GPT", &trainer, &queries, &[], 2);
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

/// Trains with a record in a folder of its own, which is returned: to remove it is no part of the
/// record; and what its calls took.
fn recorded(trainer: &Trainer<'_, f32>, queries: &Queries<f32>) -> (TempDir, Spent) {
    let folder = tempfile::tempdir().unwrap();
    let mut writing = Writing { folder: &folder.path().join("log"), log: None };
    let mut timed = Timed { recorder: &mut writing, spent: Spent::default() };
    black_box(record_states(trainer, queries, &mut timed).unwrap());
    let spent = timed.spent;
    (folder, spent)
}

/// Where the time of a record goes, beside plain training, credits and exact methods.
fn take_apart(
    name: &str,
    trainer: &Trainer<'_, f32>,
    queries: &Queries<f32>,
    methods: &[&dyn ErasedMethod],
    rounds: usize,
) {
    let plain = seconds(|| train_states(trainer));
    let credited = seconds(|| record_states(trainer, queries, &mut Silent).unwrap());
    let run = TrainedRun::new(trainer.clone(), train_states(trainer), 1);
    let scored = seconds(|| {
        for method in methods {
            let meter = Meter::default();
            let mut scorer = f32::fit(*method, &run, &meter, SEED).expect("the method fits");
            black_box(scorer.score(queries).expect("the run is finite"));
        }
    });
    println!("{name}: plain {plain:.3} s, with credits {credited:.3} s, scored {scored:.3} s more");
    for _ in 0..rounds {
        let (_folder, spent) = recorded(trainer, queries);
        let fixed = (spent.begin + spent.end).as_secs_f64();
        let (steps, kept) = (spent.steps.0.as_secs_f64(), spent.kept.0.as_secs_f64());
        let percent = |seconds: f64, of: f64| 100.0 * seconds / of;
        println!(
            "  record: {:.1} ms at its ends, {:.4} ms a step, {:.3} ms a kept state ({} of them); \
             steps and states {:.2} % of training with credits, {:.2} % of plain, {:.2} % of plain \
             and scored; with its ends {:.2} %, {:.2} %, {:.2} %",
            1e3 * fixed,
            1e3 * steps / f64::from(spent.steps.1),
            1e3 * kept / f64::from(spent.kept.1),
            spent.kept.1,
            percent(steps + kept, credited),
            percent(steps + kept, plain),
            percent(steps + kept, plain + scored),
            percent(fixed + steps + kept, credited),
            percent(fixed + steps + kept, plain),
            percent(fixed + steps + kept, plain + scored),
        );
    }
}

/// Pairs of runs, one of each kind.
const PAIRS: usize = 20;
/// Ticks a second in which the kernel tells the time of processors.
const TICKS_A_SECOND: f64 = 100.0;

/// Seconds that processors spent on this process, threads that ended among them.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux says what a process took");
    // Behind the name, which may hold spaces: user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(')').expect("the name stands in parentheses");
    let ticks = |place: usize| -> f64 {
        fields.split_whitespace().nth(place).and_then(|field| field.parse().ok()).expect("ticks")
    };
    (ticks(11) + ticks(12)) / TICKS_A_SECOND
}

/// Trainings that draw credits, with a record and without one, in turns.
fn in_turns(name: &str, trainer: &Trainer<'_, f32>, queries: &Queries<f32>) {
    let instrumented = || {
        black_box(record_states(trainer, queries, &mut Silent).unwrap());
    };
    instrumented();
    drop(recorded(trainer, queries));
    let (mut elapsed, mut processors) = (Vec::new(), [0.0; 2]);
    for pair in 0..PAIRS {
        let mut seconds = [0.0; 2];
        // Whoever comes first changes places: a clock that drifts favours nobody.
        for kind in [pair % 2, 1 - pair % 2] {
            let (before, start) = (processor_seconds(), Instant::now());
            let folder = match kind {
                0 => {
                    instrumented();
                    None
                }
                _ => Some(recorded(trainer, queries)),
            };
            seconds[kind] = start.elapsed().as_secs_f64();
            processors[kind] += processor_seconds() - before;
            drop(folder);
        }
        elapsed.push(seconds);
    }
    let mut shares: Vec<f64> = elapsed.iter().map(|[plain, with]| with / plain - 1.0).collect();
    shares.sort_by(f64::total_cmp);
    // Order statistics around the median: of 20 pairs the 6th and the 15th, with 96 %.
    let percent = |place: usize| 100.0 * shares[place];
    let mean = elapsed.iter().map(|[plain, _]| plain).sum::<f64>() / PAIRS as f64;
    println!(
        "{name}: instrumented {mean:.4} s; recorded {:+.1} % elapsed (median of {PAIRS} pairs, \
         {:+.1} to {:+.1}), {:+.1} % of processors' time ({:.3} s against {:.3} s a run)",
        0.5 * (percent(9) + percent(10)),
        percent(5),
        percent(14),
        100.0 * (processors[1] / processors[0] - 1.0),
        processors[1] / PAIRS as f64,
        processors[0] / PAIRS as f64,
    );
}

/// All of it, or what is named behind `--`: `mlp`, `gpt`.
fn main() {
    let named: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |name: &str| named.is_empty() || named.iter().any(|word| word == name);
    if is_asked("mlp") {
        mlp();
    }
    if is_asked("gpt") {
        gpt();
    }
}
