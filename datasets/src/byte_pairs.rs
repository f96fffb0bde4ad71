//! Byte-pair encoding: a vocabulary learnt from texts, in the format of Hugging Face's tokenizers.
//!
//! That library encodes. It does not learn here: where it comes to a token by a second pair, the
//! order of its candidates is left to a hash.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
    pre_tokenizers::byte_level::ByteLevel,
};

/// Name of the token that stands before a text and pads it; no merge leads to it.
pub(crate) const EDGE: &str = "<|edge|>";

/// Fewest occurrences of a pair that becomes a token.
const FEWEST: u64 = 2;

/// The edge and every byte.
pub(crate) const SMALLEST: usize = 257;

/// Encodes as a `tokenizer.json` on bytes says.
#[derive(Clone, Debug)]
pub(crate) struct BytePairs {
    json: String,
    built: Box<Tokenizer>,
    /// Bytes without a token. A vocabulary that was learnt elsewhere may have some: control
    /// characters, and what begins signs of scripts that nobody writes.
    unknown: BTreeSet<u8>,
}

impl PartialEq for BytePairs {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for BytePairs {}

impl BytePairs {
    /// From the content of the file; the reason where it cannot be used.
    pub(crate) fn of_json(json: String) -> Result<Self, String> {
        let built = Tokenizer::from_bytes(&json).map_err(|error| error.to_string())?;
        let is_unknown = |(_, sign): &(u8, char)| built.token_to_id(&sign.to_string()).is_none();
        let unknown = signs().into_iter().filter(is_unknown);
        let unknown: BTreeMap<u8, char> = unknown.collect();
        let is_needed = |byte: u8| byte == b'\n' || matches!(byte, b' '..=b'~' | 0x80..=0xBF);
        if let Some((_, sign)) = unknown.iter().find(|(byte, _)| is_needed(**byte)) {
            return Err(format!("it is not on bytes: there is no token `{sign}`"));
        }
        let unknown = unknown.into_keys().collect();
        Ok(Self { json, built: Box::new(built), unknown })
    }

    /// The content of the file.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// The number of a token.
    pub(crate) fn token(&self, name: &str) -> Option<u32> {
        self.built.token_to_id(name)
    }

    /// What each token stands for; the byte 0 for those that never stand for text.
    pub(crate) fn spelling(&self) -> Result<Vec<Vec<u8>>, String> {
        let bytes: BTreeMap<char, u8> =
            signs().into_iter().map(|(byte, sign)| (sign, byte)).collect();
        let special = self.built.get_added_tokens_decoder();
        let spell = |number: u32| {
            let name = self.built.id_to_token(number);
            let name = name.ok_or_else(|| format!("no token has the number {number}"))?;
            match special.get(&number) {
                Some(token) if token.special => Ok(vec![0]),
                Some(_) => Ok(name.into_bytes()),
                None => match name.chars().map(|sign| bytes.get(&sign).copied()).collect() {
                    Some(bytes) => Ok(bytes),
                    None => Ok(name.into_bytes()),
                },
            }
        };
        (0..self.built.get_vocab_size(true) as u32).map(spell).collect()
    }

    /// The tokens of a text; `padding` in place of characters that have none.
    pub(crate) fn encode(&self, text: &str, padding: u32) -> Vec<u32> {
        let is_unknown = |letter: char| {
            letter.encode_utf8(&mut [0; 4]).bytes().any(|byte| self.unknown.contains(&byte))
        };
        let mut tokens = Vec::new();
        for (part, known) in text.split(is_unknown).enumerate() {
            tokens.extend((part > 0).then_some(padding));
            let encoded = self.built.encode_fast(known, false);
            tokens.extend(encoded.expect("every byte is a token").get_ids());
        }
        tokens
    }
}

/// The sign that stands for each byte: itself where it is printable, and the next from 256 on.
fn signs() -> BTreeMap<u8, char> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let mut others = (256..).filter_map(char::from_u32);
    (0..=u8::MAX)
        .map(|byte| match is_printable(byte) {
            true => (byte, char::from(byte)),
            false => (byte, others.next().expect("there are enough signs")),
        })
        .collect()
}

/// Two tokens that stand side by side.
type Pair = (usize, usize);

/// A `tokenizer.json` with at most `vocabulary` tokens: the edge, 256 bytes, and then, one after
/// the other, the pair of tokens that is most frequent within words, of several the one whose
/// tokens came first (Sennrich and others 2016). Words are those of GPT-2.
pub(crate) fn learn<'t>(texts: impl IntoIterator<Item = &'t str>, vocabulary: usize) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        for word in words(text) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let alphabet: BTreeSet<char> = signs().into_values().collect();
    let letters = alphabet.iter().map(char::to_string);
    let mut tokens: Vec<String> = std::iter::once(EDGE.to_owned()).chain(letters).collect();
    let mut numbers: BTreeMap<String, usize> = tokens.iter().cloned().zip(0..).collect();
    let number = |letter: char| numbers[letter.encode_utf8(&mut [0; 4])];
    let numbered = |(word, count): (String, u64)| (word.chars().map(number).collect(), count);
    let mut words: Vec<(Vec<usize>, u64)> = counts.into_iter().map(numbered).collect();
    let mut pairs: BTreeMap<Pair, u64> = BTreeMap::new();
    for (word, count) in &words {
        word.windows(2).for_each(|pair| *pairs.entry((pair[0], pair[1])).or_default() += count);
    }
    let mut merges = Vec::new();
    while tokens.len() < vocabulary {
        // The last of equal maxima from behind is the first of them.
        let Some((&best, &count)) = pairs.iter().rev().max_by_key(|&(_, &count)| count) else {
            break;
        };
        if count < FEWEST {
            break;
        }
        let name = format!("{}{}", tokens[best.0], tokens[best.1]);
        // Two pairs may spell the same token.
        let token = *numbers.entry(name.clone()).or_insert(tokens.len());
        if token == tokens.len() {
            tokens.push(name);
        }
        merges.push(best);
        for (word, count) in &mut words {
            merge(word, best, token, |pair, is_new| {
                let known = pairs.entry(pair).or_default();
                *known = if is_new { *known + *count } else { *known - *count };
            });
        }
        pairs.retain(|_, count| *count > 0);
    }
    let merges: Vec<[&str; 2]> =
        merges.iter().map(|&(a, b)| [tokens[a].as_str(), tokens[b].as_str()]).collect();
    format!("{:#}\n", file(&json!(numbers), &json!(merges)))
}

/// Puts `token` where `pair` stands, from the front, and tells which pairs come and go.
fn merge(word: &mut Vec<usize>, pair: Pair, token: usize, mut tell: impl FnMut(Pair, bool)) {
    if !word.windows(2).any(|two| (two[0], two[1]) == pair) {
        return;
    }
    word.windows(2).for_each(|two| tell((two[0], two[1]), false));
    let mut merged = Vec::with_capacity(word.len());
    let mut rest = &word[..];
    while let [first, tail @ ..] = rest {
        if tail.first().is_some_and(|&second| (*first, second) == pair) {
            merged.push(token);
            rest = &tail[1..];
        } else {
            merged.push(*first);
            rest = tail;
        }
    }
    *word = merged;
    word.windows(2).for_each(|two| tell((two[0], two[1]), true));
}

/// Words of a text with a sign for each byte.
fn words(text: &str) -> Vec<String> {
    let mut cut = PreTokenizedString::from(text);
    let signs = ByteLevel::new(false, false, true);
    signs.pre_tokenize(&mut cut).expect("every text is cut into words");
    let words = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
    words.into_iter().map(|(word, ..)| word.to_owned()).collect()
}

fn file(vocabulary: &Value, merges: &Value) -> Value {
    let bytes = json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": false,
        "use_regex": true,
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": null,
        "decoder": bytes,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::learn;

    #[test]
    fn merges_by_hand() {
        // Words: abab, then " abab" twice and " cab". Pairs: ab 2 + 2 2 + 1 = 7, ba 3, (space)a 2,
        // (space)c 1, ca 1. After ab: (ab)(ab) 3, (space)(ab) 2, c(ab) 1. After (abab):
        // (space)(abab) 2. What is left occurs once.
        let json = learn(["abab abab", " abab cab"], 300);
        let file: Value = serde_json::from_str(&json).unwrap();
        let merges = serde_json::json!([["a", "b"], ["ab", "ab"], ["Ġ", "abab"]]);
        assert_eq!(file["model"]["merges"], merges);
        assert_eq!(file["model"]["vocab"]["<|edge|>"], 0);
        assert_eq!(file["model"]["vocab"]["Ġabab"], 1 + 256 + 2);
    }

    #[test]
    fn of_equal_pairs_the_one_of_the_first_tokens_is_taken() {
        // cd and ab both occur twice, and nothing else does.
        let file: Value = serde_json::from_str(&learn(["cdxab cdyab"], 1 + 256 + 1)).unwrap();
        assert_eq!(file["model"]["merges"], serde_json::json!([["a", "b"]]));
    }
}
