//! Why data could not be read.

use std::path::PathBuf;

use thiserror::Error;

use crate::dataset::DatasetError;

/// Why a source could not be loaded.
#[derive(Debug, Error)]
pub enum SourceError {
    /// No embedded data set has this name.
    #[error(
        "unknown data set `{found}` (known: {known})\n\
         hint: your own data is read with `csv-file: {{path: ...}}`, \
         `idx-files: {{train: ...}}`, `npz-files: {{train: ...}}` or `texts: {{path: ...}}`"
    )]
    UnknownName {
        /// The name that was asked for.
        found: String,
        /// Every name that can be asked for, in order.
        known: String,
    },
    /// The name stands for a format of files and not for an embedded data set.
    #[error(
        "`{name}` reads files of your own and is not embedded\n\
         hint: write `{name}: {{...}}` with its paths in place of `embedded: {name}`"
    )]
    NeedsFiles {
        /// The registered name.
        name: &'static str,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}\nhint: check the path and its permissions", path.display())]
    Io {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content of an embedded file is not the content that the manifest describes.
    #[error(
        "{file}: {what} is {found} but the manifest says {expected}\n\
         hint: restore the file under datasets/data from version control and build again"
    )]
    Manifest {
        /// Name of the embedded file.
        file: String,
        /// `size in bytes`, `sha256` or `number of rows`.
        what: &'static str,
        /// What the manifest says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A gzip stream is damaged or ends too early.
    #[error("{file}: the gzip stream is damaged: {source}\nhint: fetch the file again")]
    Gzip {
        /// Name or path of the file.
        file: String,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// A file does not begin with the magic number of its kind.
    #[error(
        "{file}: IDX magic number is {found} but {what} begin with {expected:#010x}\n\
         hint: check that images and labels are not exchanged and hold unsigned bytes"
    )]
    IdxMagic {
        /// Name or path of the file.
        file: String,
        /// `images` or `labels`.
        what: &'static str,
        /// The magic number of that kind.
        expected: u32,
        /// What the file begins with, in hexadecimal.
        found: String,
    },
    /// The size of a file is not the one that its IDX header announces.
    #[error(
        "{file}: the IDX header announces {expected} bytes but there are {found}\n\
         hint: the file is cut or has bytes appended; fetch it again"
    )]
    IdxLength {
        /// Name or path of the file.
        file: String,
        /// Bytes announced, header included.
        expected: String,
        /// Bytes there are.
        found: usize,
    },
    /// Two parts that describe the same examples disagree about a number.
    #[error(
        "{file}: {what} is {found} but {other} says {expected}\n\
         hint: use files that belong together"
    )]
    Mismatch {
        /// Name or path of the file.
        file: String,
        /// The number in question: `number of labels`, `pixels per image`.
        what: &'static str,
        /// What the other part says.
        expected: usize,
        /// What this file says.
        found: usize,
        /// The other part.
        other: String,
    },
    /// A file is no archive of arrays.
    #[error("{file}: {reason}\nhint: write it with numpy.savez or numpy.savez_compressed")]
    Npz {
        /// Path of the file.
        file: String,
        /// What the reader said.
        reason: String,
    },
    /// An archive has no such array.
    #[error("{file}: unknown array `{found}` (known: {known})")]
    UnknownArray {
        /// Path of the file.
        file: String,
        /// The array that was asked for.
        found: String,
        /// The arrays there are.
        known: String,
    },
    /// An array has too few or too many axes.
    #[error("{file}: array `{array}` has shape {shape}, expected {expected} axes")]
    ArrayAxes {
        /// Path of the file.
        file: String,
        /// Name of the array.
        array: String,
        /// Its shape.
        shape: String,
        /// Number of axes that was expected.
        expected: usize,
    },
    /// An entry that counts something is no whole number from 0 on.
    #[error(
        "{file}: array `{array}` holds {value} at {position}, expected a whole number from 0 on"
    )]
    ArrayIndex {
        /// Path of the file.
        file: String,
        /// Name of the array.
        array: String,
        /// Position, from 0.
        position: usize,
        /// The entry.
        value: f64,
    },
    /// A file is not well-formed CSV.
    #[error("{file}: line {line}: {source}\nhint: the file must be CSV in UTF-8")]
    Csv {
        /// Name or path of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What the CSV reader said.
        source: csv::Error,
    },
    /// A line is no JSON object.
    #[error(
        "{file}: line {line}, column {column}: {reason}\n\
         hint: write one JSON object a line, with `text` and `contributor`"
    )]
    Json {
        /// Name or path of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// What the reader said.
        reason: String,
    },
    /// A file is no vocabulary.
    #[error(
        "{file}: {reason}\n\
         hint: write a JSON object with the numbers 1, 2, ... of single characters"
    )]
    Vocabulary {
        /// Name or path of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is no tokenizer that can be used.
    #[error(
        "{file}: {reason}\nhint: tokenizers are read as Hugging Face's tokenizer.json, on bytes"
    )]
    Tokenizer {
        /// Name or path of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that says how an encoder cuts texts is not usable.
    #[error("{file}: {reason}\nhint: tokenizers are read as Hugging Face's tokenizer.json")]
    Pieces {
        /// Path of the file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A line has more or fewer fields than the lines before it.
    #[error(
        "{file}: line {line}: found {found} fields, expected {expected}\n\
         hint: check the delimiter and quote fields that contain it"
    )]
    FieldCount {
        /// Name or path of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Fields expected.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A field does not hold what its column holds.
    #[error(
        "{file}: line {line}, column `{column}`: found `{found}`, expected {expected}\nhint: {hint}"
    )]
    Field {
        /// Name or path of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// The text found.
        found: String,
        /// What the column holds.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// The file has no such column.
    #[error("{file}: unknown column `{found}` (known: {known})\nhint: {hint}")]
    UnknownColumn {
        /// Name or path of the file.
        file: String,
        /// The column that was asked for.
        found: String,
        /// The columns there are, in order.
        known: String,
        /// What to do.
        hint: &'static str,
    },
    /// Two columns have the name that was asked for.
    #[error(
        "{file}: {count} columns are named `{found}`\nhint: name the column by its number from 0"
    )]
    AmbiguousColumn {
        /// Name or path of the file.
        file: String,
        /// The name.
        found: String,
        /// How many columns have it.
        count: usize,
    },
    /// An option cannot be used.
    #[error("option `{option}` is {found}: {reason}\nhint: {hint}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        found: String,
        /// Why it cannot be used.
        reason: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A file holds nothing to learn from.
    #[error("{file}: there is no {what}\nhint: {hint}")]
    Empty {
        /// Name or path of the file.
        file: String,
        /// `row`, `feature column`.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// There are more examples than ids.
    #[error(
        "{name}: {found} examples are more than ids can number (at most {})\n\
         hint: use fewer rows",
        u32::MAX
    )]
    TooManyExamples {
        /// Name of the data set.
        name: String,
        /// Number of examples.
        found: usize,
    },
    /// The data break an invariant of [`crate::Dataset`].
    #[error("{file}: {source}\nhint: check the labels and numbers of that row (rows count from 0)")]
    Invalid {
        /// Name or path of the file.
        file: String,
        /// Which invariant.
        source: DatasetError,
    },
}
