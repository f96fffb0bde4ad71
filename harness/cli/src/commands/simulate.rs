//! `attribench simulate`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use attribench_engine::{
    progress::{Progress, Silent},
    store::Store,
};
use attribench_reports::economics::{Economics, HEADLINES, write_economics};
use clap::Args;

use super::{count, print};
use crate::{
    Ending,
    progress::Bars,
    scenario::{Document, ScenarioArguments},
    study::{self, Plan},
};

/// How a study is run.
#[derive(Args)]
pub struct StudyArguments {
    /// Folder of the report; `runs/NAME` where absent.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Folder in which finished replicas are kept.
    #[arg(long, value_name = "FOLDER", default_value = "runs/.store")]
    pub store: PathBuf,
    /// Seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Replicas of each case, instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub replicas: Option<u64>,
    /// Threads; all processors where absent. The results do not depend on it.
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Write JSON to standard output instead of words.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but errors.
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `attribench simulate`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench simulate sybil-under-noise
  attribench simulate my.yaml --set estimator.noise=0.8 --replicas 200
  attribench simulate openledger-like --seed 3 --json

A run that was stopped goes on where it was: finished replicas lie in the store.")]
pub struct SimulateArguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    #[command(flatten)]
    study: StudyArguments,
}

impl StudyArguments {
    /// Adds the flags that change the scenario to its changes.
    pub fn amend(&self, scenario: &mut ScenarioArguments) {
        scenario.set.extend(self.seed.map(|seed| format!("seed={seed}")));
        scenario.set.extend(self.replicas.map(|replicas| format!("replicas={replicas}")));
    }

    /// Runs something on the asked number of threads.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let processors = || std::thread::available_parallelism().ok();
        let threads = self.jobs.or_else(processors).map_or(1, Into::into);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .context("cannot start threads")?;
        Ok(pool.install(work))
    }

    /// Writes the study's folder and says where it is.
    pub fn write(&self, study: &Economics, folder_name: &str) -> Result<PathBuf> {
        let folder = match &self.out {
            Some(folder) => folder.clone(),
            None => Path::new("runs").join(folder_name),
        };
        Ok(write_economics(study, &folder)?)
    }
}

/// Runs a scenario and writes its folder.
pub fn simulate(arguments: SimulateArguments) -> Result<Ending> {
    let start = Instant::now();
    let SimulateArguments { mut scenario, study: options } = arguments;
    options.amend(&mut scenario);
    let Some(document) = scenario.read() else { return Ok(Ending::Refused) };
    let Some(plan) = planned(&document) else { return Ok(Ending::Refused) };
    let speaks = !options.quiet && !options.json;
    if speaks {
        let replicas: u64 = plan.cases.iter().map(|(_, scenario)| scenario.replicas).sum();
        eprintln!(
            "{} of {}, {} in all",
            count(plan.cases.len(), "case"),
            plan.base.name,
            count(replicas as usize, "replica")
        );
    }
    let store = Store::open(&options.store)?;
    let bars = Bars::default();
    let progress: &dyn Progress = if speaks { &bars } else { &Silent };
    let outcomes = options.install(|| study::run(&plan.cases, &store, progress))??;
    let found = study::sum_up(&document, &plan, &outcomes, start, "simulate")?;
    let page = options.write(&found, &found.name)?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?;
    } else if speaks {
        print(&table(&found))?;
        println!("report: {}", page.display());
    }
    let all_held = found.held.iter().all(|verdict| verdict.held);
    Ok(if all_held { Ending::Done } else { Ending::Unexpected })
}

/// Checks every case; says what is wrong on standard error.
pub fn planned(document: &Document) -> Option<Plan> {
    Plan::of(&document.node).map_err(|faults| document.complain(&faults)).ok()
}

/// Most cases in the table of the terminal.
const MOST_CASES: usize = 24;

/// The short answer for a terminal.
pub fn table(study: &Economics) -> String {
    let shown: Vec<&str> = HEADLINES.into_iter().filter(|metric| study.has(metric)).collect();
    let label = |case: usize| match study.cases[case].label.as_str() {
        "" => study.name.clone(),
        label => label.to_owned(),
    };
    let cases = study.cases.len().min(MOST_CASES);
    let width = |metric: &str| metric.len().max(9);
    let mut text = String::new();
    for metric in &shown {
        text += &format!("{metric:>w$}  ", w = width(metric));
    }
    // Cases stand last, because their labels can be long and differ at their ends.
    text += "case\n";
    for case in 0..cases {
        for metric in &shown {
            let cell = study.cell(case, metric).map(|cell| format!("{:.4}", cell.mean));
            let cell = cell.unwrap_or_else(|| "-".to_owned());
            text += &format!("{cell:>w$}  ", w = width(metric));
        }
        text += &format!("{}\n", label(case));
    }
    if study.cases.len() > cases {
        text += &format!("and {} more cases\n", study.cases.len() - cases);
    }
    for verdict in &study.predicted {
        let word = if verdict.held { "as predicted" } else { "NOT AS PREDICTED" };
        text += &format!("{word}: {} ({})\n", verdict.condition, verdict.evidence);
    }
    for verdict in &study.held {
        let word = if verdict.held { "held  " } else { "FAILED" };
        text += &format!("{word} {} ({})\n", verdict.condition, verdict.evidence);
    }
    if study.postings > 0 {
        text += &format!("audit: {} postings, residual 0\n", study.postings);
    }
    text
}
