//! The log of a run as people use it: keys, receipts, audits, forgeries.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

const TINY: &str = "\
name: tiny
question: Is what was recorded what happened?
prediction: It is.
seed: 3
data:
  source: { embedded: wine }
  train: 60
  queries: 12
  tuning-queries: 6
  ownership: { equal: { contributors: 4 } }
model: softmax-regression
training: { epochs: 8, batch-size: 12, learning-rate: 0.05, optimizer: { sgd: { momentum: 0.9 } } }
truths: { leave-contributor-out: {} }
methods: [random, grad-dot, in-run-shapley]
money: { rule: linear-clipped, tokens: 1000, reference: leave-contributor-out }
draws: 200
expect:
  - query-accuracy(run) > 0.5
";

/// The program in a folder; what it said, if it ended as it should.
#[track_caller]
fn attribench(folder: &Path, arguments: &str, code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_attribench"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    said
}

fn place(experiment: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.yaml"), experiment).unwrap();
    folder
}

#[test]
fn a_recorded_run_is_verified_audited_and_paid_by_receipt() {
    let place = place(TINY);
    let run = |arguments: &str, code| attribench(place.path(), arguments, code);
    run("log keygen lab.example/runs --out keys/lab", 0);
    run("run tiny.yaml --quiet --out plain", 0);
    run("run tiny.yaml --quiet --out logged --log --key keys/lab.key", 0);
    // A recorded run gives the results of one that is not.
    for file in ["rows.parquet", "payouts.parquet", "model.safetensors"] {
        let read = |folder: &str| fs::read(place.path().join(folder).join(file)).unwrap();
        assert_eq!(read("plain"), read("logged"), "{file}");
    }
    let said = run("log verify logged --trust keys/lab.pub", 0);
    assert!(said.contains("signed by lab.example/runs"), "{said}");
    assert!(said.contains("60 examples of 4 contributors, 40 of 40 steps"), "{said}");
    let said = run("log audit logged --trust keys/lab.pub --steps 40", 0);
    assert!(said.contains("40 of 40 steps were drawn, 40 taken again"), "{said}");
    assert!(said.contains("3 of 3 attributions were computed again"), "{said}");
    assert!(said.contains("3 settlements were made again by their rule, 0 stand"), "{said}");
    let said = run("log audit logged --trust keys/lab.pub --steps 1 --scores 1 --lot a", 0);
    assert!(said.contains("1 of 3 attributions were computed again"), "{said}");
    // The model that is handed out is the one that the log ends with.
    let weights = place.path().join("logged/model.safetensors");
    let model = fs::read(&weights).unwrap();
    let mut other = model.clone();
    // The top of the last number: 64 bits in the file, rounded to 32 where the run computes so.
    *other.last_mut().unwrap() ^= 0x80;
    fs::write(&weights, other).unwrap();
    let said = run("log audit logged --trust keys/lab.pub --steps 1", 1);
    assert!(said.contains("is not the model that the training ended with"), "{said}");
    fs::write(&weights, model).unwrap();
    let who = "--contributor contributor-1 --method in-run-shapley";
    run(&format!("log receipt --run logged {who} --out one.receipt"), 0);
    let said = run("log verify one.receipt --trust keys/lab.pub", 0);
    assert!(said.contains("the receipt of contributor-1 holds"), "{said}");
    let text = fs::read_to_string(place.path().join("one.receipt")).unwrap();
    assert!(text.contains("mispaid-share against leave-contributor-out"), "{text}");
    let forged = text.replacen(" units for that", "0 units for that", 1);
    fs::write(place.path().join("forged.receipt"), forged).unwrap();
    run("log verify forged.receipt --trust keys/lab.pub", 1);
    let said = run("run tiny.yaml --quiet --out logged --log --key keys/lab.key", 1);
    assert!(said.contains("holds a log already"), "{said}");
}

#[test]
fn logs_are_compared_amended_and_handed_to_other_tools() {
    let place = place(TINY);
    let run = |arguments: &str, code| attribench(place.path(), arguments, code);
    run("log keygen lab --out lab", 0);
    run("run tiny.yaml --quiet --out one --log --key lab.key", 0);
    fs::copy(place.path().join("one/log/checkpoint"), place.path().join("kept")).unwrap();
    run("log amend one --as deletion --entry 3 --reason asked --key lab.key", 0);
    let receipts: String = (0..4)
        .map(|owner| {
            let who = format!("--contributor contributor-{owner} --method grad-dot");
            run(&format!("log receipt --run one {who}"), 0)
        })
        .collect();
    // One of the four owned it, and the receipts of the others say that nothing touches them.
    assert_eq!(receipts.matches(" was deleted: asked\n").count(), 1, "{receipts}");
    assert_eq!(receipts.matches("No later word on this stands").count(), 3);
    let said = run("log amend one --as deletion --entry 60 --reason asked --key lab.key", 1);
    assert!(said.contains("item 60 is deleted, and the manifest has 60"), "{said}");
    let said = run("log diff kept one --trust lab.pub", 0);
    assert!(said.contains("begin with the"), "{said}");
    let said = run("log verify one --trust lab.pub", 0);
    assert!(said.contains("signed by lab"), "{said}");
    assert!(said.contains("later words (corrections, deletions, contributions): 1"), "{said}");
    run("log statements one --trust lab.pub --key lab.key --out statements", 0);
    let text = fs::read(place.path().join("statements/training-run.dsse.json")).unwrap();
    let envelope: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    let croissant = run("log croissant one --trust lab.pub", 0);
    let card: Value = serde_json::from_str(&croissant).unwrap();
    assert_eq!(card["recordSet"][0]["data"].as_array().unwrap().len(), 4);
    let croissant = croissant.replace("CC BY 4.0", "CC0-1.0");
    fs::write(place.path().join("card.json"), croissant).unwrap();
    // Another history under the same name, signed by nobody.
    run("run tiny.yaml --quiet --out two --log --croissant card.json", 0);
    let said = run("log verify two", 0);
    assert!(said.contains("UNSIGNED"), "{said}");
    run("log verify two --trust lab.pub", 1);
    // Licences and dates are those of the description that the run was given, and of no other.
    let said = run("log audit two --steps 1", 1);
    assert!(said.contains("over CC0-1.0 (UCI)`, of "), "{said}");
    assert!(said.contains("--croissant FILE"), "{said}");
    run("log audit two --steps 1 --croissant card.json", 0);
    let said = run("log audit one --steps 1 --trust lab.pub --croissant card.json", 1);
    assert!(said.contains("the data say `BSD-3-Clause (scikit-learn) over CC0-1.0"), "{said}");
    let said = run("log diff one two", 1);
    assert!(said.contains("lacks the last"), "{said}");
}

#[test]
fn forgeries_are_tried_and_told_on_the_page() {
    let forgeries = "forgeries: [forged-credits, dropped-example, reordered-batch, \
                     back-dated-contribution, swapped-checkpoint, forged-scores, truncated-log, \
                     forked-log]\n";
    let expected = "  - found-by-verify(back-dated-contribution) >= 1\n  \
                    - found-by-audit(dropped-example) >= 1\n  \
                    - found-by-diff(truncated-log) >= 1\n";
    let place = place(&format!("{forgeries}{TINY}{expected}"));
    for _ in 0..2 {
        attribench(place.path(), "run tiny.yaml --quiet --out out", 0);
    }
    let text = fs::read(place.path().join("out/record.json")).unwrap();
    let record: Value = serde_json::from_slice(&text).unwrap();
    let found = record["forgeries"].as_array().unwrap();
    assert_eq!(found.len(), 8);
    let escaped =
        |found: &&Value| ["verify", "audit", "diff"].iter().all(|check| found[check].is_null());
    assert_eq!(found.iter().filter(escaped).count(), 0, "{found:#?}");
    let audited = |name: &str| found.iter().find(|one| one["forgery"] == name).unwrap();
    let words = audited("forged-scores")["audit"].as_str().unwrap();
    assert!(words.contains("score of example"), "{words}");
    assert_eq!(audited("forged-scores")["audit_share"], 1.0);
    let page = fs::read_to_string(place.path().join("out/report.html")).unwrap();
    assert!(page.contains("What a forger can get away with"));
    let refused = place.path().join("tiny.yaml");
    fs::write(&refused, TINY.replace("seed: 3", "seed: 3\nforgeries: [magic]")).unwrap();
    let said = attribench(place.path(), "check tiny.yaml", 2);
    assert!(said.contains("forged-credits"), "{said}");
}
