//! Free rider: adds items of no value under some names.
//!
//! In open loop their true score is zero and their estimate is noise; a rule that clips pays them
//! `sigma / sqrt(2 pi)` per query and name. Fields: `items` (names), `cost` (tokens each).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "free-rider",
    summary: "adds items of no value",
    played: Loop::Both,
    headline: "false-positive-share",
    build,
};

#[derive(Clone, Debug)]
struct FreeRider {
    items: u64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(FreeRider {
        items: fields.get("items", 1, |entry| entry.count(0, 1 << 20)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for FreeRider {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        None
    }

    fn identities(&self) -> u64 {
        self.items
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        for _ in 0..self.items {
            let worthless = population.worthless(person);
            population.add(worthless);
        }
    }

    fn cost(&self) -> Amount {
        self.cost.times(self.items).unwrap_or(Amount::ZERO)
    }

    fn size(&self) -> u64 {
        self.items
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { items: size, ..self.clone() })
    }
}
