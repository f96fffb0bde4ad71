//! Parsers and thousands of inputs that are nearly right: no panic. `slow_mutations` tries more.

mod common;

use common::mutate::{Lots, corpus, mutated, parse_all, read_as_files, readers_work};

#[test]
fn valid_inputs_are_taken() {
    let trusted = [common::key().public()];
    let untaken: Vec<String> = corpus()
        .iter()
        .filter(|input| parse_all(input, &trusted) == 0)
        .map(|input| String::from_utf8_lossy(&input[..input.len().min(40)]).into_owned())
        .collect();
    // A state and a bundle are files, read by the test below.
    assert_eq!(untaken.len(), 2, "{untaken:?}");
    readers_work();
}

#[test]
fn nearly_right_inputs_make_no_parser_panic() {
    let (corpus, trusted) = (corpus(), [common::key().public()]);
    let mut lots = Lots(1);
    for _ in 0..20_000 {
        parse_all(&mutated(&corpus, &mut lots), &trusted);
    }
}

#[test]
fn nearly_right_files_make_no_reader_panic() {
    let (corpus, folder) = (corpus(), tempfile::tempdir().unwrap());
    let mut lots = Lots(2);
    for _ in 0..500 {
        read_as_files(&mutated(&corpus, &mut lots), folder.path());
    }
}
