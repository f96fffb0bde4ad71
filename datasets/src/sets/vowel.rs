//! Vowel: fifteen people say eleven English vowels, six times each.
//!
//! The speakers are the contributors: 15 real people with 66 examples each, so that exact Shapley
//! values over all 2^15 coalitions are in reach. Features are log area ratios of the vocal tract,
//! without scaling. UCI publishes ten of them and this table holds nine (V2 to V10), so that
//! accuracies are not comparable to those on all ten.

use super::{Entry, Loader};
use crate::dataset::{Dataset, Targets};
use crate::error::SourceError;
use crate::manifest::VOWEL;
use crate::source::Loaded;
use crate::table::{Names, Table, number_examples};

pub(super) const ENTRY: Entry = Entry {
    name: "vowel",
    summary: "eleven vowels said by 15 real people: exact Shapley over all coalitions",
    train_examples: Some(990),
    test_examples: Some(0),
    features: Some(FEATURES.len()),
    classes: Some(CLASSES.len()),
    natural_contributors: SPEAKERS.len(),
    licence: VOWEL.licence,
    hub_id: None,
    loader: Loader::Embedded(load),
};

const FEATURES: [&str; 9] = ["V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10"];
const CLASSES: [&str; 11] =
    ["hid", "hId", "hEd", "hAd", "hYd", "had", "hOd", "hod", "hUd", "hud", "hed"];
const SPEAKERS: [&str; 15] = [
    "speaker-00",
    "speaker-01",
    "speaker-02",
    "speaker-03",
    "speaker-04",
    "speaker-05",
    "speaker-06",
    "speaker-07",
    "speaker-08",
    "speaker-09",
    "speaker-10",
    "speaker-11",
    "speaker-12",
    "speaker-13",
    "speaker-14",
];

fn load() -> Result<Loaded, SourceError> {
    let table = Table::parse(VOWEL.name, VOWEL.read()?, b',', Names::FirstLine, 0)?;
    VOWEL.check_rows(table.len())?;
    let columns = FEATURES.iter().map(|name| table.column(name)).collect::<Result<Vec<_>, _>>()?;
    let (speaker, class) = (table.column("speaker")?, table.column("Class")?);
    let numbers: Vec<String> = (0..SPEAKERS.len()).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let words = |column, known: &[&str]| {
        let indices = (0..table.len()).map(|row| table.word(row, column, known));
        indices.map(|index| index.map(|index| index as u32)).collect::<Result<Vec<_>, _>>()
    };
    let names = CLASSES.map(str::to_owned).to_vec();
    let train = Dataset::new(
        ENTRY.name,
        table.numbers(&columns)?,
        Targets::Classes { labels: words(class, &CLASSES)?, names },
        number_examples(ENTRY.name, 0, table.len())?,
        words(speaker, &numbers)?,
        SPEAKERS.map(str::to_owned).to_vec(),
    )
    .map_err(|source| SourceError::Invalid { file: VOWEL.name.to_owned(), source })?;
    Ok(Loaded::new(train, None))
}
