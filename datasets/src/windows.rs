//! Documents cut into windows of one length, none of which holds two documents.
//!
//! A document is an edge and then its tokens. Padding stands behind the last token of a short
//! window, and before the edge where a window reaches farther back than its document.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Targets};
use crate::documents::{Document, is_time};
use crate::error::SourceError;
use crate::source::Loaded;
use crate::table::number_examples;
use crate::tokenizer::{Tokenizer, Tokens};
use crate::tokens::{TokenLoss, TokenTargets};

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
    /// Tokens that stand before the first target of a window, and that it reads.
    pub context: usize,
    /// A window asks for every so many-th token.
    pub every: usize,
    /// Fewest targets of a window.
    pub shortest: usize,
    pub tokens: Tokens,
    pub loss: TokenLoss,
    pub hold_out: HoldOut,
}

impl Default for Cutting {
    fn default() -> Self {
        let (tokens, loss, hold_out) = Default::default();
        Self { window: 64, context: 1, every: 1, shortest: 1, tokens, loss, hold_out }
    }
}

impl Cutting {
    /// Targets of a whole window.
    fn targets(&self) -> usize {
        (self.window - self.context) / self.every + 1
    }

    fn check(&self) -> Result<(), SourceError> {
        let Self { window, context, every, shortest, .. } = *self;
        let refused =
            |option, found, reason, hint| Err(SourceError::Option { option, found, reason, hint });
        if context == 0
            || every == 0
            || window < context
            || !(window - context).is_multiple_of(every)
        {
            return refused(
                "window",
                format!("{window} with `context` {context} and `every` {every}"),
                "a window is its context and a number of steps of `every` tokens",
                "leave `context` and `every` out, or let `window` be for instance 80, `context` 40 \
                 and `every` 8",
            );
        }
        if shortest == 0 || shortest > self.targets() {
            return refused(
                "window",
                format!("{window} with `shortest` {shortest}"),
                "`shortest` is 1 to the targets of a window",
                "leave `shortest` out, and let `window` be 64",
            );
        }
        Ok(())
    }
}

/// Training windows and those of documents that are held out.
pub(crate) fn cut(
    name: &str,
    documents: &[Document],
    cutting: &Cutting,
) -> Result<Loaded, SourceError> {
    cutting.check()?;
    let (contributors, owners) = number_contributors(documents);
    let held_out = held_out(documents, &owners, &cutting.hold_out)?;
    let seen = documents.iter().zip(&held_out).filter(|(_, held_out)| !**held_out);
    let tokenizer = cutting.tokens.tokenizer(seen.map(|(document, _)| document.text.as_str()))?;
    let part = |wanted: bool, first_id: usize| {
        let chosen = documents.iter().zip(&owners).zip(&held_out);
        let chosen = chosen.filter(|(_, held)| **held == wanted).map(|(pair, _)| pair);
        let windows: Vec<Window> =
            chosen.flat_map(|(d, &owner)| windows(d, owner, cutting, &tokenizer)).collect();
        dataset(name, &windows, (&contributors, &tokenizer), cutting, first_id)
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

/// Tokens read and tokens asked for, position by position, and their owner.
struct Window {
    read: Vec<u32>,
    targets: Vec<u32>,
    owner: u32,
}

/// Every `every`-th token of the document is a target once, but for those of windows that are too
/// short.
fn windows(
    document: &Document,
    owner: u32,
    cutting: &Cutting,
    tokenizer: &Tokenizer,
) -> Vec<Window> {
    let mut sequence = vec![tokenizer.edge()];
    sequence.extend(tokenizer.encode(&document.text));
    let places: Vec<usize> = (cutting.every..sequence.len()).step_by(cutting.every).collect();
    // Padding stands for what is not in the vocabulary, and is not asked for.
    let is_asked = |place: &&usize| sequence[**place] != tokenizer.padding();
    let windows = places.chunks(cutting.targets());
    windows
        .filter(|places| places.iter().filter(is_asked).count() >= cutting.shortest)
        .map(|places| window(&sequence, places, owner, (cutting, tokenizer)))
        .collect()
}

/// The window that asks for the tokens at some places of a document.
fn window(
    sequence: &[u32],
    places: &[usize],
    owner: u32,
    (cutting, tokenizer): (&Cutting, &Tokenizer),
) -> Window {
    let (context, last) = (cutting.context, places[places.len() - 1]);
    // Position 0 reads the place `context` before the first target.
    let place_of = |position: usize| (places[0] + position).checked_sub(context);
    let read = |position: usize| match place_of(position) {
        Some(place) if place < last => sequence[place],
        _ => tokenizer.padding(),
    };
    let mut targets = vec![TokenTargets::NONE; cutting.window];
    for &place in places {
        if sequence[place] != tokenizer.padding() {
            targets[place - places[0] + context - 1] = sequence[place];
        }
    }
    Window { read: (0..cutting.window).map(read).collect(), targets, owner }
}

fn dataset(
    name: &str,
    windows: &[Window],
    (contributors, tokenizer): (&[String], &Arc<Tokenizer>),
    cutting: &Cutting,
    first_id: usize,
) -> Result<Dataset, SourceError> {
    let shape = (windows.len(), cutting.window);
    let features = Array2::from_shape_fn(shape, |(row, s)| windows[row].read[s] as f32);
    let targets = Array2::from_shape_fn(shape, |(row, s)| windows[row].targets[s]);
    let tokens = TokenTargets::new(targets, cutting.loss).spelt_by(tokenizer.clone());
    Dataset::new(
        name,
        features,
        Targets::Tokens { tokens, vocabulary: tokenizer.vocabulary() },
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
    use crate::tokenizer::{Characters, Tokens};

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
    fn strides_and_contexts_by_hand() {
        // Of "abcdefg" every second token is asked for: b, d and f. Two in a window with a context
        // of three: b after the padding, the edge and a; d after b and c; then f after c, d, e.
        let documents = [document("a", "abcdefg", "1900")];
        let cutting = Cutting { context: 3, every: 2, ..all_in_training(5) };
        let loaded = cut("texts", &documents, &cutting).unwrap();
        let train = loaded.train();
        let read: Vec<u8> = train.features().iter().map(|&token| token as u8).collect();
        assert_eq!(read, *b"\0\0abccde\0\0");
        assert_eq!(asked(train, 0), [None, None, Some('b'), None, Some('d')]);
        assert_eq!(asked(train, 1), [None, None, Some('f'), None, None]);
        let refused = Cutting { every: 3, ..cutting };
        let message = cut("texts", &documents, &refused).unwrap_err().to_string();
        assert!(message.contains("5 with `context` 3 and `every` 3"), "{message}");
    }

    #[test]
    fn characters_have_their_own_edge() {
        let tokens = Tokens::Characters(Characters::Embedded("textgenrnn".into()));
        let tokenizer = tokens.tokenizer([]).unwrap();
        let cutting = Cutting { tokens, context: 2, ..all_in_training(3) };
        // A sign that no vocabulary of letters has is read as padding and not asked for.
        let loaded = cut("texts", &[document("a", "n\u{e000}n", "1900")], &cutting).unwrap();
        let train = loaded.train();
        let read: Vec<u32> = train.features().iter().map(|&token| token as u32).collect();
        let edge = tokenizer.edge();
        assert_eq!(read, [0, edge, 8, 8, 0, 0]);
        let Targets::Tokens { tokens, vocabulary } = train.targets() else { panic!("tokens") };
        assert_eq!(*vocabulary, 465);
        let asked = |row| tokens.asked(row).collect::<Vec<_>>();
        assert_eq!((asked(0), asked(1)), (vec![(1, 8)], vec![(1, 8)]));
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
                        None => 0,
                    };
                    prop_assert_eq!(read, expected);
                }
            }
            prop_assert_eq!(found, texts.concat());
        }
    }
}
