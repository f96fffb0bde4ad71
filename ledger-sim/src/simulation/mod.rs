//! Runs a scenario: one replica at a time, a pure function of scenario and replica.
//!
//! A replica runs up to three arms that share every draw: true scores without friction, which says
//! what people are owed; estimates with friction while everybody is honest; and the same with every
//! agent acting. The first is what payouts are compared with, the second what attacks are.

mod adopting;
mod arm;
mod clockwork;
mod inputs;
mod metrics;
mod population;
mod requests;
mod respond;

pub use metrics::{Better, METRICS, Metric, metric};
pub use population::{Cabal, Identity, Population, Wash, Watch};

use std::collections::BTreeMap;

use crate::random::Streams;
use crate::refusal::Refusal;
use crate::scenario::{Scenario, World};

use arm::{Access, Arm, Finished, Stage};
use inputs::Sight;
use requests::DemandPlan;

/// What one replica found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Metrics by name; one that is undefined in this replica is not there.
    pub metrics: BTreeMap<&'static str, f64>,
    /// Series over epochs (or months) by name.
    pub series: BTreeMap<&'static str, Vec<f64>>,
    /// Share of all that was received by the poorest 0, 1, ..., 100 % of persons; empty where
    /// nothing was received.
    pub lorenz: Vec<f64>,
    /// Postings that the auditor replayed.
    pub postings: usize,
    /// Root of the journal of the last arm, empty without one.
    pub root: Vec<u8>,
}

/// Names of all series.
pub const SERIES: [&str; 12] = [
    "contributors",
    "emission",
    "fees",
    "fees-dollars",
    "mispaid-share",
    "native-share",
    "paid",
    "paradox",
    "price",
    "queries",
    "treasury",
    "treasury-dollars",
];

/// Runs replica `replica`.
///
/// # Errors
/// The refusal of the first posting, rule or audit that refuses; nothing is repaired.
pub fn simulate(scenario: &Scenario, replica: u64) -> Result<Outcome, Refusal> {
    let streams = Streams::new(scenario.seed, replica);
    let mut outcome = Outcome::default();
    if let Some(world) = &scenario.world {
        let resolved = respond::resolved(scenario, world, replica)?;
        let world = resolved.as_ref().unwrap_or(world);
        let stage = open_stage(scenario, world, streams)?;
        let arms = run_arms(&stage)?;
        metrics::of_arms(&stage, &arms, &mut outcome)?;
    }
    if let Some(adoption) = &scenario.adoption {
        adopting::simulate(adoption, &streams, &mut outcome)?;
    }
    Ok(outcome)
}

/// Finished arms.
struct Arms {
    owed: Finished,
    honest: Option<Finished>,
    actual: Finished,
    honest_population: Population,
    population: Population,
}

fn open_stage<'a>(
    scenario: &Scenario,
    world: &'a World,
    streams: Streams,
) -> Result<Stage<'a>, Refusal> {
    let clock = scenario.clock;
    Ok(Stage {
        world,
        clock,
        streams,
        seed: scenario.seed,
        prices: world.economy.price.draw(&streams, clock.epochs, clock.epoch_days)?,
        plan: DemandPlan::draw(&world.demand, &clock, &streams)?,
    })
}

fn run_arms(stage: &Stage<'_>) -> Result<Arms, Refusal> {
    let honest_population = Population::honest(stage.world, &stage.clock, &stage.streams);
    let population = honest_population.attacked(stage.world, &stage.streams);
    // What is owed is owed for the same money: washed queries are paid for in both.
    let mut owed_population = honest_population.clone();
    owed_population.washes.clone_from(&population.washes);
    let owed = run_arm(stage, &owed_population, Sight::Exact, Access::Free)?;
    let honest = match stage.world.agents.is_empty() {
        true => None,
        false => Some(run_arm(stage, &honest_population, Sight::Estimated, Access::Frictional)?),
    };
    let actual = run_arm(stage, &population, Sight::Estimated, Access::Frictional)?;
    Ok(Arms { owed, honest, actual, honest_population, population })
}

fn run_arm(
    stage: &Stage<'_>,
    population: &Population,
    sight: Sight,
    access: Access,
) -> Result<Finished, Refusal> {
    let mut arm = Arm::open(stage, population, sight, access)?;
    clockwork::run(stage, &mut arm)?;
    arm.finish()
}

/// What the agents of a world gain together over honesty, in base units, net of their costs.
fn attack_gain(scenario: &Scenario, world: &World, streams: Streams) -> Result<f64, Refusal> {
    let stage = open_stage(scenario, world, streams)?;
    let honest_population = Population::honest(stage.world, &stage.clock, &stage.streams);
    let population = honest_population.attacked(stage.world, &stage.streams);
    let run = |population| run_arm(&stage, population, Sight::Estimated, Access::Frictional);
    let (honest, actual) = (run(&honest_population)?, run(&population)?);
    Ok(metrics::net_gain(world, &honest, &actual))
}
