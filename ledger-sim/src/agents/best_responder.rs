//! Best responder: searches the size of another agent's attack that pays it most, net of its cost.
//!
//! Before a replica begins, it runs the world under attack sizes from 1 to `largest` (doubling,
//! then golden section) with draws of its own, and plays the best, or honestly where none gains.
//! What is reported is the attack on the draws of the replica, so that the choice does not bias it.
//! Fields: `attack` (an agent with its fields), `largest`.

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "best-responder",
    summary: "searches the size of another agent's attack that pays it most",
    played: Loop::Open,
    headline: "attack-gain",
    build,
};

#[derive(Clone, Debug)]
struct BestResponder {
    attack: Arc<dyn Agent>,
    largest: u64,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    let largest = fields.get("largest", 64, |entry| entry.count(1, 1 << 20));
    let attack = match fields.find("attack") {
        Some(entry) => super::read(&entry, economy)?,
        None => {
            fields.missing("attack");
            return None;
        }
    };
    if attack.largest().is_some() {
        fields.fault("attack", "a best responder to a best responder", "name the attack itself");
    }
    Some(Arc::new(BestResponder { attack, largest }))
}

impl Agent for BestResponder {
    fn name(&self) -> &'static str {
        self.attack.name()
    }

    fn honest_value(&self) -> Option<f64> {
        self.attack.honest_value()
    }

    fn identities(&self) -> u64 {
        self.attack.resized(self.largest).identities()
    }

    fn attack(&self, _: &mut Population, _: u32, _: &Streams) {}

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        0
    }

    /// Size zero is honesty.
    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        match size {
            0 => Arc::new(Self { largest: 0, ..self.clone() }),
            size => self.attack.resized(size),
        }
    }

    fn largest(&self) -> Option<u64> {
        (self.largest > 0).then_some(self.largest)
    }
}
