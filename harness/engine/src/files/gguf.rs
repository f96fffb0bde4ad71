//! GGUF files of llama.cpp: parameters, often packed into few bits, and metadata.

use std::{fs::File, io::BufReader, path::Path};

use candle_core::{
    Device,
    quantized::gguf_file::{Content, Value as Entry},
};
use serde_json::{Map, Value};

use super::{FileError, parameters::Tensor};

fn refused(path: &Path, reason: impl ToString) -> FileError {
    // Behind the first line there may be a trace of the library's own.
    let reason = reason.to_string().lines().next().unwrap_or_default().to_owned();
    let hint = "is it whole, and no newer than version 3 of the format?";
    let reason = format!("{reason}\nhint: {hint}");
    FileError::Content { file: path.display().to_string(), reason }
}

fn open(path: &Path) -> Result<(BufReader<File>, Content), FileError> {
    let mut file = BufReader::new(File::open(path).map_err(|error| refused(path, error))?);
    let content = Content::read(&mut file).map_err(|error| refused(path, error))?;
    Ok((file, content))
}

fn names(content: &Content) -> Vec<&str> {
    let mut names: Vec<&str> = content.tensor_infos.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// All tensors, by name, unpacked.
///
/// # Errors
/// When the file is cut short or damaged, or packs numbers in a way that is not known.
pub(super) fn tensors(path: &Path) -> Result<Vec<Tensor>, FileError> {
    let (mut file, content) = open(path)?;
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for name in names(&content) {
        let unpacked = content.tensor(&mut file, name, &Device::Cpu).and_then(|packed| {
            let shape = packed.shape().dims().to_vec();
            let values = packed.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
            Ok((shape, values))
        });
        let (shape, values) =
            unpacked.map_err(|error| refused(path, format!("`{name}`: {error}")))?;
        let values = values.into_iter().map(f64::from).collect();
        tensors.push(Tensor { name: name.to_owned(), shape, values });
    }
    Ok(tensors)
}

/// Metadata that are no lists, and under `tensors` the names of all tensors.
///
/// # Errors
/// When the file is cut short or damaged.
pub(super) fn metadata(path: &Path) -> Result<Value, FileError> {
    let (_, content) = open(path)?;
    let mut metadata = Map::new();
    for (key, entry) in &content.metadata {
        let value: Value = match entry {
            Entry::String(text) => text.as_str().into(),
            Entry::Bool(is_true) => (*is_true).into(),
            // The shortest decimal, which is what was meant: 1e-5 and not its rounding.
            Entry::F32(number) => number.to_string().parse::<f64>().expect("a number").into(),
            Entry::F64(number) => (*number).into(),
            Entry::U8(number) => (*number).into(),
            Entry::U16(number) => (*number).into(),
            Entry::U32(number) => (*number).into(),
            Entry::U64(number) => (*number).into(),
            Entry::I8(number) => (*number).into(),
            Entry::I16(number) => (*number).into(),
            Entry::I32(number) => (*number).into(),
            Entry::I64(number) => (*number).into(),
            Entry::Array(_) => continue,
        };
        metadata.insert(key.clone(), value);
    }
    metadata.insert("tensors".into(), names(&content).into());
    Ok(metadata.into())
}
