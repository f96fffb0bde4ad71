//! What was run on what: the part of a report that is not a measurement.

use std::path::Path;

use attribench_core::Timing;
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::error::{from_json, make_folder, to_json, write_file};

/// Name of the file that holds facts and timings, apart from the rows because it is never the
/// same twice.
const FACTS_FILE: &str = "run.json";

/// A named fact, for instance `processor` and its model name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// The value, ready to be read.
    pub value: String,
}

impl Fact {
    /// A fact from its two parts.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A licence under which something in the run or the report was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The work, for instance a data set.
    pub work: String,
    /// The licence's name, for instance `CC BY 4.0`.
    pub licence: String,
    /// The notice that the licence asks for.
    pub text: String,
}

/// What was run, on what, from which inputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunFacts {
    /// Name of the experiment.
    pub experiment: String,
    /// The specification as run, in YAML.
    pub specification: String,
    /// Hashes of the specification, the data and the stages.
    pub hashes: Vec<Fact>,
    /// Commit of the code, where known.
    pub commit: Option<String>,
    /// Processor, cores, memory, operating system.
    pub machine: Vec<Fact>,
    /// Versions of attribench and of what it was built with.
    pub versions: Vec<Fact>,
    /// Seeds and what each was for.
    pub seeds: Vec<Fact>,
    /// Wall time of the whole run.
    pub seconds: Option<f64>,
    /// Largest memory in use during the run.
    pub peak_memory_bytes: Option<u64>,
    /// Examples in one training step; turns replayed steps into gradients.
    pub batch_size: Option<u64>,
    /// A line about each data set.
    pub datasets: Vec<String>,
    /// A line about each model.
    pub models: Vec<String>,
    /// Licence notices of data, models and code.
    pub notices: Vec<Notice>,
    /// Commands that reproduce the run, in order.
    pub commands: Vec<String>,
}

#[derive(Serialize)]
struct StoredRef<'a> {
    facts: &'a RunFacts,
    timings: &'a [Timing],
}

#[derive(Deserialize)]
struct Stored {
    facts: RunFacts,
    timings: Vec<Timing>,
}

/// Stores facts and timings beside the tables, so that the page can be made again from the folder.
///
/// # Errors
/// When the file cannot be written.
pub fn write_facts(run: &RunFacts, timings: &[Timing], folder: &Path) -> Result<(), ReportError> {
    make_folder(folder)?;
    let path = folder.join(FACTS_FILE);
    write_file(&path, &to_json(&StoredRef { facts: run, timings }, &path)?)
}

/// Reads what [`write_facts`] wrote.
///
/// # Errors
/// When the file is missing or damaged.
pub fn read_facts(folder: &Path) -> Result<(RunFacts, Vec<Timing>), ReportError> {
    let stored: Stored = from_json(folder, FACTS_FILE)?;
    Ok((stored.facts, stored.timings))
}
