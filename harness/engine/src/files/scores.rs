//! A matrix of scores in a file.
//!
//! `.npz`: `scores` `(n, Q)`, and perhaps `train_ids` `(n)` and `query_ids` `(Q)`. `.safetensors`:
//! the same names. What a score means stands beside it in a file of the same name that ends in
//! `.json`; scores without one are only read with a declaration.

use std::path::{Path, PathBuf};

use attribench_core::{AccessLevel, Scale};
use attribench_datasets::{ExampleId, npz::Archive};
use half::{bf16, f16};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzWriter;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{FileError, QUERY_IDS, TRAIN_IDS, ids, write_error};
use crate::store::write_atomically;

const SCORES: &str = "scores";

/// Which scores are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Positive: keeping the example raises the utility.
    PositiveHelps,
    /// Positive: keeping the example raises the loss.
    PositiveHarms,
}

/// What a score means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Declaration {
    /// Which scores are good.
    pub sign: Sign,
    /// What a score of 1 means.
    pub scale: Scale,
    /// How they were made.
    #[serde(default)]
    pub method: Option<String>,
    /// All parameters of that.
    #[serde(default)]
    pub parameters: serde_json::Value,
    /// What it read.
    #[serde(default)]
    pub access: Option<AccessLevel>,
    /// Further facts for a reader: hashes, counts of passes, seconds.
    #[serde(default)]
    pub facts: serde_json::Value,
}

/// Scores as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreFile {
    /// Ids of the rows.
    pub train_ids: Option<Vec<ExampleId>>,
    /// Ids of the columns.
    pub query_ids: Option<Vec<ExampleId>>,
    /// Scores, `(n, Q)`, in the sign of the file.
    pub values: Array2<f64>,
}

/// Where the declaration of a file of scores stands.
pub fn declaration_path(scores: &Path) -> PathBuf {
    scores.with_extension("json")
}

/// Kinds of files that hold scores, for messages.
pub const KINDS: &str = "scores are kept in .npz, .safetensors or .parquet";

impl ScoreFile {
    /// Reads `.npz` or `.safetensors`.
    ///
    /// # Errors
    /// When the file is of another kind, damaged, or holds no finite matrix.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => Self::read_npz(path)?,
            Some("safetensors") => Self::read_safetensors(path)?,
            _ => return Err(FileError::Kind { file: path.display().to_string(), hint: KINDS }),
        };
        match file.values.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some((place, value)) => Err(FileError::Content {
                file: path.display().to_string(),
                reason: format!("the score at {place:?} is {value}"),
            }),
            None => Ok(file),
        }
    }

    fn read_npz(path: &Path) -> Result<Self, FileError> {
        let mut archive = Archive::open(path)?;
        let values = archive.matrix(SCORES)?;
        let train_ids = ids(&mut archive, TRAIN_IDS, values.nrows())?;
        let query_ids = ids(&mut archive, QUERY_IDS, values.ncols())?;
        Ok(Self { train_ids, query_ids, values })
    }

    fn read_safetensors(path: &Path) -> Result<Self, FileError> {
        let file = path.display().to_string();
        let refuse = |reason: String| FileError::Content { file: file.clone(), reason };
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
        let known = || tensors.names().join(", ");
        let tensor = tensors
            .tensor(SCORES)
            .map_err(|_| refuse(format!("no tensor `{SCORES}` (known: {})", known())))?;
        let &[rows, columns] = tensor.shape() else {
            return Err(refuse(format!("`{SCORES}` has shape {:?}", tensor.shape())));
        };
        let numbers = floats(&tensor)
            .ok_or_else(|| refuse(format!("`{SCORES}` is {:?}, not of floats", tensor.dtype())))?;
        let values = Array2::from_shape_vec((rows, columns), numbers)
            .expect("a tensor has as many numbers as its shape says");
        let ids = |name: &str, length: usize| -> Result<Option<Vec<ExampleId>>, FileError> {
            let Ok(tensor) = tensors.tensor(name) else { return Ok(None) };
            if tensor.dtype() != Dtype::U32 || tensor.shape() != [length] {
                return Err(refuse(format!("`{name}` is not {length} numbers of type U32")));
            }
            let id = |bytes: &[u8]| ExampleId(u32::from_le_bytes(bytes.try_into().expect("four")));
            Ok(Some(tensor.data().chunks_exact(4).map(id).collect()))
        };
        Ok(Self { train_ids: ids(TRAIN_IDS, rows)?, query_ids: ids(QUERY_IDS, columns)?, values })
    }

    /// Writes `.npz` or `.safetensors`, by the ending of the name.
    ///
    /// # Errors
    /// When the ending is another or the disk fails.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => self.npz(),
            Some("safetensors") => self.safetensors(),
            _ => return Err(FileError::Kind { file: path.display().to_string(), hint: KINDS }),
        };
        let bytes = bytes.map_err(|reason| write_error(path, reason))?;
        write_atomically(path, &bytes).map_err(|error| write_error(path, error))
    }

    fn npz(&self) -> Result<Vec<u8>, String> {
        let mut writer = NpzWriter::new_compressed(std::io::Cursor::new(Vec::new()));
        let failed = |error: ndarray_npy::WriteNpzError| error.to_string();
        writer.add_array(SCORES, &self.values).map_err(failed)?;
        for (name, ids) in [(TRAIN_IDS, &self.train_ids), (QUERY_IDS, &self.query_ids)] {
            if let Some(ids) = ids {
                let ids: Array1<u32> = ids.iter().map(|id| id.0).collect();
                writer.add_array(name, &ids).map_err(failed)?;
            }
        }
        Ok(writer.finish().map_err(failed)?.into_inner())
    }

    fn safetensors(&self) -> Result<Vec<u8>, String> {
        let shape = vec![self.values.nrows(), self.values.ncols()];
        let numbers = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut tensors: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> =
            vec![(SCORES, Dtype::F64, shape, numbers)];
        for (name, ids) in [(TRAIN_IDS, &self.train_ids), (QUERY_IDS, &self.query_ids)] {
            if let Some(ids) = ids {
                let bytes = ids.iter().flat_map(|id| id.0.to_le_bytes()).collect();
                tensors.push((name, Dtype::U32, vec![ids.len()], bytes));
            }
        }
        let views: Result<Vec<_>, _> = tensors
            .iter()
            .map(|(name, kind, shape, bytes)| {
                Ok((*name, TensorView::new(*kind, shape.clone(), bytes)?))
            })
            .collect();
        let views = views.map_err(|error: safetensors::SafeTensorError| error.to_string())?;
        safetensors::serialize(views, None).map_err(|error| error.to_string())
    }
}

/// Numbers of a tensor of floats of any usual precision.
pub fn floats(tensor: &TensorView<'_>) -> Option<Vec<f64>> {
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::F64 => {
            let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            Some(data.chunks_exact(8).map(number).collect())
        }
        Dtype::F16 => {
            let number = |bytes: &[u8]| f16::from_le_bytes(bytes.try_into().expect("two bytes"));
            Some(data.chunks_exact(2).map(|bytes| number(bytes).to_f64()).collect())
        }
        Dtype::BF16 => {
            let number = |bytes: &[u8]| bf16::from_le_bytes(bytes.try_into().expect("two bytes"));
            Some(data.chunks_exact(2).map(|bytes| number(bytes).to_f64()).collect())
        }
        Dtype::F32 => {
            let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            Some(data.chunks_exact(4).map(|bytes| f64::from(number(bytes))).collect())
        }
        _ => None,
    }
}

impl Declaration {
    /// The declaration beside a file of scores; none where there is no such file.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn beside(scores: &Path) -> Result<Option<Self>, FileError> {
        let path = declaration_path(scores);
        let file = path.display().to_string();
        let refuse = |reason: String| FileError::Content { file: file.clone(), reason };
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refuse(error.to_string())),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|error| refuse(error.to_string()))
            }
        }
    }

    /// Scores in the one sign of this suite: positive helps.
    pub fn turned(&self, values: Array2<f64>) -> Array2<f64> {
        match self.sign {
            Sign::PositiveHelps => values,
            Sign::PositiveHarms => -values,
        }
    }
}

#[cfg(test)]
mod tests {
    use attribench_datasets::ExampleId;
    use ndarray::array;

    use super::ScoreFile;

    #[test]
    fn scores_survive_both_kinds_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = ScoreFile {
            train_ids: Some([4, 9].map(ExampleId).to_vec()),
            query_ids: None,
            values: array![[0.5, -1.0, 1e-300], [2.0, 3.0, f64::MAX]],
        };
        for name in ["scores.npz", "scores.safetensors"] {
            let path = folder.path().join(name);
            file.write(&path).unwrap();
            assert_eq!(ScoreFile::read(&path).unwrap(), file, "{name}");
        }
    }

    #[test]
    fn what_is_no_matrix_of_scores_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.npz");
        let twice = ScoreFile {
            train_ids: Some([4, 4].map(ExampleId).to_vec()),
            query_ids: None,
            values: array![[1.0], [2.0]],
        };
        twice.write(&path).unwrap();
        let error = ScoreFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("`train_ids` holds 4 twice"), "{error}");
        let infinite = ScoreFile { values: array![[f64::NAN]], train_ids: None, query_ids: None };
        infinite.write(&path).unwrap();
        let error = ScoreFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("the score at (0, 0) is NaN"), "{error}");
        let error = ScoreFile::read(&folder.path().join("scores.txt")).unwrap_err().to_string();
        assert!(error.contains(".safetensors"), "{error}");
    }
}
