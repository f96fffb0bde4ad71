//! The embedded files and what each must be, checked on every load.

use sha2::{Digest, Sha256};

use crate::error::SourceError;

const MIT_ZALANDO: &str = "MIT, (c) 2017 Zalando SE";
const BSD3_AND_CC_BY: &str = "BSD-3-Clause (scikit-learn) over CC BY 4.0 (UCI)";
const CC_BY: &str = "CC BY 4.0";
const PUBLIC_DOMAIN: &str = "public domain";
const PDDL: &str = "PDDL 1.0";
const CC_BY_25: &str = "public domain; edition: CC BY 2.5, Open Shakespeare";
const COUNTS_ONLY: &str = "counts without names; facts, no licence needed";

const FASHION_MNIST: &str = "https://github.com/zalandoresearch/fashion-mnist, first of each class";
const UCI_DIGITS: &str = "scikit-learn, from UCI Optical Recognition of Handwritten Digits";
const UCI_BREAST_CANCER: &str = "scikit-learn, from UCI Breast Cancer Wisconsin (Diagnostic)";
const UCI_WINE: &str = "scikit-learn, from UCI Wine";
const UCI_HEART: &str = "UCI Heart Disease: Janosi, Steinbrunn, Pfisterer, Detrano";
const UCI_VOWEL: &str = "UCI Connectionist Bench (Vowel Recognition): Deterding";
const EIGHT_AUTHORS: &str = "public domain texts of eight authors, 250 passages of each";
const UNION: &str = "State of the Union addresses, 40 passages of each president";
const PLAYS: &str = "seven plays of William Shakespeare, edition of Open Shakespeare";
const MIT_WOOLF: &str = "MIT, (c) Max Woolf";
const TEXTGENRNN_SOURCE: &str = "textgenrnn 2.0.0, the model that it comes with";
const GIT_LOG: &str = "commits of each author in the history of a large project kept in git";

/// A file that is part of the program, and what it must be.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFile {
    /// Name under `datasets/data`.
    pub name: &'static str,
    /// sha256 of the content, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Size of the content as embedded, packed or not.
    pub size_bytes: usize,
    /// Number of examples; of tensors in weights, of entries in a vocabulary.
    pub rows: usize,
    /// Licence under which it is passed on; `datasets/data/NOTICE.md` has the notices.
    pub licence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    content: &'static [u8],
}

macro_rules! embedded {
    (
        $name:literal,
        $sha256:literal,
        $size_bytes:literal,
        $rows:literal,
        $licence:expr,
        $source:expr
    ) => {
        EmbeddedFile {
            name: $name,
            sha256: $sha256,
            size_bytes: $size_bytes,
            rows: $rows,
            licence: $licence,
            source: $source,
            content: include_bytes!(concat!("../data/", $name)),
        }
    };
}

pub(crate) static AUTHORS: EmbeddedFile = embedded!(
    "eight_authors_x250.jsonl.gz",
    "8ffe781381f0904bb4a02196f3499a43dbbca7b170bfeb95c325f016a8056bed",
    484281,
    2000,
    PUBLIC_DOMAIN,
    EIGHT_AUTHORS
);
pub(crate) static FASHION_TEST_IMAGES: EmbeddedFile = embedded!(
    "fashion-mnist-1k-test-images.idx3.gz",
    "04516f9d284037ea6cce7310aafaed77e8f8c1547f1127ef4aa754c46f47f8f5",
    436247,
    1000,
    MIT_ZALANDO,
    FASHION_MNIST
);
pub(crate) static FASHION_TEST_LABELS: EmbeddedFile = embedded!(
    "fashion-mnist-1k-test-labels.idx1.gz",
    "540f63e62544edb8406d1292429a47e6cdb42e4fa2eaa233f072b34e1f6bc46c",
    519,
    1000,
    MIT_ZALANDO,
    FASHION_MNIST
);
pub(crate) static FASHION_TRAIN_IMAGES: EmbeddedFile = embedded!(
    "fashion-mnist-5k-train-images.idx3.gz",
    "b240910d2f9a3dad10993db98ccd0cce3dd9149f4e70b24a0b03b57d41908dae",
    2177716,
    5000,
    MIT_ZALANDO,
    FASHION_MNIST
);
pub(crate) static FASHION_TRAIN_LABELS: EmbeddedFile = embedded!(
    "fashion-mnist-5k-train-labels.idx1.gz",
    "ae0d767c2f6dbbdea3abe9cbf56dacf5c2069a5513b4a9e0ff10b1923bc33661",
    2557,
    5000,
    MIT_ZALANDO,
    FASHION_MNIST
);
pub(crate) static GIT_COMMITS: EmbeddedFile = embedded!(
    "git_commits_per_author.csv",
    "d39cae1aa99324441c32af0390c4ff628fba18dbd7d2469b667980cf06c8fb31",
    13116,
    1965,
    COUNTS_ONLY,
    GIT_LOG
);
pub(crate) static HEART: EmbeddedFile = embedded!(
    "heart_4hospitals.csv",
    "43f5b7aa603e8cfe824a2912ec959c87309504de8973ded43681d1f5da3e4b06",
    86333,
    920,
    CC_BY,
    UCI_HEART
);
pub(crate) static SPEECHES: EmbeddedFile = embedded!(
    "shakespeare_7plays_by_speaker.jsonl.gz",
    "94bf83c78bdf2d6bd7b60fc6f8989f8432b66566426097d31f93c95bd3fdee0e",
    385864,
    6193,
    CC_BY_25,
    PLAYS
);
pub(crate) static BREAST_CANCER: EmbeddedFile = embedded!(
    "sklearn_breast_cancer.csv",
    "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed",
    119913,
    569,
    BSD3_AND_CC_BY,
    UCI_BREAST_CANCER
);
pub(crate) static DIGITS: EmbeddedFile = embedded!(
    "sklearn_digits.csv.gz",
    "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    57523,
    1797,
    BSD3_AND_CC_BY,
    UCI_DIGITS
);
pub(crate) static WINE: EmbeddedFile = embedded!(
    "sklearn_wine_data.csv",
    "10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede",
    11157,
    178,
    BSD3_AND_CC_BY,
    UCI_WINE
);
pub(crate) static ADDRESSES: EmbeddedFile = embedded!(
    "sotu_43presidents_x40.jsonl.gz",
    "08da5fe392ea96d91fa7c522ff78462655e8b0d610b4508d09e4f87ce299d164",
    383089,
    1720,
    PDDL,
    UNION
);
/// As `text-gen-rnn` takes them.
static TEXTGENRNN: EmbeddedFile = embedded!(
    "textgenrnn.safetensors",
    "e14561816903e6e6e8659d5adf14f80894f7f04d2f93092846904da90584843c",
    924218,
    10,
    MIT_WOOLF,
    TEXTGENRNN_SOURCE
);
pub(crate) static TEXTGENRNN_VOCABULARY: EmbeddedFile = embedded!(
    "textgenrnn_vocab.json",
    "f9c6c0db9b07fb57da023d32df66e16a488d086c138e15706307bb5177c2be74",
    5079,
    464,
    MIT_WOOLF,
    TEXTGENRNN_SOURCE
);
pub(crate) static VOWEL: EmbeddedFile = embedded!(
    "vowel_15speakers.csv",
    "f7cf0d65e4e6e721ae89a1a3acdf32f5c3acbd913f630aed0849b1fe04c5c002",
    63631,
    990,
    CC_BY,
    UCI_VOWEL
);

/// Embedded weights of a model that somebody else trained, by its name.
pub fn embedded_weights(name: &str) -> Option<&'static EmbeddedFile> {
    (name == "textgenrnn").then_some(&TEXTGENRNN)
}

/// Every embedded file, sorted by name.
pub static FILES: &[&EmbeddedFile] = &[
    &AUTHORS,
    &FASHION_TEST_IMAGES,
    &FASHION_TEST_LABELS,
    &FASHION_TRAIN_IMAGES,
    &FASHION_TRAIN_LABELS,
    &GIT_COMMITS,
    &HEART,
    &SPEECHES,
    &BREAST_CANCER,
    &DIGITS,
    &WINE,
    &ADDRESSES,
    &TEXTGENRNN,
    &TEXTGENRNN_VOCABULARY,
    &VOWEL,
];

impl EmbeddedFile {
    /// The embedded content, once it is known to be what the manifest says.
    ///
    /// # Errors
    /// [`SourceError::Manifest`] when size or sha256 differ.
    pub fn read(&self) -> Result<&'static [u8], SourceError> {
        self.check(self.content)?;
        Ok(self.content)
    }

    /// Checks that some content is what the manifest says of this file.
    ///
    /// # Errors
    /// [`SourceError::Manifest`] with the expected and the found value when size or sha256 differ.
    pub fn check(&self, content: &[u8]) -> Result<(), SourceError> {
        let (expected, found) = (self.size_bytes.to_string(), content.len().to_string());
        self.expect("size in bytes", expected, found)?;
        let found: String =
            Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        self.expect("sha256", self.sha256.to_owned(), found)
    }

    /// Checks the number of examples that a reader found in the file.
    pub(crate) fn check_rows(&self, found: usize) -> Result<(), SourceError> {
        self.expect("number of rows", self.rows.to_string(), found.to_string())
    }

    fn expect(
        &self,
        what: &'static str,
        expected: String,
        found: String,
    ) -> Result<(), SourceError> {
        if expected == found {
            return Ok(());
        }
        Err(SourceError::Manifest { file: self.name.to_owned(), what, expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_what_the_manifest_says_and_sorted() {
        for file in FILES {
            file.read().expect("the embedded file matches its manifest");
        }
        assert!(FILES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn manifest_and_folder_list_the_same_files() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of embedded files exists")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
            .filter(|name| name != "NOTICE.md")
            .collect();
        found.sort();
        assert_eq!(found, FILES.iter().map(|file| file.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_file_has_its_notice() {
        let notice = include_str!("../data/NOTICE.md");
        for file in FILES {
            assert!(notice.contains(file.name), "NOTICE.md does not name {}", file.name);
        }
    }

    #[test]
    fn one_changed_byte_is_refused_with_both_hashes() {
        let mut content = WINE.read().expect("intact").to_vec();
        content[100] ^= 1;
        let message = WINE.check(&content).expect_err("tampered").to_string();
        assert!(message.contains("sha256"), "{message}");
        assert!(message.contains(WINE.sha256), "{message}");
        assert!(message.starts_with("sklearn_wine_data.csv: sha256 is "), "{message}");
    }

    #[test]
    fn another_size_or_row_count_is_refused() {
        let message = WINE.check(b"short").expect_err("short").to_string();
        assert!(message.contains("size in bytes is 5 but the manifest says 11157"), "{message}");
        let message = WINE.check_rows(177).expect_err("a row is gone").to_string();
        assert!(message.contains("number of rows is 177 but the manifest says 178"), "{message}");
    }
}
