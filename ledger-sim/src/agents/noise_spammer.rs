//! Noise spammer: adds random or mislabelled items, which do harm.
//!
//! Their true score is negative, and their estimates are noisier than those of ordinary data.
//! Fields: `items` (names), `harm` (score units a query), `noise` (factor on the estimator's
//! noise), `cost` (tokens each).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "noise-spammer",
    summary: "adds random or mislabelled items",
    played: Loop::Both,
    headline: "attack-gain",
    build,
};

#[derive(Clone, Debug)]
struct NoiseSpammer {
    items: u64,
    harm: f64,
    noise: f64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(NoiseSpammer {
        items: fields.get("items", 1, |entry| entry.count(0, 1 << 20)),
        harm: fields.get("harm", 0.1, |entry| entry.number(0.0, 1e6)),
        noise: fields.get("noise", 2.0, |entry| entry.number(0.0, 1e6)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for NoiseSpammer {
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
            population.add(Identity {
                exact: -self.harm,
                shown: -self.harm,
                noise: self.noise,
                ..worthless
            });
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
