//! Arrays of numbers in NumPy's `.npz` archives, read whatever their type.

use std::fs::File;
use std::path::Path;

use ndarray::{ArrayD, Dimension, Ix1, Ix2, Ix3, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError};

use crate::error::SourceError;

/// An open archive.
pub struct Archive {
    file: String,
    names: Vec<String>,
    reader: NpzReader<File>,
}

/// An array alone in a `.npy` file, of any numeric type and shape.
///
/// # Errors
/// When the file cannot be read or holds no numbers.
pub fn read_array(path: &Path) -> Result<ArrayD<f64>, SourceError> {
    let bytes =
        std::fs::read(path).map_err(|source| SourceError::Io { path: path.to_owned(), source })?;
    numbers_of_npy(&bytes).map_err(|error| SourceError::Npz {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// Reads an array as one type after the other, named `$kind` in `$read`, until one is that of the
/// stored array.
macro_rules! first_type_that_fits {
    ($kind:ident => $read:expr, $other_type:pat, $($type:ty),+) => {{
        $({
            type $kind = $type;
            match $read {
                Err($other_type) => {}
                found => return found.map(|array| array.mapv(|value| value as f64)),
            }
        })+
    }};
}

fn numbers_of_npy(bytes: &[u8]) -> Result<ArrayD<f64>, ReadNpyError> {
    first_type_that_fits!(
        Kind => ArrayD::<Kind>::read_npy(bytes),
        ReadNpyError::WrongDescriptor(_),
        f64, f32, i64, i32, i16, i8, u64, u32, u16
    );
    ArrayD::<u8>::read_npy(bytes).map(|array| array.mapv(f64::from))
}

/// An array of any numeric type, as `f64`.
fn numbers(reader: &mut NpzReader<File>, name: &str) -> Result<ArrayD<f64>, ReadNpzError> {
    first_type_that_fits!(
        Kind => reader.by_name::<OwnedRepr<Kind>, ndarray::IxDyn>(name),
        ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_)),
        f64, f32, i64, i32, i16, i8, u64, u32, u16, u8
    );
    let array = reader.by_name::<OwnedRepr<bool>, ndarray::IxDyn>(name)?;
    Ok(array.mapv(|value| if value { 1.0 } else { 0.0 }))
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// When the file cannot be read or is no archive of arrays.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let file =
            File::open(path).map_err(|source| SourceError::Io { path: path.to_owned(), source })?;
        let name = path.display().to_string();
        let damaged = |error: ReadNpzError| SourceError::Npz {
            file: name.clone(),
            reason: error.to_string(),
        };
        let mut reader = NpzReader::new(file).map_err(damaged)?;
        let mut names = reader.names().map_err(damaged)?;
        for name in &mut names {
            if let Some(bare) = name.strip_suffix(".npy") {
                *name = bare.to_owned();
            }
        }
        names.sort();
        Ok(Self { file: name, names, reader })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The file, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether there is an array of this name.
    pub fn holds(&self, name: &str) -> bool {
        self.names.iter().any(|found| found == name)
    }

    /// An array of any shape.
    ///
    /// # Errors
    /// When it is not there or holds no numbers.
    pub fn array(&mut self, name: &str) -> Result<ArrayD<f64>, SourceError> {
        if !self.holds(name) {
            return Err(SourceError::UnknownArray {
                file: self.file.clone(),
                found: name.to_owned(),
                known: self.names.join(", "),
            });
        }
        numbers(&mut self.reader, name).map_err(|error| SourceError::Npz {
            file: self.file.clone(),
            reason: format!("array `{name}`: {error}"),
        })
    }

    /// An array of one axis.
    ///
    /// # Errors
    /// As [`Self::array`], and when it has another number of axes.
    pub fn vector(&mut self, name: &str) -> Result<ndarray::Array1<f64>, SourceError> {
        self.shaped::<Ix1>(name)
    }

    /// An array of two axes.
    ///
    /// # Errors
    /// As [`Self::vector`].
    pub fn matrix(&mut self, name: &str) -> Result<ndarray::Array2<f64>, SourceError> {
        self.shaped::<Ix2>(name)
    }

    /// An array of three axes.
    ///
    /// # Errors
    /// As [`Self::vector`].
    pub fn cube(&mut self, name: &str) -> Result<ndarray::Array3<f64>, SourceError> {
        self.shaped::<Ix3>(name)
    }

    fn shaped<D: Dimension>(&mut self, name: &str) -> Result<ndarray::Array<f64, D>, SourceError> {
        let array = self.array(name)?;
        let shape = array.shape().to_vec();
        array.into_dimensionality().map_err(|_| SourceError::ArrayAxes {
            file: self.file.clone(),
            array: name.to_owned(),
            shape: format!("{shape:?}"),
            expected: D::NDIM.unwrap_or_default(),
        })
    }

    /// An array of whole numbers from 0 on, such as labels, owners or ids.
    ///
    /// # Errors
    /// As [`Self::vector`], and at the first entry that is none.
    pub fn indices(&mut self, name: &str) -> Result<Vec<u32>, SourceError> {
        let values = self.vector(name)?;
        let index = |(position, &value): (usize, &f64)| {
            let whole = value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value);
            // Checked just now, so nothing is lost.
            if whole { Ok(value as u32) } else { Err((position, value)) }
        };
        values.iter().enumerate().map(index).collect::<Result<_, _>>().map_err(
            |(position, value)| SourceError::ArrayIndex {
                file: self.file.clone(),
                array: name.to_owned(),
                position,
                value,
            },
        )
    }
}
