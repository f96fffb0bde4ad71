//! Breast Cancer Wisconsin (Diagnostic): 30 measurements of cell nuclei, malignant or benign.
//!
//! Features are as measured, without scaling. No contributors are known.

use super::{Entry, Loader};
use crate::error::SourceError;
use crate::manifest::BREAST_CANCER;
use crate::source::Loaded;
use crate::table::load_scikit_learn;

pub(super) const ENTRY: Entry = Entry {
    name: "breast-cancer",
    summary: "cell nuclei of breast masses, malignant or benign; a convex setting",
    train_examples: Some(569),
    test_examples: Some(0),
    features: Some(30),
    classes: Some(CLASSES.len()),
    natural_contributors: 0,
    licence: BREAST_CANCER.licence,
    hub_id: None,
    loader: Loader::Embedded(load),
};

const CLASSES: [&str; 2] = ["malignant", "benign"];

fn load() -> Result<Loaded, SourceError> {
    load_scikit_learn(ENTRY.name, &BREAST_CANCER, &CLASSES)
}
