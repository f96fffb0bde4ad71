//! Scores of training examples by one method, as a process of its own, as JSON: `score_process
//! SETTING METHOD [PARAMETERS]`, with parameters as JSON.
//!
//! Settings are those of `bench-peers`, in single precision. On Fashion-MNIST, for 500 queries:
//! `softmax`, regression 784 -> 10 on 1,000 examples, trained by 200 full-batch steps; `mlp`,
//! 784-128-64-10 on 5,000 examples, 400 steps of 50. On windows of 64 bytes of eight authors, for
//! 100 queries: `gpt`, a transformer of 2 layers of 64 on 1,000 windows, 62 steps of 16 and a short
//! one. Seconds are those of the parts; the whole process is timed from outside. Threads are the
//! caller's choice: `RAYON_NUM_THREADS=1`.

use attribench_core::{
    AdamW, ErasedMethod, Examples, FitReal, Meter, Model, Optimiser, Queries, Run, Utility,
    WeightDecay,
};
use attribench_datasets::{
    Source, SplitOptions, Standardisation, Stratification, Targets, load, split,
};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::REGISTRY;
use attribench_models::{Activation, Gpt, Head, ModelSpec, Network, PositionKind};
use mimalloc::MiMalloc;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const POSITIONS: usize = 64;
const SEED: u64 = 0;
const PLAIN: Training = Training {
    epochs: 200,
    batch_size: 1_000,
    learning_rate: 0.05,
    optimiser: Optimiser::heavy_ball(0.9, 1e-3),
    clip_norm: None,
    schedule: Schedule::Constant,
    rounds: None,
    given: Given::NONE,
};

const ADAM: AdamW = AdamW {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    eps_root: 0.0,
    weight_decay: WeightDecay::Decoupled(0.01),
};

/// A model, its data and its training.
struct Setting {
    name: &'static str,
    train_rows: usize,
    queries: usize,
    data: fn() -> Source,
    network: fn() -> Network,
    training: Training,
    checkpoints: usize,
}

const SETTINGS: [Setting; 3] = [
    Setting {
        name: "softmax",
        train_rows: 1_000,
        queries: 500,
        data: fashion,
        network: || Network::dense(&[784, 10], Activation::Tanh),
        training: PLAIN,
        checkpoints: 5,
    },
    Setting {
        name: "mlp",
        train_rows: 5_000,
        queries: 500,
        data: fashion,
        network: || Network::dense(&[784, 128, 64, 10], Activation::Tanh),
        training: Training { epochs: 4, batch_size: 50, ..PLAIN },
        checkpoints: 5,
    },
    Setting {
        name: "gpt",
        train_rows: 1_000,
        queries: 100,
        data: windows,
        network: gpt,
        training: Training {
            epochs: 1,
            batch_size: 16,
            learning_rate: 1e-3,
            optimiser: Optimiser::AdamW(ADAM),
            ..PLAIN
        },
        checkpoints: 1,
    },
];

fn fashion() -> Source {
    Source::Embedded("fashion-mnist".into())
}

/// Whole windows of documents.
fn windows() -> Source {
    let (embedded, window) = ("eight-authors", POSITIONS);
    let texts = json!({ "embedded": embedded, "window": window, "shortest": window });
    serde_json::from_value(json!({ "texts": texts })).expect("a source")
}

fn gpt() -> Network {
    let (positions, head) = (PositionKind::Learned, Head::Tied);
    let gpt = Gpt { layers: 2, width: 64, heads: 4, positions, head };
    gpt.build(POSITIONS, 256).expect("a model in range")
}

/// The setting and the method that the arguments name.
fn asked() -> Result<(&'static Setting, Box<dyn ErasedMethod>), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [setting, method, parameters @ ..] = &arguments[..] else {
        return Err("usage: score_process SETTING METHOD [PARAMETERS]".to_owned());
    };
    let setting = SETTINGS.iter().find(|known| known.name == setting);
    let setting = setting.ok_or("settings: softmax, mlp, gpt")?;
    let entry = REGISTRY.iter().find(|entry| entry.info.name == method);
    let entry = entry.ok_or_else(|| format!("unknown method `{method}`"))?;
    let parameters = parameters.first().map_or("{}", String::as_str);
    let parameters = serde_json::from_str(parameters).map_err(|error| error.to_string())?;
    let method = (entry.build)(parameters).map_err(|error| error.to_string())?;
    Ok((setting, method))
}

/// What `work` returns, and its seconds.
#[allow(clippy::disallowed_types, reason = "a measurement of a method, not a method")]
fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Most memory that the process has held, where the system tells.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// Training examples and queries; numbers are standardised.
fn examples(setting: &Setting) -> (Examples<f32>, Queries<f32>) {
    let loaded = load(&(setting.data)()).expect("the set is embedded");
    let is_text = matches!(loaded.train().targets(), Targets::Tokens { .. });
    let (stratification, standardisation) = if is_text {
        (Stratification::None, Standardisation::None)
    } else {
        (Stratification::ByClass, Standardisation::Global)
    };
    let options = SplitOptions {
        train_size: Some(setting.train_rows),
        query_size: setting.queries,
        tuning_query_size: 0,
        stratification,
    };
    let splits = split(loaded, &options, SEED).expect("the set is large enough");
    let splits = splits.standardised(standardisation).expect("numbers are finite");
    let (train, queries, _) = splits.into_parts();
    let examples = Examples::from_dataset(&queries);
    let queries = Queries { examples, utility: Utility::NegativeLoss };
    (Examples::from_dataset(&train), queries)
}

fn main() -> Result<(), String> {
    let (setting, method) = asked()?;
    let ((train, queries), load_seconds) = timed(|| examples(setting));
    let network = (setting.network)();
    let (run, train_seconds) = timed(|| {
        let trainer = Trainer::new(&network, &train, &setting.training, SEED);
        let states = train_states(&trainer);
        TrainedRun::new(trainer, states, setting.checkpoints)
    });
    let utilities = network.utilities(run.final_parameters(), &queries.examples, queries.utility);
    let query_loss = -utilities.iter().sum::<f64>() / utilities.len() as f64;
    let meter = Meter::default();
    let (scorer, fit_seconds) = timed(|| f32::fit(&*method, &run, &meter, SEED));
    let mut scorer = scorer.map_err(|error| error.to_string())?;
    let (scores, score_seconds) = timed(|| scorer.score(&queries));
    let scores = scores.map_err(|error| error.to_string())?;
    let facts = json!({
        "shape": scores.values().shape(),
        "query_loss": query_loss,
        "load_seconds": load_seconds,
        "train_seconds": train_seconds,
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
        "peak_megabytes": peak_megabytes(),
    });
    println!("{facts}");
    Ok(())
}
