//! Where data come from, and what arrives.

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, ExampleId};
use crate::error::SourceError;
use crate::sets::csv_file::{self, CsvFile};
use crate::sets::idx_files::{self, IdxFiles};
use crate::sets::npz_files::{self, NpzFiles};
use crate::sets::texts::{self, Texts};
use crate::sets::{Loader, REGISTRY};

/// Where data come from, as written in an experiment.
///
/// ```yaml
/// embedded: heart
/// ```
/// ```yaml
/// csv-file: { path: patients.csv, label: outcome, contributor: hospital }
/// ```
/// ```yaml
/// idx-files: { train: { images: train-images.gz, labels: train-labels.gz } }
/// ```
/// ```yaml
/// npz-files: { train: train.npz, test: test.npz, features: x, labels: y }
/// ```
/// ```yaml
/// texts: { path: letters.jsonl, window: 128, hold-out: { since: "1950" } }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// An embedded data set, by its name in [`REGISTRY`].
    Embedded(String),
    /// The user's own table.
    CsvFile(CsvFile),
    /// The user's own images.
    IdxFiles(IdxFiles),
    /// The user's own arrays.
    NpzFiles(NpzFiles),
    /// Texts, embedded or the user's own, cut into windows.
    Texts(Texts),
}

impl Source {
    /// Name in [`REGISTRY`] of the embedded data that are read, if any are.
    pub fn embedded_name(&self) -> Option<&str> {
        match self {
            Self::Embedded(name) => Some(name),
            Self::Texts(texts) => texts.embedded.as_deref(),
            Self::CsvFile(_) | Self::IdxFiles(_) | Self::NpzFiles(_) => None,
        }
    }
}

/// A feature column whose true value is unknown in some rows.
///
/// Where the indicator column is 1, the value column holds the placeholder 0, until
/// [`crate::split`] replaces it by the mean over the training rows that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingValues {
    /// Feature column of the value.
    pub value_column: usize,
    /// Feature column that is 1 where the value is missing and 0 elsewhere.
    pub indicator_column: usize,
}

/// What a source holds: a training pool and, where the source fixes one, a test set.
///
/// Train rows carry their row number in the source as id (from 0); test rows are numbered after
/// them. Both have the same features, classes and contributors.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    train: Dataset,
    test: Option<Dataset>,
    missing_values: Vec<MissingValues>,
}

impl Loaded {
    /// The caller is a loader and has given both sets the same columns and disjoint ids.
    pub(crate) fn new(train: Dataset, test: Option<Dataset>) -> Self {
        Self { train, test, missing_values: Vec::new() }
    }

    /// Declares which columns hold placeholders; the columns exist and indicators are 0 or 1.
    pub(crate) fn with_missing_values(self, missing_values: Vec<MissingValues>) -> Self {
        Self { missing_values, ..self }
    }

    /// The training pool; the whole data set when the source fixes no test set.
    pub fn train(&self) -> &Dataset {
        &self.train
    }

    /// The test set that the source fixes, if it does.
    pub fn test(&self) -> Option<&Dataset> {
        self.test.as_ref()
    }

    /// Columns that hold placeholders for missing values, until [`crate::split`] fills them.
    pub fn missing_values(&self) -> &[MissingValues] {
        &self.missing_values
    }

    /// The first id that no example of the source carries.
    pub fn first_free_id(&self) -> ExampleId {
        let tests = self.test.iter().flat_map(|test| test.ids());
        let last = self.train.ids().iter().chain(tests).max();
        // Loaders number examples from 0 and leave at least one id above the last one.
        ExampleId(last.map_or(0, |id| id.0 + 1))
    }
}

/// Reads a source.
///
/// # Errors
/// An unknown name, an unreadable or damaged file, or content that makes no data set; see
/// [`SourceError`]. An embedded file that differs from its manifest is refused.
pub fn load(source: &Source) -> Result<Loaded, SourceError> {
    match source {
        Source::Embedded(name) => load_embedded(name),
        Source::CsvFile(options) => csv_file::load(options),
        Source::IdxFiles(options) => idx_files::load(options),
        Source::NpzFiles(options) => npz_files::load(options),
        Source::Texts(options) => texts::load(options),
    }
}

fn load_embedded(name: &str) -> Result<Loaded, SourceError> {
    let entry = REGISTRY.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let known = REGISTRY.iter().filter(|entry| matches!(entry.loader, Loader::Embedded(_)));
        let known: Vec<&str> = known.map(|entry| entry.name).collect();
        SourceError::UnknownName { found: name.to_owned(), known: known.join(", ") }
    })?;
    match entry.loader {
        Loader::Embedded(load) => load(),
        Loader::Files => Err(SourceError::NeedsFiles { name: entry.name }),
    }
}
