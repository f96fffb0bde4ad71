//! The registry is the files on disk, and every file is documented in the same form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use attribench_methods::REGISTRY;

/// Files that several methods share, and the registry itself.
const SHARED: [&str; 21] = [
    "cholesky",
    "credits",
    "curvature",
    "directions",
    "eigen",
    "features",
    "games",
    "influence",
    "kronecker",
    "lib",
    "one_layer",
    "pair",
    "projection",
    "quadrature",
    "segments",
    "similarity",
    "step_derivative",
    "suffix_array",
    "tails",
    "terms",
    "turn",
];

/// Headings of a method's documentation, in order.
const HEADINGS: [&str; 6] =
    ["# Computes", "# Reads", "# Shapes", "# Differs from the paper", "# Example", "# References"];

fn method_files() -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Folders hold what is no method: values of games.
    files.retain(|file| file.is_file() && !SHARED.contains(&stem(file)));
    files.sort();
    files
}

fn stem(file: &Path) -> &str {
    file.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn every_file_is_registered_and_every_entry_has_a_file() {
    let files: BTreeSet<String> =
        method_files().iter().map(|file| stem(file).replace('_', "-")).collect();
    let names: BTreeSet<String> = REGISTRY.iter().map(|entry| entry.info.name.to_owned()).collect();
    assert_eq!(files, names, "add the method to REGISTRY, or name the shared file in SHARED");
}

#[test]
fn every_file_has_the_same_headings() {
    for file in method_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let docs: Vec<&str> =
            text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        let found: Vec<&str> = docs.iter().copied().filter(|line| line.starts_with("# ")).collect();
        assert_eq!(found, HEADINGS, "headings of {}", file.display());
        assert!(docs[0].ends_with('.') && docs[1].is_empty(), "first line of {}", file.display());
        for (position, line) in docs.iter().enumerate().filter(|(_, line)| line.starts_with("# ")) {
            let next = docs.get(position + 1).copied().unwrap_or_default();
            assert!(!next.is_empty(), "`{line}` is empty in {}", file.display());
        }
    }
}

#[test]
fn one_line_in_the_registry_opens_the_documentation() {
    for (file, entry) in method_files().iter().zip(by_file_name()) {
        let text = std::fs::read_to_string(file).unwrap().to_lowercase();
        let first = text.lines().next().unwrap().trim_start_matches("//! ").trim_end_matches('.');
        let summary = entry.info.summary.to_lowercase();
        assert_eq!(summary, first, "summary of {}", entry.info.name);
    }
}

fn by_file_name() -> Vec<&'static attribench_core::MethodEntry> {
    let mut entries: Vec<_> = REGISTRY.iter().collect();
    entries.sort_by_key(|entry| entry.info.name.replace('-', "_"));
    entries
}
