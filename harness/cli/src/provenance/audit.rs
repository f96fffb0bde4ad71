//! Taking steps of a recorded run again, and comparing them with their entries.

use std::path::Path;

use anyhow::{Context, Result};
use attribench_core::{Examples, FitReal, Queries};
use attribench_engine::{
    plan::Plan,
    recording::{NumberBytes, RecordedStep, record_segment, state_of_bytes},
    spec::Precision,
    training::Trainer,
};
use attribench_provenance::{
    Digest, LogReader, TreeReader, leaf_hash,
    records::{Bits, Column, Commitment, Count, Item, Kept, Record, Step, from_bytes, to_bytes},
    state,
};

use super::record::{Origins, items};

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Steps that were drawn.
    pub drawn: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps taken again: those drawn, and those between them and the state before.
    pub replayed: usize,
    /// The first entry that is wrong, with the reason.
    pub wrong: Option<(u64, String)>,
}

/// What a log says of a training, with the position of every entry.
struct Recorded {
    commitment: Commitment,
    steps: Vec<(u64, Step)>,
    kept: Vec<(u64, Kept)>,
}

/// Takes `count` steps again, drawn by `lot`, from the states kept before them.
///
/// # Errors
/// When the log cannot be read. That it is wrong is no error: see [`Audit::wrong`].
pub fn audit(folder: &Path, plan: &Plan, count: usize, lot: Digest) -> Result<Audit> {
    let recorded = read(folder)?;
    let drawn = draw(recorded.steps.len(), count, lot);
    let mut audit =
        Audit { drawn: drawn.len(), steps: recorded.steps.len(), replayed: 0, wrong: None };
    audit.wrong = wrong_manifest(folder, plan, &recorded.commitment)?;
    if audit.wrong.is_none() {
        audit.wrong = match plan.spec.precision {
            Precision::F32 => replay::<f32>(folder, plan, &recorded, &drawn, &mut audit)?,
            Precision::F64 => replay::<f64>(folder, plan, &recorded, &drawn, &mut audit)?,
        };
    }
    Ok(audit)
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
    for (index, entry) in (0u64..).zip(reader.tree().entries()) {
        match Record::parse(&entry?).with_context(|| format!("entry {index}"))? {
            Record::Commitment(record) => commitment = Some(record),
            Record::Step(record) => steps.push((index, record)),
            Record::Kept(record) => kept.push((index, record)),
            _ => {}
        }
    }
    let commitment = commitment.context("the log has no commitment")?;
    Ok(Recorded { commitment, steps, kept })
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
