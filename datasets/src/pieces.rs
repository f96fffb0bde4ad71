//! How somebody else's encoder cuts texts.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use crate::{error::SourceError, idx::read_path};

/// Cuts texts as a `tokenizer.json` of Hugging Face says, with the marks that it sets before and
/// behind a text. Unlike a [`crate::Tokenizer`] it need not lead back: letters may be made small,
/// and unknown words be one token.
pub struct Pieces {
    file: String,
    built: Tokenizer,
}

impl Pieces {
    /// From the file, for texts of at most `longest` tokens with their marks; what is longer is cut
    /// off. What the file itself says of lengths and padding is passed over.
    ///
    /// # Errors
    /// When the file cannot be read, is none of a tokenizer, or sets more marks than `longest`.
    pub fn of_file(path: &Path, longest: usize) -> Result<Self, SourceError> {
        let file = path.display().to_string();
        let wrong = |reason: String| SourceError::Pieces { file: file.clone(), reason };
        let bytes = read_path(path)?;
        let mut built = Tokenizer::from_bytes(&bytes).map_err(|error| wrong(error.to_string()))?;
        let cut = TruncationParams { max_length: longest, ..TruncationParams::default() };
        built.with_truncation(Some(cut)).map_err(|error| wrong(error.to_string()))?;
        built.with_padding(None);
        Ok(Self { file, built })
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.built.get_vocab_size(true)
    }

    /// The tokens of a text with its marks.
    ///
    /// # Errors
    /// When a word has no token and the file names none for such words, or the text has none.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, SourceError> {
        let wrong = |reason: String| SourceError::Pieces { file: self.file.clone(), reason };
        let encoded = self.built.encode_fast(text, true);
        let encoded = encoded.map_err(|error| wrong(format!("`{text}`: {error}")))?;
        match encoded.get_ids() {
            [] => Err(wrong(format!("`{text}` has no token"))),
            tokens => Ok(tokens.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::Pieces;
    use crate::SourceError;

    fn file() -> Value {
        json!({
            "version": "1.0",
            "truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0 },
            "padding": {
                "strategy": { "Fixed": 9 }, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
            },
            "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true
            },
            "pre_tokenizer": { "type": "BertPreTokenizer" },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                    { "SpecialToken": { "id": "[SEP]", "type_id": 0 } }
                ],
                "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }],
                "special_tokens": {
                    "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                    "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] }
                }
            },
            "decoder": null,
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {
                    "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "sea": 4, "##side": 5, ",": 6,
                    "e": 7
                }
            }
        })
    }

    fn written(content: &[u8], longest: usize) -> Result<Pieces, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, content).unwrap();
        Pieces::of_file(&path, longest)
    }

    #[test]
    fn words_are_cut_into_pieces_between_marks() {
        let pieces = written(file().to_string().as_bytes(), 8).unwrap();
        assert_eq!(pieces.vocabulary(), 8);
        // Small letters without accents; no padding, and no end after four.
        assert_eq!(pieces.encode("Seaside, \u{c9} boat sea").unwrap(), [2, 4, 5, 6, 7, 1, 4, 3]);
        assert_eq!(pieces.encode("").unwrap(), [2, 3]);
        let short = written(file().to_string().as_bytes(), 3).unwrap();
        assert_eq!(short.encode("sea sea sea").unwrap(), [2, 4, 3]);
    }

    #[test]
    fn what_cannot_be_used_is_said_with_its_file() {
        let missing = Pieces::of_file(Path::new("gone/tokenizer.json"), 8).err().unwrap();
        assert!(missing.to_string().contains("gone/tokenizer.json"), "{missing}");
        let damaged = written(b"{}", 8).err().unwrap().to_string();
        assert!(damaged.contains("tokenizer.json: ") && damaged.contains("hint: "), "{damaged}");
        let mut known_alone = file();
        known_alone["model"]["vocab"].as_object_mut().unwrap().remove("[UNK]");
        let pieces = written(known_alone.to_string().as_bytes(), 8).unwrap();
        assert_eq!(pieces.encode("sea").unwrap(), [2, 4, 3]);
        let unknown = pieces.encode("boat").unwrap_err().to_string();
        assert!(unknown.contains("`boat`"), "{unknown}");
    }
}
