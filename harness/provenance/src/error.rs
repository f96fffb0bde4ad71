//! What can be wrong with a log.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{note::NoteError, proof::ProofError};

/// Why a log could not be read, written or believed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error(
        "{path}: {reason}\nhint: this log was altered or is damaged; take a copy from elsewhere"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The folder holds a log already.
    #[error("{path} holds a log already\nhint: a log is only ever extended; choose another folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// An entry is longer than a bundle can say.
    #[error(
        "an entry of {found} bytes\nhint: at most 65,535; let large arrays enter by their root"
    )]
    EntryTooLong {
        /// Its length.
        found: usize,
    },
    /// Something outside of the tree was asked for.
    #[error("entry {index} was asked for, and the log has {size}")]
    OutOfRange {
        /// What was asked for.
        index: u64,
        /// Entries in the log.
        size: u64,
    },
    /// An entry contradicts the others, or itself.
    #[error("entry {index}: {reason}\nhint: this is the first entry that is wrong")]
    Entry {
        /// Its position.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// A name that the log does not know.
    #[error("the log has no {what} `{found}` (known: {known})\nhint: choose one of those")]
    Unknown {
        /// What was asked for.
        what: &'static str,
        /// The name.
        found: String,
        /// Names that it knows.
        known: String,
    },
    /// A receipt does not prove what it says.
    #[error("this receipt proves nothing: {reason}\nhint: it was altered; ask for a new one")]
    Receipt {
        /// What is wrong.
        reason: String,
    },
    /// A signed head was refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A proof was refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl LogError {
    /// Makes an error of the operating system name its file.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }

    /// An error about the content of a file.
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}
