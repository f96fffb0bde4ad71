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
    /// There is no log where one was looked for.
    #[error("{path} holds no log\nhint: `attribench run NAME --log` keeps one")]
    NoLog {
        /// The folder.
        path: PathBuf,
    },
    /// A file of a log is not there.
    #[error("{path} is missing\nhint: a log is all of its files; take a copy from elsewhere")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A key is never written over.
    #[error(
        "{path} is there already\nhint: a key that signed must not be lost; choose another name"
    )]
    KeyExists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read a secret key.
    #[error("{path}: others than its owner may read this secret key\nhint: chmod 600")]
    KeyOpen {
        /// The file.
        path: PathBuf,
    },
    /// A log is gone on with by those who signed it.
    #[error("the log is signed by {signers}\nhint: `--key` takes the secret key of that name")]
    OtherKey {
        /// Names and ids of the keys.
        signers: String,
    },
    /// A later word that verification would refuse.
    #[error("the log cannot be amended so: {reason}\nhint: nothing was written")]
    Amendment {
        /// What is wrong with it.
        reason: String,
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
    #[error("{0}\nhint: one of the two was altered; ask for them again")]
    Proof(#[from] ProofError),
}

impl LogError {
    /// Makes an error of the operating system name its file.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }

    /// As [`Self::io`], for files that a log cannot be without.
    pub(crate) fn of_part(path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path: path.clone() },
            _ => Self::Io { path: path.clone(), source },
        }
    }

    /// An error about the content of a file.
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}
