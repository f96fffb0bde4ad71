//! Gradient inflator: makes outliers whose influence looks large.
//!
//! The data are worth what they were; the estimate grows by `inflation`, and so does its noise.
//! Published attacks on influence estimates reach factors between 2 and 6. Fields: `value`,
//! `inflation` (factor), `cost` (tokens).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "gradient-inflator",
    summary: "makes outliers whose influence looks large",
    played: Loop::Both,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct GradientInflator {
    value: f64,
    inflation: f64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(GradientInflator {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        inflation: fields.get("inflation", 3.0, |entry| entry.number(0.0, 1e6)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for GradientInflator {
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
            own.shown *= self.inflation;
            own.noise *= self.inflation.max(1.0);
        }
    }

    fn cost(&self) -> Amount {
        self.cost
    }

    fn size(&self) -> u64 {
        self.inflation.round() as u64
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { inflation: size as f64, ..self.clone() })
    }
}
