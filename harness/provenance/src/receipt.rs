//! One text file that says what a contributor's data did and were paid, and proves it to anybody
//! who holds the public key.
//!
//! The words at the top are computed from the proofs below them, and a reader computes them again:
//! a receipt has one text, and a change of any bit of it is refused.
//!
//! # What it proves
//! That the contributor's examples were committed to before the first step; that credits, scores
//! and payout stand in the signed log; that the payout is booked, and that the books in which it is
//! make and lose no unit. Not that the record is complete or true: the measured error of the method
//! that it pays by stands in it for that reason.

use std::{fmt::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::Checkpoint,
    error::LogError,
    hash::{Digest, leaf_hash, root_of},
    log::LogReader,
    note::{Note, VerifyingKey},
    proof::verify_inclusion,
    recorder::{attribution_folder, origin_of, seed_commitment, settlement_folder},
    records::{
        Attribution, Commitment, Contributor, Credit, End, Item, Leaf, Measured, Payout, Record,
        Settlement, Total, from_bytes, to_bytes,
    },
    tree::TreeReader,
    verify::{Signed, check_books, check_payout, signers},
};

/// First line of the file.
const TITLE: &str = "attribench receipt, version 1";
/// Longest receipt that is read, in bytes: a million examples.
pub const LONGEST_RECEIPT: u64 = 512 << 20;
/// Most hashes in a path: trees have fewer than 2^64 leaves.
const LONGEST_PATH: usize = 64;

/// A leaf with its place in a tree and the path to the root.
#[derive(Clone, Debug, PartialEq)]
struct Proved<R> {
    index: u64,
    record: R,
    path: Vec<Digest>,
}

/// Scores and money of one method.
#[derive(Clone, Debug, PartialEq)]
struct Paid {
    attribution: Proved<Attribution>,
    total: Proved<Total>,
    settlement: Proved<Settlement>,
    payout: Proved<Payout>,
    journal: Vec<Vec<u8>>,
}

/// A receipt as it was read; [`Receipt::verify`] says whether it proves anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    commitment: Proved<Commitment>,
    contributor: Proved<Contributor>,
    items: Vec<Item>,
    end: Proved<End>,
    credit: Proved<Credit>,
    paid: Option<Paid>,
    note: Note,
    checkpoint: Checkpoint,
}

impl Receipt {
    /// Takes from the log of a run what belongs to one contributor.
    ///
    /// `label` names the method that paid; it may be absent where one method did, or none.
    ///
    /// # Errors
    /// When the contributor or the method is not in the log, the training has not ended, or a file
    /// is missing or damaged.
    pub fn of_run(folder: &Path, contributor: &str, label: Option<&str>) -> Result<Self, LogError> {
        let reader = LogReader::open(folder)?;
        let found = Found::in_log(&reader)?;
        let (commitment, end) = (prove(reader.tree(), 0)?, found.end(&reader)?);
        let Proved { record: Commitment { contributors_size: size, manifest_size, .. }, .. } =
            &commitment;
        let owners = TreeReader::open(&folder.join("contributors"), size.0);
        let index = position_of(&owners, contributor)?;
        let credits = TreeReader::open(&folder.join("credits"), size.0);
        let manifest = TreeReader::open(&folder.join("manifest"), manifest_size.0);
        let mut items = Vec::new();
        for entry in manifest.entries() {
            let item: Item = read(&entry?)?;
            if item.contributor == contributor {
                items.push(item);
            }
        }
        let paid = match found.settlement(label)? {
            None => None,
            Some(settled) => Some(paid(folder, &reader, &settled, size.0, index)?),
        };
        Ok(Self {
            contributor: prove(&owners, index)?,
            credit: prove(&credits, index)?,
            commitment,
            items,
            end,
            paid,
            note: reader.note().clone(),
            checkpoint: reader.checkpoint().clone(),
        })
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// When the text is not one that [`Self::to_text`] writes.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let mut lines = Lines::after_words(text)?;
        let commitment = lines.proved("log commitment")?;
        let contributor = lines.proved("tree contributors")?;
        let items = lines.items()?;
        let (end, credit) = (lines.proved("log end")?, lines.proved("tree credits")?);
        let paid = lines.paid()?;
        let note = Note::parse(lines.head()?)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        let receipt = Self { commitment, contributor, items, end, credit, paid, note, checkpoint };
        if receipt.to_text() == text {
            return Ok(receipt);
        }
        Err(refuse("its words are not what its proofs say"))
    }

    /// Whether all of it follows from a head that a trusted key signed.
    ///
    /// # Errors
    /// The first thing that does not follow.
    pub fn verify(&self, trusted: &[VerifyingKey]) -> Result<Signed, LogError> {
        let signed = signers(&self.note, trusted)?;
        self.verify_data()?;
        if let Some(paid) = &self.paid {
            self.verify_paid(paid)?;
        }
        Ok(signed)
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\n\n{}\n", self.words());
        write_proved(&mut text, "log commitment", &self.commitment);
        write_proved(&mut text, "tree contributors", &self.contributor);
        text += &format!("items {}\n", self.items.len());
        for item in &self.items {
            push_record(&mut text, item);
        }
        write_proved(&mut text, "log end", &self.end);
        write_proved(&mut text, "tree credits", &self.credit);
        if let Some(paid) = &self.paid {
            write_proved(&mut text, "log attribution", &paid.attribution);
            write_proved(&mut text, "tree totals", &paid.total);
            write_proved(&mut text, "log settlement", &paid.settlement);
            write_proved(&mut text, "tree payouts", &paid.payout);
            text += &format!("journal {}\n", paid.journal.len());
            for posting in &paid.journal {
                text += &STANDARD.encode(posting);
                text.push('\n');
            }
        }
        text + "head\n" + &self.note.to_string()
    }

    /// Name of the contributor.
    pub fn contributor(&self) -> &str {
        &self.contributor.record.contributor
    }

    /// What was paid, where anything was settled.
    pub fn amount(&self) -> Option<u64> {
        self.paid.as_ref().map(|paid| paid.payout.record.amount.0)
    }

    /// The head that everything here is proved from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn in_log<R: Leaf>(&self, proved: &Proved<R>) -> Result<(), LogError> {
        let head = self.checkpoint.head();
        in_tree(proved, (head.size, &head.root))
    }

    fn verify_data(&self) -> Result<(), LogError> {
        let (begun, owner) = (&self.commitment.record, &self.contributor.record);
        self.in_log(&self.commitment)?;
        self.in_log(&self.end)?;
        must(self.commitment.index == 0, "the commitment is not the first entry of the log")?;
        let is_of_run = self.checkpoint.origin() == origin_of(&begun.run);
        must(is_of_run, "the head is that of another log")?;
        let end = &self.end.record;
        let opened = seed_commitment(end.seed.0, &end.nonce);
        let is_its_end = opened == begun.seed_commitment && end.steps == begun.steps;
        must(is_its_end, "the training that ended is not the one that began")?;
        in_tree(&self.contributor, (begun.contributors_size.0, &begun.contributors_root))?;
        let is_owned = self.items.iter().all(|item| item.contributor == owner.contributor);
        must(is_owned, "an example belongs to somebody else")?;
        let leaves: Vec<Digest> =
            self.items.iter().map(|item| leaf_hash(&to_bytes(item))).collect();
        let found = (leaves.len() as u64, root_of(&leaves));
        must(found == (owner.items.0, owner.items_root), "the examples are not all of them")?;
        let credits = (begun.contributors_size.0, &self.end.record.credits_root);
        in_tree(&self.credit, credits)?;
        let same = self.credit.index == self.contributor.index
            && self.contributor.index == owner.index.0
            && self.credit.record.contributor == owner.contributor;
        must(same, "the credits are those of somebody else")
    }

    fn verify_paid(&self, paid: &Paid) -> Result<(), LogError> {
        let (owner, size) = (&self.contributor.record, self.commitment.record.contributors_size.0);
        self.in_log(&paid.attribution)?;
        self.in_log(&paid.settlement)?;
        let (attribution, settlement) = (&paid.attribution.record, &paid.settlement.record);
        must(settlement.attribution.0 == paid.attribution.index, "it pays by another attribution")?;
        must(settlement.label == attribution.label, "it pays by another method")?;
        let places = [self.end.index, paid.attribution.index, paid.settlement.index];
        must(places.is_sorted(), "it pays before it was known what for")?;
        in_tree(&paid.total, (size, &attribution.totals_root))?;
        in_tree(&paid.payout, (size, &settlement.payouts_root))?;
        let (total, payout) = (&paid.total.record, &paid.payout.record);
        let names = [&total.contributor, &payout.contributor];
        let places = [paid.total.index, paid.payout.index, payout.index.0];
        let same = names.iter().all(|name| **name == owner.contributor)
            && places.iter().all(|place| *place == owner.index.0);
        must(same, "scores or payout are those of somebody else")?;
        let leaves: Vec<Digest> = paid.journal.iter().map(|posting| leaf_hash(posting)).collect();
        let found = (leaves.len() as u64, root_of(&leaves));
        let booked = (settlement.journal_size.0, settlement.journal_root);
        must(found == booked, "the postings are not the books that were settled")?;
        let postings = paid.journal.iter().map(Vec::as_slice);
        check_books(settlement, postings)
            .and_then(|balances| check_payout(payout, &balances))
            .map_err(|reason| LogError::Receipt { reason })
    }

    /// What is proved, in words.
    fn words(&self) -> String {
        let (begun, owner) = (&self.commitment.record, &self.contributor.record);
        let (end, credit) = (&self.end.record, &self.credit.record);
        let mut words = format!(
            "Contributor {} gave {} of the {} examples that run {} was trained on.\n\
             They were committed to before the first of {} steps, and took part {} times.\n\
             First-order credit of these steps: {} in mean utility of the credited queries.\n",
            on_one_line(&owner.contributor),
            owner.items.0,
            begun.manifest_size.0,
            on_one_line(&begun.run),
            end.steps.0,
            credit.occurrences.0,
            short(credit.credit.0),
        );
        match &self.paid {
            // Whoever holds a receipt can cut a payment out of it: words may not deny one.
            None => words += "No payment is shown here, and none is ruled out.\n",
            Some(paid) => words += &paid.words(),
        }
        words += "This proves what was recorded, in which order, and who signed it. It does not \
                  prove that\nthe record is true, that it is complete, or that nothing else was \
                  trained.\n";
        words
    }
}

impl Paid {
    fn words(&self) -> String {
        let (attribution, settlement) = (&self.attribution.record, &self.settlement.record);
        let mut words = format!(
            "Method {} (reads: {}) scores them {} in total (scale: {}).\n\
             Rule {} paid {} of {} units for that.\n",
            on_one_line(&attribution.label),
            on_one_line(&attribution.access),
            short(self.total.record.total.0),
            on_one_line(&attribution.scale),
            on_one_line(&settlement.rule),
            self.payout.record.amount.0,
            settlement.pot.0,
        );
        if attribution.errors.is_empty() {
            words += "The error of this method was NOT measured in this run.\n";
        } else {
            words += "Measured error of this method, in this run:\n";
        }
        for error in &attribution.errors {
            let Measured { level, lower, metric, point, truth, unit, upper } = error;
            let _ = writeln!(
                words,
                "  {} against {}: {} {}, interval {} to {} (level {})",
                on_one_line(metric),
                on_one_line(truth),
                short(point.0),
                on_one_line(unit),
                short(lower.0),
                short(upper.0),
                level.0
            );
        }
        words
    }
}

/// A number for people; its bits stand in the record below.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.3e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.4}"),
    }
}

/// A name as it stands in words: they end at a blank line, which no name may bring.
fn on_one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// Positions of the entries of a log that receipts speak of.
struct Found {
    end: Option<u64>,
    attributions: Vec<(u64, String)>,
    settlements: Vec<(u64, Settlement)>,
}

impl Found {
    fn in_log(reader: &LogReader) -> Result<Self, LogError> {
        let mut found = Self { end: None, attributions: Vec::new(), settlements: Vec::new() };
        for (index, entry) in (0u64..).zip(reader.tree().entries()) {
            let entry = entry?;
            let record = Record::parse(&entry)
                .map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
            match record {
                Record::End(_) => found.end = Some(index),
                Record::Attribution(record) => found.attributions.push((index, record.label)),
                Record::Settlement(record) => found.settlements.push((index, record)),
                _ => {}
            }
        }
        Ok(found)
    }

    fn end(&self, reader: &LogReader) -> Result<Proved<End>, LogError> {
        let end = self.end.ok_or_else(|| refuse("the log stops before the training ended"))?;
        prove(reader.tree(), end)
    }

    /// Ordinal and position of the settlement that `label` means.
    fn settlement(&self, label: Option<&str>) -> Result<Option<Settled>, LogError> {
        let labels = || {
            let labels = self.settlements.iter().map(|(_, settlement)| settlement.label.as_str());
            labels.collect::<Vec<_>>().join(", ")
        };
        let place = match (label, self.settlements.len()) {
            (None, 0) => return Ok(None),
            (None, 1) => 0,
            // Which of several is meant has to be said.
            (None, _) => {
                let found = "(none named)".to_owned();
                return Err(LogError::Unknown { what: "settlement by", found, known: labels() });
            }
            (Some(label), _) => self
                .settlements
                .iter()
                .position(|(_, settlement)| settlement.label == label)
                .ok_or_else(|| LogError::Unknown {
                    what: "settlement by",
                    found: label.to_owned(),
                    known: labels(),
                })?,
        };
        let (position, settlement) = &self.settlements[place];
        let at = settlement.attribution.0;
        let attribution = self.attributions.iter().position(|(found, _)| *found == at);
        Ok(Some(Settled {
            settlement: place as u64,
            position: *position,
            attribution: attribution.ok_or_else(|| refuse("it pays by no attribution"))? as u64,
            attribution_position: at,
        }))
    }
}

/// Where a settlement and its attribution are found.
struct Settled {
    settlement: u64,
    position: u64,
    attribution: u64,
    attribution_position: u64,
}

fn paid(
    folder: &Path,
    reader: &LogReader,
    settled: &Settled,
    contributors: u64,
    index: u64,
) -> Result<Paid, LogError> {
    let attribution = attribution_folder(folder, settled.attribution);
    let totals = TreeReader::open(&attribution.join("totals"), contributors);
    let settlement_at = settlement_folder(folder, settled.settlement);
    let payouts = TreeReader::open(&settlement_at.join("payouts"), contributors);
    let settlement: Proved<Settlement> = prove(reader.tree(), settled.position)?;
    let size = settlement.record.journal_size.0;
    let journal = TreeReader::open(&settlement_at.join("journal"), size);
    Ok(Paid {
        attribution: prove(reader.tree(), settled.attribution_position)?,
        total: prove(&totals, index)?,
        settlement,
        payout: prove(&payouts, index)?,
        journal: journal.entries().collect::<Result<_, _>>()?,
    })
}

fn position_of(owners: &TreeReader, name: &str) -> Result<u64, LogError> {
    let mut known = Vec::new();
    for (index, entry) in (0u64..).zip(owners.entries()) {
        let owner: Contributor = read(&entry?)?;
        if owner.contributor == name {
            return Ok(index);
        }
        if known.len() < 20 {
            known.push(owner.contributor);
        }
    }
    let (what, known) = ("contributor", known.join(", "));
    Err(LogError::Unknown { what, found: name.to_owned(), known })
}

fn prove<R: Leaf>(tree: &TreeReader, index: u64) -> Result<Proved<R>, LogError> {
    Ok(Proved { index, record: read(&tree.entry(index)?)?, path: tree.inclusion(index)? })
}

fn in_tree<R: Leaf>(proved: &Proved<R>, (size, root): (u64, &Digest)) -> Result<(), LogError> {
    let leaf = leaf_hash(&to_bytes(&proved.record));
    Ok(verify_inclusion(&leaf, proved.index, size, &proved.path, root)?)
}

fn read<R: Leaf>(bytes: &[u8]) -> Result<R, LogError> {
    from_bytes(bytes).map_err(|error| LogError::Receipt { reason: error.to_string() })
}

fn refuse(reason: &str) -> LogError {
    LogError::Receipt { reason: reason.to_owned() }
}

fn must(holds: bool, reason: &str) -> Result<(), LogError> {
    if holds { Ok(()) } else { Err(refuse(reason)) }
}

fn push_record<R: Leaf>(text: &mut String, record: &R) {
    // Canonical JSON is UTF-8 by construction.
    *text += &String::from_utf8_lossy(&to_bytes(record));
    text.push('\n');
}

/// `NAME INDEX HASHES`, the record, and the hashes, each on a line.
fn write_proved<R: Leaf>(text: &mut String, name: &str, proved: &Proved<R>) {
    *text += &format!("{name} {} {}\n", proved.index, proved.path.len());
    push_record(text, &proved.record);
    for hash in &proved.path {
        *text += &hash.to_base64();
        text.push('\n');
    }
}

/// What is left to be read of a receipt.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    /// The proofs: what follows the title and the words.
    fn after_words(text: &'a str) -> Result<Self, LogError> {
        let rest = text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix("\n\n"));
        let rest = rest.ok_or_else(|| refuse("it does not begin as one"))?;
        let (_, rest) = rest.split_once("\n\n").ok_or_else(|| refuse("it has no proofs"))?;
        Ok(Self { rest })
    }

    fn next(&mut self) -> Result<&'a str, LogError> {
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| refuse("it is cut off"))?;
        self.rest = rest;
        Ok(line)
    }

    fn number(text: &str) -> Result<u64, LogError> {
        text.parse().map_err(|_| refuse("a number is malformed"))
    }

    fn record<R: Leaf>(&mut self) -> Result<R, LogError> {
        read(self.next()?.as_bytes())
    }

    fn proved<R: Leaf>(&mut self, name: &str) -> Result<Proved<R>, LogError> {
        let line = self.next()?;
        let numbers = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let numbers = numbers.and_then(|rest| rest.split_once(' '));
        let (index, hashes) = numbers.ok_or_else(|| refuse("a proof is missing"))?;
        let (index, hashes) = (Self::number(index)?, Self::number(hashes)? as usize);
        must(hashes <= LONGEST_PATH, "a path is longer than any tree is high")?;
        let record = self.record()?;
        let path = (0..hashes).map(|_| {
            Digest::from_base64(self.next()?).ok_or_else(|| refuse("a hash is malformed"))
        });
        let path = path.collect::<Result<_, _>>()?;
        Ok(Proved { index, record, path })
    }

    fn list(&mut self, name: &str) -> Result<u64, LogError> {
        let line = self.next()?;
        let number = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        Self::number(number.ok_or_else(|| refuse("a list is missing"))?)
    }

    fn items(&mut self) -> Result<Vec<Item>, LogError> {
        // Nothing is set aside for a number that was only said: each line must be there.
        (0..self.list("items")?).map(|_| self.record()).collect()
    }

    fn paid(&mut self) -> Result<Option<Paid>, LogError> {
        if self.rest.starts_with("head\n") {
            return Ok(None);
        }
        let attribution = self.proved("log attribution")?;
        let total = self.proved("tree totals")?;
        let settlement = self.proved("log settlement")?;
        let payout = self.proved("tree payouts")?;
        let journal = (0..self.list("journal")?)
            .map(|_| STANDARD.decode(self.next()?).map_err(|_| refuse("a posting is malformed")));
        let journal = journal.collect::<Result<_, _>>()?;
        Ok(Some(Paid { attribution, total, settlement, payout, journal }))
    }

    fn head(&mut self) -> Result<&'a str, LogError> {
        must(self.next()? == "head", "it has no signed head")?;
        Ok(self.rest)
    }
}
