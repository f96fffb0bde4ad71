//! Taking steps of a recorded run again, scoring and settling again what was scored and settled,
//! and comparing all of it with its entries.
//!
//! Two things of an attribution are not computed again: the factor that gives scores of arbitrary
//! scale a unit, and its measured errors. Both need the truth, which is trained many times over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use attribench_core::{Examples, FitReal, Queries, Scores};
use attribench_engine::{
    files::parameters::{self, Names},
    plan::{Plan, PlannedMethod},
    recording::{RecordedStep, record_segment},
    scored_again::{Asked, score_again},
    spec::Precision,
    store::Store,
    training::{State, Trainer},
};
use attribench_provenance::{
    Digest, LogReader, StateDigest, TreeReader, leaf_hash,
    records::{
        Attribution, Bits, Column, Commitment, Count, Item, Kept, Kind, Payout, QueryScores,
        Record, Settlement, Step, Total, from_bytes, to_bytes,
    },
    state,
};

use super::record::{Origins, items, postings, query_contents, scale_name, settled_again};
use crate::states::state_of;

/// Position of an entry that is wrong, and why.
pub type Wrong = (u64, String);

/// What an audit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Steps that were drawn.
    pub drawn: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps taken again: those drawn, and those between them and the state before.
    pub replayed: usize,
    /// Attributions of the run.
    pub attributions: usize,
    /// Attributions computed again: those drawn.
    pub scored: usize,
    /// Settlements made again by their rule, from the scores that stand in the log.
    pub settled: usize,
    /// Settlements by scores that stand outside of the log.
    pub unsettled: usize,
    /// The first entry that is wrong, with the reason.
    pub wrong: Option<Wrong>,
}

/// What a log says of a training, with the position of every entry.
struct Recorded {
    commitment: Commitment,
    steps: Vec<(u64, Step)>,
    kept: Vec<(u64, Kept)>,
    attributions: Vec<(u64, Attribution)>,
    settlements: Vec<(u64, Settlement)>,
}

/// How much an audit does again.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Steps.
    pub steps: usize,
    /// Attributions.
    pub scores: usize,
    /// What decides which: nobody knew it when the log was signed.
    pub lot: Digest,
}

/// Takes steps again, drawn by a lot, from the states kept before them, computes attributions again
/// that are drawn likewise, and makes every settlement again.
///
/// `origins` is what is known of licences and dates.
///
/// # Errors
/// When the log cannot be read. That it is wrong is no error: see [`Audit::wrong`].
pub fn audit(folder: &Path, plan: &Plan, origins: &Origins, draws: Draws) -> Result<Audit> {
    let recorded = read(folder)?;
    let (steps, attributions) = (recorded.steps.len(), recorded.attributions.len());
    let drawn = draw(steps, draws.steps, draws.lot);
    let scored = draw(attributions, draws.scores, draws.lot);
    let mut audit = Audit {
        drawn: drawn.len(),
        steps,
        replayed: 0,
        attributions,
        scored: 0,
        settled: 0,
        unsettled: 0,
        wrong: None,
    };
    audit.wrong = wrong_manifest(folder, plan, origins, &recorded.commitment)?;
    if audit.wrong.is_none() {
        audit.wrong = match plan.spec.precision {
            Precision::F32 => replay::<f32>(folder, plan, &recorded, &drawn, &mut audit)?,
            Precision::F64 => replay::<f64>(folder, plan, &recorded, &drawn, &mut audit)?,
        };
    }
    if audit.wrong.is_none() {
        audit.wrong = match plan.spec.precision {
            Precision::F32 => wrong_scores::<f32>(folder, plan, &recorded, &scored, &mut audit)?,
            Precision::F64 => wrong_scores::<f64>(folder, plan, &recorded, &scored, &mut audit)?,
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
pub fn holds_state(weights: &Path, plan: &Plan, state: StateDigest) -> Result<bool> {
    match plan.spec.precision {
        Precision::F32 => holds_state_in::<f32>(weights, plan, state),
        Precision::F64 => holds_state_in::<f64>(weights, plan, state),
    }
}

fn holds_state_in<T: FitReal>(weights: &Path, plan: &Plan, state: StateDigest) -> Result<bool> {
    let layout = T::model(plan.model.as_ref()).layout();
    let (theta, _) = parameters::load::<T>(weights, layout, Names::OWN)?;
    Ok(StateDigest::of(&T::le_bytes(&theta)) == state)
}

/// The first `count` of so many things in the order of a hash that nobody could know when the log
/// was written.
fn draw(things: usize, count: usize, lot: Digest) -> Vec<usize> {
    let rank = |thing: &usize| Digest::of(&[&lot.0[..], &thing.to_be_bytes()].concat());
    let mut order: Vec<usize> = (0..things).collect();
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
            Record::Attribution(record) => attributions.push((index, record)),
            Record::Settlement(record) => settlements.push((index, record)),
            _ => {}
        }
    }
    let commitment = commitment.context("the log has no commitment")?;
    Ok(Recorded { commitment, steps, kept, attributions, settlements })
}

/// Whether the data of the specification are those of the manifest, with their owners, licences and
/// dates.
fn wrong_manifest(
    folder: &Path,
    plan: &Plan,
    origins: &Origins,
    commitment: &Commitment,
) -> Result<Option<Wrong>> {
    let (size, examples) = (commitment.manifest_size.0, plan.train.len());
    if size != examples as u64 {
        let words = format!("its manifest has {size} examples, the specification gives {examples}");
        return Ok(Some((0, words)));
    }
    let manifest = TreeReader::open(&folder.join("manifest"), size);
    for (entry, facts) in manifest.entries().zip(items(plan, origins)) {
        let item: Item = from_bytes(&entry?).context("the manifest")?;
        let owner = &plan.train.contributors()[facts.owner as usize];
        let found = (item.example.0, item.content, &item.contributor);
        if found != (u64::from(facts.example), facts.content, owner) {
            let words =
                format!("its manifest has another example {} than the data", item.example.0);
            return Ok(Some((0, words)));
        }
        let expected = (&facts.licence, facts.time.unwrap_or(commitment.time.0));
        if (&item.licence, item.time.0) != expected {
            let words = format!(
                "its manifest has example {} under `{}`, of {}; the data say `{}`, {}\n\
                 hint: licences and dates that a run took from a Croissant description are \
                 compared with `--croissant FILE`",
                item.example.0, item.licence, item.time.0, expected.0, expected.1
            );
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
) -> Result<Option<Wrong>> {
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
        let start = state_of(&trainer, kept.step.0 as usize, &stored);
        let right = stored.digests() == (kept.state, kept.optimizer)
            && start.as_ref().is_some_and(|start| from > 0 || *start == trainer.start());
        let Some(start) = start.filter(|_| right) else {
            return Ok(Some((*index, format!("the state kept at step {from} is another one"))));
        };
        let mut wrong = None;
        let mut compare = |step: RecordedStep<'_>| {
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

/// The first of the drawn attributions that its method does not give, from the states that were
/// kept.
fn wrong_scores<T: FitReal>(
    folder: &Path,
    plan: &Plan,
    recorded: &Recorded,
    drawn: &[usize],
    audit: &mut Audit,
) -> Result<Option<Wrong>> {
    let mut asked = Vec::new();
    for &place in drawn {
        let (index, entry) = &recorded.attributions[place];
        let Some(found) = Asked::of(plan, &entry.label, &entry.parameters) else {
            let words = format!("`{}` is no method of the specification so set", entry.label);
            return Ok(Some((*index, words)));
        };
        if let Some(words) = unlike_the_plan(plan, entry, found.planned) {
            return Ok(Some((*index, words)));
        }
        asked.push(found);
    }
    if asked.is_empty() {
        return Ok(None);
    }
    let states = match kept_states::<T>(folder, plan, &recorded.kept)? {
        Ok(states) => states,
        Err(wrong) => return Ok(Some(wrong)),
    };
    // Scores that somebody filed are not believed.
    let scratch = Scratch::new()?;
    let again = score_again(plan, states, &asked, &Store::open(&scratch.0)?);
    for (&place, scored) in drawn.iter().zip(again) {
        let (index, entry) = &recorded.attributions[place];
        let folder = folder.join(format!("attributions/{place}/scores"));
        let words = match scored {
            Ok(scored) => unlike_the_method(&folder, plan, entry, &scored.scores)?,
            Err(error) => Some(format!("its scores cannot be computed again: {error}")),
        };
        if let Some(words) = words {
            return Ok(Some((*index, words)));
        }
        audit.scored += 1;
    }
    Ok(None)
}

/// A folder that nobody else knows, for as long as scores are computed.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("attribench-audit-{}", Digest::random()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is found by whoever tidies the folder of such folders.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// States that a run kept, to be walked from; or the entry that does not hold one of them.
fn kept_states<T: FitReal>(
    folder: &Path,
    plan: &Plan,
    kept: &[(u64, Kept)],
) -> Result<Result<Vec<State<T>>, Wrong>> {
    let train = Examples::<T>::from_dataset(&plan.train);
    let model = T::model(plan.model.as_ref());
    let trainer = Trainer::new(model, &train, &plan.spec.training.value, plan.spec.seed)
        .with_keeping(plan.spec.replay_states);
    let steps: Vec<usize> = kept.iter().map(|(_, kept)| kept.step.0 as usize).collect();
    if steps != trainer.kept_steps() {
        let index = kept.last().map_or(0, |(index, _)| *index);
        return Ok(Err((index, "other states were kept than the specification says".to_owned())));
    }
    let mut states = Vec::with_capacity(kept.len());
    for (index, kept) in kept {
        let stored = state::read(folder, kept.step.0)?;
        let right = stored.digests() == (kept.state, kept.optimizer);
        let Some(state) = state_of(&trainer, kept.step.0 as usize, &stored).filter(|_| right)
        else {
            let words = format!("the state kept at step {} is another one", kept.step.0);
            return Ok(Err((*index, words)));
        };
        states.push(state);
    }
    Ok(Ok(states))
}

/// What an entry says of a method otherwise than the specification does.
fn unlike_the_plan(plan: &Plan, entry: &Attribution, planned: &PlannedMethod) -> Option<String> {
    let info = planned.method().info();
    let (access, scale) = (planned.level().to_string(), scale_name(info.scale));
    let said = (entry.method.as_str(), entry.access.as_str(), entry.scale.as_str());
    let is = (info.name, access.as_str(), scale);
    if said != is {
        return Some(format!("says {said:?} of method, access and scale, which are {is:?}"));
    }
    let words = "its queries are not those of the specification";
    let same = entry.queries == query_contents(plan);
    (!same).then(|| words.to_owned())
}

/// What is recorded of scores otherwise than they are, to the bit.
fn unlike_the_method(
    folder: &Path,
    plan: &Plan,
    entry: &Attribution,
    scores: &Scores,
) -> Result<Option<String>> {
    let queries = plan.queries.ids();
    if entry.scores_size.0 != queries.len() as u64 {
        let (found, expected) = (entry.scores_size.0, queries.len());
        return Ok(Some(format!("has scores for {found} queries, and {expected} were asked")));
    }
    let tree = TreeReader::open(folder, entry.scores_size.0);
    for ((leaf, id), column) in tree.entries().zip(queries).zip(scores.values().columns()) {
        let recorded: QueryScores = from_bytes(&leaf?)?;
        let found: Vec<f64> = column.to_vec();
        let bits = Column::of(found.iter().copied().map(Bits).collect());
        let (query, kind) = (Count(u64::from(id.0)), Kind::default());
        let expected = QueryScores { kind, query, scores: bits };
        if to_bytes(&recorded) == to_bytes(&expected) {
            continue;
        }
        return Ok(Some(unlike_words(plan, &recorded, &expected)));
    }
    Ok(None)
}

fn unlike_words(plan: &Plan, recorded: &QueryScores, expected: &QueryScores) -> String {
    let query = expected.query.0;
    let (Column::Values(said), Column::Values(found)) = (&recorded.scores, &expected.scores) else {
        return format!("the scores for query {query} are not those that its method gives");
    };
    let differs = |(said, found): (&Bits, &Bits)| said.0.to_bits() != found.0.to_bits();
    match (recorded.query == expected.query, said.iter().zip(found).position(differs)) {
        (true, Some(place)) if said.len() == found.len() => format!(
            "score of example {} for query {query}: recorded {:e}, found {:e}",
            plan.train.ids()[place].0,
            said[place].0,
            found[place].0
        ),
        _ => format!("other scores stand where those for query {query} belong"),
    }
}

/// The first settlement that its rule does not make of the scores that it pays by.
fn wrong_settlement(
    folder: &Path,
    plan: &Plan,
    recorded: &Recorded,
    audit: &mut Audit,
) -> Result<Option<Wrong>> {
    for (place, (index, paid)) in recorded.settlements.iter().enumerate() {
        let by = recorded.attributions.iter().position(|(at, _)| *at == paid.attribution.0);
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
fn difference(entry: &Step, step: &RecordedStep<'_>) -> Option<String> {
    let batch = Column::of(step.batch.iter().map(|&id| Count(u64::from(id))).collect());
    if entry.batch != batch {
        return Some("another batch was recorded".to_owned());
    }
    if entry.rate.0.to_bits() != step.learning_rate.to_bits() {
        return Some(format!("recorded rate {}, taken {}", entry.rate.0, step.learning_rate));
    }
    let state = StateDigest::of(&step.parameters.bytes);
    if entry.state != state {
        let short = |digest: StateDigest| digest.digits()[..12].to_owned();
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
