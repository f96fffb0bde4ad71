//! States of a run that were kept, as safetensors files: `parameters` and `optimizer`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{error::LogError, hash::Digest, tree};

/// Numbers of a state as little-endian bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateBytes {
    /// Bytes of a number: 4 or 8.
    pub width: usize,
    /// Parameters.
    pub parameters: Vec<u8>,
    /// State of the optimiser.
    pub optimizer: Vec<u8>,
}

impl StateBytes {
    /// Digests of parameters and optimiser.
    pub fn digests(&self) -> (Digest, Digest) {
        (Digest::of(&self.parameters), Digest::of(&self.optimizer))
    }

    fn to_file(&self) -> Result<Vec<u8>, String> {
        let dtype = match self.width {
            4 => Dtype::F32,
            8 => Dtype::F64,
            other => return Err(format!("numbers of {other} bytes")),
        };
        let view = |bytes| TensorView::new(dtype, vec![<[u8]>::len(bytes) / self.width], bytes);
        let named = [("optimizer", &self.optimizer[..]), ("parameters", &self.parameters)];
        let views = named
            .into_iter()
            .map(|(name, bytes)| Ok((name, view(bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        views.and_then(|views| safetensors::serialize(views, None)).map_err(|e| e.to_string())
    }
}

/// File of the state after `step` steps.
pub fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join("states").join(format!("{step:09}.safetensors"))
}

/// Keeps a state in its file, which is returned; it is on the disk before the next signed head.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write(folder: &Path, step: u64, state: &StateBytes) -> Result<PathBuf, LogError> {
    let file = path(folder, step);
    let bytes = state.to_file().map_err(|reason| LogError::damaged(&file, reason))?;
    tree::write_whole(&file, &bytes)?;
    Ok(file)
}

/// Reads a state that was kept.
///
/// # Errors
/// When it cannot be read, or is not the file that [`write`] would have written.
pub fn read(folder: &Path, step: u64) -> Result<StateBytes, LogError> {
    let file = path(folder, step);
    let bytes = fs::read(&file).map_err(LogError::of_part(&file))?;
    let damaged = |reason: String| LogError::damaged(&file, reason);
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensor = |name| tensors.tensor(name).map_err(|error| damaged(error.to_string()));
    let (parameters, optimizer) = (tensor("parameters")?, tensor("optimizer")?);
    let width = if parameters.dtype() == Dtype::F32 { 4 } else { 8 };
    let state = StateBytes {
        width,
        parameters: parameters.data().to_vec(),
        optimizer: optimizer.data().to_vec(),
    };
    let again = state.to_file().map_err(damaged)?;
    if again == bytes { Ok(state) } else { Err(damaged("is not written in our way".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::{StateBytes, path, read, write};

    #[test]
    fn states_come_back_and_flipped_bits_do_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateBytes { width: 4, parameters: vec![1; 12], optimizer: vec![2; 8] };
        write(folder.path(), 7, &state).unwrap();
        assert_eq!(read(folder.path(), 7).unwrap(), state);
        let file = path(folder.path(), 7);
        let bytes = std::fs::read(&file).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, forged).unwrap();
            let found = read(folder.path(), 7).ok().map(|found| found.digests());
            assert_ne!(found, Some(state.digests()), "bit {bit}");
        }
    }
}
