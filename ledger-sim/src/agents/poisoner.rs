//! Poisoner: harms the model while it harvests score, until it is found out.
//!
//! Its items are owed nothing and are shown with a positive score. With probability `detection` an
//! epoch its stake is confiscated. Fields: `items` (names), `harm`, `score` (score units a query
//! and name), `stake` (tokens a name), `detection`, `cost` (tokens a name).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population, Watch};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "poisoner",
    summary: "harms the model while it harvests score",
    played: Loop::Both,
    headline: "poison-return",
    build,
};

#[derive(Clone, Debug)]
struct Poisoner {
    items: u64,
    harm: f64,
    score: f64,
    stake: Amount,
    detection: f64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(Poisoner {
        items: fields.get("items", 1, |entry| entry.count(0, 1 << 20)),
        harm: fields.get("harm", 1.0, |entry| entry.number(0.0, 1e6)),
        score: fields.get("score", 0.5, |entry| entry.number(0.0, 1e6)),
        stake: fields.get("stake", Amount::ZERO, |entry| entry.tokens(economy.scale)),
        detection: fields.get("detection", 0.0, |entry| entry.share()),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for Poisoner {
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
                shown: self.score,
                stake: self.stake,
                ..worthless
            });
        }
        population.watches.push(Watch { person, probability: self.detection });
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
