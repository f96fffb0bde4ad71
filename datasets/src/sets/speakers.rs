//! Speakers: what each of 227 speakers says in seven plays of Shakespeare.
//!
//! Windows of 64 bytes; every fifth passage of a contributor is kept for queries. Other windows
//! and other queries: `texts: { embedded: speakers, ... }`.

use super::texts::EmbeddedTexts;
use super::{Entry, Loader};
use crate::manifest::SPEECHES;

pub(super) const ENTRY: Entry = Entry {
    name: "speakers",
    summary: "speeches of 227 speakers of seven plays: contributors of very unequal size",
    train_examples: Some(13_471),
    test_examples: Some(3_132),
    features: Some(64),
    classes: Some(256),
    natural_contributors: 227,
    licence: SPEECHES.licence,
    hub_id: Some("karpathy/tiny_shakespeare"),
    loader: Loader::Embedded(|| TEXTS.load()),
};

pub(super) static TEXTS: EmbeddedTexts =
    EmbeddedTexts { name: ENTRY.name, file: &SPEECHES, time: "time" };
