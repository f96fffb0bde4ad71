//! The checkout as a list of files.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the checkout.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Path from the root of the checkout, with `/` between its parts.
    pub path: String,
    /// Content; empty where it is not text.
    pub text: String,
}

impl File {
    /// A file from its path and content.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// File name without folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// File name without folders and extension.
    pub fn stem(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// Whether the name ends in `.` and the extension.
    pub fn has_extension(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    /// Whether the file lies in the folder itself, not in a folder of it.
    pub fn is_directly_in(&self, folder: &str) -> bool {
        let rest = self.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|name| !name.contains('/'))
    }
}

/// Root of the checkout.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies two folders below the root")
}

/// Every file of the checkout, sorted by path, without what is built or computed.
///
/// # Panics
/// When a folder or a file cannot be read.
pub fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, "", &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// What git ignores or owns; in a linked work tree `.git` is a file.
fn is_skipped(name: &str) -> bool {
    const SKIPPED: [&str; 5] = [".git", ".store", "__pycache__", "runs", "target"];
    SKIPPED.contains(&name) || name.starts_with(".venv")
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the checkout can be read") {
        let entry = entry.expect("a folder of the checkout can be read");
        let kind = entry.file_type().expect("an entry has a type");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if is_skipped(&name) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            // What is not text (images, fonts, archives) has no lines to be held against a law.
            let bytes = fs::read(entry.path()).expect("a file of the checkout can be read");
            files.push(File::new(path, String::from_utf8(bytes).unwrap_or_default()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{File, files};

    #[test]
    fn names_are_taken_apart() {
        let file = File::new("methods/src/grad_dot.rs", "");
        assert_eq!((file.name(), file.stem()), ("grad_dot.rs", "grad_dot"));
        assert!(file.has_extension("rs") && !file.has_extension("s"));
        assert!(file.is_directly_in("methods/src") && !file.is_directly_in("methods"));
        assert_eq!(File::new(".gitignore", "").stem(), "");
        assert_eq!(File::new("justfile", "").stem(), "justfile");
    }

    #[test]
    fn the_checkout_is_read_without_what_is_built() {
        let files = files();
        assert!(files.iter().any(|file| file.path == "harness/tidy/src/tree.rs"));
        assert!(files.iter().any(|file| file.path == "justfile"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
    }
}
