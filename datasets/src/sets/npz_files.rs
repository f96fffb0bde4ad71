//! The user's own arrays in NumPy's `.npz` archives.
//!
//! Numbers of any type are read; features become `f32`, as everywhere. An image or a sequence is
//! flattened, its last axis running fastest.

use std::path::PathBuf;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::csv_file::TargetKind;
use super::{ALL, Entry, Loader};
use crate::dataset::{Dataset, ExampleId, Targets};
use crate::error::SourceError;
use crate::npz::Archive;
use crate::source::Loaded;
use crate::table::number_examples;

pub(super) const ENTRY: Entry = Entry {
    name: "npz-files",
    summary: "your own arrays in NumPy's .npz: features, labels, perhaps ids and owners",
    train_examples: None,
    test_examples: None,
    features: None,
    classes: None,
    natural_contributors: 0,
    licence: "that of your files",
    hub_id: None,
    loader: Loader::Files,
};

/// Where the user's arrays are and what they are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpzFiles {
    /// The training pool.
    pub train: PathBuf,
    /// The test set, if there is one.
    #[serde(default)]
    pub test: Option<PathBuf>,
    /// Array of features, an example along the first axis.
    #[serde(default = "features")]
    pub features: String,
    /// Array of labels.
    #[serde(default = "labels")]
    pub labels: String,
    /// What a label is: a class from 0 on, or a number.
    #[serde(default)]
    pub target: TargetKind,
}

fn features() -> String {
    "x".to_owned()
}

fn labels() -> String {
    "y".to_owned()
}

/// Array of example ids, if there is one; else examples are numbered.
const IDS: &str = "ids";

/// Array of owners from 0 on, if there is one; else one contributor owns all.
const OWNERS: &str = "owners";

struct Part {
    file: String,
    features: Array2<f32>,
    labels: Labels,
    ids: Option<Vec<u32>>,
    owners: Option<Vec<u32>>,
}

enum Labels {
    Classes(Vec<u32>),
    Values(Vec<f64>),
}

pub(crate) fn load(options: &NpzFiles) -> Result<Loaded, SourceError> {
    let train = read(options, &options.train)?;
    let test = options.test.as_ref().map(|path| read(options, path)).transpose()?;
    if let Some(test) = &test
        && test.features.ncols() != train.features.ncols()
    {
        return Err(SourceError::Mismatch {
            file: test.file.clone(),
            what: "number of features",
            expected: train.features.ncols(),
            found: test.features.ncols(),
            other: train.file,
        });
    }
    let parts = || std::iter::once(&train).chain(&test);
    let top = |all: Option<u32>| all.map_or(0, |top| top as usize + 1);
    let classes = top(parts().flat_map(Part::classes).max().copied());
    let owners = top(parts().filter_map(|part| part.owners.as_ref()).flatten().max().copied());
    let first_test_id = match &train.ids {
        Some(ids) => top(ids.iter().max().copied()),
        None => train.features.nrows(),
    };
    let test = test.map(|test| dataset(test, first_test_id, classes, owners)).transpose()?;
    Ok(Loaded::new(dataset(train, 0, classes, owners)?, test))
}

impl Part {
    fn classes(&self) -> &[u32] {
        match &self.labels {
            Labels::Classes(labels) => labels,
            Labels::Values(_) => &[],
        }
    }
}

fn read(options: &NpzFiles, path: &std::path::Path) -> Result<Part, SourceError> {
    let mut archive = Archive::open(path)?;
    let features = archive.array(&options.features)?;
    let shape = features.shape().to_vec();
    if shape.len() < 2 {
        return Err(SourceError::ArrayAxes {
            file: archive.file().to_owned(),
            array: options.features.clone(),
            shape: format!("{shape:?}"),
            expected: 2,
        });
    }
    let rows = features.len_of(Axis(0));
    // (n, a, b, ...) -> (n, a b ...)
    let features = Array2::from_shape_vec(
        (rows, shape[1..].iter().product()),
        features.iter().map(|&value| value as f32).collect(),
    )
    .expect("as many numbers as before");
    let labels = match options.target {
        TargetKind::Classes => Labels::Classes(archive.indices(&options.labels)?),
        TargetKind::Values => Labels::Values(archive.vector(&options.labels)?.to_vec()),
    };
    let mut optional = |name: &str| {
        if archive.holds(name) { archive.indices(name).map(Some) } else { Ok(None) }
    };
    let (ids, owners) = (optional(IDS)?, optional(OWNERS)?);
    Ok(Part { file: archive.file().to_owned(), features, labels, ids, owners })
}

fn dataset(
    part: Part,
    first_id: usize,
    classes: usize,
    owners: usize,
) -> Result<Dataset, SourceError> {
    let count = part.features.nrows();
    let targets = match part.labels {
        Labels::Classes(labels) => Targets::Classes {
            labels,
            names: (0..classes).map(|class| class.to_string()).collect(),
        },
        Labels::Values(values) => Targets::Values(values),
    };
    let ids = match part.ids {
        Some(ids) => ids.into_iter().map(ExampleId).collect(),
        None => number_examples(ENTRY.name, first_id, count)?,
    };
    let (owner, names) = match part.owners {
        Some(owner) => (owner, (0..owners).map(|owner| owner.to_string()).collect()),
        None => (vec![0; count], vec![ALL.to_owned()]),
    };
    Dataset::new(ENTRY.name, part.features, targets, ids, owner, names)
        .map_err(|source| SourceError::Invalid { file: part.file, source })
}
