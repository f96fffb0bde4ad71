//! The user's own table: one row an example, in CSV, packed by gzip or plain.
//!
//! Every column that is neither label nor contributor nor ignored is a numeric feature. Classes and
//! contributors are numbered in sorted order (by number where all of them are whole numbers), so
//! that the order of the rows decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ALL, Entry, Loader};
use crate::dataset::{Dataset, Targets};
use crate::error::SourceError;
use crate::idx::read_path;
use crate::source::Loaded;
use crate::table::{Names, Table, number_examples};

pub(super) const ENTRY: Entry = Entry {
    name: "csv-file",
    summary: "your own table: a label column, numeric features, perhaps a contributor column",
    train_examples: None,
    test_examples: None,
    features: None,
    classes: None,
    natural_contributors: 0,
    licence: "that of your file",
    hub_id: None,
    loader: Loader::Files,
};

/// Where the user's table is and how to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvFile {
    /// The file: UTF-8, .gz or plain.
    pub path: PathBuf,
    /// The column to predict.
    pub label: Column,
    /// What the label is; classes unless said otherwise.
    #[serde(default)]
    pub target: TargetKind,
    /// The column that names each row's owner; left out, one contributor owns all rows.
    #[serde(default)]
    pub contributor: Option<Column>,
    /// Columns that are no features, such as row numbers.
    #[serde(default)]
    pub ignore: Vec<Column>,
    /// The character between fields, in ASCII; a comma unless said otherwise.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Whether the first line names the columns; it does unless said otherwise.
    #[serde(default)]
    pub header: Header,
}

fn comma() -> char {
    ','
}

/// A column, by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name, or its number counted from 0")]
pub enum Column {
    /// Counted from 0.
    Number(usize),
    /// As in the header.
    Name(String),
}

/// What a label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A word for a class.
    #[default]
    Classes,
    /// A real number, for regression.
    Values,
}

/// Whether the first line names the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// The first line names the columns.
    #[default]
    Present,
    /// The first line is data; columns go by number.
    Absent,
}

pub(crate) fn load(options: &CsvFile) -> Result<Loaded, SourceError> {
    let delimiter = match u8::try_from(options.delimiter) {
        Ok(delimiter) if delimiter.is_ascii() && !matches!(delimiter, b'"' | b'\n' | b'\r') => {
            delimiter
        }
        Ok(_) | Err(_) => {
            return Err(SourceError::Option {
                option: "delimiter",
                found: format!("{:?}", options.delimiter),
                reason: "fields are divided by one ASCII character that is no quote or line end",
                hint: "common delimiters are a comma, a semicolon and a tab",
            });
        }
    };
    let names = match options.header {
        Header::Present => Names::FirstLine,
        Header::Absent => Names::Numbers,
    };
    let file = options.path.display().to_string();
    let table = Table::parse(&file, &read_path(&options.path)?, delimiter, names, 0)?;
    let train = read_table(options, &table)?;
    Ok(Loaded::new(train, None))
}

fn read_table(options: &CsvFile, table: &Table) -> Result<Dataset, SourceError> {
    let label = find(table, &options.label)?;
    let contributor = options.contributor.as_ref().map(|column| find(table, column)).transpose()?;
    let ignored =
        options.ignore.iter().map(|column| find(table, column)).collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<usize> = (0..table.names().len())
        .filter(|column| {
            *column != label && Some(*column) != contributor && !ignored.contains(column)
        })
        .collect();
    if columns.is_empty() {
        return Err(SourceError::Empty {
            file: table.file().to_owned(),
            what: "feature column",
            hint: "leave at least one column besides label, contributor and ignored ones; \
                   check the delimiter",
        });
    }
    let targets = match options.target {
        TargetKind::Classes => {
            let (labels, names) = number_words(table, label, "a class")?;
            Targets::Classes { labels, names }
        }
        TargetKind::Values => {
            let values = (0..table.len()).map(|row| table.target(row, label));
            Targets::Values(values.collect::<Result<_, _>>()?)
        }
    };
    let (owners, contributors) = match contributor {
        Some(column) => number_words(table, column, "a contributor")?,
        None => (vec![0; table.len()], vec![ALL.to_owned()]),
    };
    let ids = number_examples(ENTRY.name, 0, table.len())?;
    Dataset::new(ENTRY.name, table.numbers(&columns)?, targets, ids, owners, contributors)
        .map_err(|source| SourceError::Invalid { file: table.file().to_owned(), source })
}

fn find(table: &Table, column: &Column) -> Result<usize, SourceError> {
    match column {
        Column::Name(name) => table.column(name),
        Column::Number(number) if *number < table.names().len() => Ok(*number),
        Column::Number(number) => Err(SourceError::UnknownColumn {
            file: table.file().to_owned(),
            found: number.to_string(),
            known: table.names().join(", "),
            hint: "numbers count from 0",
        }),
    }
}

/// The index of each row's word among the sorted words of the column, and those words.
fn number_words(
    table: &Table,
    column: usize,
    expected: &str,
) -> Result<(Vec<u32>, Vec<String>), SourceError> {
    if let Some(row) = table.texts(column).position(str::is_empty) {
        let hint = "fill the field or remove the row";
        return Err(table.unexpected(row, column, expected, hint));
    }
    let words: BTreeSet<&str> = table.texts(column).collect();
    let mut words: Vec<&str> = words.into_iter().collect();
    if let Ok(numbers) = words.iter().map(|word| word.parse()).collect::<Result<Vec<i64>, _>>() {
        let mut numbered: Vec<(i64, &str)> = numbers.into_iter().zip(words).collect();
        numbered.sort_unstable();
        words = numbered.into_iter().map(|(_, word)| word).collect();
    }
    let numbers: BTreeMap<&str, u32> = words.iter().copied().zip(0..).collect();
    let indices = table.texts(column).map(|word| numbers[word]).collect();
    Ok((indices, words.into_iter().map(str::to_owned).collect()))
}
