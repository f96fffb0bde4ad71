//! The IDX format of MNIST: a big-endian header and unsigned bytes, perhaps in gzip.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ndarray::Array2;

use crate::error::SourceError;

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The largest value of a pixel; pixels are divided by it.
const WHITE: f32 = 255.0;

/// The bytes of a file, unpacked when they are gzip (told by content and not by name).
pub(crate) fn read_path(path: &Path) -> Result<Vec<u8>, SourceError> {
    let bytes = std::fs::read(path)
        .map_err(|source| SourceError::Io { path: path.to_path_buf(), source })?;
    unpack(&path.display().to_string(), bytes)
}

/// The bytes, unpacked when they are gzip.
pub(crate) fn unpack(file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, SourceError> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut content)
        .map_err(|source| SourceError::Gzip { file: file.to_owned(), source })?;
    Ok(content)
}

/// Images as rows of pixels in [0, 1], `(n, height * width)`.
pub(crate) fn parse_images(file: &str, bytes: &[u8]) -> Result<Array2<f32>, SourceError> {
    let (sizes, pixels) = parse::<3>(file, bytes, "images", IMAGES_MAGIC)?;
    let [count, height, width] = sizes;
    if count == 0 || height == 0 || width == 0 {
        return Err(SourceError::Empty {
            file: file.to_owned(),
            what: "pixel",
            hint: "the IDX header must announce at least one image of at least one pixel",
        });
    }
    let width = height * width;
    Ok(Array2::from_shape_fn((count, width), |(row, column)| {
        f32::from(pixels[row * width + column]) / WHITE
    }))
}

/// Labels, `n`.
pub(crate) fn parse_labels(file: &str, bytes: &[u8]) -> Result<Vec<u32>, SourceError> {
    let (_, labels) = parse::<1>(file, bytes, "labels", LABELS_MAGIC)?;
    Ok(labels.iter().map(|&label| u32::from(label)).collect())
}

/// Checks magic number and length; the sizes of the axes and the bytes behind the header.
fn parse<'a, const AXES: usize>(
    file: &str,
    bytes: &'a [u8],
    what: &'static str,
    expected: u32,
) -> Result<([usize; AXES], &'a [u8]), SourceError> {
    let mut words =
        bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let magic = words.next();
    if magic != Some(expected) {
        let found = match magic {
            Some(magic) => format!("{magic:#010x}"),
            None => format!("missing ({} bytes in all)", bytes.len()),
        };
        return Err(SourceError::IdxMagic { file: file.to_owned(), what, expected, found });
    }
    let header = 4 + 4 * AXES;
    let wrong_length = |expected: String| SourceError::IdxLength {
        file: file.to_owned(),
        expected,
        found: bytes.len(),
    };
    let mut sizes = [0; AXES];
    for size in &mut sizes {
        *size = words.next().ok_or_else(|| wrong_length(format!("a header of {header}")))? as usize;
    }
    // Three sizes of 32 bits can exceed any address: count in 128 bits.
    let announced = sizes.iter().map(|&size| size as u128).product::<u128>() + header as u128;
    if announced != bytes.len() as u128 {
        return Err(wrong_length(announced.to_string()));
    }
    Ok((sizes, &bytes[header..]))
}
