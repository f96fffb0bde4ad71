//! The engine's recorder, writing a log; and what is recorded once the training is over.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use attribench_core::{Model, Row, Scale};
use attribench_datasets::{Dataset, REGISTRY, Targets};
use attribench_engine::{
    pipeline::Outcome,
    plan::Plan,
    recording::{NumberBytes, RecordedStep, Recorder},
    scoring::Attributed,
    spec::Precision,
};
use attribench_provenance::{
    Digest, LogError, SigningKey, StateDigest, croissant,
    recorder::{
        AttributionFacts, ItemFacts, Recorder as LogRecorder, RunFacts, SettlementFacts, StepFacts,
    },
    records::{Attribution, Bits, Count, Kind, Measured, Settlement},
    state::StateBytes,
};
use ledger_sim::stream::StreamOutcome;
use ndarray::Array2;

use crate::{
    commands::Document,
    facts,
    treasury::{settled, units},
};

/// Contributors of whom one settlement may speak: a posting of the books is one entry of a tree.
pub const MOST_CONTRIBUTORS: usize = 5_000;

/// Measures whose rows stand in a receipt as the error of the method that pays.
const ERRORS: [&str; 6] = [
    "calibration-slope",
    "contributor-spearman",
    "largest-underpayment",
    "lds",
    "mispaid-share",
    "payout-rank-correlation",
];

/// What is known of the data besides their content.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Licence and time of contribution by contributor; the data set's where one is missing.
    pub by_contributor: BTreeMap<String, (String, Option<u64>)>,
}

impl Origins {
    /// From a Croissant description, whose contributors must be those of the run; nothing is known
    /// where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or names somebody who gave nothing.
    pub fn of(file: Option<&Path>, plan: &Plan) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let card = croissant::import(&text).with_context(|| file.display().to_string())?;
        let known = plan.train.contributors();
        let mut by_contributor = BTreeMap::new();
        for share in card.shares {
            if !known.contains(&share.contributor) {
                bail!(
                    "{}: no contributor `{}` (known: {})",
                    file.display(),
                    share.contributor,
                    known.join(", ")
                );
            }
            if let Some(time) = share.time.filter(|time| *time > now()) {
                bail!("{}: {time} lies in the future: use seconds since 1970", file.display());
            }
            by_contributor.insert(share.contributor, (share.licence, share.time));
        }
        Ok(Self { by_contributor })
    }
}

/// Writes the log of a run while it trains.
pub struct RunRecorder<'a> {
    folder: &'a Path,
    plan: &'a Plan,
    facts: RunFacts,
    origins: Origins,
    key: Option<SigningKey>,
    log: Option<LogRecorder>,
}

impl<'a> RunRecorder<'a> {
    /// A recorder for a run that has not begun.
    ///
    /// # Errors
    /// When the folder holds a log, the run cannot be recorded, or the program cannot read itself.
    pub fn new(
        folder: &'a Path,
        document: &Document,
        plan: &'a Plan,
        key: Option<SigningKey>,
        origins: Origins,
    ) -> Result<Self> {
        if folder.exists() {
            return Err(LogError::Exists { path: folder.to_owned() }.into());
        }
        let contributors = plan.train.contributors().len();
        if plan.spec.money.is_some() && contributors > MOST_CONTRIBUTORS {
            bail!(
                "{contributors} contributors are paid, and a log can show {MOST_CONTRIBUTORS}\n\
                 hint: leave out `--log` or `money`"
            );
        }
        let facts = run_facts(document, plan)?;
        Ok(Self { folder, plan, facts, origins, key, log: None })
    }

    fn log(&mut self) -> Result<&mut LogRecorder, String> {
        self.log.as_mut().ok_or_else(|| "nothing has begun".to_owned())
    }

    /// Records scores and settlements, and signs everything.
    ///
    /// # Errors
    /// When the books or the disk refuse.
    pub fn finish(mut self, outcome: &Outcome<'_>) -> Result<()> {
        let plan = self.plan;
        let log = self.log.as_mut().context("the run was not recorded")?;
        for attributed in &outcome.methods {
            let rows = &outcome.record.rows;
            let time = now();
            let totals = log.attribution(attribution(plan, attributed, rows, time))?;
            let label = &attributed.planned.label;
            let paid: Vec<u64> = outcome
                .record
                .payouts
                .iter()
                .filter(|payout| payout.method == *label)
                .map(|payout| payout.estimated)
                .collect();
            if !paid.is_empty() {
                log.settlement(settlement(plan, label, &totals, &paid, time)?)?;
            }
        }
        log.sign()?;
        Ok(())
    }
}

impl Recorder for RunRecorder<'_> {
    fn begin(&mut self, batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String> {
        let items = items(self.plan, &self.origins);
        let contributors = self.plan.train.contributors();
        let (key, facts) = (self.key.take(), self.facts.clone());
        let log = LogRecorder::begin(self.folder, key, facts, &items, contributors, batches);
        self.log = Some(log.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String> {
        let facts = StepFacts {
            step: step.index as u64,
            rate: step.learning_rate,
            batch: &step.batch,
            state: StateDigest::of(&step.parameters.bytes),
            credits: &step.credits,
        };
        self.log()?.step(facts).map_err(|error| error.to_string())
    }

    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes<'_>,
        optimizer: NumberBytes<'_>,
    ) -> Result<(), String> {
        let state = StateBytes {
            width: parameters.width,
            parameters: parameters.bytes,
            optimizer: optimizer.bytes,
        };
        self.log()?.keep(steps as u64, &state).map_err(|error| error.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        self.log()?.end(now()).map_err(|error| error.to_string())
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Digest of the text of a specification.
pub fn configuration(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Digest of the sources that numbers come from.
pub fn code() -> Digest {
    env!("ATTRIBENCH_CODE").parse().expect("the build writes a digest")
}

fn run_facts(document: &Document, plan: &Plan) -> Result<RunFacts> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let binary = File::open(&program).and_then(Digest::of_reader);
    let facts = facts::machine().into_iter().map(|fact| (fact.name, fact.value));
    let mut environment: BTreeMap<String, String> = facts.collect();
    environment.insert("compiler".to_owned(), env!("ATTRIBENCH_COMPILER").to_owned());
    environment.insert("operating system".to_owned(), std::env::consts::OS.to_owned());
    let precision = match plan.spec.precision {
        Precision::F32 => "f32",
        Precision::F64 => "f64",
    };
    let model: &dyn Model<f64> = plan.model.as_ref();
    Ok(RunFacts {
        run: plan.spec.name.value.clone(),
        binary: binary.with_context(|| format!("cannot read {}", program.display()))?,
        code: code(),
        configuration: configuration(&document.text),
        environment,
        lockfile: env!("ATTRIBENCH_LOCKFILE").parse().expect("the build writes a digest"),
        model: plan.spec.model.value.name.clone(),
        parameters: model.layout().parameters() as u64,
        precision: precision.to_owned(),
        seed: plan.spec.seed,
        time: now(),
    })
}

/// The examples of a plan as the manifest lists them.
pub fn items(plan: &Plan, origins: &Origins) -> Vec<ItemFacts> {
    let train = &plan.train;
    let licence = licence(plan);
    let rows = train.ids().iter().zip(train.owners()).enumerate();
    rows.map(|(row, (id, &owner))| {
        let known = origins.by_contributor.get(&train.contributors()[owner as usize]);
        ItemFacts {
            example: id.0,
            content: content(train, row),
            owner,
            licence: known.map_or_else(|| licence.clone(), |(licence, _)| licence.clone()),
            time: known.and_then(|(_, time)| *time),
        }
    })
    .collect()
}

/// Licence of the data set, where its publisher states one.
pub fn licence(plan: &Plan) -> String {
    let Some(name) = plan.spec.data.value.source.embedded_name() else {
        return "not stated".to_owned();
    };
    let entry = REGISTRY.iter().find(|entry| entry.name == name);
    entry.map_or("not stated", |entry| entry.licence).to_owned()
}

/// Digest of an example as it is trained on: features and target, little-endian.
fn content(dataset: &Dataset, row: usize) -> Digest {
    let mut bytes: Vec<u8> =
        dataset.features().row(row).iter().flat_map(|value| value.to_le_bytes()).collect();
    match dataset.targets() {
        Targets::Classes { labels, .. } => bytes.extend(labels[row].to_le_bytes()),
        Targets::Values(values) => bytes.extend(values[row].to_le_bytes()),
        Targets::Tokens { tokens, .. } => {
            let asked = tokens.targets();
            bytes.extend(asked.row(row).iter().flat_map(|token| token.to_le_bytes()));
        }
    }
    Digest::of(&bytes)
}

/// The factor that gives scores of arbitrary scale a unit.
fn factor(attributed: &Attributed<'_>, rows: &[Row]) -> f64 {
    let label = &attributed.planned.label;
    rows.iter()
        .find(|row| row.method == *label && row.metric == "calibration-factor")
        .filter(|_| attributed.scored.scores.scale() == Scale::Arbitrary)
        .map_or(1.0, |row| row.value.point())
}

fn attribution(
    plan: &Plan,
    attributed: &Attributed<'_>,
    rows: &[Row],
    time: u64,
) -> AttributionFacts {
    let (planned, scored) = (attributed.planned, &attributed.scored);
    let queries = plan.queries.len();
    let method = planned.method();
    let cost = [
        ("forwards", scored.cost.forwards),
        ("gradients", scored.cost.gradients),
        ("tangents", scored.cost.tangents),
        ("curvature-products", scored.cost.curvature_products),
        ("replayed-steps", scored.cost.replayed_steps),
        ("trainings", scored.cost.trainings),
    ];
    let zero = Digest::default();
    let entry = Attribution {
        access: planned.level().to_string(),
        commitment: Count(0),
        cost: cost.iter().map(|(name, count)| ((*name).to_owned(), count.to_string())).collect(),
        errors: errors(rows, &planned.label),
        factor: Bits(factor(attributed, rows)),
        kind: Kind::default(),
        label: planned.label.clone(),
        method: method.info().name.to_owned(),
        parameters: attributed.parameters.to_string(),
        queries: query_contents(plan),
        scale: scale_name(scored.scores.scale()).to_owned(),
        scores_root: zero,
        scores_size: Count(0),
        time: Count(time),
        totals_root: zero,
    };
    let values = scored.scores.values();
    AttributionFacts {
        entry,
        queries: plan.queries.ids().iter().map(|id| id.0).collect(),
        scores: (0..queries).map(|query| values.column(query).to_vec()).collect(),
    }
}

/// Digest of what is asked.
pub fn query_contents(plan: &Plan) -> Digest {
    let rows = 0..plan.queries.len();
    Digest::of(&rows.flat_map(|row| content(&plan.queries, row).0).collect::<Vec<u8>>())
}

/// Name of a scale as attributions say it.
pub fn scale_name(scale: Scale) -> &'static str {
    match scale {
        Scale::Unit => "unit",
        Scale::Derivative => "derivative",
        Scale::Arbitrary => "arbitrary",
    }
}

fn errors(rows: &[Row], label: &str) -> Vec<Measured> {
    rows.iter()
        .filter(|row| row.method == *label && ERRORS.contains(&row.metric.as_str()))
        .map(|row| Measured {
            level: Bits(row.value.level()),
            lower: Bits(row.value.lower()),
            metric: row.metric.clone(),
            point: Bits(row.value.point()),
            truth: row.truth.clone(),
            unit: row.unit.clone(),
            upper: Bits(row.value.upper()),
        })
        .collect()
}

fn settlement(
    plan: &Plan,
    label: &str,
    totals: &[Vec<f64>],
    paid: &[u64],
    time: u64,
) -> Result<SettlementFacts> {
    let money = &plan.spec.money.as_ref().context("paying needs `money`")?.value;
    let books = settled_again(&money.rule, totals, money.tokens, plan.spec.seed)?;
    let payouts: Vec<u64> =
        books.payouts().iter().map(|amount| units(*amount)).collect::<Result<_>>()?;
    ensure!(payouts == paid, "`{label}`: the books pay {payouts:?}, and {paid:?} was reported");
    let zero = Digest::default();
    let entry = Settlement {
        attribution: Count(0),
        burn: Count(units(books.burn()?)?),
        carry: Count(units(books.carry()?)?),
        epoch: Count(u64::from(books.ledger().epoch())),
        journal_root: zero,
        journal_size: Count(0),
        kind: Kind::default(),
        label: label.to_owned(),
        paid: Count(payouts.iter().sum()),
        payouts_root: zero,
        pot: Count(money.tokens),
        rule: money.rule.clone(),
        seed: Count(plan.spec.seed),
        time: Count(time),
        treasury: Count(units(books.treasury()?)?),
    };
    Ok(SettlementFacts { entry, payouts, journal: postings(&books) })
}

/// Books after `tokens` units were split by what each contributor has: a list of all queries each.
///
/// # Errors
/// What the rule or the auditor of the books says.
pub fn settled_again(
    rule: &str,
    totals: &[Vec<f64>],
    tokens: u64,
    seed: u64,
) -> Result<StreamOutcome> {
    // (contributors, queries)
    let shape = (totals.len(), totals.first().map_or(0, Vec::len));
    let totals = Array2::from_shape_vec(shape, totals.concat())?;
    settled(rule, totals.view(), tokens, seed).map_err(anyhow::Error::msg)
}

/// Postings of books, in order and in their own bytes.
pub fn postings(books: &StreamOutcome) -> Vec<Vec<u8>> {
    books.ledger().journal().postings().map(|posting| posting.bytes()).collect()
}
