//! Parameters of a model read from a file that somebody else wrote.
//!
//! ```yaml
//! model: { llama: { config: config.json } }    # as Hugging Face keeps it
//! model: { llama: { config: model.gguf } }     # or in the metadata of a GGUF file
//! ```

use std::path::Path;

use attribench_core::{ModelEntry, ParameterError};
use serde_json::Value;

use super::{FileError, gguf};

/// The parameters with those of the file that `config` among them names; what is written beside it
/// goes before the file. A run is known by what the file says, wherever it lies.
///
/// # Errors
/// When the file cannot be read, describes another model, or this one is kept in no such file.
pub fn completed(entry: &ModelEntry, parameters: &Value) -> Result<Value, ParameterError> {
    let Some(Value::String(path)) = parameters.get("config") else { return Ok(parameters.clone()) };
    let Some(configure) = entry.elsewhere.configure else {
        return Err(ParameterError::Range(
            "`config` names a file, and no other program keeps such models in files\nhint: write \
             the parameters themselves"
                .into(),
        ));
    };
    let refused = |error: &dyn ToString| ParameterError::Range(error.to_string());
    let description = read(Path::new(path)).map_err(|error| refused(&error))?;
    let mut completed = configure(&description)
        .map_err(|error| ParameterError::Range(format!("{path}: {error}")))?;
    for (key, value) in parameters.as_object().into_iter().flatten() {
        if key != "config" {
            completed[key] = value.clone();
        }
    }
    Ok(completed)
}

fn read(path: &Path) -> Result<Value, FileError> {
    let file = path.display().to_string();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gguf") => gguf::metadata(path),
        Some("json") => {
            let refuse = |reason: String| FileError::Content { file: file.clone(), reason };
            let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))
        }
        _ => Err(FileError::Kind { file, hint: "a model is described by a .json or a .gguf" }),
    }
}
