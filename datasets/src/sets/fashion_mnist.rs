//! Fashion-MNIST excerpt: the first 500 training and the first 100 test images of each class.
//!
//! Features are pixels / 255, in [0, 1], 28 x 28, row by row from the top. No contributors are
//! known. The full set is read by `idx-files` from its four files.

use super::idx_files::{Part, assemble};
use super::{Entry, Loader};
use crate::error::SourceError;
use crate::idx::{parse_images, parse_labels, unpack};
use crate::manifest::{
    EmbeddedFile, FASHION_TEST_IMAGES, FASHION_TEST_LABELS, FASHION_TRAIN_IMAGES,
    FASHION_TRAIN_LABELS,
};
use crate::source::Loaded;

pub(super) const ENTRY: Entry = Entry {
    name: "fashion-mnist",
    summary: "clothes in 28 x 28 grey pixels, 500 + 100 a class of the full 60,000 + 10,000",
    train_examples: Some(5000),
    test_examples: Some(1000),
    features: Some(784),
    classes: Some(CLASSES.len()),
    natural_contributors: 0,
    licence: FASHION_TRAIN_IMAGES.licence,
    hub_id: Some("zalando-datasets/fashion_mnist"),
    loader: Loader::Embedded(load),
};

const CLASSES: [&str; 10] = [
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle-boot",
];

fn load() -> Result<Loaded, SourceError> {
    let train = read_part(&FASHION_TRAIN_IMAGES, &FASHION_TRAIN_LABELS)?;
    let test = read_part(&FASHION_TEST_IMAGES, &FASHION_TEST_LABELS)?;
    assemble(ENTRY.name, train, Some(test), CLASSES.map(str::to_owned).to_vec())
}

fn read_part(images: &EmbeddedFile, labels: &EmbeddedFile) -> Result<Part, SourceError> {
    let pixels = parse_images(images.name, &unpack(images.name, images.read()?.to_vec())?)?;
    images.check_rows(pixels.nrows())?;
    let classes = parse_labels(labels.name, &unpack(labels.name, labels.read()?.to_vec())?)?;
    labels.check_rows(classes.len())?;
    Part::new(images.name, pixels, labels.name, classes)
}
