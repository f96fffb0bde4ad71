//! The data sets: one file and one line of [`REGISTRY`] each.

pub(crate) mod breast_cancer;
pub(crate) mod csv_file;
pub(crate) mod digits;
pub(crate) mod eight_authors;
pub(crate) mod fashion_mnist;
pub(crate) mod heart;
pub(crate) mod idx_files;
pub(crate) mod npz_files;
pub(crate) mod presidents;
pub(crate) mod speakers;
pub(crate) mod texts;
pub(crate) mod vowel;
pub(crate) mod wine;

use crate::error::SourceError;
use crate::source::Loaded;

/// Name of the one contributor of data that have no contributors of their own.
pub const ALL: &str = "all";

/// How a registered data set is read.
#[derive(Clone, Copy, Debug)]
pub enum Loader {
    /// Embedded: needs nothing.
    Embedded(fn() -> Result<Loaded, SourceError>),
    /// A format for the user's own files: needs a [`crate::Source`] with their paths.
    Files,
}

/// A registered data set and the facts about it. `None` stands for what the user's files decide.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name in experiments.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Examples of the training pool.
    pub train_examples: Option<usize>,
    /// Examples of the fixed test set; 0 where there is none.
    pub test_examples: Option<usize>,
    /// Feature columns; positions of a window of text.
    pub features: Option<usize>,
    /// Classes; tokens of a text.
    pub classes: Option<usize>,
    /// How many real owners the examples have; 0 where they are not known.
    pub natural_contributors: usize,
    /// Licence in one line; the notices are in `datasets/data/NOTICE.md`.
    pub licence: &'static str,
    /// Id of the full set on the Hugging Face hub.
    pub hub_id: Option<&'static str>,
    /// How it is read.
    pub loader: Loader,
}

/// Every data set, sorted by name.
pub static REGISTRY: &[Entry] = &[
    breast_cancer::ENTRY,
    csv_file::ENTRY,
    digits::ENTRY,
    eight_authors::ENTRY,
    fashion_mnist::ENTRY,
    heart::ENTRY,
    idx_files::ENTRY,
    npz_files::ENTRY,
    presidents::ENTRY,
    speakers::ENTRY,
    texts::ENTRY,
    vowel::ENTRY,
    wine::ENTRY,
];
