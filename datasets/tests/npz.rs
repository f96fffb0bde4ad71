//! Arrays of the user's own, of any type and shape.

use std::fs::File;
use std::path::{Path, PathBuf};

use attribench_datasets::{ExampleId, NpzFiles, Source, SourceError, TargetKind, Targets, load};
use ndarray::{Array1, Array3, array};
use ndarray_npy::NpzWriter;

fn options(train: PathBuf, test: Option<PathBuf>) -> NpzFiles {
    let (features, labels) = ("x".to_owned(), "y".to_owned());
    NpzFiles { train, test, features, labels, target: TargetKind::Classes }
}

fn write(path: &Path, fill: impl FnOnce(&mut NpzWriter<File>)) {
    let mut writer = NpzWriter::new_compressed(File::create(path).expect("a file can be made"));
    fill(&mut writer);
    writer.finish().expect("the archive is written");
}

#[test]
fn images_of_bytes_are_flattened_and_keep_their_ids_and_owners() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (folder.path().join("train.npz"), folder.path().join("test.npz"));
    let image =
        Array3::from_shape_fn((3, 2, 2), |(i, row, column)| (10 * i + 2 * row + column) as u8);
    write(&train, |npz| {
        npz.add_array("x", &image).unwrap();
        npz.add_array("y", &array![0i64, 2, 1]).unwrap();
        npz.add_array("ids", &array![7u32, 3, 5]).unwrap();
        npz.add_array("owners", &array![1i32, 0, 1]).unwrap();
    });
    write(&test, |npz| {
        npz.add_array("x", &array![[0.5f64, 1.0, 1.5, 2.0]]).unwrap();
        npz.add_array("y", &array![3u8]).unwrap();
    });
    let loaded = load(&Source::NpzFiles(options(train, Some(test)))).unwrap();
    assert_eq!(loaded.train().features().row(1).to_vec(), [10.0, 11.0, 12.0, 13.0]);
    assert_eq!(loaded.train().ids(), [7, 3, 5].map(ExampleId));
    assert_eq!(loaded.train().owners(), [1, 0, 1]);
    let test = loaded.test().unwrap();
    assert_eq!(test.ids(), [ExampleId(8)], "numbered after the training pool's largest id");
    let Targets::Classes { labels, names } = test.targets() else {
        panic!("classes were asked for")
    };
    // Four classes, because the largest label of both files is 3.
    assert_eq!((labels.as_slice(), names.len()), ([3].as_slice(), 4));
}

#[test]
fn numbers_to_predict_stay_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.npz");
    write(&path, |npz| {
        npz.add_array("x", &array![[1.0f32], [2.0]]).unwrap();
        npz.add_array("y", &array![0.25f64, -3.0]).unwrap();
    });
    let options = NpzFiles { target: TargetKind::Values, ..options(path, None) };
    let loaded = load(&Source::NpzFiles(options)).unwrap();
    assert_eq!(loaded.train().targets(), &Targets::Values(vec![0.25, -3.0]));
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.npz");
    write(&path, |npz| {
        npz.add_array("x", &array![[1.0f32], [2.0]]).unwrap();
        npz.add_array("flat", &Array1::<f32>::zeros(2)).unwrap();
        npz.add_array("y", &array![0.0f64, 1.5]).unwrap();
        npz.add_array("short", &array![0i64]).unwrap();
    });
    let refused = |features: &str, labels: &str| {
        let (features, labels) = (features.to_owned(), labels.to_owned());
        let options = NpzFiles { features, labels, ..options(path.clone(), None) };
        load(&Source::NpzFiles(options)).unwrap_err().to_string()
    };
    assert!(refused("z", "y").contains("unknown array `z` (known: flat, short, x, y)"));
    assert!(refused("flat", "y").contains("shape [2], expected 2 axes"));
    assert!(refused("x", "y").contains("array `y` holds 1.5 at 1"));
    assert!(refused("x", "short").contains("1 entries"));
    std::fs::write(&path, b"no archive").unwrap();
    let error = load(&Source::NpzFiles(options(path.clone(), None))).unwrap_err();
    assert!(matches!(error, SourceError::Npz { .. }), "{error}");
    let missing = folder.path().join("missing.npz");
    let error = load(&Source::NpzFiles(options(missing, None))).unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "{error}");
}
