//! Eight authors: 250 passages of each of eight writers and speakers of English.
//!
//! Windows of 64 bytes; every fifth passage of a contributor is kept for queries. Other windows
//! and other queries: `texts: { embedded: eight-authors, ... }`.

use super::texts::EmbeddedTexts;
use super::{Entry, Loader};
use crate::manifest::AUTHORS;

pub(super) const ENTRY: Entry = Entry {
    name: "eight-authors",
    summary: "passages of eight writers of English: what a datanet is made of",
    train_examples: Some(16_173),
    test_examples: Some(4_069),
    features: Some(64),
    classes: Some(256),
    natural_contributors: 8,
    licence: AUTHORS.licence,
    hub_id: None,
    loader: Loader::Embedded(|| TEXTS.load()),
};

pub(super) static TEXTS: EmbeddedTexts =
    EmbeddedTexts { name: ENTRY.name, file: &AUTHORS, time: "time" };
