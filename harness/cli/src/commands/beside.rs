//! `attribench beside`.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use attribench_core::{QueryUtility, Record, Timing, UtilityGap};
use attribench_engine::{measure::mean_over_queries, spec::Spec};
use clap::Args;

use super::print;
use crate::Ending;

/// Arguments of `attribench beside`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench beside runs/retrofit-scenarios runs/retrofit-fine-tuning --out runs/states

Runs that ask the same queries are compared query by query: what one model gives them more than
another, and at what share of them it is ahead, with 95 % intervals over queries. So a specialised
model, a general one (the start of a run with a `base`) and a general one that was fine-tuned stand
side by side.")]
pub struct BesideArguments {
    /// Folders of finished runs.
    #[arg(required = true, num_args = 2..)]
    folders: Vec<PathBuf>,
    /// Folder of the page.
    #[arg(long, value_name = "FOLDER", default_value = "runs/beside")]
    out: PathBuf,
    /// Write the differences as JSON to standard output.
    #[arg(long)]
    json: bool,
}

/// Puts finished runs on one page, with one figure.
pub fn beside(arguments: &BesideArguments) -> Result<Ending> {
    let runs = arguments.folders.iter().map(|folder| Finished::read(folder));
    let runs: Vec<Finished> = runs.collect::<Result<_>>()?;
    let gaps = gaps(&runs)?;
    let of_page: Vec<(Record, Vec<Timing>)> =
        runs.into_iter().map(|run| (run.record, run.timings)).collect();
    let page = attribench_reports::write_beside(&of_page, &gaps, &arguments.out)
        .map_err(|error| anyhow!("{error}"))?;
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&gaps)?))?;
        eprintln!("page: {}", page.display());
        return Ok(Ending::Done);
    }
    let words: String = gaps.iter().map(in_words).collect();
    print(&format!("{words}{}\n", page.display()))?;
    Ok(Ending::Done)
}

fn in_words(difference: &UtilityGap) -> String {
    let UtilityGap { more, than, gap, ahead } = difference;
    let odds = difference.log_odds().map_or(String::new(), |odds| format!(" (log odds {odds})"));
    format!("{more} against {than}: {gap} nats, ahead at {ahead} of queries{odds}\n")
}

/// A run that lies in a folder.
struct Finished {
    /// Last part of the folder's path.
    name: String,
    record: Record,
    timings: Vec<Timing>,
    has_base: bool,
}

impl Finished {
    fn read(folder: &Path) -> Result<Self> {
        let not_finished = || format!("{} is no finished run", folder.display());
        let record = attribench_reports::read_tables(folder).with_context(not_finished)?;
        let (facts, timings) = attribench_reports::read_facts(folder).with_context(not_finished)?;
        let spec = Spec::parse(&facts.specification);
        let has_base = spec.is_ok_and(|spec| spec.base.is_some());
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, record, timings, has_base })
    }

    /// Models that say something: the end of every run, and the base where one began at one.
    fn models(&self) -> Vec<(String, Vec<f64>)> {
        let of = |utility: fn(&QueryUtility) -> f64| -> Vec<f64> {
            self.record.query_utilities.iter().map(utility).collect()
        };
        let mut models = vec![(format!("{} at end", self.name), of(|query| query.end))];
        if self.has_base {
            models.push((format!("{} at start", self.name), of(|query| query.start)));
        }
        models
    }

    fn asks_as(&self, other: &Self) -> bool {
        let contents = |run: &Self| -> Vec<String> {
            run.record.query_utilities.iter().map(|query| query.content.clone()).collect()
        };
        !self.record.query_utilities.is_empty() && contents(self) == contents(other)
    }
}

/// Bootstrap draws behind every interval.
const DRAWS: usize = 2000;

/// Differences between every two models that were asked the same.
fn gaps(runs: &[Finished]) -> Result<Vec<UtilityGap>> {
    let mut models: Vec<(&Finished, String, Vec<f64>)> = Vec::new();
    for run in runs {
        models.extend(run.models().into_iter().map(|(name, utilities)| (run, name, utilities)));
    }
    let mut gaps = Vec::new();
    for (index, (run, name, utilities)) in models.iter().enumerate() {
        for (other_run, other_name, others) in &models[index + 1..] {
            if !run.asks_as(other_run) || utilities.len() < 2 {
                continue;
            }
            let differences: Vec<f64> =
                utilities.iter().zip(others).map(|(more, than)| more - than).collect();
            // The same draws of queries for every pair.
            let gap = mean_over_queries(&differences, 0, DRAWS)?;
            let is_ahead: Vec<f64> = differences.iter().map(|gap| share_ahead(*gap)).collect();
            let ahead = mean_over_queries(&is_ahead, 0, DRAWS)?;
            gaps.push(UtilityGap { more: name.clone(), than: other_name.clone(), gap, ahead });
        }
    }
    Ok(gaps)
}

/// What a query adds to the share of those at which a model is ahead.
fn share_ahead(difference: f64) -> f64 {
    match difference.total_cmp(&0.0) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    }
}
