//! Taking steps of a recorded run again, settling again what was settled, and comparing both with
//! their entries.
//!
//! Scores are not computed again: what an audit shows of them is what they lead to.

use std::path::Path;

use anyhow::{Context, Result};
use attribench_core::{Examples, FitReal, Queries};
use attribench_engine::{
    files::parameters::{self, Names},
    plan::Plan,
    recording::{NumberBytes, RecordedStep, record_segment, state_of_bytes},
    spec::Precision,
    training::Trainer,
};
use attribench_provenance::{
    Digest, LogReader, TreeReader, leaf_hash,
    records::{
        Bits, Column, Commitment, Count, Item, Kept, Payout, Record, Settlement, Step, Total,
        from_bytes, to_bytes,
    },
    state,
};

use super::record::{Origins, items, postings, settled_again};

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Steps that were drawn.
    pub drawn: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps taken again: those drawn, and those between them and the state before.
    pub replayed: usize,
    /// Settlements made again by their rule, from the scores that stand in the log.
    pub settled: usize,
    /// Settlements by scores that stand outside of the log.
    pub unsettled: usize,
    /// The first entry that is wrong, with the reason.
    pub wrong: Option<(u64, String)>,
}

/// What a log says of a training, with the position of every entry.
struct Recorded {
    commitment: Commitment,
    steps: Vec<(u64, Step)>,
    kept: Vec<(u64, Kept)>,
    /// Positions of the attributions.
    attributions: Vec<u64>,
    settlements: Vec<(u64, Settlement)>,
}

/// Takes `count` steps again, drawn by `lot`, from the states kept before them, and makes every
/// settlement again.
///
/// # Errors
/// When the log cannot be read. That it is wrong is no error: see [`Audit::wrong`].
pub fn audit(folder: &Path, plan: &Plan, count: usize, lot: Digest) -> Result<Audit> {
    let recorded = read(folder)?;
    let drawn = draw(recorded.steps.len(), count, lot);
    let (drawn_steps, steps) = (drawn.len(), recorded.steps.len());
    let mut audit =
        Audit { drawn: drawn_steps, steps, replayed: 0, settled: 0, unsettled: 0, wrong: None };
    audit.wrong = wrong_manifest(folder, plan, &recorded.commitment)?;
    if audit.wrong.is_none() {
        audit.wrong = match plan.spec.precision {
            Precision::F32 => replay::<f32>(folder, plan, &recorded, &drawn, &mut audit)?,
            Precision::F64 => replay::<f64>(folder, plan, &recorded, &drawn, &mut audit)?,
        };
    }
    if audit.wrong.is_none() {
        audit.wrong = wrong_settlement(folder, plan, &recorded, &mut audit)?;
    }
    Ok(audit)
}

/// Whether a file of parameters holds the state of digest `state`.
///
/// # Errors
/// When it cannot be read as parameters of the plan's model.
pub fn holds_state(weights: &Path, plan: &Plan, state: Digest) -> Result<bool> {
    match plan.spec.precision {
        Precision::F32 => holds_state_in::<f32>(weights, plan, state),
        Precision::F64 => holds_state_in::<f64>(weights, plan, state),
    }
}

fn holds_state_in<T: FitReal>(weights: &Path, plan: &Plan, state: Digest) -> Result<bool> {
    let layout = T::model(plan.model.as_ref()).layout();
    let (theta, _) = parameters::load::<T>(weights, layout, Names::OWN)?;
    Ok(Digest::of(&T::to_le_bytes(&theta)) == state)
}

/// The first `count` steps in the order of a hash that nobody could know when the log was written.
fn draw(steps: usize, count: usize, lot: Digest) -> Vec<usize> {
    let rank = |step: &usize| Digest::of(&[&lot.0[..], &step.to_be_bytes()].concat());
    let mut order: Vec<usize> = (0..steps).collect();
    order.sort_by_cached_key(rank);
    order.truncate(count);
    order.sort_unstable();
    order
}

fn read(folder: &Path) -> Result<Recorded> {
    let reader = LogReader::open(folder)?;
    let (mut commitment, mut steps, mut kept) = (None, Vec::new(), Vec::new());
    let (mut attributions, mut settlements) = (Vec::new(), Vec::new());
    for (index, entry) in (0u64..).zip(reader.tree().entries()) {
        match Record::parse(&entry?).with_context(|| format!("entry {index}"))? {
            Record::Commitment(record) => commitment = Some(record),
            Record::Step(record) => steps.push((index, record)),
            Record::Kept(record) => kept.push((index, record)),
            Record::Attribution(_) => attributions.push(index),
            Record::Settlement(record) => settlements.push((index, record)),
            _ => {}
        }
    }
    let commitment = commitment.context("the log has no commitment")?;
    Ok(Recorded { commitment, steps, kept, attributions, settlements })
}

/// Whether the data of the specification are those of the manifest.
fn wrong_manifest(
    folder: &Path,
    plan: &Plan,
    commitment: &Commitment,
) -> Result<Option<(u64, String)>> {
    let (size, examples) = (commitment.manifest_size.0, plan.train.len());
    if size != examples as u64 {
        let words = format!("its manifest has {size} examples, the specification gives {examples}");
        return Ok(Some((0, words)));
    }
    let manifest = TreeReader::open(&folder.join("manifest"), size);
    for (entry, facts) in manifest.entries().zip(items(plan, &Origins::default())) {
        let item: Item = from_bytes(&entry?).context("the manifest")?;
        let owner = &plan.train.contributors()[facts.owner as usize];
        let found = (item.example.0, item.content, &item.contributor);
        if found != (u64::from(facts.example), facts.content, owner) {
            let words =
                format!("its manifest has another example {} than the data", item.example.0);
            return Ok(Some((0, words)));
        }
    }
    Ok(None)
}

fn replay<T: FitReal>(
    folder: &Path,
    plan: &Plan,
    recorded: &Recorded,
    drawn: &[usize],
    audit: &mut Audit,
) -> Result<Option<(u64, String)>> {
    let train = Examples::<T>::from_dataset(&plan.train);
    let queries = Queries { examples: plan.all_queries::<T>(), utility: plan.spec.utility };
    let model = T::model(plan.model.as_ref());
    let trainer = Trainer::new(model, &train, &plan.spec.training.value, plan.spec.seed);
    let batches = trainer.order().batches();
    if recorded.steps.len() > batches.len() {
        let (index, _) = recorded.steps[batches.len()];
        return Ok(Some((index, format!("the run has {} steps", batches.len()))));
    }
    if let Some(words) = wrong_order(&train, batches, &recorded.commitment) {
        return Ok(Some((0, words)));
    }
    let from_the_start = recorded.kept.iter().any(|(_, kept)| kept.step.0 == 0);
    if let Some((index, _)) = recorded.steps.first().filter(|_| !from_the_start) {
        return Ok(Some((*index, "no state was kept before the first step".to_owned())));
    }
    for (index, kept) in &recorded.kept {
        let from = kept.step.0 as usize;
        let next = recorded.kept.iter().map(|(_, kept)| kept.step.0 as usize);
        let end = next.filter(|step| *step > from).min().unwrap_or(recorded.steps.len());
        let last = drawn.iter().copied().filter(|step| (from..end).contains(step)).max();
        let Some(last) = last else { continue };
        let stored = state::read(folder, kept.step.0)?;
        let numbers = |bytes: &[u8]| NumberBytes { width: stored.width, bytes: bytes.to_vec() };
        let (parameters, optimizer) = (numbers(&stored.parameters), numbers(&stored.optimizer));
        let start = state_of_bytes(&trainer, from, &parameters, &optimizer);
        let right = stored.digests() == (kept.state, kept.optimizer)
            && start.as_ref().is_some_and(|start| from > 0 || *start == trainer.start());
        let Some(start) = start.filter(|_| right) else {
            return Ok(Some((*index, format!("the state kept at step {from} is another one"))));
        };
        let mut wrong = None;
        let mut compare = |step: RecordedStep| {
            audit.replayed += 1;
            let (index, entry) = &recorded.steps[step.index];
            let Some(words) = difference(entry, &step) else { return Ok(()) };
            let words = format!("step {}: {words}", step.index);
            wrong = Some((*index, words.clone()));
            Err(words)
        };
        let ended = record_segment(&trainer, &queries, &start, last + 1, &mut compare);
        if wrong.is_some() {
            return Ok(wrong);
        }
        ended?;
    }
    Ok(None)
}

/// The first settlement that its rule does not make of the scores that it pays by.
fn wrong_settlement(
    folder: &Path,
    plan: &Plan,
    recorded: &Recorded,
    audit: &mut Audit,
) -> Result<Option<(u64, String)>> {
    for (place, (index, paid)) in recorded.settlements.iter().enumerate() {
        let by = recorded.attributions.iter().position(|at| *at == paid.attribution.0);
        let Some(by) = by else {
            return Ok(Some((*index, "it pays by no attribution".to_owned())));
        };
        let money = plan.spec.money.as_ref().map(|money| &money.value);
        let asked = money.map(|money| (money.rule.as_str(), money.tokens, plan.spec.seed));
        if asked != Some((paid.rule.as_str(), paid.pot.0, paid.seed.0)) {
            let words = "its rule, pot or seed is not the specification's";
            return Ok(Some((*index, words.to_owned())));
        }
        let contributors = recorded.commitment.contributors_size.0;
        let Some(totals) = totals(&folder.join(format!("attributions/{by}/totals")), contributors)?
        else {
            audit.unsettled += 1;
            continue;
        };
        let folder = folder.join(format!("settlements/{place}"));
        if let Some(words) = unlike_the_rule(&folder, paid, &totals)? {
            return Ok(Some((*index, words)));
        }
        audit.settled += 1;
    }
    Ok(None)
}

/// What each contributor is paid by, where that stands in the log.
fn totals(folder: &Path, contributors: u64) -> Result<Option<Vec<Vec<f64>>>> {
    let mut found = Vec::new();
    for entry in TreeReader::open(folder, contributors).entries() {
        let total: Total = from_bytes(&entry?)?;
        let Column::Values(scores) = total.scores else { return Ok(None) };
        found.push(scores.iter().map(|score| score.0).collect());
    }
    Ok(Some(found))
}

fn unlike_the_rule(
    folder: &Path,
    paid: &Settlement,
    totals: &[Vec<f64>],
) -> Result<Option<String>> {
    let books = match settled_again(&paid.rule, totals, paid.pot.0, paid.seed.0) {
        Ok(books) => books,
        Err(reason) => return Ok(Some(format!("its rule refuses: {reason}"))),
    };
    let payouts = TreeReader::open(&folder.join("payouts"), totals.len() as u64);
    for (entry, amount) in payouts.entries().zip(books.payouts()) {
        let payout: Payout = from_bytes(&entry?)?;
        let (name, recorded, due) = (payout.contributor, u128::from(payout.amount.0), amount.get());
        if recorded != due {
            let words = format!("`{name}` is paid {recorded}, and its rule gives {due}");
            return Ok(Some(words));
        }
    }
    let journal = TreeReader::open(&folder.join("journal"), paid.journal_size.0);
    let recorded = journal.entries().collect::<Result<Vec<_>, _>>()?;
    let words = "its books are not those that its rule makes";
    Ok((recorded != postings(&books)).then(|| words.to_owned()))
}

fn wrong_order<T: attribench_core::Real>(
    train: &Examples<T>,
    batches: &[Vec<usize>],
    commitment: &Commitment,
) -> Option<String> {
    let ids = |rows: &Vec<usize>| -> Vec<Count> {
        rows.iter().map(|&row| Count(u64::from(train.ids()[row].0))).collect()
    };
    let leaves: Vec<Digest> = batches.iter().map(|rows| leaf_hash(&to_bytes(&ids(rows)))).collect();
    let root = attribench_provenance::hash::root_of(&leaves);
    let words = "commits to another order than the seed gives";
    (root != commitment.order_root).then(|| words.to_owned())
}

/// What an entry says otherwise than the step that was taken again.
fn difference(entry: &Step, step: &RecordedStep) -> Option<String> {
    let batch = Column::of(step.batch.iter().map(|&id| Count(u64::from(id))).collect());
    if entry.batch != batch {
        return Some("another batch was recorded".to_owned());
    }
    if entry.rate.0.to_bits() != step.learning_rate.to_bits() {
        return Some(format!("recorded rate {}, taken {}", entry.rate.0, step.learning_rate));
    }
    let state = Digest::of(&step.parameters.bytes);
    if entry.state != state {
        let short = |digest: Digest| digest.to_string()[..12].to_owned();
        let (recorded, reached) = (short(entry.state), short(state));
        return Some(format!("recorded state {recorded}..., reached {reached}..."));
    }
    let credits = Column::of(step.credits.iter().copied().map(Bits).collect());
    if to_bytes(&entry.credits) == to_bytes(&credits) {
        return None;
    }
    Some(match (&entry.credits, &credits) {
        (Column::Values(recorded), Column::Values(found)) => {
            let differs = |(recorded, found): (&Bits, &Bits)| recorded.0 != found.0;
            let place = recorded.iter().zip(found).position(differs).unwrap_or(0);
            let value = |list: &[Bits]| list.get(place).map_or(f64::NAN, |bits| bits.0);
            let example = step.batch[place];
            let (recorded, found) = (value(recorded), value(found));
            format!("credit of example {example}: recorded {recorded:e}, found {found:e}")
        }
        _ => "other credits were recorded".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use attribench_provenance::Digest;

    use super::draw;

    #[test]
    fn draws_are_distinct_sorted_and_hang_on_the_lot() {
        let (one, two) = (draw(100, 20, Digest::of(b"1")), draw(100, 20, Digest::of(b"2")));
        assert_eq!(one.len(), 20);
        assert!(one.windows(2).all(|pair| pair[0] < pair[1]));
        assert_ne!(one, two);
        assert_eq!(draw(5, 20, Digest::of(b"1")), [0, 1, 2, 3, 4]);
    }
}
