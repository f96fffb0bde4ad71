//! Byte pairs learnt here against those of Hugging Face's tokenizers; `oracles/byte_pairs.py` says
//! how they were made.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use attribench_datasets::{HoldOut, Source, Targets, Texts, Tokenizer, Tokens, load};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Text {
    learn: Vec<String>,
    encode: Vec<String>,
}

#[derive(Deserialize)]
struct Oracle {
    vocabulary: BTreeMap<String, u32>,
    merges: Vec<[String; 2]>,
    tokens: Vec<Vec<u32>>,
}

fn texts() -> Text {
    serde_json::from_str(include_str!("oracles/byte_pairs_texts.json")).unwrap()
}

/// The tokenizer of a source that reads these texts and holds out the last of them.
fn tokenizer_of(folder: &Path, texts: &[String], held_out: &str, tokens: Tokens) -> Arc<Tokenizer> {
    let path = folder.join("texts.jsonl");
    let line = |(text, who)| serde_json::json!({"text": text, "contributor": who}).to_string();
    let known = texts.iter().map(|text| (text.as_str(), "known"));
    let lines: Vec<String> = known.chain([(held_out, "unknown")]).map(line).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let options: Texts = serde_json::from_value(serde_json::json!({
        "path": path,
        "tokens": tokens,
        "hold-out": HoldOut::Contributors(vec!["unknown".into()]),
    }))
    .unwrap();
    let loaded = load(&Source::Texts(options)).unwrap();
    let Targets::Tokens { tokens, .. } = loaded.train().targets() else { panic!("tokens") };
    tokens.tokenizer().clone()
}

fn learnt(vocabulary: usize) -> Arc<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    tokenizer_of(folder.path(), &texts().learn, "held out", Tokens::Bpe { vocabulary })
}

#[test]
fn what_is_learnt_and_encoded_is_what_tokenizers_learns_and_encodes() {
    let oracle: Oracle = serde_json::from_str(include_str!("oracles/byte_pairs.json")).unwrap();
    let tokenizer = learnt(300);
    let file: serde_json::Value = serde_json::from_str(tokenizer.json().unwrap()).unwrap();
    assert_eq!(file["model"]["vocab"], serde_json::json!(oracle.vocabulary));
    assert_eq!(file["model"]["merges"], serde_json::json!(oracle.merges));
    for (text, tokens) in texts().encode.iter().zip(&oracle.tokens) {
        assert_eq!(&tokenizer.encode(text), tokens, "{text}");
    }
}

#[test]
fn what_is_held_out_teaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let other = "zyzzyva zyzzyva zyzzyva zyzzyva zyzzyva zyzzyva";
    let tokens = Tokens::Bpe { vocabulary: 300 };
    let found = tokenizer_of(folder.path(), &texts().learn, other, tokens);
    assert_eq!(found.json(), learnt(300).json());
}

#[test]
fn a_file_gives_the_tokenizer_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let (learnt, path) = (learnt(280), folder.path().join("tokenizer.json"));
    std::fs::write(&path, learnt.json().unwrap()).unwrap();
    let tokens = Tokens::Tokenizer { path, edge: "<|edge|>".into() };
    assert_eq!(tokenizer_of(folder.path(), &texts().learn, "held out", tokens), learnt);
}

#[test]
fn tokenizers_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.jsonl");
    std::fs::write(&path, r#"{"text": "a", "contributor": "b"}"#).unwrap();
    let refused = |tokens: Tokens| {
        let options = serde_json::json!({"path": path, "tokens": tokens});
        load(&Source::Texts(serde_json::from_value(options).unwrap())).unwrap_err().to_string()
    };
    assert!(refused(Tokens::Bpe { vocabulary: 257 }).contains("bpe: vocabulary: 257"));
    let other = folder.path().join("tokenizer.json");
    std::fs::write(&other, learnt(280).json().unwrap().replace("\"Ġ\": ", "\"gone\": ")).unwrap();
    let edge = || "<|edge|>".to_owned();
    let message = refused(Tokens::Tokenizer { path: other.clone(), edge: edge() });
    assert!(message.contains("tokenizer.json: "), "{message}");
    std::fs::write(&other, learnt(280).json().unwrap()).unwrap();
    let message = refused(Tokens::Tokenizer { path: other.clone(), edge: "<s>".into() });
    assert!(message.contains("there is no token `<s>`"), "{message}");
    std::fs::write(&other, "{}").unwrap();
    let message = refused(Tokens::Tokenizer { path: other, edge: edge() });
    assert!(message.contains("hint: tokenizers are read"), "{message}");
}

#[test]
fn a_vocabulary_learnt_elsewhere_may_lack_what_nobody_writes() {
    // As that of SmolLM2, which has no token for byte 4.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, learnt(280).json().unwrap().replace("\"\u{104}\": ", "\"gone\": "))
        .unwrap();
    let tokens = Tokens::Tokenizer { path, edge: "<|edge|>".into() };
    let tokenizer = tokenizer_of(folder.path(), &texts().learn, "held out", tokens);
    let (known, padding) = (tokenizer.encode("the cat"), tokenizer.padding());
    // It is read as padding, which nobody is asked for, and not dropped.
    assert_eq!(tokenizer.encode("the cat\u{4}the cat"), [&known[..], &[padding], &known].concat());
}

proptest! {
    #[test]
    fn every_text_comes_back(text in "[^\\x00]{0,60}") {
        let tokenizer = learnt(300);
        let tokens = tokenizer.encode(&text);
        prop_assert!(tokens.iter().all(|&token| !tokenizer.is_special(token)));
        prop_assert_eq!(tokenizer.spell(&tokens).unwrap(), text.as_bytes());
    }

    /// Learnt twice from the same texts, whatever they are, it is the same file.
    #[test]
    fn the_same_texts_teach_the_same(
        texts in proptest::collection::vec("[ab ]{1,30}", 1..6),
        vocabulary in 258usize..290,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = || Tokens::Bpe { vocabulary };
        let first = tokenizer_of(folder.path(), &texts, "held out", tokens());
        let second = tokenizer_of(folder.path(), &texts, "held out", tokens());
        prop_assert_eq!(first.json(), second.json());
        for text in &texts {
            prop_assert_eq!(first.spell(&first.encode(text)).unwrap(), text.as_bytes());
        }
    }
}
