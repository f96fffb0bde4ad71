//! Strategic behaviour: who does what to be paid more.
//!
//! One agent is one file: documentation, fields, code. To add one, write the file and its two lines
//! here (the module and the entry of [`AGENTS`], which is sorted by name).
//!
//! In open loop an agent changes names, scores, usage, reports and timing, not the models; scores
//! come from the noise model. Relabelling leaves the scores of items as they are, so that its
//! result in open loop is exact. Attacks that change what a model learns are played again in closed
//! loop, where the model is trained anew, by whoever has models.

mod best_responder;
mod best_response;
mod churn;
mod churner;
mod colluding_nodes;
mod deterrence;
mod duplicator;
mod free_rider;
mod gradient_inflator;
mod honest;
mod late_placement;
mod noise_spammer;
mod plagiarist;
mod poisoner;
mod shell_group;
mod sybil_splitter;
mod wash_inferencer;
mod whale;

pub use best_response::{BestResponse, Phase, best_response};
pub use churn::StopHazard;
pub use deterrence::{WashTrade, deterring_bond};

use std::sync::Arc;

use crate::document::{self, Fields};
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// Somebody who behaves strategically.
pub trait Agent: std::fmt::Debug + Send + Sync {
    /// Name in the registry.
    fn name(&self) -> &'static str;

    /// What its data are worth while it is honest, in units of a useful contributor's mean; `None`
    /// for who has nothing to contribute.
    fn honest_value(&self) -> Option<f64>;

    /// Most names under which it appears.
    fn identities(&self) -> u64;

    /// Changes the population; `person` is the agent's own number.
    fn attack(&self, population: &mut Population, person: u32, streams: &Streams);

    /// Cost of the attack, beyond the fees that it pays and the stake that it loses.
    fn cost(&self) -> Amount;

    /// Size of the attack in its own unit.
    fn size(&self) -> u64;

    /// The same attack of another size.
    fn resized(&self, size: u64) -> Arc<dyn Agent>;

    /// The largest size to be searched, for an agent that searches.
    fn largest(&self) -> Option<u64> {
        None
    }
}

/// In which loop an attack can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Scores, names, usage and reports change; models do not.
    Open,
    /// Models can be trained again on what the attack made of the data, too.
    Both,
}

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the agent.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// In which loop it can be played.
    pub played: Loop,
    /// The metric that tells whether it succeeds.
    pub headline: &'static str,
    /// Builds the agent, noting faults of its fields.
    pub build: fn(&Fields<'_>, &TokenEconomy) -> Option<Arc<dyn Agent>>,
}

/// Every agent, sorted by name.
pub static AGENTS: &[Entry] = &[
    best_responder::ENTRY,
    churner::ENTRY,
    colluding_nodes::ENTRY,
    duplicator::ENTRY,
    free_rider::ENTRY,
    gradient_inflator::ENTRY,
    honest::ENTRY,
    late_placement::ENTRY,
    noise_spammer::ENTRY,
    plagiarist::ENTRY,
    poisoner::ENTRY,
    shell_group::ENTRY,
    sybil_splitter::ENTRY,
    wash_inferencer::ENTRY,
    whale::ENTRY,
];

/// Reads `name` or `name: {fields}`; faults are noted.
pub(crate) fn read(entry: &document::Entry<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    let (name, fields) = entry.named()?;
    let at = entry.known("agent", &name, AGENTS.iter().map(|agent| agent.name))?;
    let agent = (AGENTS[at].build)(&fields, economy);
    fields.close();
    agent
}
