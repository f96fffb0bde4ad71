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
//!
//! It holds every entry of the log from the end of the training to its head, and they lead to the
//! signed root only if none is left out. So nobody can cut out of it that a payment was made, an
//! entry corrected or an example deleted; but what was said after that head is not in it. A later
//! word between two steps would be seen by who reads the log, which refuses it, and not by who
//! reads the receipt.

use std::{fmt::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::Checkpoint,
    error::LogError,
    hash::{Digest, leaf_hash, root_of},
    log::LogReader,
    note::{Note, VerifyingKey},
    proof::{verify_inclusion, verify_rest},
    recorder::{attribution_folder, origin_of, seed_commitment, settlement_folder},
    records::{
        Attribution, Commitment, Contributor, Correction, Credit, Deletion, End, Item, Leaf,
        Measured, Payout, Record, RecordError, Settlement, Total, from_bytes, to_bytes,
    },
    tree::{TreeHead, TreeReader},
    verify::{Signed, check_books, check_payout, signers},
};

/// First line of the file.
const TITLE: &str = "attribench receipt, version 2";
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

/// All entries of a log from one position to its head.
#[derive(Clone, Debug, PartialEq)]
struct Rest {
    from: u64,
    /// What the entries before them make up: see [`verify_rest`].
    before: Vec<Digest>,
    entries: Vec<Record>,
}

/// Scores and money of one method.
#[derive(Clone, Debug, PartialEq)]
struct Paid {
    /// Position of the settlement in the log.
    settlement: u64,
    total: Proved<Total>,
    payout: Proved<Payout>,
    journal: Vec<Vec<u8>>,
}

/// A receipt as it was read; [`Receipt::verify`] says whether it proves anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    commitment: Proved<Commitment>,
    contributor: Proved<Contributor>,
    items: Vec<Item>,
    /// The end of the training and all that follows.
    rest: Rest,
    /// The examples that are deleted there, one a deletion.
    deleted: Vec<Proved<Item>>,
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
        let rest = Rest::of_log(&reader)?;
        let commitment: Proved<Commitment> = prove(reader.tree(), 0)?;
        let (size, items) =
            (commitment.record.contributors_size.0, commitment.record.manifest_size.0);
        let owners = TreeReader::open(&folder.join("contributors"), size);
        let index = position_of(&owners, contributor)?;
        let credits = TreeReader::open(&folder.join("credits"), size);
        let manifest = TreeReader::open(&folder.join("manifest"), items);
        let mut items = Vec::new();
        for entry in manifest.entries() {
            let item: Item = read(&entry?)?;
            if item.contributor == contributor {
                items.push(item);
            }
        }
        let paid = match rest.settlement(label)? {
            None => None,
            Some(settled) => Some(paid(folder, &settled, size, index)?),
        };
        Ok(Self {
            contributor: prove(&owners, index)?,
            credit: prove(&credits, index)?,
            commitment,
            items,
            deleted: rest
                .deletions()
                .map(|(_, deletion)| prove(&manifest, deletion.item.0))
                .collect::<Result<_, _>>()?,
            rest,
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
        let rest = lines.rest()?;
        let deleted =
            rest.deletions().map(|_| lines.proved("tree manifest")).collect::<Result<_, _>>()?;
        let credit = lines.proved("tree credits")?;
        let paid = lines.paid()?;
        let note = Note::parse(lines.head()?)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        // What the words speak of has to be there before there can be words.
        rest.end()?;
        if let Some(paid) = &paid {
            rest.paid_by(paid.settlement)?;
        }
        let receipt =
            Self { commitment, contributor, items, rest, deleted, credit, paid, note, checkpoint };
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
        let Rest { from, before, entries } = &self.rest;
        text += &format!("log since {from} {} {}\n", before.len(), entries.len());
        push_hashes(&mut text, before);
        for entry in entries {
            push_bytes(&mut text, &entry.to_bytes());
        }
        for item in &self.deleted {
            write_proved(&mut text, "tree manifest", item);
        }
        write_proved(&mut text, "tree credits", &self.credit);
        if let Some(paid) = &self.paid {
            text += &format!("settlement {}\n", paid.settlement);
            write_proved(&mut text, "tree totals", &paid.total);
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

    fn verify_data(&self) -> Result<(), LogError> {
        let (begun, owner) = (&self.commitment.record, &self.contributor.record);
        let head = self.checkpoint.head();
        in_tree(&self.commitment, (head.size, &head.root))?;
        must(self.commitment.index == 0, "the commitment is not the first entry of the log")?;
        let is_of_run = self.checkpoint.origin() == origin_of(&begun.run);
        must(is_of_run, "the head is that of another log")?;
        let end = self.rest.verify(head)?;
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
        for ((_, deletion), item) in self.rest.deletions().zip(&self.deleted) {
            in_tree(item, (begun.manifest_size.0, &begun.manifest_root))?;
            must(item.index == deletion.item.0, "another example is deleted than is shown")?;
        }
        in_tree(&self.credit, (begun.contributors_size.0, &end.credits_root))?;
        let same = self.credit.index == self.contributor.index
            && self.contributor.index == owner.index.0
            && self.credit.record.contributor == owner.contributor;
        must(same, "the credits are those of somebody else")
    }

    fn verify_paid(&self, paid: &Paid) -> Result<(), LogError> {
        let (owner, size) = (&self.contributor.record, self.commitment.record.contributors_size.0);
        let (attribution, settlement) = self.rest.paid_by(paid.settlement)?;
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
        let credit = &self.credit.record;
        let mut words = format!(
            "Contributor {} gave {} of the {} examples that run {} was trained on.\n\
             They were committed to before the first of {} steps, and took part {} times.\n\
             First-order credit of these steps: {} in mean utility of the credited queries.\n",
            on_one_line(&owner.contributor),
            owner.items.0,
            begun.manifest_size.0,
            on_one_line(&begun.run),
            begun.steps.0,
            credit.occurrences.0,
            short(credit.credit.0),
        );
        let shown = self
            .paid
            .as_ref()
            .and_then(|paid| Some((paid, self.rest.paid_by(paid.settlement).ok()?)));
        if let Some((paid, (attribution, settlement))) = &shown {
            words += &paid.words(attribution, settlement);
        }
        words += &self.rest.words_of_other_payments(self.paid.as_ref().map(|paid| paid.settlement));
        words += &self.words_since();
        words += "This proves what was recorded, in which order, and who signed it. It does not \
                  prove that\nthe record is true, that it is complete, or that nothing else was \
                  trained.\n";
        words
    }

    /// What the log said later of this contributor's data, or of anything that this rests on.
    fn words_since(&self) -> String {
        let owner = &self.contributor.record.contributor;
        let mut later = Vec::new();
        for (at, correction) in self.rest.corrections() {
            let what = self.rest.name_of(correction.entry.0);
            let Correction { time, reason, .. } = correction;
            let reason = on_one_line(reason);
            later.push((at, format!("at {}, {what} was corrected: {reason}", time.0)));
        }
        for ((at, deletion), item) in self.rest.deletions().zip(&self.deleted) {
            if item.record.contributor == *owner {
                let (example, time) = (item.record.example.0, deletion.time.0);
                let reason = on_one_line(&deletion.reason);
                later.push((at, format!("at {time}, example {example} was deleted: {reason}")));
            }
        }
        later.sort_by_key(|(at, _)| *at);
        let size = self.checkpoint.head().size;
        let mut words = match later.len() {
            0 => format!("No later word on this stands in the {size} entries of this log.\n"),
            number => format!("Later words on this, in the {size} entries of this log: {number}\n"),
        };
        for (at, said) in later {
            let _ = writeln!(words, "  entry {at}: {said}");
        }
        words +=
            "A log that has grown since may hold more: ask for a receipt of its newest head.\n";
        words
    }
}

impl Paid {
    fn words(&self, attribution: &Attribution, settlement: &Settlement) -> String {
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

impl Rest {
    /// From the end of the training on.
    fn of_log(reader: &LogReader) -> Result<Self, LogError> {
        let (mut from, mut entries) = (None, Vec::new());
        for (index, entry) in (0u64..).zip(reader.tree().entries()) {
            let record = Record::parse(&entry?)
                .map_err(|error| LogError::Entry { index, reason: error.to_string() })?;
            if matches!(record, Record::End(_)) {
                (from, entries) = (Some(index), Vec::new());
            }
            if from.is_some() {
                entries.push(record);
            }
        }
        let from = from.ok_or_else(|| refuse("the log stops before the training ended"))?;
        Ok(Self { from, before: reader.tree().before(from)?, entries })
    }

    /// Whether these are all entries under a head from the end of the training on.
    fn verify(&self, head: TreeHead) -> Result<&End, LogError> {
        let leaves: Vec<Digest> =
            self.entries.iter().map(|entry| leaf_hash(&entry.to_bytes())).collect();
        verify_rest((self.from, &self.before), &leaves, (head.size, &head.root))?;
        let is_later = |entry: &Record| {
            matches!(
                entry,
                Record::Attribution(_)
                    | Record::Settlement(_)
                    | Record::Contribution(_)
                    | Record::Correction(_)
                    | Record::Deletion(_)
            )
        };
        must(self.entries.iter().skip(1).all(is_later), "the training goes on behind its end")?;
        self.end()
    }

    fn end(&self) -> Result<&End, LogError> {
        match self.entries.first() {
            Some(Record::End(end)) => Ok(end),
            _ => Err(refuse("it does not begin with the end of the training")),
        }
    }

    /// Entries with their positions.
    fn placed(&self) -> impl Iterator<Item = (u64, &Record)> {
        (self.from..).zip(&self.entries)
    }

    fn at(&self, position: u64) -> Option<&Record> {
        self.entries.get(usize::try_from(position.checked_sub(self.from)?).ok()?)
    }

    fn corrections(&self) -> impl Iterator<Item = (u64, &Correction)> {
        self.placed().filter_map(|(at, entry)| match entry {
            Record::Correction(correction) => Some((at, correction)),
            _ => None,
        })
    }

    fn deletions(&self) -> impl Iterator<Item = (u64, &Deletion)> {
        self.placed().filter_map(|(at, entry)| match entry {
            Record::Deletion(deletion) => Some((at, deletion)),
            _ => None,
        })
    }

    fn settlements(&self) -> impl Iterator<Item = (u64, &Settlement)> {
        self.placed().filter_map(|(at, entry)| match entry {
            Record::Settlement(settlement) => Some((at, settlement)),
            _ => None,
        })
    }

    /// The settlement at a position, and the attribution that it pays by.
    fn paid_by(&self, position: u64) -> Result<(&Attribution, &Settlement), LogError> {
        let Some(Record::Settlement(settlement)) = self.at(position) else {
            return Err(refuse("it is paid by an entry that is no settlement"));
        };
        let by = settlement.attribution.0;
        let Some(Record::Attribution(attribution)) = self.at(by).filter(|_| by < position) else {
            return Err(refuse("it pays by no attribution"));
        };
        must(settlement.label == attribution.label, "it pays by another method")?;
        Ok((attribution, settlement))
    }

    /// What an entry is, for people.
    fn name_of(&self, position: u64) -> String {
        match self.at(position) {
            Some(Record::Attribution(entry)) => {
                format!("the attribution by {} (entry {position})", on_one_line(&entry.label))
            }
            Some(Record::Settlement(entry)) => {
                format!("the settlement by {} (entry {position})", on_one_line(&entry.label))
            }
            Some(entry) => format!("entry {position} ({})", entry.kind()),
            None if position == 0 => "the commitment (entry 0)".to_owned(),
            None => format!("entry {position}, a part of the training,"),
        }
    }

    /// Whoever holds a receipt could cut a payment out of it, but not the entry that made it.
    fn words_of_other_payments(&self, shown: Option<u64>) -> String {
        let others = self.settlements().filter(|(at, _)| Some(*at) != shown);
        let others: Vec<String> = others.map(|(_, paid)| on_one_line(&paid.label)).collect();
        match (others.is_empty(), shown) {
            (true, None) => "Nothing was paid until then.\n".to_owned(),
            (true, Some(_)) => String::new(),
            (false, _) => {
                format!("Paid in this log and not shown here: by {}.\n", others.join(", "))
            }
        }
    }

    /// Where the settlement that `label` means is found.
    fn settlement(&self, label: Option<&str>) -> Result<Option<Settled>, LogError> {
        let all: Vec<(u64, &Settlement)> = self.settlements().collect();
        let unknown = |found: &str| {
            let known: Vec<&str> = all.iter().map(|(_, paid)| paid.label.as_str()).collect();
            let (found, known) = (found.to_owned(), known.join(", "));
            LogError::Unknown { what: "settlement by", found, known }
        };
        let ordinal = match (label, all.len()) {
            (None, 0) => return Ok(None),
            (None, 1) => 0,
            // Which of several is meant has to be said.
            (None, _) => return Err(unknown("(none named)")),
            (Some(label), _) => all
                .iter()
                .position(|(_, paid)| paid.label == label)
                .ok_or_else(|| unknown(label))?,
        };
        let (position, settlement) = all[ordinal];
        let is_attribution = |entry: &(u64, &Record)| matches!(entry.1, Record::Attribution(_));
        let attribution = self
            .placed()
            .filter(is_attribution)
            .position(|(at, _)| at == settlement.attribution.0)
            .ok_or_else(|| refuse("it pays by no attribution"))?;
        let journal_size = settlement.journal_size.0;
        let (settlement, attribution) = (ordinal as u64, attribution as u64);
        Ok(Some(Settled { position, settlement, attribution, journal_size }))
    }
}

/// Where a settlement and its attribution are found: position in the log, and numbers of folders.
struct Settled {
    position: u64,
    settlement: u64,
    attribution: u64,
    journal_size: u64,
}

fn paid(folder: &Path, settled: &Settled, contributors: u64, index: u64) -> Result<Paid, LogError> {
    let attribution = attribution_folder(folder, settled.attribution);
    let totals = TreeReader::open(&attribution.join("totals"), contributors);
    let settlement_at = settlement_folder(folder, settled.settlement);
    let payouts = TreeReader::open(&settlement_at.join("payouts"), contributors);
    let journal = TreeReader::open(&settlement_at.join("journal"), settled.journal_size);
    Ok(Paid {
        settlement: settled.position,
        total: prove(&totals, index)?,
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
    push_bytes(text, &to_bytes(record));
}

fn push_bytes(text: &mut String, record: &[u8]) {
    // Canonical JSON is UTF-8 by construction.
    *text += &String::from_utf8_lossy(record);
    text.push('\n');
}

fn push_hashes(text: &mut String, hashes: &[Digest]) {
    for hash in hashes {
        *text += &hash.to_base64();
        text.push('\n');
    }
}

/// `NAME INDEX HASHES`, the record, and the hashes, each on a line.
fn write_proved<R: Leaf>(text: &mut String, name: &str, proved: &Proved<R>) {
    *text += &format!("{name} {} {}\n", proved.index, proved.path.len());
    push_record(text, &proved.record);
    push_hashes(text, &proved.path);
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
        let record = self.record()?;
        Ok(Proved { index, record, path: self.hashes(hashes)? })
    }

    fn hashes(&mut self, number: usize) -> Result<Vec<Digest>, LogError> {
        must(number <= LONGEST_PATH, "a path is longer than any tree is high")?;
        let hash = |text| Digest::from_base64(text).ok_or_else(|| refuse("a hash is malformed"));
        (0..number).map(|_| self.next().and_then(hash)).collect()
    }

    fn rest(&mut self) -> Result<Rest, LogError> {
        let missing = || refuse("the rest of the log is missing");
        let numbers = self.next()?.strip_prefix("log since ").ok_or_else(missing)?;
        let numbers = numbers.split(' ').map(Self::number).collect::<Result<Vec<_>, _>>()?;
        let [from, before, entries] = numbers[..] else { return Err(missing()) };
        must(from < 1 << 63, "a log is never so long")?;
        let before = self.hashes(before as usize)?;
        let entry = |line: &str| {
            let malformed = |error: RecordError| refuse(&error.to_string());
            Record::parse(line.as_bytes()).map_err(malformed)
        };
        let entries =
            (0..entries).map(|_| self.next().and_then(entry)).collect::<Result<_, _>>()?;
        Ok(Rest { from, before, entries })
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
        let settlement = self.list("settlement")?;
        let total = self.proved("tree totals")?;
        let payout = self.proved("tree payouts")?;
        let journal = (0..self.list("journal")?)
            .map(|_| STANDARD.decode(self.next()?).map_err(|_| refuse("a posting is malformed")));
        let journal = journal.collect::<Result<_, _>>()?;
        Ok(Some(Paid { settlement, total, payout, journal }))
    }

    fn head(&mut self) -> Result<&'a str, LogError> {
        must(self.next()? == "head", "it has no signed head")?;
        Ok(self.rest)
    }
}
