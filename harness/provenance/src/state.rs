//! States of a run that were kept, as safetensors files: `parameters` and `optimizer`.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::{error::LogError, hash::StateDigest, tree};

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

    /// What stands in a file before the numbers: its own length, and the two tensors as JSON,
    /// filled up with spaces so that numbers begin at a multiple of eight. These are the bytes that
    /// the library of the format writes; it copies the numbers, and a run that is recorded waits.
    fn header(&self) -> Result<Vec<u8>, String> {
        let dtype = match self.width {
            4 => "F32",
            8 => "F64",
            other => return Err(format!("numbers of {other} bytes")),
        };
        let (middle, end) = (self.optimizer.len(), self.optimizer.len() + self.parameters.len());
        let tensor = |from: usize, to: usize| {
            let shape = [(to - from) / self.width];
            let offsets = [from, to];
            format!(
                r#"{{"dtype":"{dtype}","shape":{},"data_offsets":{}}}"#,
                json!(shape),
                json!(offsets)
            )
        };
        let (optimizer, parameters) = (tensor(0, middle), tensor(middle, end));
        let mut text = format!(r#"{{"optimizer":{optimizer},"parameters":{parameters}}}"#);
        text += &" ".repeat(text.len().next_multiple_of(8) - text.len());
        Ok([&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat())
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
pub(crate) fn write(folder: &Path, step: u64, state: &StateBytes<'_>) -> Result<PathBuf, LogError> {
    let file = path(folder, step);
    let header = state.header().map_err(|reason| LogError::damaged(&file, reason))?;
    tree::write_whole(&file, &[&header, &state.optimizer, &state.parameters])?;
    Ok(file)
}

/// Reads a state that was kept.
///
/// # Errors
/// When it cannot be read, or is not the file that [`write`] would have written.
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
    let again = [&state.header().map_err(damaged)?, &state.optimizer[..], &state.parameters];
    if again.concat() == bytes {
        Ok(state)
    } else {
        Err(damaged("is not written in our way".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use safetensors::{Dtype, tensor::TensorView};

    use super::{StateBytes, path, read, write};

    #[test]
    fn files_are_those_that_the_library_of_the_format_writes() {
        let folder = tempfile::tempdir().unwrap();
        for (width, dtype) in [(4, Dtype::F32), (8, Dtype::F64)] {
            for (count, moments) in [(1, 0), (3, 6), (1000, 1000)] {
                let parameters: Vec<u8> = (0..count * width).map(|place| place as u8).collect();
                let optimizer: Vec<u8> = (0..moments * width).map(|place| !place as u8).collect();
                let view = |bytes, length| TensorView::new(dtype, vec![length], bytes).unwrap();
                let views = [
                    ("parameters", view(&parameters, count)),
                    ("optimizer", view(&optimizer, moments)),
                ];
                let expected = safetensors::serialize(views, None).unwrap();
                let (parameters, optimizer) = ((&parameters).into(), (&optimizer).into());
                let state = StateBytes { width, parameters, optimizer };
                write(folder.path(), 1, &state).unwrap();
                assert_eq!(std::fs::read(path(folder.path(), 1)).unwrap(), expected);
            }
        }
    }

    #[test]
    fn states_come_back_and_flipped_bits_do_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (parameters, optimizer) = (vec![1; 12].into(), vec![2; 8].into());
        let state = StateBytes { width: 4, parameters, optimizer };
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
