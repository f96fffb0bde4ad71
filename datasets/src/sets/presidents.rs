//! Presidents: 40 passages of each of 43 presidents' State of the Union addresses, with years.
//!
//! Windows of 64 bytes; every fifth passage of a contributor is kept for queries. Other windows
//! and other queries: `texts: { embedded: presidents, ... }`.

use super::texts::EmbeddedTexts;
use super::{Entry, Loader};
use crate::manifest::ADDRESSES;

pub(super) const ENTRY: Entry = Entry {
    name: "presidents",
    summary: "addresses of 43 presidents with their years: many contributors, splits by time",
    train_examples: Some(13_534),
    test_examples: Some(3_385),
    features: Some(64),
    classes: Some(256),
    natural_contributors: 43,
    licence: ADDRESSES.licence,
    hub_id: Some("jsulz/state-of-the-union-addresses"),
    loader: Loader::Embedded(|| TEXTS.load()),
};

pub(super) static TEXTS: EmbeddedTexts =
    EmbeddedTexts { name: ENTRY.name, file: &ADDRESSES, time: "year" };
