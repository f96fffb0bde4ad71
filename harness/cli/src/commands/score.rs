//! `attribench score`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use attribench_core::{
    AccessLevel, AnyModel, DataShape, ErasedMethod, Examples, FitReal, Meter, MethodEntry,
    ModelEntry, Queries, Scores,
};
use attribench_datasets::{Dataset, NpzFiles, Source, Targets, load, npz::Archive};
use attribench_engine::{
    files::{
        configuration,
        model::ModelFile,
        parameters::{self, Names},
        scores::{Declaration, KINDS, ScoreFile, Sign, declaration_path},
    },
    imported::ImportedRun,
    spec::Precision,
    store::{Key, write_atomically},
};
use clap::Args;
use serde_json::json;

use crate::{Ending, overrides, words};

/// Arguments of `attribench score`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench score --model mlp.yaml --weights w.safetensors --train train.npz --queries test.npz \\
      --method ek-fac --set damping=0.01 --out scores.npz
  attribench score --model mlp.yaml --weights w.npz --train train.npz --queries test.npz \\
      --method grad-dot --out scores.parquet

mlp.yaml describes the model:
  model: { mlp: { hidden: [16], activation: tanh } }
  training: { epochs: 20, batch-size: 50, learning-rate: 0.05 }
  parameters: { layer0.weight: fc1.weight, layer0.bias: fc1.bias, ... }   # where names differ

Data are .npz with `x` (an example along the first axis), `y`, and perhaps `ids`. Weights carry
PyTorch's names and layouts: (out, in). Scores are written with the ids that the data gave, and a
.json beside them that says what they mean: positive helps; their unit; method, parameters and
hashes of all that was read.")]
pub struct ScoreArguments {
    /// Description of the model, in YAML.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Its parameters, .safetensors, .gguf or .npz.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Training data, .npz.
    #[arg(long, value_name = "FILE")]
    train: PathBuf,
    /// Queries, .npz.
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// Attribution method; `attribench list methods` names them.
    #[arg(long, value_name = "NAME")]
    method: String,
    /// A parameter of the method, for instance `--set damping=0.01`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of methods that draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Scores, .npz, .safetensors or .parquet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Scores a model that was trained anywhere.
pub fn score(arguments: &ScoreArguments) -> Result<Ending> {
    let task = match Task::prepare(arguments) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {}", words(&error));
            return Ok(Ending::Refused);
        }
    };
    match task.file.precision {
        Precision::F32 => task.run::<f32>(arguments)?,
        Precision::F64 => task.run::<f64>(arguments)?,
    }
    println!("{}", arguments.out.display());
    Ok(Ending::Done)
}

/// Everything that was read and fits.
struct Task {
    file: ModelFile,
    entry: &'static ModelEntry,
    model: Box<dyn AnyModel>,
    train: Dataset,
    queries: Dataset,
    /// Whether the files of training data and queries give ids.
    named: [bool; 2],
    method: Box<dyn ErasedMethod>,
}

impl Task {
    fn prepare(arguments: &ScoreArguments) -> Result<Self> {
        let extension = arguments.out.extension().and_then(|extension| extension.to_str());
        if !["npz", "safetensors", "parquet"].map(Some).contains(&extension) {
            bail!("cannot write {}\nhint: {KINDS}", arguments.out.display());
        }
        let text = std::fs::read_to_string(&arguments.model)
            .with_context(|| format!("cannot read {}", arguments.model.display()))?;
        let file = ModelFile::parse(&text)
            .map_err(|found| anyhow!("{}:{found}", arguments.model.display()))?;
        let method = method(arguments)?;
        let loaded = load(&Source::NpzFiles(NpzFiles {
            train: arguments.train.clone(),
            test: Some(arguments.queries.clone()),
            features: "x".to_owned(),
            labels: "y".to_owned(),
            target: file.target,
        }))?;
        let train = loaded.train().clone();
        let queries = loaded.test().expect("queries were named").clone();
        let gives_ids = |path| Archive::open(path).map(|archive| archive.holds("ids"));
        let named = [gives_ids(&arguments.train)?, gives_ids(&arguments.queries)?];
        let width = width(&file, &train)?;
        let registry = attribench_models::REGISTRY;
        let entry = registry.iter().find(|entry| entry.name == file.model.name);
        let entry = entry.ok_or_else(|| {
            let known: Vec<&str> = registry.iter().map(|entry| entry.name).collect();
            anyhow!("unknown model `{}` (known: {})", file.model.name, known.join(", "))
        })?;
        let shape = DataShape { inputs: train.features().ncols(), outputs: width, asked: vec![0] };
        let place = || format!("{}: model `{}`", arguments.model.display(), entry.name);
        let parameters =
            configuration::completed(entry, &file.model.parameters).with_context(place)?;
        let model = (entry.build)(parameters, &shape).with_context(place)?;
        Ok(Self { file, entry, model, train, queries, named, method })
    }

    fn run<T: FitReal>(&self, arguments: &ScoreArguments) -> Result<()> {
        let model = T::model(self.model.as_ref());
        let known = self.entry.elsewhere.names;
        let names = Names { given: &self.file.parameters, known };
        let (theta, names) = parameters::load::<T>(&arguments.weights, model.layout(), names)?;
        let train = Examples::<T>::from_dataset(&self.train);
        let queries =
            Queries { examples: Examples::from_dataset(&self.queries), utility: self.file.utility };
        let recipe = self.file.training.recipe(train.len());
        let run = ImportedRun::new(train, model, theta, recipe);
        let meter = Meter::default();
        let failed = || format!("method `{}`", arguments.method);
        let mut scorer =
            T::fit(self.method.as_ref(), &run, &meter, arguments.seed).with_context(failed)?;
        let scores = scorer.score(&queries).with_context(failed)?;
        write(&arguments.out, &scores, self.named)?;
        let declaration = Declaration {
            sign: Sign::PositiveHelps,
            scale: scores.scale(),
            method: Some(arguments.method.clone()),
            parameters: self.method.parameters(),
            access: Some(self.method.level()),
            facts: json!({
                "utility": self.file.utility,
                "cost": meter.cost(),
                "seed": arguments.seed,
                "sha256": {
                    "model": digest(&arguments.model)?,
                    "weights": digest(&arguments.weights)?,
                    "train": digest(&arguments.train)?,
                    "queries": digest(&arguments.queries)?,
                },
                "parameter_names": names,
            }),
        };
        let beside = declaration_path(&arguments.out);
        write_atomically(&beside, &serde_json::to_vec_pretty(&declaration)?)?;
        Ok(())
    }
}

/// The method, if final weights are enough for it.
fn method(arguments: &ScoreArguments) -> Result<Box<dyn ErasedMethod>> {
    let registry: &[MethodEntry] = attribench_methods::REGISTRY;
    let name = arguments.method.as_str();
    let entry = registry.iter().find(|entry| entry.info.name == name).ok_or_else(|| {
        let known: Vec<&str> = registry.iter().map(|entry| entry.info.name).collect();
        anyhow!("unknown method `{name}` (known: {})", known.join(", "))
    })?;
    if entry.level > AccessLevel::FinalModel {
        bail!(
            "method `{name}` reads {}, and there are only final weights here\nhint: methods that \
             read no more are listed by `attribench list methods`",
            entry.level
        );
    }
    let parameters = serde_json::from_str(&overrides::apply("{}", &arguments.set)?)?;
    let parameters = if arguments.set.is_empty() { json!({}) } else { parameters };
    (entry.build)(parameters).with_context(|| format!("method `{name}`"))
}

/// Width of the model's output: what the file says, or what the labels need.
fn width(file: &ModelFile, train: &Dataset) -> Result<usize> {
    let needed = train.targets().width();
    match (file.outputs, train.targets()) {
        (None, _) => Ok(needed),
        (Some(outputs), Targets::Values(_)) if outputs == needed => Ok(outputs),
        (Some(outputs), Targets::Classes { .. } | Targets::Tokens { .. }) if outputs >= needed => {
            Ok(outputs)
        }
        (Some(outputs), _) => bail!("`outputs` is {outputs}, and the labels need {needed}"),
    }
}

/// Writes the ids that were given; the rows of a Parquet table have no place without numbers.
fn write(path: &Path, scores: &Scores, named: [bool; 2]) -> Result<()> {
    let [train, queries] = [scores.train_ids(), scores.query_ids()];
    if path.extension().is_some_and(|extension| extension == "parquet") {
        let [train, queries] =
            [train, queries].map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>());
        attribench_reports::write_scores(path, &train, &queries, scores.values())?;
        return Ok(());
    }
    let file = ScoreFile {
        train_ids: named[0].then(|| train.to_vec()),
        query_ids: named[1].then(|| queries.to_vec()),
        values: scores.values().to_owned(),
    };
    Ok(file.write(path)?)
}

/// sha256 of a file.
fn digest(path: &Path) -> Result<Key> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Key::of_content(&bytes))
}
