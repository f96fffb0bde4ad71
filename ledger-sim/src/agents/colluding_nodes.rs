//! Colluding nodes: attribution nodes that report in favour of one contributor.
//!
//! Only rules that read reports know nodes. A cabal with as much stake as the consensus asks for
//! sets the weights; a minority is clipped. Fields: `value`, `stake` (share of the nodes' stake),
//! `weight` (share of weight that the cabal reports for its own).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Cabal, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "colluding-nodes",
    summary: "nodes that report in favour of one contributor",
    played: Loop::Open,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct ColludingNodes {
    value: f64,
    stake: f64,
    weight: f64,
}

fn build(fields: &Fields<'_>, _: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(ColludingNodes {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        stake: fields.get("stake", 0.4, |entry| entry.share()),
        weight: fields.get("weight", 1.0, |entry| entry.share()),
    }))
}

impl Agent for ColludingNodes {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        1
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        population.cabals.push(Cabal { person, nodes: self.stake, weight: self.weight });
    }

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        (self.stake * 100.0).round() as u64
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { stake: (size as f64 / 100.0).min(1.0), ..self.clone() })
    }
}
