//! Forged histories of a recorded run, and which check finds each.
//!
//! The forger is the worst there is: the operator, who holds the signing key, writes the whole log
//! again with every sum and root redone, and signs it. What a check still finds is found by force
//! of what the operator cannot change: arithmetic, the training itself, and heads that others keep.

use std::path::Path;

use anyhow::{Context, Result, bail};
use attribench_core::{Estimate, ForgeryFinding, Row};
use attribench_engine::{plan::Plan, spec::Forgery};
use attribench_provenance::{
    Digest, Log, LogReader, SigningKey, StateDigest, TreeReader, VerifyingKey,
    recorder::{
        AttributionFacts, ItemFacts, Recorder, RunFacts, SettlementFacts, StepFacts,
        contributor_totals,
    },
    records::{
        Attribution, Bits, Column, Commitment, Contribution, Contributor, Count, End, Item, Kept,
        Kind, Leaf, Payout, QueryScores, Record, Settlement, Step, from_bytes,
    },
    state::{self, StateBytes},
    verify::{Comparison, compare, verify},
};

use crate::treasury::units;

use super::{
    audit::{self, Draws},
    record::{Origins, postings, settled_again},
};

/// Steps that one audit draws.
const DRAWN: usize = 20;
/// Audits whose draws differ, for the chance that one of them finds a forgery.
const AUDITS: usize = 50;

/// Forges the log in `folder` in each way, checks the forgeries, and says what was found.
///
/// # Errors
/// When the log cannot be read, or a forged one cannot be written.
pub fn findings(
    folder: &Path,
    scratch: &Path,
    (plan, origins): (&Plan, &Origins),
    key: &SigningKey,
    forgeries: &[Forgery],
) -> Result<Vec<ForgeryFinding>> {
    let told = Told::read(folder)?;
    let entries_read = verify(folder, &[key.public()])?.entries_read;
    forgeries
        .iter()
        .map(|forgery| {
            let place = scratch.join(forgery.name());
            told.clone().forged(*forgery)?.record(&place, key, *forgery)?;
            let found = check(*forgery, folder, &place, (plan, origins), &[key.public()])?;
            Ok(ForgeryFinding { entries_read, ..found })
        })
        .collect()
}

/// Rows for conditions and tables: a finding is 1, a miss 0, and an audit a share of 50.
pub fn rows(plan: &Plan, findings: &[ForgeryFinding]) -> Vec<Row> {
    let row = |finding: &ForgeryFinding, metric: &str, unit: &str, value: f64| Row {
        experiment: plan.spec.name.value.clone(),
        dataset: plan.train.name().to_owned(),
        model: plan.spec.model.value.name.clone(),
        method: finding.forgery.clone(),
        access: None,
        truth: "log".to_owned(),
        metric: metric.to_owned(),
        grain: "run".to_owned(),
        unit: unit.to_owned(),
        value: Estimate::exact(value),
        settings_tried: 1,
    };
    let found = |words: &Option<String>| f64::from(u8::from(words.is_some()));
    let of = |finding: &ForgeryFinding| {
        [
            row(finding, "found-by-verify", "share", found(&finding.verify)),
            row(finding, "found-by-audit", "share", finding.audit_share),
            row(finding, "found-by-diff", "share", found(&finding.diff)),
        ]
    };
    findings.iter().flat_map(of).collect()
}

fn check(
    forgery: Forgery,
    kept: &Path,
    forged: &Path,
    (plan, origins): (&Plan, &Origins),
    trusted: &[VerifyingKey],
) -> Result<ForgeryFinding> {
    let verified = verify(forged, trusted);
    let (mut found, mut replayed, mut words) = (0, 0, None);
    for lot in 0..AUDITS {
        let lot = Digest::of(format!("lot {lot}").as_bytes());
        let draws = Draws { steps: DRAWN, scores: usize::MAX, lot };
        let audit = audit::audit(forged, plan, origins, draws)?;
        replayed += audit.replayed;
        if let Some((index, reason)) = audit.wrong {
            found += 1;
            words = words.or(Some(format!("entry {index}: {reason}")));
        }
    }
    let old = LogReader::open(kept)?;
    let new = LogReader::open(forged)?;
    let diff = match compare(old.checkpoint().head(), Some(old.tree()), &new)? {
        Comparison::Extends { .. } => None,
        Comparison::Truncated { old_size, new_size } => {
            Some(format!("{} signed entries are gone", old_size - new_size))
        }
        Comparison::Forked { first } => {
            let place = first.map_or("somewhere".to_owned(), |first| format!("at entry {first}"));
            Some(format!("the logs part {place}"))
        }
    };
    Ok(ForgeryFinding {
        forgery: forgery.name().to_owned(),
        what: forgery.summary().to_owned(),
        entries_read: 0,
        verify: verified.err().map(|error| first_line(&error.to_string())),
        audit: words,
        audit_share: found as f64 / AUDITS as f64,
        audit_replayed: replayed as f64 / AUDITS as f64,
        diff,
    })
}

fn first_line(words: &str) -> String {
    words.lines().next().unwrap_or_default().to_owned()
}

/// Everything that a log tells, ready to be told again.
#[derive(Clone)]
struct Told {
    facts: RunFacts,
    items: Vec<ItemFacts>,
    contributors: Vec<String>,
    steps: Vec<ToldStep>,
    states: Vec<(u64, StateBytes<'static>)>,
    end: End,
    attributions: Vec<AttributionFacts>,
    settlements: Vec<SettlementFacts>,
}

#[derive(Clone)]
struct ToldStep {
    step: u64,
    rate: f64,
    batch: Vec<u32>,
    state: StateDigest,
    credits: Vec<f64>,
}

impl Told {
    fn read(folder: &Path) -> Result<Self> {
        let reader = LogReader::open(folder)?;
        let (mut begun, mut end, mut steps, mut states) = (None, None, Vec::new(), Vec::new());
        let (mut attributions, mut settlements) = (Vec::new(), Vec::new());
        for entry in reader.tree().entries() {
            match Record::parse(&entry?)? {
                Record::Commitment(record) => begun = Some(record),
                Record::Step(record) => steps.push(told_step(record)?),
                Record::Kept(Kept { step, .. }) => {
                    states.push((step.0, state::read(folder, step.0)?));
                }
                Record::End(record) => end = Some(record),
                Record::Attribution(record) => attributions.push(record),
                Record::Settlement(record) => settlements.push(record),
                _ => {}
            }
        }
        let begun: Commitment = begun.context("the log has no commitment")?;
        let end: End = end.context("the log has no end")?;
        let owners = leaves(&folder.join("contributors"), begun.contributors_size.0)?;
        let contributors: Vec<String> =
            owners.into_iter().map(|owner: Contributor| owner.contributor).collect();
        let items = told_items(folder, &begun, &contributors)?;
        let attributions = attributions.into_iter().enumerate();
        let attributions = attributions
            .map(|(place, entry)| told_attribution(folder, place, entry))
            .collect::<Result<_>>()?;
        let settlements = settlements.into_iter().enumerate();
        let settlements = settlements
            .map(|(place, entry)| told_settlement(folder, place, entry, contributors.len()))
            .collect::<Result<_>>()?;
        let facts = run_facts(begun, end.seed.0);
        Ok(Self { facts, items, contributors, steps, states, end, attributions, settlements })
    }

    /// The history that the forger would like to have happened.
    fn forged(mut self, forgery: Forgery) -> Result<Self> {
        let middle = self.steps.len() / 2;
        match forgery {
            Forgery::ForgedCredits => self.steps[middle].credits[0] += 1.0,
            Forgery::DroppedExample => {
                let dropped = self.items.remove(0).example;
                for step in &mut self.steps {
                    let Some(place) = step.batch.iter().position(|id| *id == dropped) else {
                        continue;
                    };
                    step.batch.remove(place);
                    step.credits.remove(place);
                }
                // Scores stand in the order of the manifest, whose first example it was.
                for scores in self.attributions.iter_mut().flat_map(|told| &mut told.scores) {
                    scores.remove(0);
                }
            }
            Forgery::ReorderedBatch => {
                let step = &mut self.steps[middle];
                step.batch.swap(0, 1);
                step.credits.swap(0, 1);
            }
            Forgery::SwappedCheckpoint => {
                let place = self.states.len() / 2;
                let other = self.states[place - 1].1.clone();
                let (digest, _) = other.digests();
                let (step, state) = &mut self.states[place];
                *state = other;
                let before = *step as usize - 1;
                self.steps[before].state = digest;
            }
            Forgery::ForgedScores => self.favour_the_first_contributor()?,
            Forgery::TruncatedLog => self.settlements.clear(),
            Forgery::ForkedLog => {
                let Some(paid) = self.settlements.last_mut() else {
                    bail!("the run paid nobody: a forked log needs `money`");
                };
                // The same pot, and all of it goes to the operator's own treasury.
                let pot = paid.entry.pot;
                paid.payouts.fill(0);
                paid.journal = vec![issue_to_treasury(pot.0)];
                paid.entry.treasury = pot;
                (paid.entry.paid, paid.entry.burn, paid.entry.carry) = Default::default();
            }
            // This one is written after everything else.
            Forgery::BackDatedContribution => {}
        }
        Ok(self)
    }

    /// Doubles all that speaks for the first contributor, and pays by it, as the rule says.
    fn favour_the_first_contributor(&mut self) -> Result<()> {
        let Some(paid) = self.settlements.last_mut() else {
            bail!("the run paid nobody: forged scores need `money`");
        };
        let by = self.attributions.iter_mut().find(|told| told.entry.label == paid.entry.label);
        let by = by.context("it pays by no attribution")?;
        let owners: Vec<u32> = self.items.iter().map(|item| item.owner).collect();
        for scores in &mut by.scores {
            for (score, _) in scores.iter_mut().zip(&owners).filter(|(_, owner)| **owner == 0) {
                *score = 2.0 * score.abs();
            }
        }
        let (contributors, factor) = (self.contributors.len(), by.entry.factor.0);
        let totals = contributor_totals(&owners, contributors, &by.scores, factor);
        let Settlement { rule, pot, seed, .. } = &paid.entry;
        let books = settled_again(rule, &totals, pot.0, seed.0)?;
        paid.payouts =
            books.payouts().iter().map(|amount| units(*amount)).collect::<Result<_>>()?;
        paid.journal = postings(&books);
        paid.entry.paid = Count(paid.payouts.iter().sum());
        paid.entry.burn = Count(units(books.burn()?)?);
        paid.entry.carry = Count(units(books.carry()?)?);
        paid.entry.treasury = Count(units(books.treasury()?)?);
        Ok(())
    }

    /// Writes the history as a log, signed like any other.
    fn record(self, folder: &Path, key: &SigningKey, forgery: Forgery) -> Result<()> {
        let batches = self.steps.iter().map(|step| step.batch.clone());
        let run = self.facts.run.clone();
        let begun = self.facts.time;
        let mut log = Recorder::begin(
            folder,
            Some(key.clone()),
            self.facts,
            &self.items,
            &self.contributors,
            batches,
        )?;
        let mut states = self.states.into_iter().peekable();
        for told in &self.steps {
            while let Some((step, state)) = states.next_if(|(step, _)| *step <= told.step) {
                log.keep(step, &state)?;
            }
            let ToldStep { step, rate, state, .. } = *told;
            let (batch, credits) = (&told.batch, &told.credits);
            log.step(StepFacts { step, rate, batch, state, credits })?;
        }
        for (step, state) in states {
            log.keep(step, &state)?;
        }
        log.end(self.end.time.0)?;
        // Each settlement stands behind the attribution that it pays by.
        for attribution in self.attributions {
            let label = attribution.entry.label.clone();
            log.attribution(attribution)?;
            for settlement in self.settlements.iter().filter(|paid| paid.entry.label == label) {
                log.settlement(settlement.clone())?;
            }
        }
        log.sign()?;
        if forgery == Forgery::BackDatedContribution {
            let contribution = Contribution {
                content: Digest::of(b"an idea of somebody else"),
                contributor: run,
                kind: Kind::default(),
                licence: "none".to_owned(),
                time: Count(begun - 86_400),
            };
            // Not by `amend`, which refuses it.
            let mut log = Log::resume(folder, Some(key.clone()))?;
            log.append(&Record::from(contribution).to_bytes())?;
            log.sign()?;
        }
        Ok(())
    }
}

/// A posting that gives everything to the treasury, in the journal's own bytes.
fn issue_to_treasury(amount: u64) -> Vec<u8> {
    let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0, 2];
    for (family, amount) in [(0u8, -(amount as i64)), (1, amount as i64)] {
        bytes.push(family);
        bytes.extend(0u32.to_be_bytes());
        bytes.extend(amount.to_be_bytes());
    }
    bytes
}

fn run_facts(begun: Commitment, seed: u64) -> RunFacts {
    RunFacts {
        run: begun.run,
        binary: begun.binary,
        code: begun.code,
        configuration: begun.configuration,
        environment: begun.environment,
        lockfile: begun.lockfile,
        model: begun.model,
        parameters: begun.parameters.0,
        precision: begun.precision,
        seed,
        time: begun.time.0,
    }
}

fn values<T>(column: Column<T>) -> Result<Vec<T>> {
    match column {
        Column::Values(values) => Ok(values),
        Column::Digest(_) => bail!("a column stands outside of the log: use a smaller run"),
    }
}

fn numbers(column: Column<Bits>) -> Result<Vec<f64>> {
    Ok(values(column)?.into_iter().map(|bits| bits.0).collect())
}

fn told_step(record: Step) -> Result<ToldStep> {
    let ids = values(record.batch)?.into_iter().map(|id| u32::try_from(id.0));
    Ok(ToldStep {
        step: record.step.0,
        rate: record.rate.0,
        batch: ids.collect::<Result<_, _>>()?,
        state: record.state,
        credits: numbers(record.credits)?,
    })
}

fn leaves<R: Leaf>(folder: &Path, size: u64) -> Result<Vec<R>> {
    let tree = TreeReader::open(folder, size);
    tree.entries().map(|entry| Ok(from_bytes(&entry?)?)).collect()
}

fn told_items(
    folder: &Path,
    begun: &Commitment,
    contributors: &[String],
) -> Result<Vec<ItemFacts>> {
    let items: Vec<Item> = leaves(&folder.join("manifest"), begun.manifest_size.0)?;
    items
        .into_iter()
        .map(|item| {
            let owner = contributors.iter().position(|name| *name == item.contributor);
            Ok(ItemFacts {
                example: u32::try_from(item.example.0)?,
                content: item.content,
                owner: u32::try_from(owner.context("an example of nobody")?)?,
                licence: item.licence,
                time: Some(item.time.0),
            })
        })
        .collect()
}

fn told_attribution(folder: &Path, place: usize, entry: Attribution) -> Result<AttributionFacts> {
    let folder = folder.join(format!("attributions/{place}"));
    let scores: Vec<QueryScores> = leaves(&folder.join("scores"), entry.scores_size.0)?;
    Ok(AttributionFacts {
        queries: scores.iter().map(|leaf| leaf.query.0 as u32).collect(),
        scores: scores.into_iter().map(|leaf| numbers(leaf.scores)).collect::<Result<_>>()?,
        entry,
    })
}

fn told_settlement(
    folder: &Path,
    place: usize,
    entry: Settlement,
    contributors: usize,
) -> Result<SettlementFacts> {
    let folder = folder.join(format!("settlements/{place}"));
    let payouts: Vec<Payout> = leaves(&folder.join("payouts"), contributors as u64)?;
    let journal = TreeReader::open(&folder.join("journal"), entry.journal_size.0);
    Ok(SettlementFacts {
        payouts: payouts.iter().map(|payout| payout.amount.0).collect(),
        journal: journal.entries().collect::<Result<_, _>>()?,
        entry,
    })
}
