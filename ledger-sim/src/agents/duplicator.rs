//! Duplicator: copies its own items under own names.
//!
//! The copies add nothing, so that together they are owed what the original is. What an estimator
//! credits them with is `credited`: 100 % when every copy looks like the original (dot products of
//! gradients), 0 % when copies share one score (Shapley values of a game that copies do not
//! change). Fields: `value`, `copies`, `credited`, `cost` (tokens a copy).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "duplicator",
    summary: "copies its own items under own names",
    played: Loop::Both,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct Duplicator {
    value: f64,
    copies: u64,
    credited: f64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(Duplicator {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        copies: fields.get("copies", 1, |entry| entry.count(0, 1 << 20)),
        credited: fields.get("credited", 1.0, |entry| entry.share()),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for Duplicator {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        1 + self.copies
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        for at in population.of(person) {
            let count = (self.copies + 1) as f64;
            let stake = population.split_stake(at, self.copies + 1);
            let own = &mut population.identities[at];
            let alike = own.shown;
            own.exact /= count;
            // Between a score that is shared and one that every copy has in full.
            own.shown = alike * (self.credited + (1.0 - self.credited) / count);
            let copy = Identity { stake, ..own.clone() };
            for _ in 0..self.copies {
                population.add(copy.clone());
            }
        }
    }

    fn cost(&self) -> Amount {
        self.cost.times(self.copies).unwrap_or(Amount::ZERO)
    }

    fn size(&self) -> u64 {
        self.copies
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { copies: size, ..self.clone() })
    }
}
