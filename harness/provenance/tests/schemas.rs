//! The schemas in `schemas/` are those of the code, and what is recorded validates against them.

mod common;

use std::{collections::BTreeMap, fs, path::PathBuf};

use attribench_provenance::{
    Digest, LogReader, TreeReader,
    records::{
        Contribution, Correction, Count, Deletion, KINDS, Kind, Record, RecordError, schemas,
    },
};
use serde_json::Value;

fn schema_file(kind: &str) -> PathBuf {
    let name = kind.replace('/', ".");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{name}.schema.json"))
}

#[test]
fn the_files_are_those_of_the_code() {
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut other = Vec::new();
    for (kind, schema) in schemas() {
        let file = schema_file(kind);
        let expected = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if fs::read_to_string(&file).ok().as_ref() != Some(&expected) {
            fs::write(made.join(file.file_name().unwrap()), &expected).unwrap();
            other.push(file.file_name().unwrap().to_owned());
        }
    }
    // What they should be lies beside the build, where it can be copied from.
    assert!(other.is_empty(), "copy to schemas/ from {}: {other:?}", made.display());
    let found = fs::read_dir(schema_file("x").parent().unwrap()).unwrap().count();
    assert_eq!(found, KINDS.len(), "one file a kind: {KINDS:?}");
}

/// What is wrong with a value, by the part of JSON Schema that the files use; any other part is
/// refused, so that no condition is passed over.
fn complaints(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, condition) in schema.as_object().unwrap() {
        let holds = match word.as_str() {
            "$schema" | "$id" | "title" | "description" => true,
            "const" => value == condition,
            "type" => match condition.as_str().unwrap() {
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            },
            "pattern" => value.as_str().is_some_and(|text| matches(text, condition)),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(complaints(item, condition, &format!("{place}/{index}")));
                }
                true
            }
            "oneOf" => {
                let fits = |one: &&Value| complaints(value, one, place).is_empty();
                condition.as_array().unwrap().iter().filter(fits).count() == 1
            }
            "required" => {
                let names = condition.as_array().unwrap();
                names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, condition) in condition.as_object().unwrap() {
                    if let Some(property) = value.get(name) {
                        found.extend(complaints(property, condition, &format!("{place}/{name}")));
                    }
                }
                true
            }
            "additionalProperties" if condition == &Value::Bool(false) => {
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_some_and(|map| map.keys().all(|key| known.contains_key(key)))
            }
            "additionalProperties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    found.extend(complaints(property, condition, &format!("{place}/{name}")));
                }
                true
            }
            other => panic!("`{other}` is a part of JSON Schema that this test does not know"),
        };
        if !holds {
            found.push(format!("{place}: {value} breaks `{word}`: {condition}"));
        }
    }
    found
}

fn matches(text: &str, pattern: &Value) -> bool {
    let hex = |text: &str, length| {
        let is_digit = |letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
        text.len() == length && text.bytes().all(is_digit)
    };
    match pattern.as_str().unwrap() {
        "^[0-9a-f]{64}$" => hex(text, 64),
        "^blake3:[0-9a-f]{64}$" => {
            text.strip_prefix("blake3:").is_some_and(|digits| hex(digits, 64))
        }
        "^[0-9a-f]{16}$" => hex(text, 16),
        "^(0|[1-9][0-9]*)$" => {
            let digits = !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
            digits && (text == "0" || !text.starts_with('0'))
        }
        other => panic!("pattern {other}"),
    }
}

/// Every entry of a recorded run and of all trees beside its log, and each later word.
fn all_entries() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    common::record(folder.path(), Some(common::key()));
    let log = LogReader::open(folder.path()).unwrap();
    let mut entries: Vec<Vec<u8>> = log.tree().entries().map(Result::unwrap).collect();
    let trees = [
        ("manifest", 12),
        ("contributors", 4),
        ("credits", 4),
        ("attributions/0/scores", 2),
        ("attributions/0/totals", 4),
        ("settlements/0/payouts", 4),
    ];
    for (tree, size) in trees {
        let tree = TreeReader::open(&folder.path().join(tree), size);
        entries.extend(tree.entries().map(Result::unwrap));
    }
    let (content, reason) = (Digest::of(b"x"), "asked for".to_owned());
    let (contributor, licence) = ("eve".to_owned(), "CC0-1.0".to_owned());
    let (time, kind) = (Count(7), Kind::default());
    let late: [Record; 3] = [
        Contribution { content, contributor, kind, licence, time }.into(),
        Correction { entry: Count(1), kind: Kind::default(), reason: reason.clone(), time }.into(),
        Deletion { item: Count(1), kind: Kind::default(), reason, time }.into(),
    ];
    entries.extend(late.iter().map(Record::to_bytes));
    entries
}

#[test]
fn recorded_entries_of_every_kind_validate() {
    let schemas: BTreeMap<&str, Value> = schemas().into_iter().collect();
    let mut seen = BTreeMap::new();
    for entry in all_entries() {
        let record = Record::parse(&entry).unwrap();
        assert_eq!(record.to_bytes(), entry);
        let value: Value = serde_json::from_slice(&entry).unwrap();
        assert_eq!(complaints(&value, &schemas[record.kind()], ""), [""; 0]);
        *seen.entry(record.kind()).or_insert(0) += 1;
        // Fields stand in the order of their names, at every depth.
        assert_eq!(sorted(&value), String::from_utf8(entry).unwrap());
    }
    assert_eq!(seen.len(), KINDS.len(), "{seen:?}");
}

/// JSON text with the fields of every object in order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            let fields = ordered.iter().map(|(name, value)| {
                format!("{}:{}", Value::String((*name).clone()), sorted(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn what_the_schema_refuses_the_reader_refuses() {
    let schemas: BTreeMap<&str, Value> = schemas().into_iter().collect();
    let text = r#"{"entry":"3","kind":"correction/v1","reason":"a","time":"9"}"#;
    assert!(Record::parse(text.as_bytes()).is_ok());
    for (good, bad) in [
        (r#""entry":"3","#, ""),
        (r#""3""#, "3"),
        (r#""3""#, r#""03""#),
        (r#""3""#, r#""+3""#),
        (r#""9"}"#, r#""9","zone":"UTC"}"#),
    ] {
        let text = text.replace(good, bad);
        assert!(Record::parse(text.as_bytes()).is_err(), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_ne!(complaints(&value, &schemas["correction/v1"], ""), [""; 0], "{text}");
    }
    let spaced = text.replace(':', ": ");
    assert_eq!(Record::parse(spaced.as_bytes()), Err(RecordError::NotCanonical));
    let escaped = text.replace(r#""a""#, r#""\u0061""#);
    assert_eq!(Record::parse(escaped.as_bytes()), Err(RecordError::NotCanonical));
    let unknown = Record::parse(text.replace("correction", "guess").as_bytes());
    assert!(matches!(unknown, Err(RecordError::UnknownKind { .. })));
}
