//! Encoders of texts that somebody else trained, in folders of Hugging Face's layout:
//! `config.json`, `tokenizer.json`, `model.safetensors`, and what sentence-transformers adds:
//! `sentence_bert_config.json` may cut texts short, `1_Pooling/config.json` must say the mean.

use std::path::{Path, PathBuf};

use attribench_core::{Encoder, EncoderEntry, Examples, Real};
use attribench_datasets::Pieces;
use ndarray::Array2;
use safetensors::SafeTensors;
use serde_json::Value;

use super::{FileError, scores::floats};
use crate::store::Key;

/// An encoder with the way in which it cuts texts.
pub struct TextEncoder {
    pieces: Pieces,
    encoder: Box<dyn Encoder>,
    content: Key,
    bytes: u64,
}

/// A file of the folder, as bytes.
struct Opened {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Opened {
    fn new(folder: &Path, name: &str) -> Result<Self, FileError> {
        let path = folder.join(name);
        let refused = |error: std::io::Error| FileError::Content {
            file: path.display().to_string(),
            reason: format!(
                "{error}\nhint: an encoder is a folder with `config.json`, `tokenizer.json` and \
                 `model.safetensors`"
            ),
        };
        let bytes = std::fs::read(&path).map_err(refused)?;
        Ok(Self { path, bytes })
    }

    fn json(&self) -> Result<Value, FileError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| self.refuse(format!("{error}\nhint: is the file whole?")))
    }

    fn refuse(&self, reason: String) -> FileError {
        FileError::Content { file: self.path.display().to_string(), reason }
    }
}

impl TextEncoder {
    /// Reads the folder of an encoder whose `model_type` is among `known`.
    ///
    /// # Errors
    /// When a file is missing or damaged, the encoder is of another kind, or its files do not fit
    /// each other.
    pub fn load(folder: &Path, known: &[EncoderEntry]) -> Result<Self, FileError> {
        let description = Opened::new(folder, "config.json")?;
        let weights = Opened::new(folder, "model.safetensors")?;
        let encoder = built(&description, &weights, known)?;
        let longest = longest(folder, encoder.longest())?;
        check_pooling(folder)?;
        let cut = Opened::new(folder, "tokenizer.json")?;
        let pieces = Pieces::of_file(&cut.path, longest)?;
        if pieces.vocabulary() > encoder.vocabulary() {
            return Err(cut.refuse(format!(
                "it has {} tokens, and the model knows {}\nhint: take both from one folder",
                pieces.vocabulary(),
                encoder.vocabulary()
            )));
        }
        let parts = [&description, &cut, &weights].map(|file| Key::of_content(&file.bytes));
        let content = Key::of("encoder", &longest, &parts.each_ref());
        Ok(Self { pieces, encoder, content, bytes: weights.bytes.len() as u64 })
    }

    /// Key of all that vectors depend on besides the texts.
    pub fn content(&self) -> &Key {
        &self.content
    }

    /// Memory of its parameters.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A vector for each text of the examples, all of it that is read up to its last target,
    /// `(n, d)`.
    ///
    /// # Errors
    /// When the examples are no texts, or a text cannot be cut; the reason.
    pub fn embed<T: Real>(&self, examples: &Examples<T>) -> Result<Array2<T>, String> {
        let pieces = |row: usize| {
            let bytes =
                examples.spelt(row).ok_or("they are no texts\nhint: leave out `encoder`")?;
            let text = String::from_utf8_lossy(&bytes);
            // Edges and padding are the byte 0.
            self.pieces.encode(text.trim_matches('\0')).map_err(|error| error.to_string())
        };
        let texts = (0..examples.len()).map(pieces).collect::<Result<Vec<_>, String>>()?;
        Ok(self.encoder.embed(&texts).mapv(|value| T::from_f64(f64::from(value))))
    }
}

fn built(
    description: &Opened,
    weights: &Opened,
    known: &[EncoderEntry],
) -> Result<Box<dyn Encoder>, FileError> {
    let config = description.json()?;
    let kind = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let entry = known.iter().find(|entry| entry.name == kind).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|entry| entry.name).collect();
        description.refuse(format!(
            "`model_type` is `{kind}` (known: {})\nhint: name an encoder of a known kind, such as \
             all-MiniLM-L6-v2",
            known.join(", ")
        ))
    })?;
    let tensors = SafeTensors::deserialize(&weights.bytes)
        .map_err(|error| weights.refuse(format!("{error}\nhint: is the file whole?")))?;
    let mut faulty = None;
    let built = (entry.build)(&config, &mut |name, shape| {
        let found = tensor(&tensors, name, shape);
        faulty = found.as_ref().err().cloned();
        found
    });
    built.map_err(|error| match faulty {
        Some(reason) => weights.refuse(reason),
        None => description.refuse(error.to_string()),
    })
}

/// Numbers of a tensor, which a model with a head of its own keeps under `bert.`.
fn tensor(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let found = tensors.tensor(name).or_else(|_| tensors.tensor(&format!("bert.{name}")));
    let found = found
        .map_err(|_| format!("there is no `{name}`\nhint: is it the model of this description?"))?;
    if found.shape() != shape {
        return Err(format!(
            "`{name}` is {:?}, and the description says {shape:?}\nhint: take both from one folder",
            found.shape()
        ));
    }
    let values = floats(&found).ok_or_else(|| {
        format!("`{name}` is {:?}\nhint: store F64, F32, F16 or BF16", found.dtype())
    })?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("`{name}` holds {value}\nhint: is the file damaged?")),
        None => Ok(values.into_iter().map(|value| value as f32).collect()),
    }
}

/// A file of sentence-transformers' that may be absent.
fn optional(folder: &Path, name: &str) -> Result<Option<(Opened, Value)>, FileError> {
    if !folder.join(name).exists() {
        return Ok(None);
    }
    let file = Opened::new(folder, name)?;
    let content = file.json()?;
    Ok(Some((file, content)))
}

/// Most tokens of a text: as many as there are positions, or fewer where it is said so.
fn longest(folder: &Path, positions: usize) -> Result<usize, FileError> {
    let said = optional(folder, "sentence_bert_config.json")?;
    let said = said.and_then(|(_, said)| said.get("max_seq_length")?.as_u64());
    Ok(said.map_or(positions, |said| positions.min(said as usize)))
}

fn check_pooling(folder: &Path) -> Result<(), FileError> {
    let Some((file, said)) = optional(folder, "1_Pooling/config.json")? else { return Ok(()) };
    let others = said.as_object().into_iter().flatten().filter(|(key, value)| {
        key.starts_with("pooling_mode_")
            && **value == Value::Bool(true)
            && key.as_str() != "pooling_mode_mean_tokens"
    });
    match others.map(|(key, _)| key).next() {
        None => Ok(()),
        Some(other) => Err(file.refuse(format!(
            "`{other}` is true, and only the mean over tokens is computed here\nhint: name an \
             encoder that was trained with the mean"
        ))),
    }
}
