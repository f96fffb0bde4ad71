//! Content-addressed results: a stage is looked up by the hash of everything that it depends on.
//!
//! An entry is written to a temporary file, flushed to the disk and renamed, so that a process
//! killed at any moment leaves either the whole entry or none.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use ndarray::{Array2, ArrayView2};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Hash of a stage's name, specification and inputs, in hexadecimal. The first inputs of all are
/// the data and the code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key(String);

impl Key {
    /// The key of a stage.
    ///
    /// # Panics
    /// When the specification cannot be written as JSON, which plain data always can.
    pub fn of(stage: &str, specification: &impl Serialize, inputs: &[&Key]) -> Self {
        let text = serde_json::to_string(specification).expect("a specification is plain data");
        let mut hash = Sha256::new();
        for part in [stage, &text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        for input in inputs {
            hash.update(input.0.as_bytes());
        }
        Self::from_bytes(&hash.finalize())
    }

    /// The key of content itself.
    pub fn of_content(bytes: &[u8]) -> Self {
        Self::from_bytes(&Sha256::digest(bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What went wrong with a file of the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {reason}\nhint: delete this file; it will be computed again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

/// A named matrix of 64-bit numbers in an entry.
pub type NamedMatrix = (String, Array2<f64>);

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Tells temporary files of one process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Store {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        fs::create_dir_all(&root)
            .map_err(|source| StoreError::Io { path: root.clone(), source })?;
        Ok(Self { root })
    }

    fn path(&self, stage: &str, key: &Key) -> PathBuf {
        self.root.join(stage).join(&key.0[..2]).join(format!("{}.safetensors", key.0))
    }

    /// Whether the entry exists.
    pub fn contains(&self, stage: &str, key: &Key) -> bool {
        self.path(stage, key).exists()
    }

    /// Reads an entry; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold named matrices with the key that it is filed
    /// by.
    pub fn read(&self, stage: &str, key: &Key) -> Result<Option<Vec<NamedMatrix>>, StoreError> {
        Self::read_file(self.path(stage, key), key)
    }

    fn read_file(path: PathBuf, key: &Key) -> Result<Option<Vec<NamedMatrix>>, StoreError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let damaged = |reason: String| StoreError::Damaged { path: path.clone(), reason };
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let sealed = metadata.metadata().as_ref().and_then(|map| map.get(SEAL)).cloned();
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let mut matrices = Vec::new();
        for (name, tensor) in tensors.iter() {
            matrices.push((name.to_owned(), matrix_of(&tensor).map_err(damaged)?));
        }
        matrices.sort_by(|left, right| left.0.cmp(&right.0));
        let found = seal(key, matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.view())));
        if sealed.as_ref() != Some(&found) {
            return Err(damaged("holds other numbers than were written for its name".to_owned()));
        }
        Ok(Some(matrices))
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Panics
    /// When two matrices carry the same name.
    pub fn write(
        &self,
        stage: &str,
        key: &Key,
        matrices: &[(&str, ArrayView2<'_, f64>)],
    ) -> Result<(), StoreError> {
        Self::write_file(&self.path(stage, key), key, matrices)
    }

    fn write_file(
        path: &Path,
        key: &Key,
        matrices: &[(&str, ArrayView2<'_, f64>)],
    ) -> Result<(), StoreError> {
        let data: Vec<(Vec<u8>, [usize; 2])> = matrices
            .iter()
            .map(|(_, matrix)| {
                let bytes = matrix.iter().flat_map(|value| value.to_le_bytes()).collect();
                (bytes, [matrix.nrows(), matrix.ncols()])
            })
            .collect();
        let views = matrices.iter().zip(&data).map(|((name, _), (bytes, shape))| {
            let view = TensorView::new(Dtype::F64, shape.to_vec(), bytes)
                .expect("bytes are rows by columns of f64");
            (name.to_string(), view)
        });
        let mut sorted = matrices.to_vec();
        sorted.sort_by_key(|(name, _)| *name);
        let metadata = [(SEAL.to_owned(), seal(key, sorted.into_iter()))].into_iter().collect();
        let bytes =
            safetensors::serialize(views, Some(metadata)).expect("names of matrices are unique");
        write_atomically(path, &bytes)
    }

    fn group_path(&self, stage: &str, group: &Key) -> PathBuf {
        self.root.join(stage).join(&group.0)
    }

    /// Writes an entry of a group, whose entries are read together.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn append(
        &self,
        stage: &str,
        group: &Key,
        key: &Key,
        matrices: &[(&str, ArrayView2<'_, f64>)],
    ) -> Result<(), StoreError> {
        let path = self.group_path(stage, group).join(format!("{}.safetensors", key.0));
        Self::write_file(&path, key, matrices)
    }

    /// All entries of a group, in the order of their keys.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read.
    pub fn read_group(
        &self,
        stage: &str,
        group: &Key,
    ) -> Result<Vec<Vec<NamedMatrix>>, StoreError> {
        let path = self.group_path(stage, group);
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.path();
            // Temporary files of a process that was killed have another ending.
            if file.extension().is_some_and(|kind| kind == "safetensors") {
                files.push(file);
            }
        }
        files.sort();
        let mut found = Vec::new();
        for file in files {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let key = Key(stem.to_owned());
            found.extend(Self::read_file(file.clone(), &key)?);
        }
        Ok(found)
    }
}

/// Name of the one entry of a file's metadata.
const SEAL: &str = "seal";

/// Hash of a key and of named matrices in the order of their names: what tells a file that was
/// moved or altered from the one that was written.
fn seal<'a>(key: &Key, matrices: impl Iterator<Item = (&'a str, ArrayView2<'a, f64>)>) -> String {
    let mut hash = Sha256::new();
    hash.update(key.0.as_bytes());
    for (name, matrix) in matrices {
        for length in [name.len(), matrix.nrows(), matrix.ncols()] {
            hash.update((length as u64).to_le_bytes());
        }
        hash.update(name.as_bytes());
        for value in matrix {
            hash.update(value.to_le_bytes());
        }
    }
    Key::from_bytes(&hash.finalize()).0
}

fn matrix_of(tensor: &TensorView<'_>) -> Result<Array2<f64>, String> {
    let &[rows, columns] = tensor.shape() else {
        return Err(format!("has {} axes, not 2", tensor.shape().len()));
    };
    if tensor.dtype() != Dtype::F64 {
        return Err(format!("holds {:?}, not F64", tensor.dtype()));
    }
    let (chunks, _) = tensor.data().as_chunks::<8>();
    let values = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
    Array2::from_shape_vec((rows, columns), values).map_err(|error| error.to_string())
}

/// Replaces `path` by `bytes`, all or nothing, even when the process or the machine stops.
///
/// # Errors
/// When the disk refuses.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { path, source }
    };
    // The parent of a bare name is empty and means the folder that one is in.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}-{unique}.tmp", std::process::id()));
    let mut file = File::create(&temporary).map_err(failed(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&temporary))?;
    fs::rename(&temporary, path).map_err(failed(path))?;
    // The new name must reach the disk as well.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{Key, Store, StoreError};

    #[test]
    fn entries_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Key::of("truth", &("a", 3), &[]);
        assert_eq!(store.read("truth", &key).unwrap(), None);
        let (left, right) = (array![[1.0, f64::MIN_POSITIVE], [-0.0, 1e300]], array![[7.0]]);
        store.write("truth", &key, &[("left", left.view()), ("right", right.view())]).unwrap();
        let found = store.read("truth", &key).unwrap().unwrap();
        assert_eq!(found, vec![("left".to_owned(), left), ("right".to_owned(), right)]);
    }

    #[test]
    fn keys_depend_on_every_part() {
        let input = Key::of_content(b"x");
        let keys = [
            Key::of("a", &1, &[]),
            Key::of("b", &1, &[]),
            Key::of("a", &2, &[]),
            Key::of("a", &1, &[&input]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|other| other != key));
        }
    }

    #[test]
    fn an_entry_under_another_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (key, other) = (Key::of("s", &1, &[]), Key::of("s", &2, &[]));
        store.write("s", &key, &[("m", array![[1.0]].view())]).unwrap();
        let (from, to) = (store.path("s", &key), store.path("s", &other));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
        assert!(matches!(store.read("s", &other), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_flipped_bit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Key::of("s", &1, &[]);
        store.write("s", &key, &[("m", array![[1.0, 2.0]].view())]).unwrap();
        let path = store.path("s", &key);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(store.read("s", &key), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_truncated_entry_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Key::of("s", &1, &[]);
        store.write("s", &key, &[("m", array![[1.0, 2.0]].view())]).unwrap();
        let path = store.path("s", &key);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(store.read("s", &key), Err(StoreError::Damaged { .. })));
    }
}
