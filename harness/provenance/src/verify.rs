//! Checking the log of a run: everything that its files alone can show to be wrong.
//!
//! What this cannot show: that the data were what they are said to be, that nothing was left out
//! of the log, that no other training took place, that the steps were taken as they are recorded
//! (an audit takes some of them again), and that a signer has not signed another history (compare
//! heads with others, see [`compare`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    error::LogError,
    hash::{Digest, StateDigest, leaf_hash, root_of},
    journal::{self, Balances},
    log::LogReader,
    note::{Note, NoteError, VerifyingKey},
    proof::verify_consistency,
    recorder::{
        attribution_folder, batch_bytes, clusters, contributor_totals, origin_of, seed_commitment,
        settlement_folder,
    },
    records::{
        Attribution, Column, Commitment, Contributor, Credit, End, Item, Kept, Leaf, Payout,
        QueryScores, Record, Settlement, Step, Total, from_bytes,
    },
    state,
    tree::{TreeHead, TreeReader},
};

/// Who stands behind a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Trusted keys of these names signed its head.
    By(Vec<String>),
    /// Nobody did: the log is consistent, and anybody may have written it.
    ByNobody,
}

/// What a log says, all of which holds together.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who signed it.
    pub signed: Signed,
    /// Size and root.
    pub head: TreeHead,
    /// What the run began with.
    pub commitment: Commitment,
    /// What it ended with; nothing where the log stops before.
    pub end: Option<End>,
    /// Steps recorded.
    pub steps: u64,
    /// Attributions with their positions.
    pub attributions: Vec<(u64, Attribution)>,
    /// Settlements with their positions.
    pub settlements: Vec<(u64, Settlement)>,
    /// Corrections, deletions and contributions since.
    pub later_words: u64,
    /// Entries read, of the log and of all trees that it commits to.
    pub entries_read: u64,
    /// Whether every credit and every batch stands in the log, so that sums could be redone.
    pub sums_redone: bool,
    /// Whether every score stands in the log, so that what is paid by could be summed again.
    pub totals_redone: bool,
}

/// Checks a log from its first entry to its last.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(folder: &Path, trusted: &[VerifyingKey]) -> Result<Verified, LogError> {
    let reader = LogReader::open(folder)?;
    let signed = signers(reader.note(), trusted)?;
    let checker = checked(&reader, folder)?;
    let entries_read = checker.entries_read + reader.tree().size();
    let empty = || LogError::Entry { index: 0, reason: "the log is empty".to_owned() };
    Ok(Verified {
        signed,
        head: reader.checkpoint().head(),
        commitment: checker.commitment.ok_or_else(empty)?,
        end: checker.end,
        steps: checker.steps,
        attributions: checker.attributions,
        settlements: checker.settlements,
        later_words: checker.later_words,
        entries_read,
        sums_redone: checker.sums.is_some(),
        totals_redone: checker.totals_redone,
    })
}

/// Whether a log holds, and would with a record behind its last entry.
///
/// # Errors
/// The first thing that is wrong; [`LogError::Amendment`] where it is the record.
pub(crate) fn may_follow(folder: &Path, record: &Record) -> Result<(), LogError> {
    let reader = LogReader::open(folder)?;
    let mut checker = checked(&reader, folder)?;
    checker.see(reader.tree().size(), &record.to_bytes()).map_err(|wrong| match wrong {
        Wrong::Here(reason) => LogError::Amendment { reason },
        Wrong::Elsewhere(error) => error,
    })
}

/// What is known of a log once all of its entries have been seen.
fn checked(reader: &LogReader, folder: &Path) -> Result<Checker, LogError> {
    let mut checker = Checker::new(folder, reader.checkpoint().origin());
    reader.check(folder, &mut |index, entry| {
        checker.see(index, entry).map_err(|wrong| match wrong {
            Wrong::Here(reason) => LogError::Entry { index, reason },
            Wrong::Elsewhere(error) => error,
        })
    })?;
    Ok(checker)
}

/// Whether a log may be believed by holders of `trusted`; an unsigned one only where no key is
/// asked for.
pub(crate) fn signers(note: &Note, trusted: &[VerifyingKey]) -> Result<Signed, LogError> {
    match note.verify(trusted) {
        Ok(names) => Ok(Signed::By(names.into_iter().map(str::to_owned).collect())),
        Err(NoteError::Unsigned) if trusted.is_empty() => Ok(Signed::ByNobody),
        Err(error) => Err(error.into()),
    }
}

/// How two logs stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The second begins with all entries of the first; the hashes prove it to anybody who holds
    /// the two heads.
    Extends {
        /// Path of the consistency proof.
        path: Vec<Digest>,
    },
    /// They part ways.
    Forked {
        /// Position of the first entry that differs, where the entries of both are at hand.
        first: Option<u64>,
    },
    /// The second is shorter: entries that were signed are gone.
    Truncated {
        /// Entries of the first.
        old_size: u64,
        /// Entries of the second.
        new_size: u64,
    },
}

/// Compares an older head, and its tree where it is at hand, with a newer log.
///
/// # Errors
/// When a tile is missing or damaged.
pub fn compare(
    old: TreeHead,
    old_tree: Option<&TreeReader>,
    new: &LogReader,
) -> Result<Comparison, LogError> {
    let new_head = new.checkpoint().head();
    if old.size > new_head.size {
        return Ok(Comparison::Truncated { old_size: old.size, new_size: new_head.size });
    }
    if old.size == 0 {
        return Ok(Comparison::Extends { path: Vec::new() });
    }
    let path = new.tree().consistency(old.size)?;
    let heads = ((old.size, &old.root), (new_head.size, &new_head.root));
    if verify_consistency(heads.0, heads.1, &path).is_ok() {
        return Ok(Comparison::Extends { path });
    }
    let Some(old_tree) = old_tree else { return Ok(Comparison::Forked { first: None }) };
    for index in 0..old.size {
        if old_tree.leaf(index)? != new.tree().leaf(index)? {
            return Ok(Comparison::Forked { first: Some(index) });
        }
    }
    Ok(Comparison::Forked { first: None })
}

/// Why an entry is refused.
enum Wrong {
    /// It is wrong itself.
    Here(String),
    /// Something that it names is.
    Elsewhere(LogError),
}

impl From<LogError> for Wrong {
    fn from(error: LogError) -> Self {
        Self::Elsewhere(error)
    }
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self::Here(reason)
    }
}

/// Fails with words unless something holds.
fn must(holds: bool, words: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Here(words())) }
}

struct Checker {
    folder: PathBuf,
    origin: String,
    commitment: Option<Commitment>,
    end: Option<End>,
    steps: u64,
    order: Vec<Digest>,
    last_state: Option<StateDigest>,
    last_kept: u64,
    last_time: u64,
    owners: BTreeMap<u64, String>,
    /// Index of the contributor of each example, in training order.
    owners_in_order: Vec<u32>,
    /// Credits of each contributor, for as long as all of them stand in the log.
    sums: Option<BTreeMap<String, (f64, u64)>>,
    contributors: Vec<String>,
    attributions: Vec<(u64, Attribution)>,
    settlements: Vec<(u64, Settlement)>,
    totals_redone: bool,
    later_words: u64,
    entries_read: u64,
}

impl Checker {
    fn new(folder: &Path, origin: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            origin: origin.to_owned(),
            commitment: None,
            end: None,
            steps: 0,
            order: Vec::new(),
            last_state: None,
            last_kept: 0,
            last_time: 0,
            owners: BTreeMap::new(),
            owners_in_order: Vec::new(),
            sums: Some(BTreeMap::new()),
            contributors: Vec::new(),
            attributions: Vec::new(),
            settlements: Vec::new(),
            totals_redone: true,
            later_words: 0,
            entries_read: 0,
        }
    }

    fn see(&mut self, index: u64, entry: &[u8]) -> Result<(), Wrong> {
        let record = Record::parse(entry).map_err(|error| error.to_string())?;
        must((index == 0) == matches!(record, Record::Commitment(_)), || {
            format!("found a record of kind `{}` here", record.kind())
        })?;
        // Receipts show what was said after the training, and could not show what was said in it.
        let trains = matches!(record, Record::Step(_) | Record::Kept(_) | Record::End(_));
        must(!trains || self.later_words == 0, || {
            "the training goes on behind a later word on it".to_owned()
        })?;
        match record {
            Record::Commitment(record) => self.commitment(record),
            Record::Step(record) => self.step(record),
            Record::Kept(record) => self.kept(index, record),
            Record::End(record) => self.end(record),
            Record::Attribution(record) => self.attribution(index, record),
            Record::Settlement(record) => self.settlement(index, record),
            Record::Contribution(record) => self.later(record.time.0),
            Record::Correction(record) => {
                must(record.entry.0 < index, || {
                    format!("entry {} is corrected, and {index} stand before", record.entry.0)
                })?;
                self.later(record.time.0)
            }
            Record::Deletion(record) => {
                let size = self.begun().manifest_size.0;
                must(record.item.0 < size, || {
                    format!("item {} is deleted, and the manifest has {size}", record.item.0)
                })?;
                self.later(record.time.0)
            }
            leaf => Err(format!("a leaf of kind `{}` belongs to a tree", leaf.kind()).into()),
        }
    }

    fn begun(&self) -> &Commitment {
        self.commitment.as_ref().expect("the first entry is the commitment")
    }

    fn later(&mut self, time: u64) -> Result<(), Wrong> {
        self.later_words += 1;
        self.not_before(time)
    }

    /// Times may not run backwards along the log.
    fn not_before(&mut self, time: u64) -> Result<(), Wrong> {
        let last = self.last_time;
        must(time >= last, || {
            format!("is dated {time}, but stands after an entry of {last}: it is back-dated")
        })?;
        self.last_time = time;
        Ok(())
    }

    /// All leaves of a tree that an entry commits to, in order.
    fn leaves<R>(
        &mut self,
        folder: &Path,
        size: u64,
        root: Digest,
        read: impl Fn(&[u8]) -> Result<R, String>,
    ) -> Result<Vec<(R, Digest)>, Wrong> {
        let mut leaves = Vec::new();
        let found = TreeReader::open(folder, size).check(&mut |index, entry| {
            let leaf = read(entry)
                .map_err(|reason| LogError::damaged(folder, format!("leaf {index}: {reason}")))?;
            leaves.push((leaf, leaf_hash(entry)));
            Ok(())
        })?;
        self.entries_read += size;
        must(found == TreeHead { size, root }, || {
            let name = folder.strip_prefix(&self.folder).unwrap_or(folder);
            format!("commits to another tree than lies in `{}/`", name.display())
        })?;
        Ok(leaves)
    }

    fn commitment(&mut self, record: Commitment) -> Result<(), Wrong> {
        self.not_before(record.time.0)?;
        let (origin, run) = (&self.origin, &record.run);
        must(*origin == origin_of(run), || format!("run `{run}` in a log called `{origin}`"))?;
        let folder = self.folder.join("manifest");
        let (size, root) = (record.manifest_size.0, record.manifest_root);
        let items = self.leaves(&folder, size, root, parse::<Item>)?;
        let clusters = clusters(items.iter().map(|(item, _)| (item.content, item.example)));
        let mut owned: BTreeMap<&str, Vec<Digest>> = BTreeMap::new();
        for (item, leaf) in &items {
            let example = item.example.0;
            must(item.time <= record.time, || {
                format!("example {example} was contributed after the run began")
            })?;
            must(item.cluster == clusters[&item.content], || {
                format!("example {example} is said to be a copy of another than it is")
            })?;
            let old = self.owners.insert(example, item.contributor.clone());
            must(old.is_none(), || format!("example {example} stands in the manifest twice"))?;
            owned.entry(&item.contributor).or_default().push(*leaf);
        }
        let folder = self.folder.join("contributors");
        let (size, root) = (record.contributors_size.0, record.contributors_root);
        let contributors = self.leaves(&folder, size, root, parse::<Contributor>)?;
        let mut indices: BTreeMap<&str, u32> = BTreeMap::new();
        for (position, (contributor, _)) in (0u32..).zip(&contributors) {
            let name = contributor.contributor.as_str();
            let old = indices.insert(name, position);
            must(old.is_none(), || format!("`{name}` stands among the contributors twice"))?;
            let leaves = owned.remove(name).unwrap_or_default();
            let found = (contributor.index.0, contributor.items.0, contributor.items_root);
            must(found == (u64::from(position), leaves.len() as u64, root_of(&leaves)), || {
                format!("the leaf of contributor `{name}` is not what the manifest says")
            })?;
            self.contributors.push(name.to_owned());
        }
        let left = owned.keys().next().map(|name| (*name).to_owned());
        must(left.is_none(), || format!("contributor {left:?} has examples and no leaf"))?;
        let owners = items.iter().map(|(item, _)| indices[item.contributor.as_str()]);
        self.owners_in_order = owners.collect();
        let sums = self.contributors.iter().map(|name| (name.clone(), (0.0, 0)));
        self.sums = Some(sums.collect());
        self.commitment = Some(record);
        Ok(())
    }

    fn step(&mut self, record: Step) -> Result<(), Wrong> {
        must(self.end.is_none(), || "a step after the end of the training".to_owned())?;
        let (found, expected) = (record.step.0, self.steps);
        must(found == expected, || format!("step {found} stands where step {expected} belongs"))?;
        must(self.last_state.is_some(), || "no state was kept before the first step".to_owned())?;
        must(record.rate.0.is_finite(), || "its rate is not finite".to_owned())?;
        match (&record.batch, &record.credits) {
            (Column::Values(batch), Column::Values(credits)) => {
                self.order.push(leaf_hash(&batch_bytes(batch)));
                must(credits.is_empty() || credits.len() == batch.len(), || {
                    format!("{} credits for a batch of {}", credits.len(), batch.len())
                })?;
                for (place, example) in batch.iter().enumerate() {
                    let owner = self
                        .owners
                        .get(&example.0)
                        .ok_or_else(|| format!("example {} is not in the manifest", example.0))?;
                    let credit = credits.get(place).map_or(0.0, |credit| credit.0);
                    must(credit.is_finite(), || format!("a credit of {credit}"))?;
                    if let Some((sum, count)) =
                        self.sums.as_mut().and_then(|sums| sums.get_mut(owner))
                    {
                        *sum += credit;
                        *count += 1;
                    }
                }
            }
            // What stands outside of the log is summed by whoever takes the steps again.
            _ => self.sums = None,
        }
        self.steps += 1;
        self.last_state = Some(record.state);
        Ok(())
    }

    fn kept(&mut self, index: u64, record: Kept) -> Result<(), Wrong> {
        let (step, steps) = (record.step.0, self.steps);
        must(step == steps, || format!("a state of step {step} is kept after {steps} steps"))?;
        let (parent, last) = (record.parent.0, self.last_kept);
        must(parent == last, || format!("names entry {parent} as its parent, not {last}"))?;
        must(self.last_state.is_none_or(|state| state == record.state), || {
            format!("the state that was kept is not the state after step {steps}")
        })?;
        let kept = state::read(&self.folder, step)?;
        must(kept.digests() == (record.state, record.optimizer), || {
            format!("`{}` holds another state", state::path(&self.folder, step).display())
        })?;
        self.last_state = Some(record.state);
        self.last_kept = index;
        Ok(())
    }

    fn end(&mut self, record: End) -> Result<(), Wrong> {
        must(self.end.is_none(), || "the training ends twice".to_owned())?;
        self.not_before(record.time.0)?;
        let committed = self.begun().clone();
        let steps = (record.steps, committed.steps.0);
        must(steps.0.0 == self.steps && steps.1 == self.steps, || {
            format!("{} steps are recorded, {} were committed to", self.steps, steps.1)
        })?;
        must(self.last_state == Some(record.state), || {
            "the final state is not the state after the last step".to_owned()
        })?;
        let opened = seed_commitment(record.seed.0, &record.nonce);
        must(opened == committed.seed_commitment, || {
            "the seed is not the one that was committed to".to_owned()
        })?;
        let order_is_here = self.order.len() as u64 == self.steps;
        must(!order_is_here || root_of(&self.order) == committed.order_root, || {
            "the batches are not those that were committed to before the first step".to_owned()
        })?;
        self.order = Vec::new();
        let folder = self.folder.join("credits");
        let size = self.contributors.len() as u64;
        let credits = self.leaves(&folder, size, record.credits_root, parse::<Credit>)?;
        for ((credit, _), name) in credits.iter().zip(&self.contributors) {
            let Some(sums) = &self.sums else { continue };
            let found = (credit.credit.0.to_bits(), credit.occurrences.0);
            let (sum, count) = sums[name];
            must(credit.contributor == *name && found == (sum.to_bits(), count), || {
                format!("the credits of `{name}` are not the sum of those of the steps")
            })?;
        }
        self.end = Some(record);
        Ok(())
    }

    fn attribution(&mut self, index: u64, record: Attribution) -> Result<(), Wrong> {
        must(self.end.is_some(), || "an attribution before the training ended".to_owned())?;
        self.not_before(record.time.0)?;
        must(record.commitment.0 == 0, || "names another entry as the run's first".to_owned())?;
        let known = self.attributions.iter().any(|(_, known)| known.label == record.label);
        must(!known, || format!("`{}` was attributed already", record.label))?;
        let folder = attribution_folder(&self.folder, self.attributions.len() as u64);
        let (size, root) = (record.scores_size.0, record.scores_root);
        let scores = self.leaves(&folder.join("scores"), size, root, parse::<QueryScores>)?;
        let scores = self.scores(scores.into_iter().map(|(leaf, _)| leaf))?;
        let (contributors, factor) = (self.contributors.len(), record.factor.0);
        must(factor.is_finite(), || format!("a factor of {factor}"))?;
        let summed = scores
            .map(|scores| contributor_totals(&self.owners_in_order, contributors, &scores, factor));
        let (size, root) = (contributors as u64, record.totals_root);
        let totals = self.leaves(&folder.join("totals"), size, root, parse::<Total>)?;
        for (place, ((total, _), name)) in totals.iter().zip(&self.contributors).enumerate() {
            let summed = summed.as_ref().map(|summed| summed[place].as_slice());
            must(total.contributor == *name, || format!("the total of `{name}` is missing"))?;
            must(is_sum(total, summed), || {
                format!("the total of `{name}` is not the sum of its scores")
            })?;
        }
        self.totals_redone &= summed.is_some();
        self.attributions.push((index, record));
        Ok(())
    }

    /// Scores of all examples for each query, where all of them stand in the log.
    fn scores(
        &self,
        leaves: impl Iterator<Item = QueryScores>,
    ) -> Result<Option<Vec<Vec<f64>>>, Wrong> {
        let examples = self.owners_in_order.len();
        let (mut found, mut queries) = (Some(Vec::new()), BTreeSet::new());
        for leaf in leaves {
            let query = leaf.query.0;
            must(queries.insert(query), || format!("query {query} is scored twice"))?;
            let Column::Values(scores) = leaf.scores else {
                found = None;
                continue;
            };
            let scores: Vec<f64> = scores.into_iter().map(|score| score.0).collect();
            must(scores.len() == examples && scores.iter().all(|score| score.is_finite()), || {
                format!("query {query} has {} scores, or some that are not finite", scores.len())
            })?;
            if let Some(found) = &mut found {
                found.push(scores);
            }
        }
        Ok(found)
    }

    fn settlement(&mut self, index: u64, record: Settlement) -> Result<(), Wrong> {
        self.not_before(record.time.0)?;
        let pays_by = (record.attribution.0, &record.label);
        let known = self.attributions.iter().any(|(at, known)| (*at, &known.label) == pays_by);
        must(known, || format!("entry {} is no attribution by `{}`", pays_by.0, pays_by.1))?;
        let folder = settlement_folder(&self.folder, self.settlements.len() as u64);
        let (size, root) = (self.contributors.len() as u64, record.payouts_root);
        let payouts = self.leaves(&folder.join("payouts"), size, root, parse::<Payout>)?;
        let (size, root) = (record.journal_size.0, record.journal_root);
        let journal = self.leaves(&folder.join("journal"), size, root, |posting| {
            Ok::<_, String>(posting.to_vec())
        })?;
        let postings = journal.iter().map(|(posting, _)| posting.as_slice());
        let balances = check_books(&record, postings)?;
        let mut paid = 0;
        for ((position, (payout, _)), name) in (0u64..).zip(&payouts).zip(&self.contributors) {
            must(payout.contributor == *name && payout.index.0 == position, || {
                format!("the payout of `{name}` is that of somebody else")
            })?;
            check_payout(payout, &balances)?;
            paid += u128::from(payout.amount.0);
        }
        must(paid == u128::from(record.paid.0), || {
            format!("{paid} units are paid out, and {} are said to be", record.paid.0)
        })?;
        self.settlements.push((index, record));
        Ok(())
    }
}

/// Whether a total is the sum of its scores, and these are `summed`, as far as they stand here.
fn is_sum(total: &Total, summed: Option<&[f64]>) -> bool {
    let Column::Values(scores) = &total.scores else { return total.total.0.is_finite() };
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let scores: Vec<f64> = scores.iter().map(|score| score.0).collect();
    let sum: f64 = scores.iter().sum();
    sum.is_finite()
        && sum.to_bits() == total.total.0.to_bits()
        && summed.is_none_or(|summed| bits(summed) == bits(&scores))
}

fn parse<R: Leaf>(bytes: &[u8]) -> Result<R, String> {
    from_bytes(bytes).map_err(|error| error.to_string())
}

/// Whether the books of a settlement make and lose nothing, and say what its entry says.
///
/// # Errors
/// What does not add up.
pub(crate) fn check_books<'a>(
    record: &Settlement,
    postings: impl Iterator<Item = &'a [u8]>,
) -> Result<Balances, String> {
    let mut balances = Balances::default();
    for posting in postings {
        balances.post(posting)?;
    }
    let amounts = [&record.paid, &record.burn, &record.carry, &record.treasury];
    let out: u128 = amounts.iter().map(|amount| u128::from(amount.0)).sum();
    if out != u128::from(record.pot.0) {
        return Err(format!("{out} units leave a pot of {}", record.pot.0));
    }
    let said = [
        (journal::MINT, -i128::from(record.pot.0)),
        (journal::BURN, i128::from(record.burn.0)),
        (journal::CARRY, i128::from(record.carry.0)),
        (journal::TREASURY, i128::from(record.treasury.0)),
    ];
    for (family, said) in said {
        let booked = balances.of(family, 0);
        if booked != said {
            return Err(format!("the books leave {booked} in family {family}, not {said}"));
        }
    }
    let mut paid = 0i128;
    for ((family, index), balance) in balances.all() {
        match family {
            journal::CONTRIBUTOR => {
                paid = paid.checked_add(balance).ok_or("the books pay more than can be counted")?;
            }
            _ if index == 0 && said.iter().any(|(known, _)| *known == family) => {}
            _ => return Err(format!("the books leave {balance} in family {family}, {index}")),
        }
    }
    if paid != i128::from(record.paid.0) {
        return Err(format!("the books pay {paid} to contributors, not {}", record.paid.0));
    }
    Ok(balances)
}

/// Whether a payout is what the books say.
///
/// # Errors
/// What they say.
pub(crate) fn check_payout(payout: &Payout, balances: &Balances) -> Result<(), String> {
    let index = u32::try_from(payout.index.0).map_err(|_| "an index above 2^32".to_owned())?;
    let booked = balances.of(journal::CONTRIBUTOR, index);
    if booked == i128::from(payout.amount.0) {
        return Ok(());
    }
    let (name, amount) = (&payout.contributor, payout.amount.0);
    Err(format!("`{name}` is said to be paid {amount}, and the books say {booked}"))
}
