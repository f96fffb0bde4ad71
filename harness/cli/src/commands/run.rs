//! `attribench run`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use attribench_engine::{
    files::truths::TRUTHS_FILE,
    pipeline::{self, Outcome},
    plan::Plan,
    progress::{Progress, Silent},
    recording::Recorder,
    store::{Key, Store, write_atomically},
};
use attribench_provenance::key;
use clap::Args;
use safetensors::{Dtype, tensor::TensorView};

use super::{Document, ExperimentArguments, count, plan, registries, report};
use crate::{
    Ending, facts,
    progress::Bars,
    provenance::record::{Origins, RunRecorder},
    treasury::LedgerTreasury,
};

/// Arguments of `attribench run`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench run
  attribench run vowel-people
  attribench run my.yaml --out runs/mine --jobs 2
  attribench run smoke --set training.epochs=5 --set truths.subsets.subsets=20
  attribench run smoke --log --key keys/lab.key

A run that was stopped goes on where it was: finished trainings lie in the store.")]
pub struct RunArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Folder of the report; `runs/NAME` where absent.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Folder in which finished trainings and scores are kept.
    #[arg(long, value_name = "FOLDER", default_value = "runs/.store")]
    store: PathBuf,
    /// Keep a log of the run in the folder's `log/` that cannot be changed unseen.
    #[arg(long)]
    log: bool,
    /// Secret key that signs the log; without one, the log says that it is unsigned.
    #[arg(long, value_name = "FILE", requires = "log")]
    key: Option<PathBuf>,
    /// Say nothing but errors.
    #[arg(long)]
    quiet: bool,
}

/// Runs an experiment and writes its folder.
pub fn run(arguments: &RunArguments) -> Result<Ending> {
    let start = Instant::now();
    let Some(document) = arguments.experiment.read() else { return Ok(Ending::Refused) };
    let treasury = LedgerTreasury;
    let registries = registries(&treasury);
    let Some(plan) = plan(&document, &registries) else { return Ok(Ending::Refused) };
    let threads = arguments.experiment.threads();
    let Some(jobs) = super::threads(&document, &plan, threads) else { return Ok(Ending::Refused) };
    let store = Store::open(&arguments.store)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => Path::new("runs").join(&plan.spec.name.value),
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .context("cannot start threads")?;
    let bars = Bars::default();
    let speaks = !arguments.quiet && !arguments.experiment.json;
    let progress: &dyn Progress = if speaks { &bars } else { &Silent };
    let log_folder = super::log::folder_of(&folder);
    let mut recorder = match arguments.log {
        true => Some(recorder(arguments, &log_folder, &document, &plan)?),
        false => None,
    };
    let listening = recorder.as_mut().map(|recorder| recorder as &mut (dyn Recorder + Send));
    let outcome = pool.install(|| {
        let listening = listening.map(|recorder| recorder as &mut dyn Recorder);
        pipeline::run_recorded(&plan, &registries, &store, progress, listening)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let page = write_folder(&document, &plan, &outcome, &folder, seconds)?;
    if let Some(recorder) = recorder {
        recorder.finish(&outcome)?;
    }
    say(arguments, &outcome, &page, seconds)?;
    let failures = &outcome.record.failures;
    for failure in failures {
        eprintln!("error: method `{}`: {}", failure.method, failure.reason);
    }
    if !failures.is_empty() {
        let failed = count(failures.len(), "method");
        bail!("{failed} failed; {} tells of the others", page.display());
    }
    let failed = outcome.record.verdicts.iter().any(|verdict| !verdict.held);
    Ok(if failed { Ending::Unexpected } else { Ending::Done })
}

fn recorder<'a>(
    arguments: &RunArguments,
    folder: &'a Path,
    document: &Document,
    plan: &'a Plan,
) -> Result<RunRecorder<'a>> {
    let key = arguments.key.as_deref().map(key::read_secret).transpose()?;
    if key.is_none() {
        eprintln!("note: the log is unsigned; `attribench log keygen` makes a key for `--key`");
    }
    RunRecorder::new(folder, document, plan, key, Origins::default())
}

fn write_folder(
    document: &Document,
    plan: &Plan,
    outcome: &Outcome<'_>,
    folder: &Path,
    seconds: f64,
) -> Result<PathBuf> {
    attribench_reports::write_tables(&outcome.record, folder)?;
    let facts = facts::of_run(document, plan, seconds);
    attribench_reports::write_facts(&facts, &outcome.timings, folder)?;
    write_atomically(&folder.join("manifest.json"), &manifest(plan, outcome, &facts)?)?;
    write_atomically(&folder.join("model.safetensors"), &parameters(outcome)?)?;
    outcome.truths.write(&folder.join(TRUTHS_FILE))?;
    report::write(folder)
}

fn manifest(
    plan: &Plan,
    outcome: &Outcome<'_>,
    facts: &attribench_reports::RunFacts,
) -> Result<Vec<u8>> {
    let manifest = serde_json::json!({
        "run": facts,
        "recipe_key": plan.recipe_key(),
        "seed": plan.spec.seed,
        "models_trained_now": outcome.trained_now,
        "timings": outcome.timings,
        "verdicts": outcome.record.verdicts,
    });
    Ok(serde_json::to_vec_pretty(&manifest)?)
}

/// Final parameters as other programs read them.
fn parameters(outcome: &Outcome<'_>) -> Result<Vec<u8>> {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = outcome
        .parameters
        .iter()
        .map(|tensor| {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (tensor.name.clone(), tensor.shape.clone(), bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(Dtype::F64, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}

fn say(arguments: &RunArguments, outcome: &Outcome<'_>, page: &Path, seconds: f64) -> Result<()> {
    if arguments.experiment.json {
        println!("{}", serde_json::to_string_pretty(&outcome.record)?);
        return Ok(());
    }
    if arguments.quiet {
        return Ok(());
    }
    print!("{}", attribench_reports::summary_table(&outcome.record));
    for verdict in &outcome.record.verdicts {
        let word = if verdict.held { "held  " } else { "FAILED" };
        println!("{word} {} ({})", verdict.condition, verdict.evidence);
    }
    let trained = count(outcome.trained_now, "model");
    println!("{trained} trained in this run, {seconds:.1} s in all");
    println!("report: {}", page.display());
    Ok(())
}

/// Hash of an experiment's text as it was run.
pub fn specification_key(document: &Document) -> Key {
    Key::of_content(document.text.as_bytes())
}
