//! What can go wrong between rows and page, with the file and what to do about it.

use std::path::{Path, PathBuf};

/// A table, figure or page that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder holds no record of a run.
    #[error(
        "{path} is not there, so {folder} holds no finished run\n\
         hint: give the folder that `attribench run` wrote, or run the experiment first"
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// The folder that was named.
        folder: PathBuf,
    },
    /// The operating system refused a read.
    #[error("cannot read {path}: {source}\nhint: check that the file may be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operating system refused a write.
    #[error("cannot write {path}: {source}\nhint: check the free space and that it may be written")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something else than this crate wrote.
    #[error(
        "{path} cannot be understood: {what}\n\
         hint: it was damaged or written by another version; run the experiment again"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// A table of somebody else cannot be read as numbers.
    #[error("{path}: {what}\nhint: give a .csv or .parquet file with one row a coalition")]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A table could not be encoded.
    #[error("cannot encode {path}: {source}\nhint: this is a bug of attribench, please report it")]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// What polars said.
        source: polars::error::PolarsError,
    },
    /// A figure could not be drawn.
    #[error("cannot draw figure {figure}: {what}\nhint: this is a bug of attribench, report it")]
    Draw {
        /// The figure.
        figure: String,
        /// What the drawing library said.
        what: String,
    },
}

/// Writes a whole file, or says which one could not be written.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    std::fs::write(path, bytes)
        .map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(folder: &Path) -> Result<(), ReportError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| ReportError::Write { path: folder.to_owned(), source })
}

/// Reads a file of a run's folder; one that is not there means that no run ended in the folder.
pub(crate) fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, ReportError> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ReportError::Missing { path, folder: folder.to_owned() },
        _ => ReportError::Read { path, source },
    })
}

/// Serialises a value as indented JSON that ends in a line break.
pub(crate) fn to_json<T: serde::Serialize>(value: &T, path: &Path) -> Result<Vec<u8>, ReportError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| ReportError::Content { path: path.to_owned(), what: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Parses a JSON file of a run's folder.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    folder: &Path,
    name: &str,
) -> Result<T, ReportError> {
    serde_json::from_slice(&read_file(folder, name)?)
        .map_err(|error| ReportError::Content { path: folder.join(name), what: error.to_string() })
}
