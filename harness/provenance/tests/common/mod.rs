//! A small run with everything in its log.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod mutate;

use std::{collections::BTreeMap, path::Path};

use attribench_provenance::{
    Digest, Log, LogReader, SigningKey,
    recorder::{AttributionFacts, ItemFacts, Recorder, RunFacts, SettlementFacts, StepFacts},
    records::{Attribution, Bits, Count, Kind, Measured, Settlement},
    state::StateBytes,
};

/// Examples of the run.
pub const EXAMPLES: u32 = 12;
/// Its contributors; the last gave nothing.
pub const CONTRIBUTORS: [&str; 4] = ["ada", "bob", "cleo", "dan"];
/// Its steps, two epochs of three batches.
pub const STEPS: u64 = 6;
/// What is split.
pub const POT: u64 = 1_000;

pub fn key() -> SigningKey {
    SigningKey::from_seed("lab.example/runs", [9; 32]).unwrap()
}

pub fn batches() -> Vec<Vec<u32>> {
    let reversed: Vec<u32> = (0..EXAMPLES).rev().collect();
    let epochs = [(0..EXAMPLES).collect(), reversed];
    epochs.iter().flat_map(|rows: &Vec<u32>| rows.chunks(4).map(<[u32]>::to_vec)).collect()
}

pub fn facts() -> RunFacts {
    let digest = |word: &str| Digest::of(word.as_bytes());
    RunFacts {
        run: "demo".to_owned(),
        binary: digest("binary"),
        code: digest("code"),
        configuration: digest("configuration"),
        environment: BTreeMap::from([("processor".to_owned(), "one".to_owned())]),
        lockfile: digest("lockfile"),
        model: "softmax-regression".to_owned(),
        parameters: 3,
        precision: "f32".to_owned(),
        seed: 42,
        time: 1_000_000,
    }
}

pub fn items() -> Vec<ItemFacts> {
    let item = |example: u32| ItemFacts {
        example,
        // Example 7 is a copy of example 3.
        content: Digest::of(&[if example == 7 { 3 } else { example as u8 }]),
        owner: example % 3,
        licence: "CC0-1.0".to_owned(),
        time: (example == 0).then_some(999_000),
    };
    (0..EXAMPLES).map(item).collect()
}

/// State after some steps: three parameters and one number of an optimiser.
pub fn state(step: u64) -> StateBytes<'static> {
    let number = |place: f32| (step as f32 + place).to_le_bytes();
    let parameters = (0..3u8).map(f32::from).flat_map(number).collect();
    StateBytes { width: 4, parameters, optimizer: 0.5f32.to_le_bytes().to_vec().into() }
}

/// Credits of a batch at a step.
pub fn credits(step: u64, batch: &[u32]) -> Vec<f64> {
    batch.iter().map(|example| 0.1 * f64::from(*example) - 0.01 * step as f64).collect()
}

pub fn attribution() -> AttributionFacts {
    let zero = Digest::default();
    let entry = Attribution {
        access: "full trace".to_owned(),
        commitment: Count(0),
        cost: BTreeMap::from([("gradients".to_owned(), "24".to_owned())]),
        factor: Bits(0.5),
        errors: vec![Measured {
            level: Bits(0.95),
            lower: Bits(0.1),
            metric: "mispaid-share".to_owned(),
            point: Bits(0.25),
            truth: "leave-contributor-out".to_owned(),
            unit: "share".to_owned(),
            upper: Bits(0.5),
        }],
        kind: Kind::default(),
        label: "in-run-shapley".to_owned(),
        method: "in-run-shapley".to_owned(),
        parameters: "{}".to_owned(),
        queries: Digest::of(b"queries"),
        scale: "derivative".to_owned(),
        scores_root: zero,
        scores_size: Count(0),
        time: Count(1_000_020),
        totals_root: zero,
    };
    let scores = |query: u32| (0..EXAMPLES).map(|example| f64::from(example * query)).collect();
    AttributionFacts { entry, queries: vec![100, 101], scores: vec![scores(1), scores(2)] }
}

/// A posting as the ledger writes it.
pub fn posting(lines: &[(u8, u32, i64)]) -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 0, 0];
    bytes.extend((lines.len() as u32).to_be_bytes());
    for (family, index, amount) in lines {
        bytes.push(*family);
        bytes.extend(index.to_be_bytes());
        bytes.extend(amount.to_be_bytes());
    }
    bytes
}

pub fn settlement() -> SettlementFacts {
    let zero = Digest::default();
    let entry = Settlement {
        attribution: Count(0),
        burn: Count(0),
        carry: Count(100),
        epoch: Count(0),
        journal_root: zero,
        journal_size: Count(0),
        kind: Kind::default(),
        label: "in-run-shapley".to_owned(),
        paid: Count(900),
        payouts_root: zero,
        pot: Count(POT),
        rule: "linear-clipped".to_owned(),
        seed: Count(42),
        time: Count(1_000_030),
        treasury: Count(0),
    };
    let pay = [(3, 0, -1_000), (9, 1, 300), (9, 2, 600), (4, 0, 100)];
    SettlementFacts {
        entry,
        payouts: vec![0, 300, 600, 0],
        journal: vec![posting(&[(0, 0, -1_000), (3, 0, 1_000)]), posting(&pay)],
    }
}

/// Records the run up to its last step, keeping a state every two steps.
pub fn record_training(folder: &Path, key: Option<SigningKey>) -> Recorder {
    let names = CONTRIBUTORS.map(str::to_owned);
    let batches = batches();
    let mut recorder =
        Recorder::begin(folder, key, facts(), &items(), &names, batches.iter().cloned()).unwrap();
    recorder.keep(0, &state(0)).unwrap();
    for (step, batch) in (0u64..).zip(&batches) {
        let after = state(step + 1);
        let credits = credits(step, batch);
        let (state, rate) = (after.digests().0, 0.5);
        recorder.step(StepFacts { step, rate, batch, state, credits: &credits }).unwrap();
        if step % 2 == 1 {
            recorder.keep(step + 1, &after).unwrap();
        }
    }
    recorder.end(1_000_010).unwrap();
    recorder
}

/// Records the whole run.
pub fn record(folder: &Path, key: Option<SigningKey>) {
    let mut recorder = record_training(folder, key);
    recorder.attribution(attribution()).unwrap();
    recorder.settlement(settlement()).unwrap();
    recorder.sign().unwrap();
}

/// Writes the log of a run again, with a change, and signs it: what an insider can do.
pub fn rewrite(folder: &Path, origin: &str, change: impl Fn(&[u8]) -> Vec<u8>) {
    let reader = LogReader::open(folder).unwrap();
    let entries: Vec<Vec<u8>> = reader.tree().entries().map(Result::unwrap).collect();
    std::fs::remove_dir_all(folder.join("tile")).unwrap();
    let mut log = Log::create(folder, origin, Some(key())).unwrap();
    for entry in entries {
        log.append(&change(&entry)).unwrap();
    }
    log.sign().unwrap();
}

/// All files below a folder, in the order of their names.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
