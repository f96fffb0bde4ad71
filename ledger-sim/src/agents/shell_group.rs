//! Shell group: one owner spreads items over companies.
//!
//! Unlike a Sybil splitter it keeps each company's data apart by subject, so that in a game of
//! coalitions the parts complement each other. A rule that values owners rather than items then
//! pays the parts more than the whole. Fields: `value`, `shells`, `cost` (tokens a shell beyond the
//! first).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "shell-group",
    summary: "one owner, many companies",
    played: Loop::Open,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct ShellGroup {
    value: f64,
    shells: u64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(ShellGroup {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        shells: fields.get("shells", 2, |entry| entry.count(1, 1 << 20)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for ShellGroup {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        self.shells
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        let shells = self.shells as f64;
        let topics = population.topics();
        for at in population.of(person) {
            let stake = population.split_stake(at, self.shells);
            let own = &mut population.identities[at];
            own.exact /= shells;
            own.shown /= shells;
            own.noise *= shells.powf(-0.5);
            let part = Identity { stake, ..own.clone() };
            for shell in 1..self.shells {
                let origin = (1 << 41) + (u64::from(person) << 20) + shell;
                let topic = (u64::from(part.topic) + shell) as u32 % topics;
                population.add(Identity { origin, topic, ..part.clone() });
            }
        }
    }

    fn cost(&self) -> Amount {
        self.cost.times(self.shells.saturating_sub(1)).unwrap_or(Amount::ZERO)
    }

    fn size(&self) -> u64 {
        self.shells
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { shells: size.max(1), ..self.clone() })
    }
}
