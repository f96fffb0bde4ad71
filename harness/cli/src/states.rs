//! States of a finished run on texts, kept beside its model so that `explain` need not train again.
//!
//! The manifest has the digests of each; the files lie in `states/`, or in the log where there is
//! one, which keeps the same.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use attribench_core::Real;
use attribench_engine::{
    recording::{KeptState, NumberBytes, state_of_bytes},
    store::write_atomically,
    training::{State, Trainer},
};
use attribench_provenance::{
    StateDigest,
    state::{self, StateBytes},
};
use serde::{Deserialize, Serialize};

use crate::commands::log;

/// Name of the file that lists them.
pub const MANIFEST_FILE: &str = "manifest.json";

const HINT: &str = "hint: run the experiment again, or ask methods that read final weights alone";

/// Digests of parameters and optimiser of each state, by its step.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Digests(BTreeMap<usize, (StateDigest, StateDigest)>);

/// What `explain` reads of a manifest.
#[derive(Deserialize)]
struct Listed {
    /// Runs of earlier versions list none.
    #[serde(default)]
    states: Digests,
}

/// Writes states to the folder of a run, unless its log has them already.
pub fn write(kept: &[KeptState], run: &Path, is_logged: bool) -> Result<Digests> {
    let folder = run.join("states");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let mut digests = BTreeMap::new();
    for kept in kept {
        let state = StateBytes {
            width: kept.parameters.width,
            parameters: Cow::Borrowed(&kept.parameters.bytes),
            optimizer: Cow::Borrowed(&kept.optimizer.bytes),
        };
        digests.insert(kept.step, state.digests());
        if !is_logged {
            let (file, content) = state::file(run, kept.step as u64, &state)?;
            write_atomically(&file, &content)?;
        }
    }
    Ok(Digests(digests))
}

/// The states of a run, as training gives them to `trainer`; nothing where the run kept none.
pub fn read<T: Real>(run: &Path, trainer: &Trainer<'_, T>) -> Result<Option<Vec<State<T>>>> {
    let manifest = run.join(MANIFEST_FILE);
    let text = fs::read(&manifest).with_context(|| manifest.display().to_string())?;
    let listed: Listed =
        serde_json::from_slice(&text).with_context(|| manifest.display().to_string())?;
    let Digests(digests) = listed.states;
    if digests.is_empty() {
        return Ok(None);
    }
    if !digests.keys().eq(&trainer.kept_steps()) {
        bail!("{}: lists other states than this run keeps\n{HINT}", manifest.display());
    }
    let folder = match run.join("states").exists() {
        true => run.to_owned(),
        false => log::folder_of(run),
    };
    let state = |(step, expected): (usize, (StateDigest, StateDigest))| {
        let stored = state::read(&folder, step as u64).with_context(|| HINT)?;
        state_of(trainer, step, &stored).filter(|_| stored.digests() == expected).with_context(
            || {
                let file: PathBuf = state::path(&folder, step as u64);
                format!("{} is not the state that the run kept\n{HINT}", file.display())
            },
        )
    };
    digests.into_iter().map(state).collect::<Result<_>>().map(Some)
}

/// The state that a file holds; nothing where it is of another length or type.
pub fn state_of<T: Real>(
    trainer: &Trainer<'_, T>,
    step: usize,
    stored: &StateBytes<'_>,
) -> Option<State<T>> {
    let numbers = |bytes| NumberBytes { width: stored.width, bytes: Cow::Borrowed(bytes) };
    let (parameters, optimizer) = (numbers(&stored.parameters), numbers(&stored.optimizer));
    state_of_bytes(trainer, step, &parameters, &optimizer)
}
