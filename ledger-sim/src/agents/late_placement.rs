//! Late placement: has its items seen last, or joins just before a settlement.
//!
//! Estimates that read a run's steps credit late batches with more than early ones by `premium`;
//! the data are owed what they are worth from the epoch in which they came. Fields: `value`,
//! `premium`,
//! `joins` (epochs after the start), `cost` (tokens).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "late-placement",
    summary: "has its items seen last, or joins late",
    played: Loop::Both,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct LatePlacement {
    value: f64,
    premium: f64,
    joins: u64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(LatePlacement {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        premium: fields.get("premium", 0.5, |entry| entry.number(-1.0, 1e6)),
        joins: fields.get("joins", 0, |entry| entry.count_of("epochs", 0)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for LatePlacement {
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
        let joins = u32::try_from(self.joins).unwrap_or(u32::MAX);
        for at in population.of(person) {
            let own = &mut population.identities[at];
            own.shown *= 1.0 + self.premium;
            own.joined = own.joined.saturating_add(joins);
            own.registered_seconds = own.registered_seconds.saturating_add(self.joins);
        }
    }

    fn cost(&self) -> Amount {
        self.cost
    }

    fn size(&self) -> u64 {
        self.joins
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { joins: size, ..self.clone() })
    }
}
