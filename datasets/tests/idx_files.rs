//! The user's own IDX files: a round trip, and damage of every kind.

use std::io::Write;
use std::path::{Path, PathBuf};

use attribench_datasets::{ExampleId, IdxFiles, IdxPair, Source, SourceError, Targets, load};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    for size in sizes {
        bytes.extend_from_slice(&size.to_be_bytes());
    }
    bytes.extend_from_slice(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the temporary folder takes files");
    path
}

fn refusal(images: &[u8], labels: &[u8]) -> SourceError {
    let folder = TempDir::new().expect("a temporary folder");
    let images = write(folder.path(), "images", images);
    let labels = write(folder.path(), "labels", labels);
    let train = IdxPair { images, labels };
    let files = IdxFiles { train, test: None, class_names: Vec::new() };
    let error = load(&Source::IdxFiles(files)).expect_err("it must be refused");
    assert!(error.to_string().contains("\nhint: "), "no hint in: {error}");
    error
}

#[test]
fn plain_training_and_packed_test_files_come_back() {
    let folder = TempDir::new().expect("a temporary folder");
    let folder = folder.path();
    let train = IdxPair {
        images: write(folder, "a", &idx(&[2, 1, 3], &[0, 51, 255, 102, 153, 204])),
        labels: write(folder, "b", &idx(&[2], &[1, 0])),
    };
    let test = IdxPair {
        images: write(folder, "c.gz", &gzip(&idx(&[1, 3, 1], &[255, 0, 51]))),
        labels: write(folder, "d.gz", &gzip(&idx(&[1], &[2]))),
    };
    let files = IdxFiles { train, test: Some(test), class_names: Vec::new() };
    let loaded = load(&Source::IdxFiles(files)).expect("valid");
    let (train, test) = (loaded.train(), loaded.test().expect("a test set"));
    assert_eq!(train.features().row(0).to_vec(), [0.0, 0.2, 1.0]);
    assert_eq!(train.features().row(1).to_vec(), [0.4, 0.6, 0.8]);
    assert_eq!(test.features().row(0).to_vec(), [1.0, 0.0, 0.2]);
    // The names cover the labels of both files.
    let names: Vec<String> = ["0", "1", "2"].map(str::to_owned).to_vec();
    assert_eq!(train.targets(), &Targets::Classes { labels: vec![1, 0], names: names.clone() });
    assert_eq!(test.targets(), &Targets::Classes { labels: vec![2], names });
    assert_eq!(test.ids(), [ExampleId(2)]);
}

#[test]
fn a_truncated_gzip_stream_is_refused() {
    let packed = gzip(&idx(&[1, 8, 8], &[7; 64]));
    for length in [3, packed.len() / 2, packed.len() - 1] {
        let error = refusal(&packed[..length], &idx(&[1], &[0]));
        assert!(matches!(error, SourceError::Gzip { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn exchanged_files_and_other_types_are_refused_with_both_magic_numbers() {
    let message = refusal(&idx(&[1], &[0]), &idx(&[1, 1, 1], &[0])).to_string();
    assert!(message.contains("is 0x00000801 but images begin with 0x00000803"), "{message}");
    let message = refusal(&idx(&[1, 1, 1], &[0]), &[0, 0, 0x0d, 1, 0, 0, 0, 0]).to_string();
    assert!(message.contains("is 0x00000d01 but labels begin with 0x00000801"), "{message}");
    let message = refusal(b"ab", &[]).to_string();
    assert!(message.contains("missing (2 bytes in all)"), "{message}");
}

#[test]
fn wrong_lengths_are_refused_with_both_numbers() {
    let labels = idx(&[1], &[0]);
    let message = refusal(&idx(&[2, 1, 3], &[0; 5]), &labels).to_string();
    assert!(message.contains("announces 22 bytes but there are 21"), "{message}");
    let message = refusal(&idx(&[2, 1, 3], &[0; 7]), &labels).to_string();
    assert!(message.contains("announces 22 bytes but there are 23"), "{message}");
    let message = refusal(&idx(&[u32::MAX; 3], &[0; 7]), &labels).to_string();
    assert!(message.contains("but there are 23"), "{message}");
    let message = refusal(&idx(&[1, 1, 3], &[])[..9], &labels).to_string();
    assert!(message.contains("a header of 16 bytes but there are 9"), "{message}");
}

#[test]
fn counts_that_disagree_are_refused() {
    let message = refusal(&idx(&[2, 1, 1], &[0, 1]), &idx(&[3], &[0, 1, 0])).to_string();
    assert!(message.contains("number of labels is 3 but "), "{message}");
    assert!(message.contains("images says 2"), "{message}");
    let error = refusal(&idx(&[0, 5, 5], &[]), &idx(&[0], &[]));
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
    let error = refusal(&idx(&[0, u32::MAX, u32::MAX], &[]), &idx(&[0], &[]));
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
}

#[test]
fn a_label_without_a_name_and_test_images_of_another_size_are_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let folder = folder.path();
    let pair = |name: &str, width: u32, label: u8| IdxPair {
        images: write(folder, &format!("{name}-i"), &idx(&[1, 1, width], &vec![0; width as usize])),
        labels: write(folder, &format!("{name}-l"), &idx(&[1], &[label])),
    };
    let class_names = vec!["only".to_owned()];
    let files = IdxFiles { train: pair("a", 2, 1), test: None, class_names };
    let message = load(&Source::IdxFiles(files)).expect_err("label 1 has no name").to_string();
    assert!(message.contains("row 0: label 1 is out of range (there are 1)"), "{message}");
    let (train, test) = (pair("b", 2, 0), Some(pair("c", 3, 0)));
    let files = IdxFiles { train, test, class_names: Vec::new() };
    let message = load(&Source::IdxFiles(files)).expect_err("3 is not 2").to_string();
    assert!(message.contains("pixels per image is 3 but "), "{message}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        header in prop::collection::vec(0u8..9, 0..20),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let images = [&[0, 0, 8, 3], header.as_slice(), &bytes].concat();
        let folder = TempDir::new().expect("a temporary folder");
        let train = IdxPair {
            images: write(folder.path(), "images", &images),
            labels: write(folder.path(), "labels", &[&[0, 0, 8, 1], bytes.as_slice()].concat()),
        };
        let files = IdxFiles { train, test: None, class_names: Vec::new() };
        if let Ok(loaded) = load(&Source::IdxFiles(files)) {
            prop_assert!(!loaded.train().is_empty());
        }
    }
}
