//! What a record of a run costs beside the run: `instrumented` draws the credits of every step and
//! writes nothing down, `recorded` writes them, with the digest of every state, into a log.
//!
//! The difference of the two, over the first, is the price of the record. Both are run in turns,
//! because a machine is never twice the same, and told in elapsed time and in time of processors:
//! what a second thread does is hidden from the one and not from the other.

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, time::Instant};

use attribench_core::{AdamW, Examples, Optimiser, Queries, Utility};
use attribench_engine::{
    given::Given,
    recording::{NumberBytes, RecordedStep, Recorder, record_states},
    training::{Schedule, Trainer, Training},
};
use attribench_models::{Activation, Gpt, Head, ModelSpec, Network, PositionKind};
use attribench_provenance::{
    Digest, SigningKey,
    recorder::{ItemFacts, Recorder as LogRecorder, RunFacts, StepFacts},
    state::StateBytes,
};
use mimalloc::MiMalloc;

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

    fn step(&mut self, step: RecordedStep) -> Result<(), String> {
        black_box(step);
        Ok(())
    }

    fn keep(
        &mut self,
        _steps: usize,
        _parameters: NumberBytes,
        _optimizer: NumberBytes,
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

    fn step(&mut self, step: RecordedStep) -> Result<(), String> {
        let facts = StepFacts {
            step: step.index as u64,
            rate: step.learning_rate,
            batch: &step.batch,
            state: Digest::of(&step.parameters.bytes),
            credits: &step.credits,
        };
        self.log().step(facts).map_err(|error| error.to_string())
    }

    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes,
        optimizer: NumberBytes,
    ) -> Result<(), String> {
        let (width, parameters, optimizer) = (parameters.width, parameters.bytes, optimizer.bytes);
        let state = StateBytes { width, parameters, optimizer };
        self.log().keep(steps as u64, &state).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        self.log().end(2).map_err(|error| error.to_string())
    }
}

fn mlp() {
    let (train, queries) =
        (random_examples(ROWS, WIDTHS[0], "train"), random_examples(64, WIDTHS[0], "queries"));
    let network = Network::dense(&WIDTHS, Activation::Tanh);
    let training = Training {
        epochs: 20,
        batch_size: 50,
        learning_rate: 0.05,
        optimiser: Default::default(),
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    };
    measure("400 steps of an MLP", &network, (&train, queries), &training);
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
        epochs: 1,
        batch_size: 16,
        learning_rate: 0.001,
        optimiser: Optimiser::AdamW(AdamW::default()),
        clip_norm: Some(1.0),
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    };
    measure("16 steps of a GPT", &network, (&train, queries), &training);
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

fn measure(
    name: &str,
    network: &Network,
    (train, examples): (&Examples<f32>, Examples<f32>),
    training: &Training,
) {
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    let trainer = Trainer::new(network, train, training, SEED);
    let instrumented = || {
        black_box(record_states(&trainer, &queries, &mut Silent).unwrap());
    };
    let recorded = || {
        let folder = tempfile::tempdir().unwrap();
        let mut writing = Writing { folder: &folder.path().join("log"), log: None };
        black_box(record_states(&trainer, &queries, &mut writing).unwrap());
    };
    instrumented();
    recorded();
    let (mut elapsed, mut processors) = (Vec::new(), [0.0; 2]);
    for pair in 0..PAIRS {
        let mut seconds = [0.0; 2];
        // Whoever comes first changes places: a clock that drifts favours nobody.
        for kind in [pair % 2, 1 - pair % 2] {
            let (before, start) = (processor_seconds(), Instant::now());
            if kind == 0 {
                instrumented()
            } else {
                recorded()
            }
            seconds[kind] = start.elapsed().as_secs_f64();
            processors[kind] += processor_seconds() - before;
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
