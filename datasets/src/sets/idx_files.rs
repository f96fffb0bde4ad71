//! The user's own images and labels in the IDX format of MNIST, packed by gzip or plain.
//!
//! Features are pixels / 255, in [0, 1], row by row from the top. The format has no contributors.

use std::path::PathBuf;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{ALL, Entry, Loader};
use crate::dataset::{Dataset, Targets};
use crate::error::SourceError;
use crate::idx::{parse_images, parse_labels, read_path};
use crate::source::Loaded;
use crate::table::number_examples;

pub(super) const ENTRY: Entry = Entry {
    name: "idx-files",
    summary: "your own images and labels in the IDX format of MNIST, .gz or plain",
    train_examples: None,
    test_examples: None,
    features: None,
    classes: None,
    natural_contributors: 0,
    licence: "that of your files",
    hub_id: None,
    loader: Loader::Files,
};

/// Where the user's images and labels are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxFiles {
    /// The training pool.
    pub train: IdxPair,
    /// The test set, if there is one.
    #[serde(default)]
    pub test: Option<IdxPair>,
    /// Names of the classes in index order; left out, they are `0` up to the largest label.
    #[serde(default)]
    pub class_names: Vec<String>,
}

/// A file of images and the file of their labels, as many labels as images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxPair {
    /// Images: unsigned bytes with three axes (magic number 0x00000803).
    pub images: PathBuf,
    /// Labels: unsigned bytes with one axis (magic number 0x00000801).
    pub labels: PathBuf,
}

/// Images with as many labels.
pub(super) struct Part {
    images_file: String,
    labels_file: String,
    pixels: Array2<f32>,
    labels: Vec<u32>,
}

impl Part {
    pub(super) fn new(
        images_file: &str,
        pixels: Array2<f32>,
        labels_file: &str,
        labels: Vec<u32>,
    ) -> Result<Self, SourceError> {
        if labels.len() != pixels.nrows() {
            return Err(SourceError::Mismatch {
                file: labels_file.to_owned(),
                what: "number of labels",
                expected: pixels.nrows(),
                found: labels.len(),
                other: images_file.to_owned(),
            });
        }
        let (images_file, labels_file) = (images_file.to_owned(), labels_file.to_owned());
        Ok(Self { images_file, labels_file, pixels, labels })
    }
}

pub(crate) fn load(options: &IdxFiles) -> Result<Loaded, SourceError> {
    let train = read_pair(&options.train)?;
    let test = options.test.as_ref().map(read_pair).transpose()?;
    let names = if options.class_names.is_empty() {
        let tests = test.iter().flat_map(|test| &test.labels);
        let largest = train.labels.iter().chain(tests).copied().max();
        (0..=largest.unwrap_or(0)).map(|label| label.to_string()).collect()
    } else {
        options.class_names.clone()
    };
    assemble(ENTRY.name, train, test, names)
}

fn read_pair(pair: &IdxPair) -> Result<Part, SourceError> {
    let images_file = pair.images.display().to_string();
    let labels_file = pair.labels.display().to_string();
    let pixels = parse_images(&images_file, &read_path(&pair.images)?)?;
    let labels = parse_labels(&labels_file, &read_path(&pair.labels)?)?;
    Part::new(&images_file, pixels, &labels_file, labels)
}

/// Makes data sets of the parts; test examples are numbered after training examples.
pub(super) fn assemble(
    name: &str,
    train: Part,
    test: Option<Part>,
    class_names: Vec<String>,
) -> Result<Loaded, SourceError> {
    let train_count = train.labels.len();
    if let Some(test) = &test
        && test.pixels.ncols() != train.pixels.ncols()
    {
        return Err(SourceError::Mismatch {
            file: test.images_file.clone(),
            what: "pixels per image",
            expected: train.pixels.ncols(),
            found: test.pixels.ncols(),
            other: train.images_file,
        });
    }
    let test =
        test.map(|test| part_dataset(name, test, train_count, class_names.clone())).transpose()?;
    Ok(Loaded::new(part_dataset(name, train, 0, class_names)?, test))
}

fn part_dataset(
    name: &str,
    part: Part,
    first_id: usize,
    names: Vec<String>,
) -> Result<Dataset, SourceError> {
    let count = part.labels.len();
    Dataset::new(
        name,
        part.pixels,
        Targets::Classes { labels: part.labels, names },
        number_examples(name, first_id, count)?,
        vec![0; count],
        vec![ALL.to_owned()],
    )
    .map_err(|source| SourceError::Invalid { file: part.labels_file, source })
}
