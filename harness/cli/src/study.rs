//! A scenario over its cases and replicas: run in parallel, kept in the store, summed up.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use attribench_engine::progress::Progress;
use attribench_engine::store::{Key, Store};
use attribench_reports::Fact;
use attribench_reports::economics::{
    AxiomsKept, Band, BoxFound, Case, Cell, Economics, Front, Held, Lorenz, MetricInfo, Sensitivity,
};
use ledger_sim::designs::{self, Summary};
use ledger_sim::document::{Fault, Node};
use ledger_sim::random::Streams;
use ledger_sim::rules::axioms::{ROUNDING, axioms};
use ledger_sim::scenario::{Condition, Design, Scenario, Sweep, check};
use ledger_sim::simulation::{Better, METRICS, Outcome, metric, simulate};
use ndarray::Array2;
use rayon::prelude::*;

use crate::scenario::Document;

/// Replicas that are run and stored together.
const CHUNK: u64 = 8;
/// Bootstrap resamples behind intervals of indices and fronts.
const RESAMPLES: usize = 1_000;

/// Cases of a scenario, all of them checked.
pub struct Plan {
    /// The scenario without its sweep.
    pub base: Scenario,
    /// The sweep, where there is one.
    pub sweep: Option<Sweep>,
    /// Places of the cases in the unit cube.
    pub places: Vec<Vec<f64>>,
    /// Values of each case.
    pub points: Vec<Vec<Node>>,
    /// Each case as a document and as a scenario.
    pub cases: Vec<(Node, Scenario)>,
}

impl Plan {
    /// Checks a document and every case of its sweep.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn of(document: &Node) -> Result<Self, Vec<Fault>> {
        let base = check(document)?;
        let sweep = Sweep::of(document);
        let Some(sweep) = sweep else {
            let cases = vec![(document.clone(), check(document)?)];
            return Ok(Self {
                base,
                sweep: None,
                places: vec![vec![]],
                points: vec![vec![]],
                cases,
            });
        };
        let streams = Streams::new(base.seed, u64::MAX);
        let places = sweep.places(&streams).map_err(|refusal| {
            vec![Fault {
                path: "sweep".to_owned(),
                message: refusal.to_string(),
                unknown: None,
                hint: "see the designs in the documentation".to_owned(),
            }]
        })?;
        let points: Vec<Vec<Node>> = places.iter().map(|place| sweep.point(place)).collect();
        let cases = check_cases(document, &sweep, &points)?;
        Ok(Self { base, sweep: Some(sweep), places, points, cases })
    }

    /// Label of a case: what is varied.
    pub fn label(&self, case: usize) -> String {
        let Some(sweep) = &self.sweep else { return String::new() };
        if let [value] = self.points[case].as_slice() {
            return short(value);
        }
        let pair = |(axis, value): (&ledger_sim::scenario::Axis, &Node)| {
            format!("{}={}", axis.name(), short(value))
        };
        let pairs = sweep.axes.iter().zip(&self.points[case]);
        if sweep.design != Design::OneAtATime {
            return pairs.map(pair).collect::<Vec<_>>().join(", ");
        }
        // One value differs from the first case: it alone tells the cases apart.
        let moved = pairs.zip(&self.points[0]).filter(|((_, value), first)| value != first);
        match moved.map(|(moved, _)| pair(moved)).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "as written".to_owned(),
            moved => moved,
        }
    }
}

/// A value as a label without brackets: `power exponent 2`.
pub fn short(value: &Node) -> String {
    let words: Vec<String> = match value {
        Node::List(list) => list.iter().map(short).collect(),
        Node::Map(entries) => {
            entries.iter().map(|(name, value)| format!("{name} {}", short(value))).collect()
        }
        value => vec![value.label()],
    };
    words.join(" ")
}

type Cases = Vec<(Node, Scenario)>;

fn check_cases(document: &Node, sweep: &Sweep, points: &[Vec<Node>]) -> Result<Cases, Vec<Fault>> {
    let mut faults: Vec<Fault> = vec![];
    let mut cases = vec![];
    for point in points {
        let Some(changed) = sweep.apply(document, point) else {
            for axis in &sweep.axes {
                faults.push(Fault {
                    path: "sweep.parameters".to_owned(),
                    message: format!("`{}` leads nowhere in the scenario", axis.path),
                    unknown: None,
                    hint: "name a path of maps and positions".to_owned(),
                });
            }
            break;
        };
        match check(&changed) {
            Ok(scenario) => cases.push((changed, scenario)),
            Err(found) => {
                for fault in found {
                    if !faults.contains(&fault) {
                        faults.push(fault);
                    }
                }
            }
        }
    }
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

/// Runs all replicas of all cases; those that the store has are read.
///
/// # Errors
/// The first refusal, by case and replica, and what the disk refuses.
pub fn run(cases: &Cases, store: &Store, progress: &dyn Progress) -> Result<Vec<Vec<Outcome>>> {
    let mut units = vec![];
    for (at, (_, scenario)) in cases.iter().enumerate() {
        for first in (0..scenario.replicas).step_by(CHUNK as usize) {
            units.push((at, first, CHUNK.min(scenario.replicas - first)));
        }
    }
    progress.begin("simulate", units.len());
    let done: Vec<Result<Vec<Outcome>>> = units
        .par_iter()
        .map(|(case, first, count)| {
            let (document, scenario) = &cases[*case];
            let outcomes = run_unit(document, scenario, *first, *count, store);
            progress.advance(1);
            outcomes
        })
        .collect();
    progress.end();
    let mut outcomes = vec![vec![]; cases.len()];
    for ((case, _, _), unit) in units.iter().zip(done) {
        outcomes[*case].extend(unit?);
    }
    Ok(outcomes)
}

fn run_unit(
    document: &Node,
    scenario: &Scenario,
    first: u64,
    count: u64,
    store: &Store,
) -> Result<Vec<Outcome>> {
    let key = key_of(document, first, count);
    if let Some(matrices) = store.read("economics", &key)? {
        return unpacked(&matrices).context("a stored replica cannot be understood");
    }
    let mut outcomes = vec![];
    for replica in first..first + count {
        let outcome = simulate(scenario, replica).map_err(|refusal| {
            anyhow::anyhow!(
                "{refusal}\nin scenario `{}`, seed {}, replica {replica}",
                scenario.name,
                scenario.seed
            )
        })?;
        outcomes.push(outcome);
    }
    let matrices = packed(&outcomes);
    let views: Vec<(&str, ndarray::ArrayView2<'_, f64>)> =
        matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.view())).collect();
    store.write("economics", &key, &views)?;
    Ok(outcomes)
}

/// Sections that change no number.
const WORDS: [&str; 7] =
    ["name", "question", "prediction", "predicts", "expect", "replicas", "sweep"];

fn key_of(document: &Node, first: u64, count: u64) -> Key {
    let numbers = match document {
        Node::Map(entries) => Node::Map(
            entries.iter().filter(|(name, _)| !WORDS.contains(&name.as_str())).cloned().collect(),
        ),
        other => other.clone(),
    };
    let code = Key::of_content(env!("ATTRIBENCH_MONEY_CODE").as_bytes());
    let what = serde_json::json!({"scenario": numbers.label(), "first": first, "count": count});
    Key::of("economics", &what, &[&code])
}

/// Outcomes as matrices, a row a replica; what is undefined is no number.
fn packed(outcomes: &[Outcome]) -> Vec<(String, Array2<f64>)> {
    let rows = outcomes.len();
    let row_of = |width: usize, value: &dyn Fn(usize, usize) -> f64| {
        Array2::from_shape_fn((rows, width), |(row, column)| value(row, column))
    };
    let metrics = row_of(METRICS.len(), &|row, at| {
        outcomes[row].metrics.get(METRICS[at].name).copied().unwrap_or(f64::NAN)
    });
    let audit = row_of(33, &|row, at| match at {
        0 => outcomes[row].postings as f64,
        at => outcomes[row].root.get(at - 1).map_or(f64::NAN, |byte| f64::from(*byte)),
    });
    let curve = row_of(101, &|row, at| outcomes[row].lorenz.get(at).copied().unwrap_or(f64::NAN));
    let mut matrices = vec![
        ("metrics".to_owned(), metrics),
        ("audit".to_owned(), audit),
        ("lorenz".to_owned(), curve),
    ];
    for name in common_series(outcomes) {
        let length = outcomes[0].series[name].len();
        let matrix = row_of(length, &|row, at| outcomes[row].series[name][at]);
        matrices.push((format!("series {name}"), matrix));
    }
    matrices
}

/// Series that every replica has.
fn common_series(outcomes: &[Outcome]) -> Vec<&'static str> {
    let names = ledger_sim::simulation::SERIES.iter().copied();
    names.filter(|name| outcomes.iter().all(|one| one.series.contains_key(name))).collect()
}

fn unpacked(matrices: &[(String, Array2<f64>)]) -> Option<Vec<Outcome>> {
    let find = |name: &str| Some(&matrices.iter().find(|(known, _)| known == name)?.1);
    let (metrics, audit, curve) = (find("metrics")?, find("audit")?, find("lorenz")?);
    let row = |row: usize| {
        let mut outcome = Outcome::default();
        for (metric, value) in METRICS.iter().zip(metrics.row(row)) {
            if value.is_finite() {
                outcome.metrics.insert(metric.name, *value);
            }
        }
        for (name, matrix) in matrices {
            if let Some(name) = name.strip_prefix("series ").and_then(known_series) {
                outcome.series.insert(name, matrix.row(row).to_vec());
            }
        }
        let finite = |values: ndarray::ArrayView1<'_, f64>| -> Vec<f64> {
            values.iter().copied().filter(|value| value.is_finite()).collect()
        };
        outcome.lorenz = finite(curve.row(row));
        outcome.postings = audit[[row, 0]] as usize;
        outcome.root = finite(audit.row(row)).iter().skip(1).map(|byte| *byte as u8).collect();
        outcome
    };
    Some((0..metrics.nrows()).map(row).collect())
}

/// The simulator's own name of a series.
fn known_series(name: &str) -> Option<&'static str> {
    ledger_sim::simulation::SERIES.iter().copied().find(|known| *known == name)
}

/// Sums a plan's outcomes up.
///
/// # Errors
/// Values that are not finite.
pub fn sum_up(
    document: &Document,
    plan: &Plan,
    outcomes: &[Vec<Outcome>],
    start: Instant,
    verb: &str,
) -> Result<Economics> {
    let sweep = plan.sweep.as_ref();
    let mut study = Economics {
        name: plan.base.name.clone(),
        question: plan.base.question.clone(),
        prediction: plan.base.prediction.clone(),
        step: match plan.base.world {
            Some(_) => format!("epochs of {} days", plan.base.clock.epoch_days),
            None => "months".to_owned(),
        },
        design: sweep.map_or(String::new(), |sweep| format!("{:?}", sweep.design)),
        parameters: sweep
            .map_or(vec![], |sweep| sweep.axes.iter().map(|axis| axis.name().to_owned()).collect()),
        scenario: scenario_text(document),
        command: command(document, verb),
        facts: facts(document, plan, start),
        ..Economics::default()
    };
    study.cases = (0..plan.cases.len())
        .map(|case| Case {
            label: plan.label(case),
            values: plan.points[case].iter().map(short).collect(),
        })
        .collect();
    study.metrics = metrics_in(outcomes);
    study.cells = cells(&study.metrics, outcomes)?;
    study.bands = bands(outcomes)?;
    study.lorenz = lorenz(outcomes);
    study.front = front(&plan.base, outcomes);
    // What no case of a changed sweep speaks of was not tested.
    let is_tested = |part: &&Condition| (0..study.cases.len()).any(|at| bears(part, at, &study));
    let tested: Vec<Condition> = plan.base.predicts.iter().filter(is_tested).cloned().collect();
    study.predicted = judged(&tested, plan, &study);
    study.held = judged(&plan.base.expect, plan, &study);
    study.axioms = axioms_kept(plan)?;
    if let Some(sweep) = sweep {
        study.sensitivities = sensitivities(plan, sweep, &study)?;
        study.boxes = boxes(plan, sweep, &study);
    }
    let all = || outcomes.iter().flatten();
    study.postings = all().map(|outcome| outcome.postings as u64).sum();
    let roots: Vec<u8> = all().flat_map(|outcome| outcome.root.iter().copied()).collect();
    study.root = Key::of_content(&roots).as_str().to_owned();
    Ok(study)
}

fn scenario_text(document: &Document) -> String {
    let changes: Vec<String> =
        document.changes.iter().map(|change| format!("# --set {change}\n")).collect();
    format!("{}{}", changes.concat(), document.text)
}

fn command(document: &Document, verb: &str) -> String {
    let changes: String = document
        .changes
        .iter()
        .map(|change| format!(" --set '{}'", change.replace('\'', r"'\''")))
        .collect();
    format!("attribench {verb} {}{changes}", document.path.display())
}

fn facts(document: &Document, plan: &Plan, start: Instant) -> Vec<Fact> {
    let replicas: u64 = plan.cases.iter().map(|(_, scenario)| scenario.replicas).sum();
    vec![
        Fact::new("cases", plan.cases.len().to_string()),
        Fact::new("replicas over all cases", replicas.to_string()),
        Fact::new("seed", plan.base.seed.to_string()),
        Fact::new(
            "hash of the scenario",
            Key::of_content(document.node.label().as_bytes()).as_str(),
        ),
        Fact::new("hash of the simulator's code", env!("ATTRIBENCH_MONEY_CODE")),
        Fact::new("wall time", format!("{:.1} s", start.elapsed().as_secs_f64())),
    ]
}

fn metrics_in(outcomes: &[Vec<Outcome>]) -> Vec<MetricInfo> {
    let occurs = |name: &str| outcomes.iter().flatten().any(|o| o.metrics.contains_key(name));
    METRICS
        .iter()
        .filter(|metric| occurs(metric.name))
        .map(|metric| MetricInfo {
            name: metric.name.to_owned(),
            unit: metric.unit.to_owned(),
            summary: metric.summary.to_owned(),
            better: match metric.better {
                Better::Low => -1,
                Better::High => 1,
                Better::Neither => 0,
            },
        })
        .collect()
}

fn cells(metrics: &[MetricInfo], outcomes: &[Vec<Outcome>]) -> Result<Vec<Cell>> {
    let mut cells = vec![];
    for (case, replicas) in outcomes.iter().enumerate() {
        for metric in metrics {
            let name = metric.name.as_str();
            let values: Vec<f64> =
                replicas.iter().filter_map(|outcome| outcome.metrics.get(name).copied()).collect();
            if values.is_empty() {
                continue;
            }
            let summary = Summary::of(&values)?;
            cells.push(Cell {
                case,
                metric: metric.name.clone(),
                count: values.len(),
                undefined: replicas.len() - values.len(),
                mean: summary.mean,
                standard_error: summary.standard_error,
                percentiles: summary.percentiles,
                difference: (case > 0).then(|| difference(name, &outcomes[0], replicas)).flatten(),
            });
        }
    }
    Ok(cells)
}

/// Mean paired difference of replicas that share their draws, with a normal 95 % interval.
fn difference(name: &str, first: &[Outcome], other: &[Outcome]) -> Option<[f64; 3]> {
    let pairs = first.iter().zip(other);
    let differences: Vec<f64> = pairs
        .filter_map(|(first, other)| Some(other.metrics.get(name)? - first.metrics.get(name)?))
        .collect();
    let summary = Summary::of(&differences).ok()?;
    let half = 1.96 * summary.standard_error?;
    Some([summary.mean, summary.mean - half, summary.mean + half])
}

fn bands(outcomes: &[Vec<Outcome>]) -> Result<Vec<Band>> {
    let mut bands = vec![];
    for (case, replicas) in outcomes.iter().enumerate() {
        for name in common_series(replicas) {
            let mut percentiles: [Vec<f64>; 5] = Default::default();
            for step in 0..replicas[0].series[name].len() {
                let values: Vec<f64> =
                    replicas.iter().map(|outcome| outcome.series[name][step]).collect();
                let summary = Summary::of(&values)?;
                for (column, value) in percentiles.iter_mut().zip(summary.percentiles) {
                    column.push(value);
                }
            }
            bands.push(Band { case, name: name.to_owned(), percentiles });
        }
    }
    Ok(bands)
}

fn lorenz(outcomes: &[Vec<Outcome>]) -> Vec<Lorenz> {
    let mean = |(case, replicas): (usize, &Vec<Outcome>)| {
        let curves: Vec<&Vec<f64>> = replicas
            .iter()
            .map(|outcome| &outcome.lorenz)
            .filter(|curve| !curve.is_empty())
            .collect();
        let count = curves.len() as f64;
        let share = |at: usize| curves.iter().map(|curve| curve[at]).sum::<f64>() / count;
        (count > 0.0).then(|| Lorenz { case, shares: (0..=100).map(share).collect() })
    };
    outcomes.iter().enumerate().filter_map(mean).collect()
}

/// Axes of the front, and the sign that makes small values better.
const AXES: [(&str, f64); 5] = [
    ("distance-from-worth", 1.0),
    ("burn-share", 1.0),
    ("attack-gain-of-pot", 1.0),
    ("griefing-of-pot", 1.0),
    ("reach", -1.0),
];
/// Differences on an axis, all of which are shares, that count for nothing: a hundredth.
const EPSILON: f64 = 0.01;

/// How often each case is on the front of those axes that every replica of every case has; nothing
/// where fewer than two axes are left, or a single case.
fn front(base: &Scenario, outcomes: &[Vec<Outcome>]) -> Option<Front> {
    let column = |replicas: &Vec<Outcome>, (name, sign): (&str, f64)| -> Option<Vec<f64>> {
        let values = replicas.iter().map(|outcome| outcome.metrics.get(name));
        values.map(|value| value.map(|value| sign * value)).collect()
    };
    let is_there =
        |axis: &(&str, f64)| outcomes.iter().all(|replicas| column(replicas, *axis).is_some());
    let axes: Vec<(&str, f64)> = AXES.into_iter().filter(is_there).collect();
    if axes.len() < 2 || outcomes.len() < 2 {
        return None;
    }
    let row = |replicas: &Vec<Outcome>| -> Vec<Vec<f64>> {
        axes.iter().filter_map(|axis| column(replicas, *axis)).collect()
    };
    let rows: Vec<Vec<Vec<f64>>> = outcomes.iter().map(row).collect();
    let (streams, epsilons) = (Streams::new(base.seed, u64::MAX), vec![EPSILON; axes.len()]);
    Some(Front {
        axes: axes.iter().map(|(name, _)| (*name).to_owned()).collect(),
        epsilon: EPSILON,
        membership: designs::pareto_frequency(&streams, &rows, &epsilons, RESAMPLES),
    })
}

/// Cases that a verdict names.
const MOST_SHOWN: usize = 3;

/// Whether a case has the settings that a condition names.
fn bears(condition: &Condition, case: usize, study: &Economics) -> bool {
    condition.case.iter().all(|(name, value)| {
        let at = study.parameters.iter().position(|parameter| parameter == name);
        at.is_some_and(|at| study.cases[case].values[at] == *value)
    })
}

/// Every condition against every case that it bears on.
fn judged(conditions: &[Condition], plan: &Plan, study: &Economics) -> Vec<Held> {
    let judge = |condition: &Condition| {
        let (mut evidence, mut against, mut means) = (vec![], vec![], vec![]);
        for (case, described) in study.cases.iter().enumerate() {
            if !bears(condition, case, study) {
                continue;
            }
            match study.cell(case, &condition.metric) {
                None => {
                    let label = plan.label(case);
                    against.push(format!("{} is undefined in {label}", condition.metric));
                }
                Some(cell) => {
                    let holds = condition.side.holds(cell.mean, condition.limit);
                    means.push(cell.mean);
                    let value = with_half_width(cell.mean, cell.standard_error);
                    let words = match described.label.as_str() {
                        "" => value,
                        label => format!("{value} at {label}"),
                    };
                    (if holds { &mut evidence } else { &mut against }).push(words);
                }
            }
        }
        if evidence.is_empty() && against.is_empty() {
            against.push("no case has these settings".to_owned());
        }
        // Where the condition fails, the cases that break it are the evidence.
        let held = against.is_empty();
        let mut shown = if held { evidence } else { against };
        let others = shown.len().saturating_sub(MOST_SHOWN);
        if held && others > 0 {
            let least = means.iter().copied().fold(f64::INFINITY, f64::min);
            let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            shown = vec![format!("{least:.4} to {most:.4} in {} cases", means.len())];
        } else if others > 0 {
            shown.truncate(MOST_SHOWN);
            shown.push(format!("and {others} more"));
        }
        Held { condition: condition.text.clone(), held, evidence: shown.join("; ") }
    };
    conditions.iter().map(judge).collect()
}

/// A mean with the half width of its 95 % Monte Carlo interval.
pub fn with_half_width(mean: f64, standard_error: Option<f64>) -> String {
    match standard_error {
        Some(error) => format!("{mean:.4} ± {:.4}", 1.96 * error),
        None => format!("{mean:.4}"),
    }
}

/// Most cases whose rules are held against the axioms: more were drawn rather than written.
const MOST_JUDGED: usize = 64;

/// What each rule of the cases keeps of the axioms, where it reads scores alone.
fn axioms_kept(plan: &Plan) -> Result<Vec<AxiomsKept>> {
    let mut kept: Vec<AxiomsKept> = vec![];
    if plan.cases.len() > MOST_JUDGED {
        return Ok(kept);
    }
    for (document, scenario) in &plan.cases {
        let Some(world) = &scenario.world else { continue };
        let rule = document.at("settlement.rule").map(short).unwrap_or_default();
        let is_known = kept.iter().any(|known| known.rule == rule);
        if is_known || !world.payouts.needs.is_empty() {
            continue;
        }
        let found = axioms(world.payouts.rule.as_ref(), plan.base.seed)?;
        let named = [
            ("efficiency", "money that is not paid out", found.efficiency),
            ("symmetry", "difference between two people of equal scores", found.symmetry),
            ("null player", "pay for scores of zero", found.null_player),
            ("additivity", "two streams at once against one after the other", found.additivity),
            ("monotonicity", "loss by higher scores", found.monotonicity),
            ("false names", "gain by splitting scores over two names", found.false_names),
        ];
        let shares = named.map(|(_, _, share)| if share < ROUNDING { 0.0 } else { share });
        let axioms = named.map(|(name, words, _)| (name.to_owned(), words.to_owned()));
        kept.push(AxiomsKept { rule, axioms: axioms.to_vec(), shares: shares.to_vec() });
    }
    Ok(kept)
}

/// Means of a metric over cases, where every case has it.
fn means(study: &Economics, name: &str) -> Option<Vec<f64>> {
    (0..study.cases.len()).map(|case| Some(study.cell(case, name)?.mean)).collect()
}

fn sensitivities(plan: &Plan, sweep: &Sweep, study: &Economics) -> Result<Vec<Sensitivity>> {
    let mut found = vec![];
    let metrics: Vec<(&str, Vec<f64>)> = ordered_metrics(plan, study)
        .into_iter()
        .filter_map(|name| Some((name, means(study, name)?)))
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect();
    for (name, values) in metrics {
        let mut add = |kind: &str, parameter: String, value: f64, interval: Option<(f64, f64)>| {
            found.push(Sensitivity {
                metric: name.to_owned(),
                kind: kind.to_owned(),
                parameter,
                value,
                interval: interval.map(|(low, high)| [low, high]),
            });
        };
        let names = &study.parameters;
        match sweep.design {
            Design::Morris => {
                let effects = designs::elementary_effects(&plan.places, &values)?;
                for (parameter, effect) in names.iter().zip(effects) {
                    add("effect", parameter.clone(), effect.mean_absolute, None);
                    add("deviation", parameter.clone(), effect.deviation, None);
                }
            }
            Design::Saltelli => {
                let streams = Streams::new(plan.base.seed, u64::MAX);
                let indices =
                    match designs::sobol_indices(&streams, names.len(), &values, RESAMPLES) {
                        Ok(indices) => indices,
                        // A metric may vary at the mixed points alone: nothing can be said of it.
                        Err(_) => continue,
                    };
                for (at, (parameter, index)) in names.iter().zip(&indices).enumerate() {
                    add("first", parameter.clone(), index.first, Some(index.first_interval));
                    add("total", parameter.clone(), index.total, Some(index.total_interval));
                    for (other, second) in names.iter().enumerate().take(at) {
                        let pair = format!("{second} x {parameter}");
                        add("pair", pair, index.pairs[other], Some(index.pair_intervals[other]));
                    }
                }
            }
            Design::OneAtATime => {
                for (at, parameter) in names.iter().enumerate() {
                    let moved = plan.points.iter().zip(&values);
                    let own = moved.filter(|(point, _)| {
                        (0..names.len())
                            .all(|other| other == at || point[other] == plan.points[0][other])
                    });
                    let values: Vec<f64> = own.map(|(_, value)| *value).collect();
                    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    add("low", parameter.clone(), low, None);
                    add("high", parameter.clone(), high, None);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Metrics of the study, those first that the scenario's conditions name.
fn ordered_metrics<'a>(plan: &'a Plan, study: &'a Economics) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        plan.base.expect.iter().map(|condition| condition.metric.as_str()).collect();
    names.extend(study.metrics.iter().map(|metric| metric.name.as_str()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    names
}

/// Boxes in which a condition fails, for designs that fill the space.
fn boxes(plan: &Plan, sweep: &Sweep, study: &Economics) -> Vec<BoxFound> {
    let fills = matches!(sweep.design, Design::LatinHypercube | Design::Sobol | Design::MonteCarlo);
    if !fills || plan.places.len() < 40 {
        return vec![];
    }
    let mut found = vec![];
    for condition in &plan.base.expect {
        let Some(values) = means(study, &condition.metric) else { continue };
        let fails: Vec<bool> =
            values.iter().map(|value| !condition.side.holds(*value, condition.limit)).collect();
        let Some(hull) = designs::prim(&plan.places, &fails) else { continue };
        let limit = |at: usize| {
            let axis = &sweep.axes[at];
            let (low, high) = hull.limits[at];
            let (low, high) = (axis.value(low), axis.value(high));
            format!("{} from {} to {}", axis.name(), low.label(), high.label())
        };
        found.push(BoxFound {
            event: format!("`{}` fails", condition.text),
            limits: hull.restricted().into_iter().map(limit).collect(),
            density: hull.density,
            coverage: hull.coverage,
            mass: hull.mass,
        });
    }
    found
}

/// Refuses a metric that nobody measures.
pub fn known_metric(name: &str) -> Result<()> {
    if metric(name).is_none() {
        let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        bail!("unknown metric `{name}` (known: {})\nhint: choose one of them", known.join(", "));
    }
    Ok(())
}
