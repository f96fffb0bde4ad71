//! What a study of payout economics found: cases, metrics with intervals, series, sensitivities.
//!
//! Like the rest of this crate it reads finished numbers and computes none of them.

mod page;
mod tables;

pub use page::write_economics;

use serde::{Deserialize, Serialize};

use crate::Fact;

/// Metrics that tell a scenario's story, in the order in which tables show them.
pub const HEADLINES: [&str; 12] = [
    "mispaid-share",
    "distance-from-worth",
    "recognition-gap",
    "cost-per-million",
    "false-positive-share",
    "reach",
    "burn-share",
    "gini",
    "attack-gain-relative",
    "sybil-proofing-price",
    "self-sustaining-first",
    "runway-months",
];

/// A metric of the study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricInfo {
    /// Name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// What it is, in a line.
    pub summary: String,
    /// Which values are better: -1 small ones, 1 large ones, 0 neither.
    pub better: i8,
}

/// A case: one point of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Label: the values that are varied.
    pub label: String,
    /// Value of each parameter as written.
    pub values: Vec<String>,
}

/// A metric of a case over all replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Position of the case.
    pub case: usize,
    /// Name of the metric.
    pub metric: String,
    /// Replicas in which it is defined.
    pub count: usize,
    /// Replicas in which it is not.
    pub undefined: usize,
    /// Mean.
    pub mean: f64,
    /// Monte Carlo standard error; absent for one replica.
    pub standard_error: Option<f64>,
    /// Percentiles 5, 25, 50, 75, 95 of replicas.
    pub percentiles: [f64; 5],
    /// Mean paired difference to the first case, with the ends of its 95 % interval.
    pub difference: Option<[f64; 3]>,
}

/// A series of a case: percentiles 5, 25, 50, 75, 95 of replicas at each time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Position of the case.
    pub case: usize,
    /// Name of the series.
    pub name: String,
    /// Percentiles, each over time.
    pub percentiles: [Vec<f64>; 5],
}

/// Cumulative shares of a case at 0, 1, ..., 100 % of people, meaned over replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lorenz {
    /// Position of the case.
    pub case: usize,
    /// Shares.
    pub shares: Vec<f64>,
}

/// How much a parameter moves a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The metric.
    pub metric: String,
    /// What the numbers are: `first`, `total`, `pair`, `effect`, `deviation`, `low`, `high`.
    pub kind: String,
    /// The parameter, or two of them.
    pub parameter: String,
    /// Value.
    pub value: f64,
    /// Interval at 95 %, where there is one.
    pub interval: Option<[f64; 2]>,
}

/// A box of parameters in which something happens often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxFound {
    /// What happens.
    pub event: String,
    /// Restrictions in words.
    pub limits: Vec<String>,
    /// Share inside of which it happens.
    pub density: f64,
    /// Share of what happens that lies inside.
    pub coverage: f64,
    /// Share of all points that lie inside.
    pub mass: f64,
}

/// A condition and whether it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The condition as written.
    pub condition: String,
    /// Whether it held.
    pub held: bool,
    /// The values that decided.
    pub evidence: String,
}

/// Cases that are not beaten on all axes by another, by differences that count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Front {
    /// Metrics that are compared.
    pub axes: Vec<String>,
    /// Differences below this count for nothing.
    pub epsilon: f64,
    /// Share of resamples of replicas in which each case is on the front.
    pub membership: Vec<f64>,
}

/// By how much a rule breaks each axiom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxiomsKept {
    /// The rule with its parameters.
    pub rule: String,
    /// Axioms by name, and in a line.
    pub axioms: Vec<(String, String)>,
    /// Largest violation of each that was found, as a share of the pot; 0 up to rounding.
    pub shares: Vec<f64>,
}

/// A candidate of a search for parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Value of each parameter as written.
    pub values: Vec<String>,
    /// Mean of the objective.
    pub objective: f64,
    /// Sum over goals of how far each is missed, relative to its limit; zero where all are met.
    pub missed: f64,
}

/// Everything that a study found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Economics {
    /// Name of the scenario.
    pub name: String,
    /// What was asked.
    pub question: String,
    /// What was expected.
    pub prediction: String,
    /// Words for one step of the series.
    pub step: String,
    /// Design of the sweep; empty without one.
    pub design: String,
    /// Names of the parameters that are varied.
    pub parameters: Vec<String>,
    /// Cases.
    pub cases: Vec<Case>,
    /// Metrics in the order of their names.
    pub metrics: Vec<MetricInfo>,
    /// Metrics of cases.
    pub cells: Vec<Cell>,
    /// Series of cases.
    pub bands: Vec<Band>,
    /// Lorenz curves.
    pub lorenz: Vec<Lorenz>,
    /// Sensitivities, where the design gives them.
    pub sensitivities: Vec<Sensitivity>,
    /// Which cases are not beaten in everything by another; absent where that was not asked.
    pub front: Option<Front>,
    /// Boxes.
    pub boxes: Vec<BoxFound>,
    /// Axioms of the rules that read scores alone.
    pub axioms: Vec<AxiomsKept>,
    /// Candidates of a search in the order in which they were tried.
    pub candidates: Vec<Candidate>,
    /// The prediction's parts, and whether they came true.
    pub predicted: Vec<Held>,
    /// Conditions.
    pub held: Vec<Held>,
    /// Postings that the auditor replayed over all runs.
    pub postings: u64,
    /// Hash over the roots of all journals.
    pub root: String,
    /// Facts about the run.
    pub facts: Vec<Fact>,
    /// The scenario as it was run.
    pub scenario: String,
    /// The command that makes this again.
    pub command: String,
}

impl Economics {
    /// The cell of a case and metric.
    pub fn cell(&self, case: usize, metric: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.case == case && cell.metric == metric)
    }

    /// Whether any case has the metric.
    pub fn has(&self, metric: &str) -> bool {
        self.cells.iter().any(|cell| cell.metric == metric)
    }

    /// What is known of a metric.
    pub fn metric(&self, name: &str) -> Option<&MetricInfo> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}
