//! What was run, on what.

use std::{fs, process::Command};

use attribench_datasets::{NOTICE, REGISTRY, embedded_weights};
use attribench_engine::{plan::Plan, spec::Weights};
use attribench_reports::{Fact, Notice, RunFacts};

use crate::commands::{Document, run::specification_key};

/// Facts of a finished run.
pub fn of_run(document: &Document, plan: &Plan, seconds: f64) -> RunFacts {
    let spec = &plan.spec;
    RunFacts {
        experiment: spec.name.value.clone(),
        specification: document.text.clone(),
        hashes: vec![
            Fact::new("specification", specification_key(document).as_str()),
            Fact::new("code, data, model and recipe", plan.recipe_key().as_str()),
            Fact::new("code", env!("ATTRIBENCH_CODE")),
        ],
        commit: commit(),
        machine: machine(),
        versions: vec![
            Fact::new("attribench", env!("CARGO_PKG_VERSION")),
            Fact::new("operating system", std::env::consts::OS),
        ],
        seeds: vec![Fact::new("root", spec.seed.to_string())],
        seconds: Some(seconds),
        peak_memory_bytes: peak_memory(),
        batch_size: Some(spec.training.value.batch_size as u64),
        datasets: vec![dataset_line(plan)],
        models: vec![model_line(plan)],
        notices: notices(plan),
        commands: vec![command(document)],
    }
}

/// The command, with its changes quoted for a shell.
fn command(document: &Document) -> String {
    let changes = document.changes.iter().map(|change| {
        let quoted = change.replace('\'', r"'\''");
        format!(" --set '{quoted}'")
    });
    format!("attribench run {}{}", document.path.display(), changes.collect::<String>())
}

fn dataset_line(plan: &Plan) -> String {
    format!(
        "{}: {} training examples of {} contributors, {} queries, {} features",
        plan.train.name(),
        plan.train.len(),
        plan.train.contributors().len(),
        plan.queries.len(),
        plan.train.features().ncols()
    )
}

fn model_line(plan: &Plan) -> String {
    let training = &plan.spec.training.value;
    format!(
        "{} {}, {} epochs of batches of {}",
        plan.spec.model.value.name,
        plan.spec.model.value.parameters,
        training.epochs,
        training.batch_size
    )
}

fn notices(plan: &Plan) -> Vec<Notice> {
    let data = plan.spec.data.value.source.embedded_name();
    let data = data.and_then(|name| REGISTRY.iter().find(|entry| entry.name == name));
    let weights = match plan.spec.base.as_ref().map(|base| &base.value.weights) {
        Some(Weights::Embedded { embedded }) => {
            embedded_weights(embedded).map(|file| (embedded.as_str(), file.licence))
        }
        Some(Weights::File(_)) | None => None,
    };
    let notice = |(work, licence): (&str, &str)| Notice {
        work: work.to_owned(),
        licence: licence.to_owned(),
        text: NOTICE.to_owned(),
    };
    data.map(|entry| (entry.name, entry.licence)).into_iter().chain(weights).map(notice).collect()
}

/// Commit of the checkout that the program was built from, with a mark where it has been changed
/// since; nothing where that checkout is gone.
fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Processor and its instructions.
pub fn machine() -> Vec<Fact> {
    let processors = std::thread::available_parallelism().map_or(1, Into::<usize>::into);
    let mut facts = vec![
        Fact::new("architecture", std::env::consts::ARCH),
        Fact::new("processors", processors.to_string()),
    ];
    let processor = first_field("/proc/cpuinfo", "model name");
    facts.extend(processor.map(|name| Fact::new("processor", name)));
    // Bits may differ between kinds of processors: which instructions exist is part of the record.
    let vectors = first_field("/proc/cpuinfo", "flags").map(|flags| {
        let known = ["avx2", "fma", "avx512f"];
        let found: Vec<&str> =
            flags.split_whitespace().filter(|flag| known.contains(flag)).collect();
        found.join(" ")
    });
    facts.extend(vectors.map(|flags| Fact::new("vector instructions", flags)));
    facts
}

/// Largest resident memory of this process, where the system tells.
fn peak_memory() -> Option<u64> {
    let field = first_field("/proc/self/status", "VmHWM")?;
    let kibibytes: u64 = field.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Value of the first line `name : value` of a file of the system.
fn first_field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}
