//! What a record of a run costs beside the run: `instrumented` draws the credits of every step and
//! writes nothing down, `recorded` writes them, with the digest of every state, into a log.
//!
//! The ratio of the two is the price of the record. The first head and the last are signed and
//! brought to the disk in both cases of `recorded`; that is a constant of some files.

use std::{collections::BTreeMap, hint::black_box, path::Path, time::Duration};

use attribench_core::{
    AdamW, Examples, Labels, Optimiser, Queries, TokenLoss, TokenTargets, Utility, stream,
};
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
use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use ndarray::Array2;
use rand::RngExt;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const WIDTHS: [usize; 4] = [784, 128, 64, 10];
const ROWS: usize = 1_000;
const POSITIONS: usize = 64;
const VOCABULARY: usize = 96;
const SEED: u64 = 1;

fn random_examples(rows: usize, name: &str) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let features =
        Array2::from_shape_simple_fn((rows, WIDTHS[0]), || numbers.random_range(-1.0f32..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..10)).collect();
    Examples::new(features, Labels::Classes(labels))
}

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

fn mlp(criterion: &mut Criterion) {
    let (train, queries) = (random_examples(ROWS, "train"), random_examples(64, "queries"));
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
    measure(criterion, "400 steps of an MLP", &network, (&train, queries), &training);
}

fn random_texts(rows: usize, name: &str) -> Examples<f32> {
    let mut numbers = stream(SEED, name, 0);
    let mut draw = || numbers.random_range(0..VOCABULARY as u32);
    let features = Array2::from_shape_simple_fn((rows, POSITIONS), || draw() as f32);
    let targets = Array2::from_shape_simple_fn((rows, POSITIONS), draw);
    Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Mean)))
}

fn gpt(criterion: &mut Criterion) {
    let (train, queries) = (random_texts(ROWS, "train"), random_texts(16, "queries"));
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
    measure(criterion, "63 steps of a GPT", &network, (&train, queries), &training);
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    network: &Network,
    (train, examples): (&Examples<f32>, Examples<f32>),
    training: &Training,
) {
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    let trainer = Trainer::new(network, train, training, SEED);
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let start = trainer.start();
    let steps = trainer.order().batches().len();
    group.bench_function("plain", |bencher| {
        bencher.iter(|| black_box(trainer.advance(&start, steps)));
    });
    group.bench_function("instrumented", |bencher| {
        bencher.iter(|| black_box(record_states(&trainer, &queries, &mut Silent).unwrap()));
    });
    group.bench_function("recorded", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir().unwrap(),
            |folder| {
                let mut writing = Writing { folder: &folder.path().join("log"), log: None };
                black_box(record_states(&trainer, &queries, &mut writing).unwrap());
                folder
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, mlp, gpt);
criterion_main!(benches);
