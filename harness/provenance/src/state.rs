//! States of a run that were kept, as safetensors files: `parameters` and `optimizer`.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{error::LogError, hash::StateDigest};

/// Numbers of a state as little-endian bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateBytes<'a> {
    /// Bytes of a number: 4 or 8.
    pub width: usize,
    /// Parameters.
    pub parameters: Cow<'a, [u8]>,
    /// State of the optimiser.
    pub optimizer: Cow<'a, [u8]>,
}

impl StateBytes<'_> {
    /// Digests of parameters and optimiser.
    pub fn digests(&self) -> (StateDigest, StateDigest) {
        (StateDigest::of(&self.parameters), StateDigest::of(&self.optimizer))
    }

    /// What its file holds.
    fn content(&self) -> Result<Vec<u8>, String> {
        let dtype = match self.width {
            4 => Dtype::F32,
            8 => Dtype::F64,
            other => return Err(format!("numbers of {other} bytes")),
        };
        let view = |bytes| TensorView::new(dtype, vec![<[u8]>::len(bytes) / self.width], bytes);
        let tensors = [("parameters", &self.parameters), ("optimizer", &self.optimizer)]
            .map(|(name, bytes)| view(bytes).map(|view| (name, view)));
        let [parameters, optimizer] = tensors.map(|tensor| tensor.map_err(|e| e.to_string()));
        safetensors::serialize([parameters?, optimizer?], None).map_err(|error| error.to_string())
    }
}

/// File of the state after `step` steps.
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join("states").join(format!("{step:09}.safetensors"))
}

/// The file in which a state is kept, and what it holds.
///
/// # Errors
/// When numbers have another width than 4 or 8 bytes.
pub fn file(
    folder: &Path,
    step: u64,
    state: &StateBytes<'_>,
) -> Result<(PathBuf, Vec<u8>), LogError> {
    let file = path(folder, step);
    let content = state.content().map_err(|reason| LogError::damaged(&file, reason))?;
    Ok((file, content))
}

/// Reads a state that was kept.
///
/// # Errors
/// When it cannot be read, or is not what [`file`] would have given.
pub fn read(folder: &Path, step: u64) -> Result<StateBytes<'static>, LogError> {
    let file = path(folder, step);
    let bytes = fs::read(&file).map_err(LogError::of_part(&file))?;
    let damaged = |reason: String| LogError::damaged(&file, reason);
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensor = |name| tensors.tensor(name).map_err(|error| damaged(error.to_string()));
    let (parameters, optimizer) = (tensor("parameters")?, tensor("optimizer")?);
    let width = if parameters.dtype() == Dtype::F32 { 4 } else { 8 };
    let state = StateBytes {
        width,
        parameters: parameters.data().to_vec().into(),
        optimizer: optimizer.data().to_vec().into(),
    };
    if state.content().map_err(damaged)? == bytes {
        Ok(state)
    } else {
        Err(damaged("is not written in our way".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{StateBytes, file, read};

    #[test]
    fn states_come_back_and_flipped_bits_do_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (parameters, optimizer) = (vec![1; 12].into(), vec![2; 8].into());
        let state = StateBytes { width: 4, parameters, optimizer };
        let (path, content) = file(folder.path(), 7, &state).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
        assert_eq!(read(folder.path(), 7).unwrap(), state);
        for bit in 0..8 * content.len() {
            let mut forged = content.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, forged).unwrap();
            let found = read(folder.path(), 7).ok().map(|found| found.digests());
            assert_ne!(found, Some(state.digests()), "bit {bit}");
        }
    }

    #[test]
    fn numbers_have_four_or_eight_bytes() {
        let (parameters, optimizer) = (vec![1; 6].into(), vec![].into());
        let state = StateBytes { width: 2, parameters, optimizer };
        let refusal = file(std::path::Path::new("log"), 0, &state).unwrap_err();
        assert!(refusal.to_string().contains("numbers of 2 bytes"), "{refusal}");
    }
}
