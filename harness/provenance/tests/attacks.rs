//! Forgeries by people who know the format: what each of them is refused for.

mod common;

use std::{fs, path::Path};

use attribench_provenance::{
    Digest, Log, LogReader, TreeReader,
    hash::root_of,
    leaf_hash,
    receipt::Receipt,
    recorder::{Recorder, StepFacts, amend},
    records::{
        Attribution, Bits, Column, Contributor, Correction, Count, Deletion, Item, Kind, Leaf,
        Record, Total, from_bytes, to_bytes,
    },
    tree::{TreeHead, write_tree},
    verify::{compare, verify},
};
use common::{
    CONTRIBUTORS, attribution, batches, credits, facts, items, key, record, record_training,
    rewrite, settlement, state,
};
use tempfile::TempDir;

const ORIGIN: &str = "attribench/demo";

fn recorded() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), Some(key()));
    folder
}

#[track_caller]
fn refused(folder: &Path, words: &str) {
    let found = verify(folder, &[key().public()]).expect_err("a forgery that passes").to_string();
    assert!(found.contains(words), "{found}");
}

/// Reads the leaves of a tree, changes them, and writes the tree in their place.
fn replant<R: Leaf>(folder: &Path, size: u64, mut change: impl FnMut(u64, &mut R)) -> TreeHead {
    let tree = TreeReader::open(folder, size);
    let mut leaves: Vec<R> =
        tree.entries().map(|entry| from_bytes(&entry.unwrap()).unwrap()).collect();
    (0u64..).zip(&mut leaves).for_each(|(index, leaf)| change(index, leaf));
    fs::remove_dir_all(folder).unwrap();
    write_tree(folder, leaves.iter().map(to_bytes)).unwrap()
}

/// A head of any size can be written by anybody; nothing may be done for as long as it says.
#[test]
fn heads_that_say_too_much_end_in_an_error() {
    let folder = recorded();
    let old = LogReader::open(folder.path()).unwrap().checkpoint().head();
    for size in [1 << 40, 1 << 63, (1 << 63) + 1, u64::MAX] {
        let tree = TreeReader::open(folder.path(), size);
        assert!(tree.root().is_err() && tree.inclusion(size - 1).is_err(), "{size}");
        assert!(tree.consistency(old.size).is_err(), "{size}");
        let root = Digest::default().to_base64();
        let head = format!("{ORIGIN}\n{size}\n{root}\n\n");
        fs::write(folder.path().join("checkpoint"), head).unwrap();
        let log = LogReader::open(folder.path()).unwrap();
        assert!(compare(old, None, &log).is_err(), "{size}");
        assert!(verify(folder.path(), &[]).is_err(), "{size}");
        assert!(Receipt::of_run(folder.path(), "bob", None).is_err(), "{size}");
    }
}

/// Part of a text from one line that begins so to before another.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(&format!("\n{from}")).unwrap() + 1;
    let end = start + text[start..].find(&format!("\n{to}")).unwrap() + 1;
    &text[start..end]
}

/// Nobody needs a key to cut a payment out, and what is left has to say that there was one.
#[test]
fn a_receipt_without_its_payment_denies_no_payment() {
    let folder = recorded();
    let text = Receipt::of_run(folder.path(), "bob", None).unwrap().to_text();
    let (words, proofs) =
        (part(&text, "Method ", "No later word"), part(&text, "settlement ", "head"));
    let with = |words_instead: &str| text.replace(words, words_instead).replace(proofs, "");
    let cut = with("Paid in this log and not shown here: by in-run-shapley.\n");
    let receipt = Receipt::parse(&cut).unwrap();
    receipt.verify(&[key().public()]).unwrap();
    assert_eq!(receipt.amount(), None);
    assert!(Receipt::parse(&with("Nothing was paid until then.\n")).is_err());
    // Nor can the entry itself be taken away: commitment, states, steps, end, attribution, payment.
    let silent =
        with("Nothing was paid until then.\n").replace("log since 11 3 3", "log since 11 3 2");
    let entry = silent.lines().find(|line| line.contains("settlement/v1")).unwrap();
    let silent = Receipt::parse(&silent.replace(&format!("{entry}\n"), "")).unwrap();
    let refused = silent.verify(&[key().public()]).unwrap_err().to_string();
    assert!(refused.contains("2 entries from 11 on are not the rest of a tree of 14"), "{refused}");
}

/// Later words are in the receipt of whom they touch, and nobody can take them out again.
#[test]
fn later_words_cannot_be_cut_out_of_a_receipt() {
    let folder = recorded();
    let older = Receipt::of_run(folder.path(), "bob", None).unwrap();
    let receipt = |who: &str| Receipt::of_run(folder.path(), who, None).unwrap().to_text();
    assert!(receipt("bob").contains("No later word on this stands in the 14 entries"));
    let (reason, time) = ("asked for".to_owned(), Count(1_000_050));
    let add = |record: Record| amend(folder.path(), Some(key()), &record).unwrap();
    // Example 3 is ada's, example 4 bob's; entry 12 is the attribution.
    for item in [3, 4] {
        let (item, kind, reason) = (Count(item), Kind::default(), reason.clone());
        add(Deletion { item, kind, reason, time }.into());
    }
    let (entry, kind, reason) = (Count(12), Kind::default(), "wrong checkpoint".to_owned());
    add(Correction { entry, kind, reason, time }.into());
    let corrected = "  entry 16: at 1000050, the attribution by in-run-shapley (entry 12) was \
                     corrected: wrong checkpoint\n";
    let deleted = "  entry 15: at 1000050, example 4 was deleted: asked for\n";
    let text = receipt("bob");
    let said = "Later words on this, in the 17 entries of this log: 2\n";
    assert!(text.contains(&format!("{said}{deleted}{corrected}")), "{text}");
    assert!(!text.contains("example 3 was deleted"));
    let of_ada = receipt("ada");
    assert!(of_ada.contains("  entry 14: at 1000050, example 3 was deleted: asked for\n"));
    assert!(receipt("cleo").contains("in the 17 entries of this log: 1\n"), "{}", receipt("cleo"));
    Receipt::parse(&text).unwrap().verify(&[key().public()]).unwrap();
    // An older receipt says of which head it is, and still holds.
    assert_eq!(older.checkpoint().head().size, 14);
    older.verify(&[key().public()]).unwrap();
    // The last word is cut out of words and entries alike.
    let line = text.lines().find(|line| line.contains("correction/v1")).unwrap();
    let cut = text
        .replace(&format!("{line}\n"), "")
        .replace(corrected, "")
        .replace(said, &said.replace(": 2", ": 1"))
        .replace("log since 11 3 6", "log since 11 3 5");
    let refused = Receipt::parse(&cut).unwrap().verify(&[key().public()]).unwrap_err().to_string();
    assert!(refused.contains("5 entries from 11 on are not the rest of a tree of 17"), "{refused}");
    // Another example is shown than the one that is deleted.
    let other = part(&of_ada, "tree manifest 3", "tree manifest 4");
    let forged = text.replace(part(&text, "tree manifest 4", "tree credits"), other);
    let passes =
        Receipt::parse(&forged).is_ok_and(|receipt| receipt.verify(&[key().public()]).is_ok());
    assert!(!passes);
    verify(folder.path(), &[key().public()]).unwrap();
}

/// Receipts begin at the end of the training: a word before it would not be seen in them.
#[test]
fn a_training_that_goes_on_behind_a_later_word_is_refused() {
    let folder = recorded();
    let reader = LogReader::open(folder.path()).unwrap();
    let mut entries: Vec<Vec<u8>> = reader.tree().entries().map(Result::unwrap).collect();
    let (kind, reason, time) = (Kind::default(), "unseen".to_owned(), Count(1_000_000));
    entries.insert(5, Record::from(Correction { entry: Count(3), kind, reason, time }).to_bytes());
    fs::remove_dir_all(folder.path().join("tile")).unwrap();
    let mut log = Log::create(folder.path(), ORIGIN, Some(key())).unwrap();
    for entry in &entries {
        log.append(entry).unwrap();
    }
    log.sign().unwrap();
    refused(folder.path(), "the training goes on behind a later word on it");
}

/// Two logs of one signer: no part of one stands in the other.
#[test]
fn a_receipt_of_two_logs_is_refused() {
    let (one, two) = (recorded(), tempfile::tempdir().unwrap());
    let mut recorder = record_training(two.path(), Some(key()));
    recorder.attribution(attribution()).unwrap();
    let mut paid = settlement();
    paid.payouts = vec![0, 600, 300, 0];
    let pay = [(3, 0, -1_000), (9, 1, 600), (9, 2, 300), (4, 0, 100)];
    paid.journal[1] = common::posting(&pay);
    recorder.settlement(paid).unwrap();
    recorder.sign().unwrap();
    let receipt = |folder: &TempDir| Receipt::of_run(folder.path(), "bob", None).unwrap().to_text();
    let (one, two) = (receipt(&one), receipt(&two));
    let of_two = |text: &str, from, to| text.replace(part(&one, from, to), part(&two, from, to));
    let dearer = of_two(&one, "Rule ", "Measured");
    let head = |text: &str| text[text.find("\nhead\n").unwrap()..].to_owned();
    for forged in [
        dearer.clone(),
        of_two(&dearer, "tree payouts", "journal"),
        of_two(&dearer, "tree payouts", "head"),
        of_two(&dearer, "settlement ", "head"),
        of_two(&dearer, "log since", "tree credits"),
        of_two(&of_two(&dearer, "log since", "tree credits"), "settlement ", "head"),
        one.replace(&head(&one), &head(&two)),
    ] {
        assert_ne!(forged, one);
        let passes =
            Receipt::parse(&forged).is_ok_and(|receipt| receipt.verify(&[key().public()]).is_ok());
        assert!(!passes, "{forged}");
    }
}

/// A leaf of a settlement has a name and an amount: who stands in the list twice has two amounts.
#[test]
fn a_contributor_who_is_listed_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["ada", "bob", "cleo", "ada"].map(str::to_owned);
    let batches = batches().into_iter();
    Recorder::begin(folder.path(), Some(key()), facts(), &items(), &names, batches).unwrap();
    refused(folder.path(), "`ada` stands among the contributors twice");
}

/// What no kept state stands before is never taken again by an audit.
#[test]
fn steps_before_the_first_kept_state_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (names, all) = (CONTRIBUTORS.map(str::to_owned), batches());
    let begun = all.iter().cloned();
    let mut recorder =
        Recorder::begin(folder.path(), Some(key()), facts(), &items(), &names, begun).unwrap();
    let (batch, credits, after) = (&all[0], credits(0, &all[0]), state(1).digests().0);
    recorder
        .step(StepFacts { step: 0, rate: 0.5, batch, state: after, credits: &credits })
        .unwrap();
    recorder.sign().unwrap();
    refused(folder.path(), "no state was kept before the first step");
}

/// Example 7 is a copy of example 3, and somebody would rather have it pass for a work of its own.
#[test]
fn a_copy_that_passes_for_an_original_is_refused() {
    let folder = recorded();
    let mut hashes = Vec::new();
    let manifest = replant(&folder.path().join("manifest"), 12, |_, item: &mut Item| {
        item.cluster = item.example;
        hashes.push(leaf_hash(&to_bytes(item)));
    });
    let owners =
        replant(&folder.path().join("contributors"), 4, |index, owner: &mut Contributor| {
            let owned = hashes.iter().skip(index as usize).step_by(3).copied();
            let owned: Vec<Digest> = if index < 3 { owned.collect() } else { Vec::new() };
            owner.items_root = root_of(&owned);
        });
    rewrite(folder.path(), ORIGIN, |entry| {
        let mut record = Record::parse(entry).unwrap();
        if let Record::Commitment(commitment) = &mut record {
            commitment.manifest_root = manifest.root;
            commitment.contributors_root = owners.root;
        }
        record.to_bytes()
    });
    refused(folder.path(), "example 7 is said to be a copy of another than it is");
}

/// Payouts follow from totals; totals that do not follow from scores would pay whom one likes.
#[test]
fn totals_that_scores_do_not_give_are_refused() {
    let folder = recorded();
    let totals =
        replant(&folder.path().join("attributions/0/totals"), 4, |_, total: &mut Total| {
            if total.contributor == "dan" {
                total.scores = Column::Values(vec![Bits(2.0), Bits(3.0)]);
                total.total = Bits(5.0);
            }
        });
    let with = |change: &dyn Fn(&mut Attribution)| {
        rewrite(folder.path(), ORIGIN, |entry| {
            let mut record = Record::parse(entry).unwrap();
            if let Record::Attribution(attribution) = &mut record {
                change(attribution);
            }
            record.to_bytes()
        });
    };
    with(&|attribution| attribution.totals_root = totals.root);
    refused(folder.path(), "the total of `dan` is not the sum of its scores");
    // Another factor does not lead there either.
    with(&|attribution| attribution.factor = Bits(1.0));
    refused(folder.path(), "the total of `ada` is not the sum of its scores");
    with(&|attribution| attribution.factor = Bits(f64::INFINITY));
    refused(folder.path(), "a factor of inf");
}

/// The totals of the run, by hand: the owner `o` of examples o, o + 3, o + 6 and o + 9 has scores
/// that sum to 4 o + 18 for the first query, twice that for the second, and the factor is a half.
#[test]
fn totals_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record_training(folder.path(), Some(key()));
    let totals = recorder.attribution(attribution()).unwrap();
    assert_eq!(totals, [[9.0, 18.0], [11.0, 22.0], [13.0, 26.0], [0.0, 0.0]]);
}

/// An older attribution was kinder: the settlement is pointed at it.
#[test]
fn a_settlement_by_an_older_attribution_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record_training(folder.path(), Some(key()));
    let mut older = attribution();
    older.entry.label = "older".to_owned();
    recorder.attribution(older).unwrap();
    recorder.attribution(attribution()).unwrap();
    recorder.settlement(settlement()).unwrap();
    recorder.sign().unwrap();
    verify(folder.path(), &[key().public()]).unwrap();
    rewrite(folder.path(), ORIGIN, |entry| {
        let mut record = Record::parse(entry).unwrap();
        if let Record::Settlement(settlement) = &mut record {
            settlement.attribution = Count(settlement.attribution.0 - 1);
        }
        record.to_bytes()
    });
    refused(folder.path(), "is no attribution by `in-run-shapley`");
}

/// A head of one log over the entries of another.
#[test]
fn a_run_in_a_log_of_another_name_is_refused() {
    let folder = recorded();
    rewrite(folder.path(), "attribench/other", <[u8]>::to_vec);
    refused(folder.path(), "run `demo` in a log called `attribench/other`");
    let receipt = Receipt::of_run(folder.path(), "bob", None).unwrap();
    let refused = receipt.verify(&[key().public()]).unwrap_err().to_string();
    assert!(refused.contains("the head is that of another log"), "{refused}");
}

/// The same record in other bytes is another leaf, and there is one way to write a record.
#[test]
fn a_leaf_with_other_spaces_is_refused() {
    let folder = recorded();
    rewrite(folder.path(), ORIGIN, |entry| {
        String::from_utf8(entry.to_vec()).unwrap().replace("\":", "\": ").into_bytes()
    });
    refused(folder.path(), "not written in the canonical way");
}

/// Files of other widths are no part of a log, and one that takes a place is read as what it is.
#[test]
fn tiles_of_other_widths_change_nothing_or_are_refused() {
    let folder = recorded();
    let tile = |name: &str| folder.path().join("tile").join(name);
    let entries = fs::read(tile("entries/000.p/14")).unwrap();
    for stray in ["entries/000.p/13", "0/000.p/15", "entries/000"] {
        fs::write(tile(stray), b"left from another time").unwrap();
        verify(folder.path(), &[key().public()]).unwrap();
    }
    fs::remove_file(tile("entries/000.p/14")).unwrap();
    refused(folder.path(), "ends inside entry");
    fs::write(tile("entries/000.p/14"), [&entries[..], &[0]].concat()).unwrap();
    refused(folder.path(), "holds 1 bytes after its last entry");
}
