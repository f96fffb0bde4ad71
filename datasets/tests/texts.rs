//! Texts: the user's own files, splits by document, contributor and time, planted copies.

use std::fs;
use std::path::Path;

use attribench_datasets::{
    Amount, CopyOwner, Corruption, Dataset, DuplicateKind, Loaded, Source, SourceError,
    SplitOptions, Standardisation, Stratification, Targets, assign_owners, corrupt, load, split,
};

fn source(yaml: &str) -> Source {
    serde_saphyr::from_str(yaml).expect("a source in YAML")
}

fn loaded(yaml: &str) -> Loaded {
    load(&source(yaml)).expect("texts load")
}

fn refusal(yaml: &str) -> String {
    load(&source(yaml)).expect_err("it is refused").to_string()
}

/// What an example asks for, as text.
fn text(dataset: &Dataset, row: usize) -> String {
    let Targets::Tokens { tokens, .. } = dataset.targets() else { panic!("tokens") };
    tokens.asked(row).map(|(_, token)| char::from(token as u8)).collect()
}

fn write_lines(folder: &Path) -> String {
    let lines = [
        r#"{"text": "an early text", "contributor": "b", "licence": "CC0", "time": "1900"}"#,
        r#"{"text": "a late text", "contributor": "a", "licence": "MIT", "time": 1950}"#,
        r#"{"text": "the last one", "contributor": "b", "licence": "CC0", "time": "1999-01-02"}"#,
    ];
    let path = folder.join("mine.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

#[test]
fn lines_of_ones_own_with_licence_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_lines(folder.path());
    let found =
        loaded(&format!("texts: {{ path: {path}, window: 8, hold-out: {{ since: \"1999\" }} }}"));
    assert_eq!(found.train().contributors(), ["a", "b"]);
    // 13 and 11 bytes are two windows of 8 each; 12 bytes are two more.
    assert_eq!((found.train().len(), found.test().unwrap().len()), (4, 2));
    assert_eq!(text(found.test().unwrap(), 0), "the last");
    let free = loaded(&format!(
        "texts: {{ path: {path}, window: 8, licences: [CC0], hold-out: {{ documents: 0 }} }}"
    ));
    assert_eq!(free.train().contributors(), ["b"]);
    let refused = refusal(&format!("texts: {{ path: {path}, licences: [GPL] }}"));
    assert!(refused.contains("under one of `licences`"), "{refused}");
}

#[test]
fn a_folder_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    for (contributor, name, words) in
        [("zoe", "1901_letter.txt", "dear all"), ("abe", "1902.txt", "to you")]
    {
        fs::create_dir_all(folder.path().join(contributor)).unwrap();
        fs::write(folder.path().join(contributor).join(name), words).unwrap();
    }
    fs::write(folder.path().join("zoe/LICENCE"), "CC BY 4.0\nand more words\n").unwrap();
    let path = folder.path().display();
    let found = loaded(&format!("texts: {{ path: {path}, hold-out: {{ since: \"1902\" }} }}"));
    assert_eq!(text(found.train(), 0), "dear all");
    assert_eq!(text(found.test().unwrap(), 0), "to you");
    let licensed = loaded(&format!("texts: {{ path: {path}, licences: [CC BY 4.0], window: 4 }}"));
    assert_eq!((licensed.train().len(), licensed.train().contributors().len()), (2, 1));
}

#[test]
fn one_source_and_a_known_one() {
    assert!(refusal("texts: {}").contains("no source"));
    assert!(refusal("texts: { embedded: presidents, path: x }").contains("two sources"));
    assert!(refusal("texts: { embedded: poets }").contains("presidents"));
    assert!(refusal("texts: { embedded: speakers, window: 0 }").contains("window"));
    let absent = load(&source("texts: { path: /no/such/file.jsonl }"));
    assert!(matches!(absent, Err(SourceError::Io { .. })));
}

#[test]
fn presidents_are_split_by_time() {
    let found = loaded(
        "texts: { embedded: presidents, window: 128, shortest: 64, hold-out: { since: \"1981\" } }",
    );
    let owners = |dataset: &Dataset| -> Vec<String> {
        let mut owners = dataset.owners().to_vec();
        owners.sort_unstable();
        owners.dedup();
        owners.into_iter().map(|owner| dataset.contributors()[owner as usize].clone()).collect()
    };
    let (before, after) = (owners(found.train()), owners(found.test().unwrap()));
    // Jimmy Carter left office in January 1981 and spoke in that year as well.
    assert!(after.contains(&"Ronald Reagan".to_owned()));
    assert!(before.iter().filter(|name| after.contains(name)).all(|name| name == "Jimmy Carter"));
}

#[test]
fn sets_are_drawn_by_contributor_and_tokens_are_not_scaled() {
    let found = loaded("texts: { embedded: eight-authors, window: 64, shortest: 64 }");
    let options = SplitOptions {
        train_size: Some(80),
        query_size: 16,
        tuning_query_size: 8,
        stratification: Stratification::ByClass,
    };
    let splits = split(found, &options, 1).unwrap();
    let before = splits.train().clone();
    let splits = splits.standardised(Standardisation::PerFeature).unwrap();
    assert_eq!(splits.train(), &before);
    // An eighth each, to within one: authors have nearly as many windows each.
    for owner in 0..8 {
        let count = before.owners().iter().filter(|&&found| found == owner).count();
        assert!((8..=12).contains(&count), "{count}");
    }
}

#[test]
fn copies_are_planted_with_a_key() {
    let found = loaded("texts: { embedded: eight-authors, window: 64, shortest: 64 }");
    let options = SplitOptions {
        train_size: Some(40),
        query_size: 8,
        tuning_query_size: 0,
        stratification: Stratification::ByContributor,
    };
    let splits = split(found, &options, 1).unwrap();
    let (train, first) = (splits.train().clone(), splits.first_free_id());
    let train = assign_owners(train, &attribench_datasets::Ownership::Natural, 1).unwrap();
    let (amount, owner) = (Amount::Count(6), CopyOwner::Named("copycat".into()));
    let exact = Corruption::ExactDuplicates { amount, owner: owner.clone() };
    let (copied, key) = corrupt(&train, &[exact], first, 1).unwrap();
    assert_eq!((copied.len(), key.duplicates().len()), (46, 6));
    let position = |id| copied.ids().iter().position(|found| *found == id).unwrap();
    for (&copy, duplicate) in key.duplicates() {
        assert_eq!(duplicate.kind, DuplicateKind::Exact);
        assert_eq!(text(&copied, position(copy)), text(&copied, position(duplicate.original)));
    }
    let reworded = Corruption::RewordedDuplicates { amount, owner, rate: 0.3 };
    let (copied, key) = corrupt(&train, &[reworded], first, 1).unwrap();
    let mut letters = (0, 0);
    for (&copy, duplicate) in key.duplicates() {
        let (new, old) =
            (text(&copied, position(copy)), text(&copied, position(duplicate.original)));
        assert_eq!(new.len(), old.len());
        letters.0 += new.bytes().zip(old.bytes()).filter(|(new, old)| new != old).count();
        letters.1 += old.len();
    }
    // Three words in ten are others; most letters of those, and none of the rest.
    let changed = letters.0 as f64 / letters.1 as f64;
    assert!((0.1..0.35).contains(&changed), "{changed}");
    let noisy = Corruption::FeatureNoise { amount, noise_sd: 1.0 };
    assert!(corrupt(&train, &[noisy], first, 1).unwrap_err().to_string().contains("tokens"));
}
