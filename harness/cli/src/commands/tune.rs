//! `attribench tune`: searches parameters of a scenario that meet goals.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use attribench_engine::{
    progress::{Progress, Silent},
    store::Store,
};
use attribench_reports::economics::{Candidate, Economics, Held};
use clap::Args;
use ledger_sim::designs;
use ledger_sim::document::Node;
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::scenario::{Condition, Scenario, Sweep, check};
use ledger_sim::simulation::Outcome;

use super::{
    print,
    simulate::{StudyArguments, planned, table},
};
use crate::{
    Ending,
    progress::Bars,
    scenario::{Document, ScenarioArguments},
    study::{self, Plan},
};

/// Arguments of `attribench tune`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  attribench tune tune-rewards
  attribench tune tune-rewards --goal 'attack-gain-relative < 5 %' --goal 'reach > 90 %' \\
      --goal 'burn-share < 2 %' --minimise distance-from-worth

What is varied is what the scenario's `sweep:` names. Half of the trials fill the space, the rest
are drawn ever closer around the best so far; the winner is run again under fresh draws, so that
the choice does not flatter it.")]
pub struct TuneArguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    #[command(flatten)]
    study: StudyArguments,
    /// A condition to be met, `metric < number` or `metric > number`; may be repeated. The
    /// scenario's own `expect:` where absent.
    #[arg(long = "goal", value_name = "CONDITION")]
    goals: Vec<String>,
    /// The metric to be made small among all that meets the goals.
    #[arg(long, value_name = "METRIC", default_value = "distance-from-worth")]
    minimise: String,
    /// Points of parameter space that are tried.
    #[arg(long, value_name = "N", default_value_t = 64)]
    trials: usize,
}

/// Searches and writes a folder.
pub fn tune(arguments: TuneArguments) -> Result<Ending> {
    let start = Instant::now();
    let TuneArguments { mut scenario, study: options, goals, minimise, trials } = arguments;
    options.amend(&mut scenario);
    study::known_metric(&minimise)?;
    let Some(document) = scenario.read() else { return Ok(Ending::Refused) };
    let Some(base) = planned(&document) else { return Ok(Ending::Refused) };
    let Some(sweep) = base.sweep.clone() else {
        bail!("nothing is varied\nhint: name parameters and their ranges under `sweep:`")
    };
    let goals = match goals.as_slice() {
        [] => base.base.expect.clone(),
        texts => texts
            .iter()
            .map(|text| Condition::parse(text).map_err(anyhow::Error::msg))
            .collect::<Result<_>>()?,
    };
    let store = Store::open(&options.store)?;
    let bars = Bars::default();
    let speaks = !options.quiet && !options.json;
    let progress: &dyn Progress = if speaks { &bars } else { &Silent };
    let search = Search { document: &document, sweep, goals, minimise, seed: base.base.seed };
    let tried = options.install(|| search.run(trials, &store, progress))??;
    let found = search.report(&tried, &store, start)?;
    let page = options.write(&found, &format!("{}-tuned", found.name))?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?;
    } else if speaks {
        for (name, value) in found.parameters.iter().zip(&found.cases[0].values) {
            println!("{name:>24}  {value}");
        }
        print(&table(&found))?;
        println!("report: {}", page.display());
    }
    let all_held = found.held.iter().all(|verdict| verdict.held);
    Ok(if all_held { Ending::Done } else { Ending::Unexpected })
}

struct Search<'a> {
    document: &'a Document,
    sweep: Sweep,
    goals: Vec<Condition>,
    minimise: String,
    seed: u64,
}

/// A point that was tried.
struct Trial {
    place: Vec<f64>,
    candidate: Candidate,
}

impl Search<'_> {
    /// Tries points: half fill the space, the rest are drawn around the best in four rounds.
    fn run(&self, trials: usize, store: &Store, progress: &dyn Progress) -> Result<Vec<Trial>> {
        let streams = Streams::new(self.seed, u64::MAX - 1);
        let dimensions = self.sweep.axes.len();
        let first = designs::latin_hypercube(&streams, trials.div_ceil(2), dimensions);
        let mut tried = self.evaluate(first, store, progress)?;
        let rest = trials / 2;
        let rounds = 4usize.min(rest.max(1));
        for round in 0..rounds {
            let count = (rest + round) / rounds;
            let best = best(&tried).place.clone();
            let radius = 0.25 / (1u32 << round) as f64;
            let near = |at: usize| -> Vec<f64> {
                let shift = |dimension: u64| {
                    let (agent, index) = (dimension, at as u64);
                    streams.normal(Purpose::Search, agent, round as u32, index) * radius
                };
                let moved = (0u64..).zip(&best).map(|(d, x)| (x + shift(d)).clamp(0.0, 1.0));
                moved.collect()
            };
            let places = (0..count).map(near).collect();
            tried.extend(self.evaluate(places, store, progress)?);
        }
        Ok(tried)
    }

    fn case(&self, place: &[f64]) -> Result<(Node, Scenario)> {
        let point = self.sweep.point(place);
        let changed = self.sweep.apply(&self.document.node, &point);
        let changed = changed.context("a parameter leads nowhere in the scenario")?;
        match check(&changed) {
            Ok(scenario) => Ok((changed, scenario)),
            Err(faults) => bail!("a point of the search is refused: {}", faults[0]),
        }
    }

    fn evaluate(
        &self,
        places: Vec<Vec<f64>>,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Vec<Trial>> {
        let cases = places.iter().map(|place| self.case(place)).collect::<Result<_>>()?;
        let outcomes = study::run(&cases, store, progress)?;
        let trial = |(place, outcomes): (Vec<f64>, Vec<Outcome>)| {
            let values = self.sweep.point(&place).iter().map(study::short).collect();
            let objective = mean(&outcomes, &self.minimise).unwrap_or(f64::MAX);
            let missed = self.goals.iter().map(|goal| missed_by(goal, &outcomes)).sum();
            Trial { place, candidate: Candidate { values, objective, missed } }
        };
        Ok(places.into_iter().zip(outcomes).map(trial).collect())
    }

    /// Runs the winner under fresh draws and sums up.
    fn report(&self, tried: &[Trial], store: &Store, start: Instant) -> Result<Economics> {
        let winner = best(tried);
        let (changed, _) = self.case(&winner.place)?;
        let fresh = changed.with("seed", Node::Integer(self.seed as i64 ^ FRESH));
        let fresh = fresh.context("the scenario has no seed")?;
        let scenario = match check(&fresh) {
            Ok(scenario) => scenario,
            Err(faults) => bail!("the winner is refused: {}", faults[0]),
        };
        let base = check(&fresh).map_err(|faults| anyhow::anyhow!("{}", faults[0]))?;
        let plan = Plan {
            base,
            sweep: Some(self.sweep.clone()),
            places: vec![winner.place.clone()],
            points: vec![self.sweep.point(&winner.place)],
            cases: vec![(fresh, scenario)],
        };
        let outcomes = study::run(&plan.cases, store, &Silent)?;
        let mut found = study::sum_up(self.document, &plan, &outcomes, start, "tune")?;
        found.sensitivities.clear();
        found.predicted.clear();
        found.candidates = tried.iter().map(|trial| trial.candidate.clone()).collect();
        found.held = self.goals.iter().map(|goal| judged(goal, &outcomes[0])).collect();
        Ok(found)
    }
}

/// Turns the seed of the search into one that it has not seen.
const FRESH: i64 = 0x5EED_0000_0000;

/// The trial that misses goals least, and among equals the one of smallest objective.
fn best(tried: &[Trial]) -> &Trial {
    let order = |a: &&Trial, b: &&Trial| {
        let (a, b) = (&a.candidate, &b.candidate);
        a.missed.total_cmp(&b.missed).then(a.objective.total_cmp(&b.objective))
    };
    tried.iter().min_by(order).expect("a search tries at least one point")
}

fn mean(outcomes: &[Outcome], metric: &str) -> Option<f64> {
    let values: Vec<f64> =
        outcomes.iter().filter_map(|outcome| outcome.metrics.get(metric).copied()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How far a goal is missed, relative to its limit; a metric that is undefined misses it whole.
fn missed_by(goal: &Condition, outcomes: &[Outcome]) -> f64 {
    let Some(value) = mean(outcomes, &goal.metric) else { return 1.0 };
    if goal.side.holds(value, goal.limit) {
        return 0.0;
    }
    (value - goal.limit).abs() / goal.limit.abs().max(1e-3) + 1e-9
}

fn judged(goal: &Condition, outcomes: &[Outcome]) -> Held {
    let values: Vec<f64> =
        outcomes.iter().filter_map(|outcome| outcome.metrics.get(&*goal.metric).copied()).collect();
    let summary = designs::Summary::of(&values).ok();
    Held {
        condition: goal.text.clone(),
        held: summary.is_some_and(|summary| goal.side.holds(summary.mean, goal.limit)),
        evidence: match summary {
            Some(found) => {
                let value = study::with_half_width(found.mean, found.standard_error);
                format!("{value} under fresh draws")
            }
            None => format!("{} is undefined", goal.metric),
        },
    }
}
