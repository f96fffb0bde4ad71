//! Scores and truths in files, made here or by any other tool, joined by ids.

pub mod configuration;
pub mod encoder;
mod gguf;
pub mod model;
pub mod parameters;
pub mod scores;
pub mod truths;

use std::path::Path;

use attribench_datasets::{ExampleId, SourceError, npz::Archive};
use thiserror::Error;

/// Why a file of scores or truths cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read, or lacks an array.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// It cannot be written.
    #[error("cannot write {file}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// Its name does not say what it holds.
    #[error("{file}: unknown kind of file\nhint: {hint}")]
    Kind {
        /// The file.
        file: String,
        /// What is known.
        hint: &'static str,
    },
    /// Its content makes no scores or truths.
    #[error("{file}: {reason}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong, with what to do.
        reason: String,
    },
    /// Scores and truth are not about the same examples or queries.
    #[error("{0}")]
    Join(String),
}

/// Names of the arrays of ids.
const TRAIN_IDS: &str = "train_ids";
const QUERY_IDS: &str = "query_ids";

fn content(archive: &Archive, reason: impl Into<String>) -> FileError {
    FileError::Content { file: archive.file().to_owned(), reason: reason.into() }
}

/// The ids of an axis of `length` entries; none where the file names none.
fn ids(
    archive: &mut Archive,
    name: &str,
    length: usize,
) -> Result<Option<Vec<ExampleId>>, FileError> {
    if !archive.holds(name) {
        return Ok(None);
    }
    let ids: Vec<ExampleId> = archive.indices(name)?.into_iter().map(ExampleId).collect();
    if ids.len() != length {
        let reason = format!("`{name}` names {} entries of {length}", ids.len());
        return Err(content(archive, reason));
    }
    let mut sorted = ids.clone();
    sorted.sort();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(content(archive, format!("`{name}` holds {} twice", twice[0])));
    }
    Ok(Some(ids))
}

/// Positions in `have` of what `want` names, in its order.
///
/// Without ids on both sides positions are all there is, and both must be as long.
fn join(
    what: &str,
    want: (&Option<Vec<ExampleId>>, usize),
    have: (&Option<Vec<ExampleId>>, usize),
) -> Result<Vec<usize>, FileError> {
    match (want, have) {
        ((Some(want), _), (Some(have), _)) => want
            .iter()
            .map(|id| {
                have.iter().position(|found| found == id).ok_or_else(|| {
                    let reason = format!("the scores have no {what} {id}, which the truth has");
                    FileError::Join(reason)
                })
            })
            .collect(),
        ((None, want), (None, have)) if want == have => Ok((0..want).collect()),
        ((None, want), (None, have)) => Err(FileError::Join(format!(
            "the scores have {have} {what} entries and the truth has {want}, and neither names \
             them\nhint: add arrays `train_ids` and `query_ids` to both"
        ))),
        ((named, _), _) => {
            let (with, without) = if named.is_some() {
                ("truth names its", "scores do")
            } else {
                ("scores name their", "truth does")
            };
            Err(FileError::Join(format!(
                "the {with} {what} entries and the {without} not\nhint: add the array of ids to \
                 both files, or take it from both"
            )))
        }
    }
}

fn write_error(path: &Path, reason: impl ToString) -> FileError {
    FileError::Write { file: path.display().to_string(), reason: reason.to_string() }
}
