//! `attribench fetch`.

use std::path::PathBuf;

use anyhow::Result;
use attribench_hub::{FetchError, Place, Repository, copy_into, fetch as fetch_file};
use clap::Args;

use crate::Ending;

/// Arguments of `attribench fetch`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench fetch HuggingFaceTB/SmolLM2-135M
  attribench fetch OWNER/NAME config.json model.gguf --revision v1 --into theirs

The place of each file is written to standard output. HF_ENDPOINT names another hub than
huggingface.co, HF_TOKEN opens private repositories, HF_HOME says where files are kept from one time
to the next, and HF_HUB_OFFLINE=1 fetches nothing. What arrives is held against the digest that the
hub names, and nothing is kept of a file that is not whole.

This needs a program built with `--features hub`, which many more libraries belong to.")]
pub struct FetchArguments {
    /// Repository, OWNER/NAME.
    repository: String,
    /// Files in it.
    #[arg(value_name = "FILE", default_values = ["config.json", "model.safetensors"])]
    files: Vec<String>,
    /// Branch, tag or commit.
    #[arg(long, default_value = "main")]
    revision: String,
    /// Folder that files are copied to, under their paths in the repository; without it they stay
    /// where they are kept.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Fetches files of a repository.
pub fn fetch(arguments: &FetchArguments) -> Result<Ending> {
    let place = Place::of_variables(|name| std::env::var(name).ok());
    let repository = match Repository::new(&arguments.repository, &arguments.revision) {
        Ok(repository) => repository,
        Err(error) => return refused(&error),
    };
    for file in &arguments.files {
        let fetched = fetch_file(&repository, file, &place).and_then(|path| {
            let into = arguments.into.as_ref();
            into.map_or(Ok(path.clone()), |folder| copy_into(&path, file, folder))
        });
        match fetched {
            Ok(path) => println!("{}", path.display()),
            Err(error @ (FetchError::NotBuilt | FetchError::File(_))) => return refused(&error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Ending::Done)
}

fn refused(error: &FetchError) -> Result<Ending> {
    eprintln!("error: {error}");
    Ok(Ending::Refused)
}
