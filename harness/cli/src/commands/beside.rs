//! `attribench beside`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::Ending;

/// Arguments of `attribench beside`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench beside runs/retrofit-scenarios runs/retrofit-fine-tuning --out runs/states")]
pub struct BesideArguments {
    /// Folders of finished runs.
    #[arg(required = true, num_args = 2..)]
    folders: Vec<PathBuf>,
    /// Folder of the page.
    #[arg(long, value_name = "FOLDER", default_value = "runs/beside")]
    out: PathBuf,
}

/// Puts finished runs on one page, with one figure.
pub fn beside(arguments: &BesideArguments) -> Result<Ending> {
    let mut runs = Vec::new();
    for folder in &arguments.folders {
        let not_finished = || format!("{} is no finished run", folder.display());
        let record = attribench_reports::read_tables(folder).with_context(not_finished)?;
        let (_, timings) = attribench_reports::read_facts(folder).with_context(not_finished)?;
        runs.push((record, timings));
    }
    let page = attribench_reports::write_beside(&runs, &arguments.out)
        .map_err(|error| anyhow!("{error}"))?;
    println!("{}", page.display());
    Ok(Ending::Done)
}
