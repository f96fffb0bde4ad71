//! `attribench report`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;

use crate::Ending;

/// Arguments of `attribench report`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench report runs/retrofit-gap")]
pub struct ReportArguments {
    /// Folder of a finished run.
    folder: PathBuf,
}

/// Draws the figures and writes the page again from stored rows.
pub fn report(arguments: &ReportArguments) -> Result<Ending> {
    let page = write(&arguments.folder)?;
    println!("{}", page.display());
    Ok(Ending::Done)
}

/// Figures and page of a folder that holds rows and facts.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let record = attribench_reports::read_tables(folder)?;
    let (facts, timings) = attribench_reports::read_facts(folder)?;
    attribench_reports::write_page(&record, &facts, &timings, folder)
        .map_err(|error| anyhow!("{error}"))
}
