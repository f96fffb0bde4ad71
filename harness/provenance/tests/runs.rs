//! The log of a whole run: what it says, what its receipts say, and what cannot pass for it.

mod common;

use std::sync::LazyLock;

use attribench_provenance::{
    Log, LogError, LogReader, SigningKey,
    note::NoteError,
    receipt::Receipt,
    recorder::amend,
    records::{Column, Contribution, Correction, Count, Deletion, Kind, Record},
    verify::{Comparison, Signed, compare, verify},
};
use common::{CONTRIBUTORS, EXAMPLES, POT, STEPS, files, key, record, record_training, rewrite};
use proptest::prelude::*;
use tempfile::TempDir;

fn recorded() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), Some(key()));
    folder
}

#[test]
fn a_run_verifies_and_says_what_it_did() {
    let folder = recorded();
    let found = verify(folder.path(), &[key().public()]).unwrap();
    assert_eq!(found.signed, Signed::By(vec!["lab.example/runs".to_owned()]));
    assert_eq!((found.steps, found.attributions.len(), found.settlements.len()), (STEPS, 1, 1));
    assert!(found.sums_redone);
    // Commitment, 6 steps, 4 states, end, attribution, settlement.
    assert_eq!(found.head.size, 14);
    // And 12 items, 4 contributors, 4 credits, 2 queries, 4 totals, 4 payouts, 2 postings.
    assert_eq!(found.entries_read, 14 + 32);
    assert_eq!(found.end.unwrap().seed, Count(42));
    let other = SigningKey::from_seed("lab.example/runs", [8; 32]).unwrap();
    let refused = verify(folder.path(), &[other.public()]).err().unwrap();
    assert!(matches!(refused, LogError::Note(NoteError::Unknown { .. })));
    assert!(verify(folder.path(), &[]).is_err());
}

#[test]
fn a_run_without_a_key_says_that_it_is_unsigned() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), None);
    assert_eq!(verify(folder.path(), &[]).unwrap().signed, Signed::ByNobody);
    let refused = verify(folder.path(), &[key().public()]).err().unwrap();
    assert!(matches!(refused, LogError::Note(NoteError::Unsigned)));
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (left, right) = (recorded(), recorded());
    let (files_left, files_right) = (files(left.path()), files(right.path()));
    assert_eq!(files_left.len(), files_right.len());
    for (a, b) in files_left.iter().zip(&files_right) {
        assert_eq!(a.strip_prefix(left.path()), b.strip_prefix(right.path()));
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap(), "{}", a.display());
    }
}

#[test]
fn receipts_prove_what_they_say() {
    let folder = recorded();
    for (contributor, (items, amount)) in
        CONTRIBUTORS.iter().zip([(4, 0), (4, 300), (4, 600), (0, 0)])
    {
        let receipt = Receipt::of_run(folder.path(), contributor, None).unwrap();
        let text = receipt.to_text();
        let read = Receipt::parse(&text).unwrap();
        assert_eq!(read, receipt);
        assert_eq!(
            read.verify(&[key().public()]).unwrap(),
            Signed::By(vec!["lab.example/runs".to_owned()])
        );
        assert_eq!((read.contributor(), read.amount()), (*contributor, Some(amount)));
        let gave = format!("Contributor {contributor} gave {items} of the {EXAMPLES} examples");
        assert!(text.contains(&gave), "{text}");
        assert!(text.contains(&format!("paid {amount} of {POT} units")));
        assert!(text.contains("mispaid-share against leave-contributor-out: 0.2500 share"));
        let other = SigningKey::from_seed("lab.example/runs", [8; 32]).unwrap();
        assert!(read.verify(&[other.public()]).is_err());
    }
    let unknown = Receipt::of_run(folder.path(), "eve", None).err().unwrap().to_string();
    assert!(unknown.contains("no contributor `eve` (known: ada, bob, cleo, dan)"), "{unknown}");
    let unknown = Receipt::of_run(folder.path(), "ada", Some("x")).err().unwrap().to_string();
    assert!(unknown.contains("no settlement by `x` (known: in-run-shapley)"), "{unknown}");
}

#[test]
fn receipts_exist_before_anything_is_paid() {
    let folder = tempfile::tempdir().unwrap();
    drop(record_training(folder.path(), Some(key())));
    let receipt = Receipt::of_run(folder.path(), "bob", None).unwrap();
    assert_eq!(receipt.amount(), None);
    assert!(receipt.to_text().contains("Nothing was paid until then."));
    Receipt::parse(&receipt.to_text()).unwrap().verify(&[key().public()]).unwrap();
}

/// A run that tests alter and mend again.
static RUN: LazyLock<TempDir> = LazyLock::new(recorded);

/// The receipt of one of its contributors.
static RECEIPT: LazyLock<String> =
    LazyLock::new(|| Receipt::of_run(RUN.path(), "bob", None).unwrap().to_text());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_flipped_bit_of_a_receipt_is_refused(place in any::<prop::sample::Index>()) {
        let bit = place.index(8 * RECEIPT.len());
        let mut bytes = RECEIPT.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let receipt = String::from_utf8(bytes).ok().and_then(|text| Receipt::parse(&text).ok());
        let trusted = [key().public()];
        let refused = receipt.is_none_or(|receipt| receipt.verify(&trusted).is_err());
        prop_assert!(refused, "bit {}", bit);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_flipped_bit_of_any_file_of_a_run_is_refused(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let files = files(RUN.path());
        let file = which.get(&files);
        // The receipt beside it is read from these files.
        LazyLock::force(&RECEIPT);
        let good = std::fs::read(file).unwrap();
        let mut bytes = good.clone();
        let bit = place.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(file, &bytes).unwrap();
        let found = verify(RUN.path(), &[key().public()]);
        std::fs::write(file, &good).unwrap();
        prop_assert!(found.is_err(), "bit {} of {}", bit, file.display());
    }
}

#[test]
fn later_words_are_added_and_nothing_is_taken_away() {
    let folder = recorded();
    let before = LogReader::open(folder.path()).unwrap();
    let add = |record: Record| amend(folder.path(), Some(key()), &record).unwrap();
    let (reason, kind) = ("asked for".to_owned(), Kind::default());
    add(Deletion { item: Count(3), kind, reason: reason.clone(), time: Count(1_000_040) }.into());
    let kind = Kind::default();
    add(Correction { entry: Count(12), kind, reason, time: Count(1_000_050) }.into());
    let found = verify(folder.path(), &[key().public()]).unwrap();
    assert_eq!((found.later_words, found.head.size), (2, 16));
    let after = LogReader::open(folder.path()).unwrap();
    let head = before.checkpoint().head();
    let compared = compare(head, None, &after).unwrap();
    assert!(matches!(compared, Comparison::Extends { .. }), "{compared:?}");
    // The older head is still proved by the files.
    let back = compare(after.checkpoint().head(), None, &before).unwrap();
    assert_eq!(back, Comparison::Truncated { old_size: 16, new_size: 14 });
}

#[test]
fn words_that_would_spoil_a_log_are_not_written() {
    let folder = recorded();
    let head = LogReader::open(folder.path()).unwrap().checkpoint().head();
    let (reason, time) = ("asked for", Count(1_000_050));
    // The manifest has 12 examples and the log 14 entries, counted from 0.
    let (item, kind) = (Count(12), Kind::default());
    let deletion = Deletion { item, kind, reason: reason.to_owned(), time };
    let refused = amend(folder.path(), Some(key()), &deletion.into()).err().unwrap();
    assert!(refused.to_string().contains("item 12 is deleted"), "{refused}");
    let correction = |entry| Correction {
        entry: Count(entry),
        kind: Kind::default(),
        reason: reason.to_owned(),
        time,
    };
    let refused = amend(folder.path(), Some(key()), &correction(14).into()).err().unwrap();
    assert!(refused.to_string().contains("entry 14 is corrected"), "{refused}");
    let refused = amend(folder.path(), None, &correction(13).into()).err().unwrap();
    assert!(matches!(refused, LogError::OtherKey { .. }), "{refused}");
    assert_eq!(LogReader::open(folder.path()).unwrap().checkpoint().head(), head);
    amend(folder.path(), Some(key()), &correction(13).into()).unwrap();
    verify(folder.path(), &[key().public()]).unwrap();
}

#[test]
fn what_is_dated_back_is_refused() {
    let folder = recorded();
    let contribution = Contribution {
        content: attribench_provenance::Digest::of(b"late"),
        contributor: "eve".to_owned(),
        kind: Kind::default(),
        licence: "CC0-1.0".to_owned(),
        time: Count(5),
    };
    let record = Record::from(contribution);
    let size = LogReader::open(folder.path()).unwrap().tree().size();
    let refused = amend(folder.path(), Some(key()), &record).err().unwrap();
    assert!(matches!(refused, LogError::Amendment { .. }), "{refused}");
    assert_eq!(LogReader::open(folder.path()).unwrap().tree().size(), size);
    // A forger does not ask.
    let mut log = Log::resume(folder.path(), Some(key())).unwrap();
    log.append(&record.to_bytes()).unwrap();
    log.sign().unwrap();
    let refused = verify(folder.path(), &[key().public()]).err().unwrap();
    let words = refused.to_string();
    assert!(matches!(refused, LogError::Entry { index: 14, .. }), "{words}");
    assert!(words.contains("it is back-dated"), "{words}");
}

fn rewritten(change: impl Fn(&mut Record)) -> TempDir {
    let folder = recorded();
    rewrite(folder.path(), "attribench/demo", |entry| {
        let mut record = Record::parse(entry).unwrap();
        change(&mut record);
        record.to_bytes()
    });
    folder
}

#[test]
fn an_insider_who_signs_again_is_caught_by_what_does_not_add_up() {
    let check = |words: &str, change: &dyn Fn(&mut Record)| {
        let folder = rewritten(change);
        let refused = verify(folder.path(), &[key().public()]).err().unwrap().to_string();
        assert!(refused.contains(words), "{refused}");
    };
    check("are not the sum of those of the steps", &|record| {
        let Record::Step(step) = record else { return };
        let Column::Values(credits) = &mut step.credits else { return };
        credits[0].0 += 1.0;
    });
    check("not those that were committed to before the first step", &|record| {
        let Record::Step(step) = record else { return };
        let Column::Values(batch) = &mut step.batch else { return };
        // The same owner stands at both places, so that no sum is moved.
        batch.swap(0, 3);
    });
    check("is not in the manifest", &|record| {
        let Record::Step(step) = record else { return };
        step.batch = Column::Values(vec![Count(99)]);
        step.credits = Column::Values(Vec::new());
    });
    check("the state that was kept is not the state after step", &|record| {
        let Record::Kept(kept) = record else { return };
        if kept.step.0 == 4 {
            kept.state = attribench_provenance::StateDigest::of(b"another");
        }
    });
    check("the seed is not the one that was committed to", &|record| {
        let Record::End(end) = record else { return };
        end.seed = Count(43);
    });
    check("units leave a pot of", &|record| {
        let Record::Settlement(settlement) = record else { return };
        settlement.paid = Count(901);
    });
    check("the books leave", &|record| {
        let Record::Settlement(settlement) = record else { return };
        settlement.carry = Count(0);
        settlement.burn = Count(100);
    });
    check("commits to another tree than lies in `manifest/`", &|record| {
        let Record::Commitment(commitment) = record else { return };
        commitment.manifest_root = attribench_provenance::Digest::of(b"another");
    });
}

#[test]
fn forks_are_found_at_their_first_entry() {
    let (good, forked) = (
        recorded(),
        rewritten(|record| {
            if let Record::Step(step) = record {
                step.rate.0 = if step.step.0 == 3 { 0.25 } else { step.rate.0 };
            }
        }),
    );
    // Nothing in the forked log contradicts itself: only the other log shows the fork.
    verify(forked.path(), &[key().public()]).unwrap();
    let (left, right) =
        (LogReader::open(good.path()).unwrap(), LogReader::open(forked.path()).unwrap());
    let head = left.checkpoint().head();
    let found = compare(head, Some(left.tree()), &right).unwrap();
    // Commitment, state, steps 0 and 1, state, step 2, and then step 3.
    assert_eq!(found, Comparison::Forked { first: Some(6) });
    assert_eq!(compare(head, None, &right).unwrap(), Comparison::Forked { first: None });
}
