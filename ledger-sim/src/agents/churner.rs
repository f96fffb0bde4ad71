//! Churner: stops after some contributions, with a hazard that falls with their number.
//!
//! `h(k) = scale / (k + offset)` (Wilkinson 2008); what it has not claimed by then may be stranded.
//! Fields: `value`, `scale`, `offset`.

use std::sync::Arc;

use super::{Agent, Entry, Loop, StopHazard};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "churner",
    summary: "stops after some contributions",
    played: Loop::Open,
    headline: "reach",
    build,
};

#[derive(Clone, Debug)]
struct Churner {
    value: f64,
    hazard: StopHazard,
}

fn build(fields: &Fields<'_>, _: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    let scale = fields.get("scale", 0.85, |entry| entry.number(0.0, 100.0));
    let offset = fields.get("offset", 1.0, |entry| entry.number(-0.99, 1e6));
    let value = fields.get("value", 1.0, |entry| entry.number(0.0, 1e6));
    match StopHazard::new(scale, offset) {
        Ok(hazard) => Some(Arc::new(Churner { value, hazard })),
        Err(refusal) => {
            fields.fault(
                "scale",
                refusal.to_string(),
                "scale / (k + offset) is at most one at k = 1",
            );
            None
        }
    }
}

impl Agent for Churner {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        1
    }

    fn attack(&self, population: &mut Population, person: u32, streams: &Streams) {
        for at in population.of(person) {
            let own = &mut population.identities[at];
            let stays = self.hazard.draw(streams, own.key, u32::MAX >> 1);
            own.left = own.joined.saturating_add(stays);
        }
    }

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        1
    }

    fn resized(&self, _: u64) -> Arc<dyn Agent> {
        Arc::new(self.clone())
    }
}
