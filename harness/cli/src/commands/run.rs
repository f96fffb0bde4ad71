//! `attribench run`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use attribench_datasets::Targets;
use attribench_engine::{
    files::{
        scores::{Declaration, ScoreFile, Sign, declaration_path},
        truths::TRUTHS_FILE,
    },
    pipeline::{self, Outcome},
    plan::Plan,
    progress::{Progress, Silent},
    recording::Recorder,
    store::{Key, Store, write_atomically},
};
use attribench_provenance::{SigningKey, key};
use clap::Args;
use safetensors::{Dtype, tensor::TensorView};

use super::{Document, ExperimentArguments, count, plan, registries, report};
use crate::{
    Ending, facts,
    progress::Bars,
    provenance::{
        forgeries,
        record::{Origins, RunRecorder},
    },
    states,
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
  attribench run smoke --save-scores

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
    /// Croissant description of the data: licence and date of each contributor, for the log.
    #[arg(long, value_name = "FILE", requires = "log")]
    croissant: Option<PathBuf>,
    /// Keep the scores of every method as `scores/METHOD.npz` with the ids of examples and queries,
    /// and beside it, in JSON, what they mean.
    #[arg(long)]
    save_scores: bool,
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
    let logging = Logging::of(arguments, &folder, &plan)?;
    let mut recorder = match &logging {
        Some(logging) => Some(logging.recorder(&document, &plan)?),
        None => None,
    };
    let listening = recorder.as_mut().map(|recorder| recorder as &mut dyn Recorder);
    let mut outcome =
        pool.install(|| pipeline::run_recorded(&plan, &registries, &store, progress, listening))?;
    if let (Some(recorder), Some(logging)) = (recorder, &logging) {
        recorder.finish(&outcome)?;
        logging.forge(&plan, &mut outcome)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let kept = states::write(&outcome.states, &folder, arguments.log)?;
    let page = write_folder(&document, &plan, &outcome, (&folder, &kept), seconds)?;
    if arguments.save_scores {
        save_scores(&plan, &outcome, &folder.join("scores"))?;
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

/// Where and by whom a run is recorded.
struct Logging {
    log: PathBuf,
    key: Option<SigningKey>,
    origins: Origins,
    /// Folder of forged copies, where the experiment asks for some.
    forged: Option<PathBuf>,
}

impl Logging {
    /// What `--log` asks for, and what the experiment does. The log of an experiment with forgeries
    /// is a specimen under a key of its own, made anew every time, unless `--log` keeps it.
    fn of(arguments: &RunArguments, folder: &Path, plan: &Plan) -> Result<Option<Self>> {
        let forges = !plan.spec.forgeries.is_empty();
        let forged = forges.then(|| folder.join("forged"));
        if let Some(forged) = forged.as_deref().filter(|forged| forged.exists()) {
            std::fs::remove_dir_all(forged).with_context(|| forged.display().to_string())?;
        }
        let key = arguments.key.as_deref().map(key::read_secret).transpose()?;
        match (arguments.log, &forged) {
            (true, _) => {
                if key.is_none() {
                    eprintln!("note: the log is unsigned; `attribench log keygen` makes a key");
                }
                let origins = Origins::of(arguments.croissant.as_deref(), plan)?;
                Ok(Some(Self { log: super::log::folder_of(folder), key, origins, forged }))
            }
            (false, Some(folder)) => {
                let key = Some(SigningKey::from_seed("specimen", [0; 32])?);
                let (log, origins) = (folder.join("original"), Origins::default());
                Ok(Some(Self { log, key, origins, forged }))
            }
            (false, None) => Ok(None),
        }
    }

    fn recorder<'a>(&'a self, document: &Document, plan: &'a Plan) -> Result<RunRecorder<'a>> {
        RunRecorder::new(&self.log, document, plan, self.key.clone(), self.origins.clone())
    }

    /// Tries the forgeries that the experiment asks for, and adds what was found to its record.
    fn forge(&self, plan: &Plan, outcome: &mut Outcome<'_>) -> Result<()> {
        let Some(forged) = &self.forged else { return Ok(()) };
        let key = self.key.as_ref().context("forgeries need a log that is signed: give `--key`")?;
        let findings = forgeries::findings(
            &self.log,
            forged,
            (plan, &self.origins),
            key,
            &plan.spec.forgeries,
        )?;
        let record = &mut outcome.record;
        record.rows.extend(forgeries::rows(plan, &findings));
        record.forgeries = findings;
        plan.judge(record);
        Ok(())
    }
}

fn write_folder(
    document: &Document,
    plan: &Plan,
    outcome: &Outcome<'_>,
    (folder, states): (&Path, &states::Digests),
    seconds: f64,
) -> Result<PathBuf> {
    attribench_reports::write_tables(&outcome.record, folder)?;
    let facts = facts::of_run(document, plan, seconds);
    attribench_reports::write_facts(&facts, &outcome.timings, folder)?;
    let manifest = manifest(plan, outcome, states, &facts)?;
    write_atomically(&folder.join(states::MANIFEST_FILE), &manifest)?;
    write_atomically(&folder.join("model.safetensors"), &parameters(outcome)?)?;
    if let Some(tokenizer) = tokenizer(plan) {
        write_atomically(&folder.join("tokenizer.json"), tokenizer.as_bytes())?;
    }
    outcome.truths.write(&folder.join(TRUTHS_FILE))?;
    report::write(folder)
}

/// How the run's texts became tokens, where it was learnt from them or read.
fn tokenizer(plan: &Plan) -> Option<&str> {
    match plan.train.targets() {
        Targets::Tokens { tokens, .. } => tokens.tokenizer().json(),
        Targets::Classes { .. } | Targets::Values(_) => None,
    }
}

/// Scores as `attribench evaluate` and other programs read them.
fn save_scores(plan: &Plan, outcome: &Outcome<'_>, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for attributed in &outcome.methods {
        let scores = &attributed.scored.scores;
        let file = ScoreFile {
            train_ids: Some(scores.train_ids().to_vec()),
            query_ids: Some(scores.query_ids().to_vec()),
            values: scores.values().to_owned(),
        };
        let method = attributed.planned.method();
        let declaration = Declaration {
            sign: Sign::PositiveHelps,
            scale: scores.scale(),
            method: Some(method.info().name.to_owned()),
            parameters: attributed.parameters.clone(),
            access: Some(attributed.planned.level()),
            facts: serde_json::json!({
                "accounts": attributed.scored.accounts,
                "cost": attributed.scored.cost,
                "recipe_key": plan.recipe_key(),
                "seed": plan.spec.seed,
                "utility": plan.spec.utility,
            }),
        };
        let path = folder.join(format!("{}.npz", file_name(&attributed.planned.label)));
        file.write(&path)?;
        let beside = declaration_path(&path);
        write_atomically(&beside, &serde_json::to_vec_pretty(&declaration)?)?;
    }
    Ok(())
}

/// A label as the name of a file: what may not stand in one is written as in an address.
fn file_name(label: &str) -> String {
    let write = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    label.bytes().map(write).collect()
}

fn manifest(
    plan: &Plan,
    outcome: &Outcome<'_>,
    states: &states::Digests,
    facts: &attribench_reports::RunFacts,
) -> Result<Vec<u8>> {
    let manifest = serde_json::json!({
        "run": facts,
        "recipe_key": plan.recipe_key(),
        "seed": plan.spec.seed,
        "states": states,
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
