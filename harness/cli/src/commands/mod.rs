//! One file a subcommand, and what they share.

pub mod beside;
pub mod calibrate;
pub mod check;
pub mod evaluate;
pub mod explain;
pub mod fetch;
pub mod list;
pub mod log;
pub mod report;
pub mod run;
pub mod score;
pub mod simulate;
pub mod tune;
pub mod value;

use std::{
    io::Write as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use attribench_engine::{
    diagnostics::Diagnostic,
    plan::{Plan, Registries},
};
use clap::Args;

use crate::{overrides, treasury::LedgerTreasury, words};

/// How an experiment is named and changed on the command line.
#[derive(Args)]
pub struct ExperimentArguments {
    /// Name of a file in `experiments/` without `.yaml`, or a path.
    #[arg(default_value = "retrofit-gap")]
    pub experiment: String,
    /// Change a value of the experiment, for instance `--set training.epochs=5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Threads; all processors where absent. The results do not depend on it.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    pub json: bool,
}

/// An experiment as found on disk and changed by `--set`.
pub struct Document {
    /// Where it was found.
    pub path: PathBuf,
    /// Text that is parsed.
    pub text: String,
    /// What `--set` changed.
    pub changes: Vec<String>,
}

impl ExperimentArguments {
    /// Reads the file and applies `--set`; says on standard error why it cannot be done.
    pub fn read(&self) -> Option<Document> {
        self.try_to_read().map_err(|error| eprintln!("error: {}", words(&error))).ok()
    }

    fn try_to_read(&self) -> Result<Document> {
        let path = locate(&self.experiment);
        let text = std::fs::read_to_string(&path).with_context(|| {
            let hint = known_names("experiments", "experiments");
            format!(
                "cannot read experiment `{}` ({})\nhint: {hint}",
                self.experiment,
                path.display()
            )
        })?;
        let text = overrides::apply(&text, &self.set)?;
        Ok(Document { path, text, changes: self.set.clone() })
    }

    /// Threads to be used.
    pub fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().ok();
        self.jobs.or_else(processors).map_or(1, Into::into)
    }
}

/// Checks an experiment; says what is wrong with it on standard error.
pub fn plan(document: &Document, registries: &Registries<'_>) -> Option<Plan> {
    match attribench_engine::plan::check(&document.text, registries) {
        Ok(plan) => Some(plan),
        Err(found) => {
            tell(document, &found);
            None
        }
    }
}

/// Threads within the memory that the experiment may take; says on standard error where even one
/// takes more.
pub fn threads(document: &Document, plan: &Plan, jobs: usize) -> Option<usize> {
    plan.threads_within_memory(jobs).map_err(|found| tell(document, &[found])).ok()
}

fn tell(document: &Document, found: &[Diagnostic]) {
    let path = document.path.display();
    for diagnostic in found {
        if !document.changes.is_empty() {
            // A changed document has no lines that anybody has seen.
            eprintln!("error: {path} with --set: {}", diagnostic.without_place());
        } else if diagnostic.place.is_some() {
            eprintln!("error: {path}:{diagnostic}");
        } else {
            eprintln!("error: {path}: {diagnostic}");
        }
    }
    eprintln!("{} found; nothing was run", count(found.len(), "error"));
}

/// Everything that this program knows by name.
pub fn registries(treasury: &LedgerTreasury) -> Registries<'_> {
    Registries {
        methods: attribench_methods::REGISTRY,
        models: attribench_models::REGISTRY,
        encoders: attribench_models::ENCODERS,
        values: attribench_methods::games::REGISTRY,
        treasury,
        code: env!("ATTRIBENCH_CODE"),
    }
}

/// Writes to standard output; a reader that has seen enough and closed it is no failure.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// `1 error`, `2 errors`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn locate(experiment: &str) -> PathBuf {
    let named = Path::new("experiments").join(format!("{experiment}.yaml"));
    if named.exists() { named } else { PathBuf::from(experiment) }
}

/// The hint for a name that is not found: the names of `what` that there are in `folder`.
pub fn known_names(what: &str, folder: &str) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    if names.is_empty() {
        return format!(
            "give the path of a file; names are of files in `{folder}`, and there are none here"
        );
    }
    names.sort();
    format!("known {what}: {}", names.join(", "))
}
