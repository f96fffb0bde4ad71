//! Plagiarist: copies the most valuable contributor, exactly or paraphrased, under another owner.
//!
//! The copy adds nothing and is owed nothing. An estimator gives it `similarity` times the victim's
//! score and leaves the victim `kept` of its own. Fields: `similarity`, `kept`, `copies`, `delay`
//! (epochs until the copy joins), `cost` (tokens a copy).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "plagiarist",
    summary: "copies the most valuable contributor",
    played: Loop::Both,
    headline: "plagiarism-transfer",
    build,
};

#[derive(Clone, Debug)]
struct Plagiarist {
    similarity: f64,
    kept: f64,
    copies: u64,
    delay: u64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(Plagiarist {
        similarity: fields.get("similarity", 1.0, |entry| entry.share()),
        kept: fields.get("kept", 0.5, |entry| entry.share()),
        copies: fields.get("copies", 1, |entry| entry.count(0, 1 << 20)),
        delay: fields.get("delay", 0, |entry| entry.count_of("epochs", 0)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for Plagiarist {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        None
    }

    fn identities(&self) -> u64 {
        self.copies
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        // Agents come after all contributors, so that everybody before is one.
        let Some(victim) = population.most_valuable(person) else { return };
        let original = population.identities[victim].clone();
        if self.copies == 0 {
            return;
        }
        population.victims.push(original.person);
        population.identities[victim].shown *= self.kept;
        let delay = u32::try_from(self.delay).unwrap_or(u32::MAX);
        for _ in 0..self.copies {
            population.add(Identity {
                person,
                exact: 0.0,
                shown: original.shown * self.similarity,
                joined: original.joined.saturating_add(delay),
                registered_seconds: original.registered_seconds + 1,
                ..original.clone()
            });
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
