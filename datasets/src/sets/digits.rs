//! Handwritten digits of 8 x 8 pixels: the quickest image set.
//!
//! A pixel counts ink from 0 to 16; features are pixels / 16, in [0, 1], row by row from the top.
//! Who wrote which digit is not recorded, so no contributors are known.

use super::{Entry, Loader};
use crate::error::SourceError;
use crate::idx::unpack;
use crate::manifest::DIGITS;
use crate::source::Loaded;
use crate::table::{Names, Table, load_numeric};

pub(super) const ENTRY: Entry = Entry {
    name: "digits",
    summary: "handwritten digits of 8 x 8 pixels; the quickest image set",
    train_examples: Some(1797),
    test_examples: Some(0),
    features: Some(64),
    classes: Some(CLASSES.len()),
    natural_contributors: 0,
    licence: DIGITS.licence,
    hub_id: None,
    loader: Loader::Embedded(load),
};

const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const MOST_INK: f32 = 16.0;

fn load() -> Result<Loaded, SourceError> {
    let text = unpack(DIGITS.name, DIGITS.read()?.to_vec())?;
    let table = Table::parse(DIGITS.name, &text, b',', Names::Numbers, 0)?;
    DIGITS.check_rows(table.len())?;
    load_numeric(ENTRY.name, &table, &CLASSES, MOST_INK)
}
