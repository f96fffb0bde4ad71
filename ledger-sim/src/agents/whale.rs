//! Whale: concentrates worth and stake under one name.
//!
//! No attack on attribution, but one on whatever grows faster than in proportion: powers above one,
//! ranks, stake. Fields: `value` (of the honest self), `scale` (factor on value), `stake` (tokens).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "whale",
    summary: "concentrates worth and stake",
    played: Loop::Open,
    headline: "herfindahl",
    build,
};

#[derive(Clone, Debug)]
struct Whale {
    value: f64,
    scale: u64,
    stake: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(Whale {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        scale: fields.get("scale", 10, |entry| entry.count(1, 1 << 20)),
        stake: fields.get("stake", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for Whale {
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
        for at in population.of(person) {
            let own = &mut population.identities[at];
            own.exact *= self.scale as f64;
            own.shown *= self.scale as f64;
            own.stake = self.stake;
        }
    }

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        self.scale
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { scale: size.max(1), ..self.clone() })
    }
}
