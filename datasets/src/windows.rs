//! Documents cut into windows of one length, none of which holds two documents.
//!
//! A token is a byte. Byte 0, which no text holds, stands before the first byte of a document and
//! behind the last one of a short window.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Targets};
use crate::documents::{Document, is_time};
use crate::error::SourceError;
use crate::source::Loaded;
use crate::table::number_examples;
use crate::tokens::{TokenLoss, TokenTargets};

/// Tokens of the vocabulary: every byte.
pub const BYTES: usize = 256;

/// Before a document's first byte, and behind its last.
pub const EDGE: u8 = 0;

/// Which documents make the test set, from which queries are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOut {
    /// This share of each contributor's documents, spread evenly over them.
    Documents(f64),
    /// All documents of these contributors.
    Contributors(Vec<String>),
    /// All documents of this time and later.
    Since(String),
}

impl Default for HoldOut {
    fn default() -> Self {
        Self::Documents(0.2)
    }
}

/// How documents become examples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cutting {
    /// Positions of a window, `s`.
    pub window: usize,
    /// Fewest targets of a window.
    pub shortest: usize,
    pub loss: TokenLoss,
    pub hold_out: HoldOut,
}

impl Default for Cutting {
    fn default() -> Self {
        let (loss, hold_out) = Default::default();
        Self { window: 64, shortest: 1, loss, hold_out }
    }
}

/// Training windows and those of documents that are held out.
pub(crate) fn cut(
    name: &str,
    documents: &[Document],
    cutting: &Cutting,
) -> Result<Loaded, SourceError> {
    if cutting.window == 0 || cutting.shortest == 0 || cutting.shortest > cutting.window {
        return Err(SourceError::Option {
            option: "window",
            found: format!("{} with `shortest` {}", cutting.window, cutting.shortest),
            reason: "a window has at least one position, and `shortest` is 1 to `window`",
            hint: "leave `shortest` out, and let `window` be 64",
        });
    }
    let (contributors, owners) = number_contributors(documents);
    let held_out = held_out(documents, &owners, &cutting.hold_out)?;
    let part = |wanted: bool, first_id: usize| {
        let chosen = documents.iter().zip(&owners).zip(&held_out);
        let chosen = chosen.filter(|(_, held)| **held == wanted).map(|(pair, _)| pair);
        let windows: Vec<Window<'_>> = chosen.flat_map(|(d, &o)| windows(d, o, cutting)).collect();
        dataset(name, &windows, &contributors, cutting, first_id)
    };
    let train = part(false, 0)?;
    if train.is_empty() {
        return Err(SourceError::Empty {
            file: name.to_owned(),
            what: "window to train on",
            hint: "hold out fewer documents, or lower `shortest`",
        });
    }
    let test = part(true, train.len())?;
    Ok(Loaded::new(train, Some(test).filter(|test| !test.is_empty())))
}

/// Names of contributors in order, and the index of each document's.
fn number_contributors(documents: &[Document]) -> (Vec<String>, Vec<u32>) {
    let mut names: Vec<String> =
        documents.iter().map(|document| document.contributor.clone()).collect();
    names.sort();
    names.dedup();
    let index = |document: &Document| {
        names.binary_search(&document.contributor).expect("every name is listed") as u32
    };
    let owners = documents.iter().map(index).collect();
    (names, owners)
}

/// Whether each document is held out.
fn held_out(
    documents: &[Document],
    owners: &[u32],
    rule: &HoldOut,
) -> Result<Vec<bool>, SourceError> {
    let refused = |found: String, reason, hint| {
        Err(SourceError::Option { option: "hold-out", found, reason, hint })
    };
    match rule {
        HoldOut::Documents(share) if !(0.0..1.0).contains(share) => refused(
            format!("documents: {share}"),
            "a share is at least 0 and below 1",
            "use for instance 0.2",
        ),
        HoldOut::Documents(share) => {
            let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
            let of_document = |owner: &u32| {
                let seen = seen.entry(*owner).or_default();
                *seen += 1;
                // One more whenever the share of those seen passes a whole number.
                (*seen as f64 * share).floor() > ((*seen - 1) as f64 * share).floor()
            };
            Ok(owners.iter().map(of_document).collect())
        }
        HoldOut::Contributors(names) => {
            let is_known = |name: &&String| documents.iter().any(|d| d.contributor == **name);
            match names.iter().find(|name| !is_known(name)) {
                Some(unknown) => refused(
                    format!("contributors: {unknown}"),
                    "nobody of this name contributed",
                    "names are those of the documents, letter by letter",
                ),
                None => Ok(documents.iter().map(|d| names.contains(&d.contributor)).collect()),
            }
        }
        HoldOut::Since(time) if !is_time(time) => refused(
            format!("since: {time}"),
            "it is neither a year nor a date",
            "write for instance 1950 or 1950-06-01, in quotation marks",
        ),
        HoldOut::Since(_) if documents.iter().any(|document| document.time.is_none()) => refused(
            "since".to_owned(),
            "some documents tell no time",
            "give every document its time, or hold out another way",
        ),
        HoldOut::Since(time) => {
            Ok(documents.iter().map(|d| d.time.as_ref().is_some_and(|t| t >= time)).collect())
        }
    }
}

/// Bytes read and bytes asked for, position by position, and their owner.
struct Window<'d> {
    /// What stands before the first target.
    first: u8,
    targets: &'d [u8],
    owner: u32,
}

/// Every byte of the document is a target once, but for those of windows that are too short.
fn windows<'d>(
    document: &'d Document,
    owner: u32,
    cutting: &Cutting,
) -> impl Iterator<Item = Window<'d>> {
    let (bytes, length, shortest) = (document.text.as_bytes(), cutting.window, cutting.shortest);
    let at = move |(index, targets): (usize, &'d [u8])| {
        let first = if index == 0 { EDGE } else { bytes[index * length - 1] };
        Window { first, targets, owner }
    };
    let long_enough = move |window: &Window<'_>| window.targets.len() >= shortest;
    bytes.chunks(length).enumerate().map(at).filter(long_enough)
}

fn dataset(
    name: &str,
    windows: &[Window<'_>],
    contributors: &[String],
    cutting: &Cutting,
    first_id: usize,
) -> Result<Dataset, SourceError> {
    let shape = (windows.len(), cutting.window);
    let features = Array2::from_shape_fn(shape, |(row, position)| {
        let window = &windows[row];
        let read = match position {
            0 => Some(&window.first),
            _ => window.targets[..window.targets.len() - 1].get(position - 1),
        };
        f32::from(*read.unwrap_or(&EDGE))
    });
    let targets = Array2::from_shape_fn(shape, |(row, position)| {
        windows[row].targets.get(position).map_or(TokenTargets::NONE, |&byte| u32::from(byte))
    });
    let tokens = TokenTargets::new(targets, cutting.loss);
    Dataset::new(
        name,
        features,
        Targets::Tokens { tokens, vocabulary: BYTES },
        number_examples(name, first_id, windows.len())?,
        windows.iter().map(|window| window.owner).collect(),
        contributors.to_vec(),
    )
    .map_err(|source| SourceError::Invalid { file: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Cutting, HoldOut, cut};
    use crate::dataset::{Dataset, Targets};
    use crate::documents::Document;

    fn document(contributor: &str, text: &str, time: &str) -> Document {
        let (contributor, text) = (contributor.to_owned(), text.to_owned());
        Document { text, contributor, licence: None, time: Some(time.to_owned()) }
    }

    fn all_in_training(window: usize) -> Cutting {
        Cutting { window, hold_out: HoldOut::Documents(0.0), ..Cutting::default() }
    }

    fn asked(dataset: &Dataset, row: usize) -> Vec<Option<char>> {
        let Targets::Tokens { tokens, .. } = dataset.targets() else { panic!("tokens") };
        let target = |position| tokens.target(row, position).map(|t| char::from(t as u8));
        (0..tokens.positions()).map(target).collect()
    }

    #[test]
    fn windows_by_hand() {
        let documents = [document("b", "hello", "1900"), document("a", "no", "1901")];
        let loaded = cut("texts", &documents, &all_in_training(3)).unwrap();
        let train = loaded.train();
        assert!(loaded.test().is_none());
        assert_eq!(train.contributors(), ["a", "b"]);
        assert_eq!(train.owners(), [1, 1, 0]);
        // An edge and "he" ask for "hel"; "l" and "l" ask for "lo"; the next document begins anew.
        let read: Vec<f32> = b"\0hell\0\0n\0".iter().map(|&byte| f32::from(byte)).collect();
        assert_eq!(train.features().iter().copied().collect::<Vec<_>>(), read);
        assert_eq!(asked(train, 0), [Some('h'), Some('e'), Some('l')]);
        assert_eq!(asked(train, 1), [Some('l'), Some('o'), None]);
        assert_eq!(asked(train, 2), [Some('n'), Some('o'), None]);
        let long = Cutting { shortest: 3, ..all_in_training(3) };
        assert_eq!(cut("texts", &documents, &long).unwrap().train().len(), 1);
    }

    #[test]
    fn documents_are_held_out_whole() {
        let documents: Vec<Document> = (0..10)
            .map(|i| document(if i % 2 == 0 { "a" } else { "b" }, "word", &(1900 + i).to_string()))
            .collect();
        let sizes = |hold_out| {
            let cutting = Cutting { window: 2, hold_out, ..Cutting::default() };
            let loaded = cut("texts", &documents, &cutting).unwrap();
            (loaded.train().len(), loaded.test().map_or(0, Dataset::len))
        };
        // Two windows a document; one of each contributor's five documents is a fifth.
        assert_eq!(sizes(HoldOut::Documents(0.2)), (16, 4));
        assert_eq!(sizes(HoldOut::Contributors(vec!["b".into()])), (10, 10));
        assert_eq!(sizes(HoldOut::Since("1907".into())), (14, 6));
    }

    #[test]
    fn what_cannot_be_held_out_is_refused() {
        let mut documents = vec![document("a", "word", "1900")];
        let mut refusal = |hold_out, time: Option<String>| {
            documents[0].time = time;
            let cutting = Cutting { hold_out, ..Cutting::default() };
            cut("texts", &documents, &cutting).unwrap_err().to_string()
        };
        let time = || Some("1900".to_owned());
        assert!(refusal(HoldOut::Documents(1.0), time()).contains("documents: 1"));
        assert!(refusal(HoldOut::Contributors(vec!["c".into()]), time()).contains("nobody"));
        assert!(refusal(HoldOut::Since("soon".into()), time()).contains("neither"));
        assert!(refusal(HoldOut::Since("1900".into()), None).contains("no time"));
        assert!(refusal(HoldOut::Since("1900".into()), time()).contains("window to train on"));
    }

    proptest! {
        /// Targets put together are the documents, and every target is the next byte read.
        #[test]
        fn every_byte_is_asked_once(
            texts in proptest::collection::vec("[a-z ]{1,40}", 1..6),
            window in 1usize..12,
        ) {
            let documents: Vec<Document> = texts.iter().map(|t| document("a", t, "1900")).collect();
            let loaded = cut("texts", &documents, &all_in_training(window)).unwrap();
            let (train, mut found) = (loaded.train(), String::new());
            for row in 0..train.len() {
                let targets = asked(train, row);
                found.extend(targets.iter().flatten());
                for position in 1..window {
                    let read = train.features()[(row, position)] as u8;
                    let expected = match targets[position] {
                        Some(_) => targets[position - 1].unwrap() as u8,
                        None => super::EDGE,
                    };
                    prop_assert_eq!(read, expected);
                }
            }
            prop_assert_eq!(found, texts.concat());
        }
    }
}
