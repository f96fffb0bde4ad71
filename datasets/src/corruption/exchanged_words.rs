//! Words of a text exchanged for others as long, so that nothing behind them moves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::CorruptionError;
use crate::dataset::{Dataset, Targets};
use crate::tokenizer::Tokenizer;
use crate::tokens::TokenTargets;

/// Features and targets of `rows` in which each word, with chance `rate`, is another word of the
/// data that has as many letters.
pub(super) fn exchange_words(
    data: &Dataset,
    rows: &[usize],
    rate: f64,
    stream: &mut ChaCha8Rng,
) -> Result<(Array2<f32>, Targets), CorruptionError> {
    let Targets::Tokens { tokens, vocabulary } = data.targets() else {
        return Err(CorruptionError::NoText { name: data.name().to_owned() });
    };
    if !(rate > 0.0 && rate <= 1.0) {
        return Err(CorruptionError::Rate { found: rate });
    }
    let tokenizer = tokens.tokenizer();
    if !tokenizer.is_by_letter() {
        return Err(CorruptionError::LongTokens { name: data.name().to_owned() });
    }
    let mut known: BTreeMap<usize, BTreeSet<Vec<u32>>> = BTreeMap::new();
    for row in 0..data.len() {
        let text = text_of(data, tokens, row);
        for word in words(&text, tokenizer) {
            known.entry(word.len()).or_default().insert(text[word].to_vec());
        }
    }
    let known: BTreeMap<usize, Vec<Vec<u32>>> =
        known.into_iter().map(|(length, words)| (length, words.into_iter().collect())).collect();
    let mut features = data.features().select(ndarray::Axis(0), rows);
    let mut targets = tokens.select(rows).targets().to_owned();
    for (copy, &row) in rows.iter().enumerate() {
        let mut text = text_of(data, tokens, row);
        for word in words(&text, tokenizer) {
            let others = &known[&word.len()];
            if stream.random_bool(rate) && others.len() > 1 {
                let own = others.binary_search(&text[word.clone()].to_vec()).expect("it is known");
                // A step of 1 to all but one around the list reaches each other word once.
                let other = (own + stream.random_range(1..others.len())) % others.len();
                text[word].copy_from_slice(&others[other]);
            }
        }
        for (position, &token) in text[..text.len() - 1].iter().enumerate() {
            features[(copy, position)] = token as f32;
            if targets[(copy, position)] != TokenTargets::NONE {
                targets[(copy, position)] = text[position + 1];
            }
        }
    }
    // Sums and means of losses stay what they were.
    let changed = tokens.select(rows).map(|copy, position, _| targets[(copy, position)]);
    Ok((features, Targets::Tokens { tokens: changed, vocabulary: *vocabulary }))
}

/// What is read up to the last target, and that target.
fn text_of(data: &Dataset, tokens: &TokenTargets, row: usize) -> Vec<u32> {
    let read = data.features().row(row);
    let Some((last, target)) = tokens.asked(row).last() else { return vec![0] };
    read.iter().take(last + 1).map(|&token| token as u32).chain([target]).collect()
}

/// Runs of ASCII letters.
fn words(text: &[u32], tokenizer: &Tokenizer) -> Vec<Range<usize>> {
    let is_letter = |&token: &u32| tokenizer.is_letter(token);
    let mut found = Vec::new();
    let mut start = None;
    for at in 0..=text.len() {
        match (start, text.get(at).is_some_and(is_letter)) {
            (None, true) => start = Some(at),
            (Some(first), false) => {
                found.push(first..at);
                start = None;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::dataset::ExampleId;
    use crate::tokens::TokenLoss;

    fn texts(lines: &[&[u8]]) -> Dataset {
        let width = lines[0].len() - 1;
        let at = |row: usize, position: usize| lines[row][position];
        let features =
            Array2::from_shape_fn((lines.len(), width), |(row, s)| f32::from(at(row, s)));
        let targets =
            Array2::from_shape_fn((lines.len(), width), |(row, s)| u32::from(at(row, s + 1)));
        let tokens = TokenTargets::new(targets, TokenLoss::Sum);
        let ids = (0..lines.len() as u32).map(ExampleId).collect();
        let targets = Targets::Tokens { tokens, vocabulary: 256 };
        let owners = vec![0; lines.len()];
        Dataset::new("texts", features, targets, ids, owners, vec!["a".into()]).unwrap()
    }

    #[test]
    fn words_by_hand() {
        let text: Vec<u32> = b"to be, or7not".iter().map(|&byte| u32::from(byte)).collect();
        assert_eq!(words(&text, &Tokenizer::bytes()), [0..2, 3..5, 7..9, 10..13]);
        assert!(words(&[], &Tokenizer::bytes()).is_empty());
    }

    #[test]
    fn every_word_goes_where_another_is_as_long() {
        let data = texts(&[b"\0to be.", b"\0or not"]);
        let mut stream = ChaCha8Rng::seed_from_u64(1);
        let (features, targets) = exchange_words(&data, &[1], 1.0, &mut stream).unwrap();
        let Targets::Tokens { tokens, .. } = &targets else { panic!("tokens") };
        let read: String = features.iter().map(|&token| char::from(token as u8)).collect();
        let asked: String = tokens.asked(0).map(|(_, token)| char::from(token as u8)).collect();
        // "or" is exchanged for "to" or "be"; nothing else has the length of "not".
        assert!(["\0to no", "\0be no"].contains(&read.as_str()), "{read:?}");
        assert_eq!(asked, format!("{}t", &read[1..]));
    }
}
