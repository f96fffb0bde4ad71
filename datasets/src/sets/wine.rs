//! Wine: 13 chemical measurements of wines of three cultivars.
//!
//! Features are as measured, without scaling. No contributors are known.

use super::{Entry, Loader};
use crate::error::SourceError;
use crate::manifest::WINE;
use crate::source::Loaded;
use crate::table::load_scikit_learn;

pub(super) const ENTRY: Entry = Entry {
    name: "wine",
    summary: "chemistry of wines of three cultivars; a small convex setting",
    train_examples: Some(178),
    test_examples: Some(0),
    features: Some(13),
    classes: Some(CLASSES.len()),
    natural_contributors: 0,
    licence: WINE.licence,
    hub_id: None,
    loader: Loader::Embedded(load),
};

const CLASSES: [&str; 3] = ["class_0", "class_1", "class_2"];

fn load() -> Result<Loaded, SourceError> {
    load_scikit_learn(ENTRY.name, &WINE, &CLASSES)
}
