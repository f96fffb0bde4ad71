//! Writing the log of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    error::LogError,
    hash::{Digest, StateDigest, leaf_hash, root_of},
    log::Log,
    note::{Note, SigningKey},
    records::{
        Attribution, Bits, Column, Commitment, Contributor, Count, Credit, End, Item, Kept, Kind,
        Payout, QueryScores, Record, Settlement, Step, Total, to_bytes,
    },
    state::{self, StateBytes},
    tree::{TreeHead, write_tree_behind},
    verify,
};

/// Entries after which the head is signed again: what a crash can lose of a long run.
const ENTRIES_A_SIGNATURE: u64 = 4096;

/// What is known of a run before it begins.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Name of the run.
    pub run: String,
    /// Digest of the program's own file.
    pub binary: Digest,
    /// Digest of the sources that numbers come from.
    pub code: Digest,
    /// Digest of the specification.
    pub configuration: Digest,
    /// Processor, compiler and the like.
    pub environment: BTreeMap<String, String>,
    /// Digest of the exact versions of packages.
    pub lockfile: Digest,
    /// Name of the model.
    pub model: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Number type.
    pub precision: String,
    /// Seed.
    pub seed: u64,
    /// When it begins.
    pub time: u64,
}

/// One example, before its duplicates are known.
#[derive(Clone, Debug)]
pub struct ItemFacts {
    /// Number of the example.
    pub example: u32,
    /// Digest of what is trained on.
    pub content: Digest,
    /// Index in the list of contributors.
    pub owner: u32,
    /// Licence.
    pub licence: String,
    /// When it was contributed, where that is known.
    pub time: Option<u64>,
}

/// One step as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// Number of the step.
    pub step: u64,
    /// Learning rate.
    pub rate: f64,
    /// Examples of the batch.
    pub batch: &'a [u32],
    /// Digest of the parameters after it.
    pub state: StateDigest,
    /// Credits of the batch's examples, or nothing.
    pub credits: &'a [f64],
}

/// Scores of one method.
#[derive(Clone, Debug)]
pub struct AttributionFacts {
    /// The entry, whose roots, commitment and scale of trees are filled in.
    pub entry: Attribution,
    /// Numbers of the queries.
    pub queries: Vec<u32>,
    /// Scores, one list of all examples a query.
    pub scores: Vec<Vec<f64>>,
}

/// Money split by one attribution.
#[derive(Clone, Debug)]
pub struct SettlementFacts {
    /// The entry, whose roots and positions are filled in.
    pub entry: Settlement,
    /// Payout of each contributor.
    pub payouts: Vec<u64>,
    /// Postings of the books, in order.
    pub journal: Vec<Vec<u8>>,
}

/// The log of one run while it is written.
pub struct Recorder {
    folder: PathBuf,
    log: Log,
    facts: RunFacts,
    nonce: Digest,
    contributors: Vec<String>,
    /// Index of the contributor of each example.
    owners: BTreeMap<u32, u32>,
    /// The same in training order.
    owners_in_order: Vec<u32>,
    /// Sum of credits and number of occurrences of each contributor.
    credits: Vec<(f64, u64)>,
    parent: u64,
    steps: u64,
    last_state: StateDigest,
    unsigned: u64,
    attributions: Vec<(String, u64)>,
    settlements: u64,
}

impl Recorder {
    /// Commits to everything that is fixed before the first step, signs it and brings it to disk.
    ///
    /// `batches` are the examples of every step. The nonce is a function of key and run, so that
    /// the log of a run depends on key, run and clock alone; without a key nothing is hidden.
    ///
    /// # Errors
    /// When the folder holds a log or the disk refuses.
    pub fn begin(
        folder: &Path,
        key: Option<SigningKey>,
        facts: RunFacts,
        items: &[ItemFacts],
        contributors: &[String],
        batches: impl Iterator<Item = Vec<u32>>,
    ) -> Result<Self, LogError> {
        let origin = origin_of(&facts.run);
        let nonce = match &key {
            Some(key) => key.derive(&format!("nonce of {}", facts.run)),
            None => Digest::of(b"this run is unsigned and hides nothing"),
        };
        let mut log = Log::begin(folder, &origin, key)?;
        let entries: Vec<Vec<u8>> = manifest(&facts, items, contributors);
        let manifest = write_tree_behind(&folder.join("manifest"), &entries, log.behind())?;
        let leaves = owner_leaves(items, contributors, &entries);
        let owners_head = write_tree_behind(&folder.join("contributors"), &leaves, log.behind())?;
        let order: Vec<Digest> =
            batches.map(|batch| leaf_hash(&batch_bytes(&counts(&batch)))).collect();
        log.append(&to_bytes(&Commitment {
            binary: facts.binary,
            code: facts.code,
            configuration: facts.configuration,
            contributors_root: owners_head.root,
            contributors_size: Count(owners_head.size),
            environment: facts.environment.clone(),
            kind: Kind::default(),
            lockfile: facts.lockfile,
            manifest_root: manifest.root,
            manifest_size: Count(manifest.size),
            model: facts.model.clone(),
            order_root: root_of(&order),
            parameters: Count(facts.parameters),
            precision: facts.precision.clone(),
            run: facts.run.clone(),
            seed_commitment: seed_commitment(facts.seed, &nonce),
            steps: Count(order.len() as u64),
            time: Count(facts.time),
        }))?;
        log.sign()?;
        Ok(Self {
            folder: folder.to_owned(),
            log,
            facts,
            nonce,
            contributors: contributors.to_vec(),
            owners: items.iter().map(|item| (item.example, item.owner)).collect(),
            owners_in_order: items.iter().map(|item| item.owner).collect(),
            credits: vec![(0.0, 0); contributors.len()],
            parent: 0,
            steps: 0,
            last_state: StateDigest::default(),
            unsigned: 0,
            attributions: Vec::new(),
            settlements: 0,
        })
    }

    /// Records a step.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Panics
    /// When the batch names an example that is not in the manifest.
    pub fn step(&mut self, facts: StepFacts<'_>) -> Result<(), LogError> {
        for (place, example) in facts.batch.iter().enumerate() {
            let owner = self.owners[example] as usize;
            self.credits[owner].0 += facts.credits.get(place).copied().unwrap_or(0.0);
            self.credits[owner].1 += 1;
        }
        let record = Step {
            batch: Column::of(counts(facts.batch)),
            credits: Column::of(facts.credits.iter().copied().map(Bits).collect()),
            kind: Kind::default(),
            rate: Bits(facts.rate),
            state: facts.state,
            step: Count(facts.step),
        };
        self.last_state = facts.state;
        self.steps += 1;
        self.append(&to_bytes(&record))
    }

    /// Keeps a state, and records that it was kept.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(&mut self, step: u64, bytes: &StateBytes<'_>) -> Result<(), LogError> {
        let (file, content) = state::file(&self.folder, step, bytes)?;
        self.log.behind().write(file, content);
        // The last step's entry has the digest of these very parameters.
        let state = match self.steps {
            steps if steps > 0 && steps == step => self.last_state,
            _ => StateDigest::of(&bytes.parameters),
        };
        let optimizer = StateDigest::of(&bytes.optimizer);
        let parent = Count(self.parent);
        self.parent = self.log.head().size;
        self.last_state = state;
        let kind = Kind::default();
        self.append(&to_bytes(&Kept { kind, optimizer, parent, state, step: Count(step) }))
    }

    /// Ends the training: the seed is shown, the contributors' credits are summed, all is signed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn end(&mut self, time: u64) -> Result<(), LogError> {
        let leaf = |(contributor, (credit, occurrences)): (&String, &(f64, u64))| {
            to_bytes(&Credit {
                contributor: contributor.clone(),
                credit: Bits(*credit),
                kind: Kind::default(),
                occurrences: Count(*occurrences),
            })
        };
        let credits = self.contributors.iter().zip(&self.credits).map(leaf);
        let credits = write_tree_behind(&self.folder.join("credits"), credits, self.log.behind())?;
        self.append(&to_bytes(&End {
            credits_root: credits.root,
            kind: Kind::default(),
            nonce: self.nonce,
            seed: Count(self.facts.seed),
            state: self.last_state,
            steps: Count(self.steps),
            time: Count(time),
        }))?;
        self.sign()?;
        Ok(())
    }

    /// Records the scores of a method; returns what each contributor is paid by, one list of all
    /// queries a contributor: see [`contributor_totals`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn attribution(&mut self, facts: AttributionFacts) -> Result<Vec<Vec<f64>>, LogError> {
        let (contributors, factor) = (self.contributors.len(), facts.entry.factor.0);
        let paid_by =
            contributor_totals(&self.owners_in_order, contributors, &facts.scores, factor);
        let folder = attribution_folder(&self.folder, self.attributions.len() as u64);
        let scores = facts.queries.iter().zip(facts.scores).map(|(query, scores)| {
            to_bytes(&QueryScores {
                kind: Kind::default(),
                query: Count(u64::from(*query)),
                scores: Column::of(scores.into_iter().map(Bits).collect()),
            })
        });
        let scores = write_tree_behind(&folder.join("scores"), scores, self.log.behind())?;
        let totals = self.contributors.iter().zip(&paid_by).map(|(contributor, scores)| {
            to_bytes(&Total {
                contributor: contributor.clone(),
                kind: Kind::default(),
                total: Bits(scores.iter().sum()),
                scores: Column::of(scores.iter().copied().map(Bits).collect()),
            })
        });
        let totals = write_tree_behind(&folder.join("totals"), totals, self.log.behind())?;
        self.attributions.push((facts.entry.label.clone(), self.log.head().size));
        self.append(&to_bytes(&Attribution {
            commitment: Count(0),
            scores_root: scores.root,
            scores_size: Count(scores.size),
            totals_root: totals.root,
            ..facts.entry
        }))?;
        Ok(paid_by)
    }

    /// Records what an attribution paid.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Panics
    /// When no attribution of that label was recorded.
    pub fn settlement(&mut self, facts: SettlementFacts) -> Result<(), LogError> {
        let folder = settlement_folder(&self.folder, self.settlements);
        self.settlements += 1;
        let (payouts, journal) = self.write_payouts(&folder, &facts)?;
        let attribution = self.attributions.iter().find(|(label, _)| *label == facts.entry.label);
        let (_, attribution) = attribution.expect("an attribution is recorded before it pays");
        self.append(&to_bytes(&Settlement {
            attribution: Count(*attribution),
            journal_root: journal.root,
            journal_size: Count(journal.size),
            payouts_root: payouts.root,
            ..facts.entry
        }))
    }

    fn write_payouts(
        &mut self,
        folder: &Path,
        facts: &SettlementFacts,
    ) -> Result<(TreeHead, TreeHead), LogError> {
        let leaf = |(index, (contributor, amount)): (u64, (&String, &u64))| {
            to_bytes(&Payout {
                amount: Count(*amount),
                contributor: contributor.clone(),
                index: Count(index),
                kind: Kind::default(),
            })
        };
        let payouts = (0u64..).zip(self.contributors.iter().zip(&facts.payouts)).map(leaf);
        let payouts = write_tree_behind(&folder.join("payouts"), payouts, self.log.behind())?;
        let journal = folder.join("journal");
        Ok((payouts, write_tree_behind(&journal, &facts.journal, self.log.behind())?))
    }

    /// Signs all that was recorded, and brings it to disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sign(&mut self) -> Result<Note, LogError> {
        self.unsigned = 0;
        self.log.sign()
    }

    fn append(&mut self, entry: &[u8]) -> Result<(), LogError> {
        self.log.append(entry)?;
        self.unsigned += 1;
        if self.unsigned >= ENTRIES_A_SIGNATURE {
            self.sign()?;
        }
        Ok(())
    }
}

/// Appends a later word to a finished log, and signs it.
///
/// The whole log is verified first, with the word behind it: what is signed stays, so a word that
/// verification refuses would spoil the log for good.
///
/// # Errors
/// When the key is not that of the log, the log or the word does not hold, or the disk refuses.
pub fn amend(folder: &Path, key: Option<SigningKey>, record: &Record) -> Result<Note, LogError> {
    let mut log = Log::resume(folder, key)?;
    verify::may_follow(folder, record)?;
    log.append(&record.to_bytes())?;
    log.sign()
}

/// What contributors are paid by: `factor` times the sum of their examples' scores, a number for
/// each query. Sums begin at 0 and run in training order, so that there is one answer to the bit.
///
/// `owners` has the contributor of each example, `scores` a list of all examples for each query.
pub fn contributor_totals(
    owners: &[u32],
    contributors: usize,
    scores: &[Vec<f64>],
    factor: f64,
) -> Vec<Vec<f64>> {
    let mut totals = vec![vec![0.0; scores.len()]; contributors];
    for (query, scores) in scores.iter().enumerate() {
        for (score, &owner) in scores.iter().zip(owners) {
            totals[owner as usize][query] += score;
        }
    }
    totals.iter_mut().flatten().for_each(|total| *total *= factor);
    totals
}

/// Folder of the trees of attribution `ordinal`, in the order of their entries.
pub(crate) fn attribution_folder(folder: &Path, ordinal: u64) -> PathBuf {
    folder.join(format!("attributions/{ordinal}"))
}

/// Folder of the trees of settlement `ordinal`, in the order of their entries.
pub(crate) fn settlement_folder(folder: &Path, ordinal: u64) -> PathBuf {
    folder.join(format!("settlements/{ordinal}"))
}

/// Name of the log of a run.
pub(crate) fn origin_of(run: &str) -> String {
    format!("attribench/{run}")
}

/// `H(seed || nonce)`, the seed as its decimal digits.
pub fn seed_commitment(seed: u64, nonce: &Digest) -> Digest {
    Digest::of(&[seed.to_string().as_bytes(), &nonce.0].concat())
}

/// Text of a batch, as the order is committed to.
pub(crate) fn batch_bytes(batch: &[Count]) -> Vec<u8> {
    to_bytes(&batch)
}

fn counts(numbers: &[u32]) -> Vec<Count> {
    numbers.iter().map(|&number| Count(u64::from(number))).collect()
}

/// Lowest number of an example of each content.
pub(crate) fn clusters(examples: impl Iterator<Item = (Digest, Count)>) -> BTreeMap<Digest, Count> {
    let mut clusters = BTreeMap::new();
    for (content, example) in examples {
        let lowest = clusters.entry(content).or_insert(example);
        *lowest = example.min(*lowest);
    }
    clusters
}

/// Leaves of the manifest. Exact copies share a cluster: the lowest number among them.
fn manifest(facts: &RunFacts, items: &[ItemFacts], contributors: &[String]) -> Vec<Vec<u8>> {
    let number = |item: &ItemFacts| Count(u64::from(item.example));
    let clusters = clusters(items.iter().map(|item| (item.content, number(item))));
    let leaf = |item: &ItemFacts| {
        to_bytes(&Item {
            cluster: clusters[&item.content],
            content: item.content,
            contributor: contributors[item.owner as usize].clone(),
            example: number(item),
            kind: Kind::default(),
            licence: item.licence.clone(),
            time: Count(item.time.unwrap_or(facts.time)),
        })
    };
    items.iter().map(leaf).collect()
}

fn owner_leaves(
    items: &[ItemFacts],
    contributors: &[String],
    manifest: &[Vec<u8>],
) -> Vec<Vec<u8>> {
    let mut owned: Vec<Vec<Digest>> = vec![Vec::new(); contributors.len()];
    for (item, entry) in items.iter().zip(manifest) {
        owned[item.owner as usize].push(leaf_hash(entry));
    }
    let leaf = |(index, (contributor, owned)): (u64, (&String, &Vec<Digest>))| {
        to_bytes(&Contributor {
            contributor: contributor.clone(),
            index: Count(index),
            items: Count(owned.len() as u64),
            items_root: root_of(owned),
            kind: Kind::default(),
        })
    };
    (0u64..).zip(contributors.iter().zip(&owned)).map(leaf).collect()
}
