//! How texts become tokens, and tokens texts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::byte_pairs::{self, BytePairs};
use crate::error::SourceError;
use crate::idx::read_path;
use crate::manifest::TEXTGENRNN_VOCABULARY;

/// What a token is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// A byte of UTF-8: 256 tokens, of which byte 0 is the edge.
    #[default]
    Bytes,
    /// A character of a given vocabulary. Others are read as padding, and never asked for.
    Characters(Characters),
    /// A piece of a word, of a vocabulary learnt from the documents that are not held out.
    Bpe {
        /// Most tokens: the edge, the 256 bytes, and pairs that are merged.
        vocabulary: usize,
    },
    /// What somebody else's tokenizer says.
    Tokenizer {
        /// A `tokenizer.json` of Hugging Face's tokenizers, on bytes.
        path: PathBuf,
        /// The token that stands before a text and pads it, such as `<|endoftext|>`.
        edge: String,
    },
}

/// A vocabulary of characters: a JSON object with a number for each. Number 0 is padding; a name of
/// several characters is the edge of a text, and padding where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Characters {
    /// That of a model that is embedded: `textgenrnn`.
    Embedded(String),
    /// The user's own file.
    Path(PathBuf),
}

impl Tokens {
    /// Reads what is to be read, and learns what is to be learnt from `texts`.
    pub(crate) fn tokenizer<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<Arc<Tokenizer>, SourceError> {
        match self {
            Self::Bytes => Ok(Tokenizer::bytes()),
            Self::Bpe { vocabulary } if *vocabulary <= byte_pairs::SMALLEST => {
                Err(SourceError::Option {
                    option: "tokens",
                    found: format!("bpe: vocabulary: {vocabulary}"),
                    reason: "the edge and every byte are tokens, and 257 leave none to be learnt",
                    hint: "use for instance 512",
                })
            }
            Self::Bpe { vocabulary } => {
                let json = byte_pairs::learn(texts, *vocabulary);
                Tokenizer::byte_pairs("the learnt tokenizer", json, byte_pairs::EDGE).map(Arc::new)
            }
            Self::Tokenizer { path, edge } => {
                let file = path.display().to_string();
                let json = String::from_utf8(read_path(path)?).map_err(|error| {
                    SourceError::Tokenizer { file: file.clone(), reason: error.to_string() }
                })?;
                Tokenizer::byte_pairs(&file, json, edge).map(Arc::new)
            }
            Self::Characters(Characters::Embedded(name)) if name == "textgenrnn" => {
                let file = &TEXTGENRNN_VOCABULARY;
                let tokenizer = Tokenizer::characters(file.name, file.read()?)?;
                file.check_rows(tokenizer.vocabulary() - 1)?;
                Ok(Arc::new(tokenizer))
            }
            Self::Characters(Characters::Embedded(name)) => Err(SourceError::Option {
                option: "tokens",
                found: format!("characters: embedded: {name}"),
                reason: "the known vocabulary is textgenrnn",
                hint: "your own is read with `characters: {path: ...}`",
            }),
            Self::Characters(Characters::Path(path)) => {
                let name = path.display().to_string();
                Tokenizer::characters(&name, &read_path(path)?).map(Arc::new)
            }
        }
    }
}

/// Tokens and their spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    kind: Kind,
    /// What each token stands for; edge and padding are the byte 0, which no text holds.
    spelling: Vec<Vec<u8>>,
    edge: u32,
    padding: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Bytes,
    Characters(BTreeMap<char, u32>),
    BytePairs(BytePairs),
}

static BYTES: LazyLock<Arc<Tokenizer>> = LazyLock::new(|| {
    let spelling = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    Arc::new(Tokenizer { kind: Kind::Bytes, spelling, edge: 0, padding: 0 })
});

impl Tokenizer {
    /// Every byte is a token.
    pub fn bytes() -> Arc<Self> {
        BYTES.clone()
    }

    /// Characters and their numbers, as a JSON object.
    fn characters(file: &str, json: &[u8]) -> Result<Self, SourceError> {
        let wrong = |reason: String| SourceError::Vocabulary { file: file.to_owned(), reason };
        let numbers: BTreeMap<String, u32> =
            serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        let last = numbers.values().copied().max().unwrap_or(0);
        if last as usize != numbers.len() {
            return Err(wrong(format!("{} names have numbers up to {last}", numbers.len())));
        }
        let mut spelling = vec![Vec::new(); numbers.len() + 1];
        let padding = 0;
        spelling[padding as usize] = vec![0];
        let (mut edge, mut tokens) = (padding, BTreeMap::new());
        for (name, number) in numbers {
            let place = &mut spelling[number as usize];
            if !place.is_empty() {
                return Err(wrong(format!("`{name}` has the number {number}, which is taken")));
            }
            let mut letters = name.chars();
            *place = match (letters.next(), letters.next()) {
                (Some(letter), None) if letter != '\0' => {
                    tokens.insert(letter, number);
                    name.into_bytes()
                }
                (Some(_), Some(_)) if edge == padding => {
                    edge = number;
                    vec![0]
                }
                _ => return Err(wrong(format!("`{name}` is neither a character nor the edge"))),
            };
        }
        Ok(Self { kind: Kind::Characters(tokens), spelling, edge, padding })
    }

    /// A `tokenizer.json` on bytes.
    fn byte_pairs(file: &str, json: String, edge: &str) -> Result<Self, SourceError> {
        let wrong = |reason: String| SourceError::Tokenizer { file: file.to_owned(), reason };
        let pairs = BytePairs::of_json(json).map_err(wrong)?;
        let mut spelling = pairs.spelling().map_err(wrong)?;
        let edge = pairs.token(edge).ok_or_else(|| wrong(format!("there is no token `{edge}`")))?;
        spelling[edge as usize] = vec![0];
        Ok(Self { kind: Kind::BytePairs(pairs), spelling, edge, padding: edge })
    }

    /// Number of tokens, `v`.
    pub fn vocabulary(&self) -> usize {
        self.spelling.len()
    }

    /// Stands before the first token of a text.
    pub fn edge(&self) -> u32 {
        self.edge
    }

    /// Fills a window, before a text and behind it.
    pub fn padding(&self) -> u32 {
        self.padding
    }

    /// Whether a token is never part of a text.
    pub fn is_special(&self, token: u32) -> bool {
        token == self.padding || token == self.edge
    }

    /// The file that says how texts are cut, where it is not said by a name alone.
    pub fn json(&self) -> Option<&str> {
        match &self.kind {
            Kind::Bytes | Kind::Characters(_) => None,
            Kind::BytePairs(pairs) => Some(pairs.json()),
        }
    }

    /// The tokens of a text; padding in place of characters that the vocabulary does not have.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match &self.kind {
            Kind::Bytes => text.bytes().map(u32::from).collect(),
            Kind::Characters(tokens) => {
                let token = |letter| tokens.get(&letter).copied().unwrap_or(self.padding);
                text.chars().map(token).collect()
            }
            Kind::BytePairs(pairs) => pairs.encode(text, self.padding),
        }
    }

    /// What tokens stand for, as bytes; nothing where one is not of this vocabulary.
    pub fn spell(&self, tokens: &[u32]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for &token in tokens {
            bytes.extend(self.spelling.get(token as usize)?);
        }
        Some(bytes)
    }

    /// Whether no token is longer than a character.
    pub(crate) fn is_by_letter(&self) -> bool {
        matches!(self.kind, Kind::Bytes | Kind::Characters(_))
    }

    /// Whether a token is one ASCII letter.
    pub(crate) fn is_letter(&self, token: u32) -> bool {
        let spelling = self.spelling.get(token as usize);
        spelling.is_some_and(|bytes| bytes.len() == 1 && bytes[0].is_ascii_alphabetic())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Characters, Tokenizer, Tokens};

    fn textgenrnn() -> std::sync::Arc<Tokenizer> {
        Tokens::Characters(Characters::Embedded("textgenrnn".into())).tokenizer([]).unwrap()
    }

    #[test]
    fn characters_by_hand() {
        let json = r#"{"a": 1, "é": 3, "<s>": 2}"#;
        let tokenizer = Tokenizer::characters("x.json", json.as_bytes()).unwrap();
        assert_eq!((tokenizer.vocabulary(), tokenizer.edge()), (4, 2));
        // z is no character of the vocabulary.
        assert_eq!(tokenizer.encode("aéza"), [1, 3, 0, 1]);
        assert_eq!(tokenizer.spell(&[2, 1, 3, 0]).unwrap(), "\0aé\0".as_bytes());
        assert_eq!(tokenizer.spell(&[4]), None);
    }

    #[test]
    fn vocabularies_that_are_none_are_refused() {
        let refused =
            |json: &str| Tokenizer::characters("x.json", json.as_bytes()).unwrap_err().to_string();
        assert!(refused(r#"{"a": 1, "b": 3}"#).contains("2 names have numbers up to 3"));
        assert!(refused(r#"{"a": 1, "b": 2, "c": 2, "d": 4}"#).contains("taken"));
        assert!(refused(r#"{"a": 0, "b": 2}"#).contains("taken"));
        assert!(refused(r#"{"ab": 1, "cd": 2}"#).contains("`cd` is neither"));
        assert!(refused("[]").starts_with("x.json: "));
        let unknown = Tokens::Characters(Characters::Embedded("gpt".into())).tokenizer([]);
        assert!(unknown.unwrap_err().to_string().contains("characters: embedded: gpt"));
    }

    #[test]
    fn the_embedded_vocabulary_is_that_of_the_model() {
        let tokenizer = textgenrnn();
        assert_eq!(tokenizer.vocabulary(), 465);
        assert_eq!(tokenizer.encode("n,"), [8, 26]);
        assert!(tokenizer.edge() > 0);
    }

    proptest! {
        #[test]
        fn texts_come_back(text in "[ -~]{0,40}") {
            for tokenizer in [Tokenizer::bytes(), textgenrnn()] {
                let tokens = tokenizer.encode(&text);
                prop_assert!(tokens.iter().all(|&token| !tokenizer.is_special(token)));
                prop_assert_eq!(tokenizer.spell(&tokens).unwrap(), text.as_bytes());
            }
        }
    }
}
