//! Honest: contributes, claims when it is worth it.
//!
//! The arm that every attack is compared with; named among agents it changes nothing, which is what
//! a test of the paired design needs.

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::Population;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "honest",
    summary: "contributes and claims, no more",
    played: Loop::Both,
    headline: "individual-rationality",
    build,
};

#[derive(Clone, Debug)]
struct Honest {
    value: f64,
}

fn build(fields: &Fields<'_>, _: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(Honest { value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)) }))
}

impl Agent for Honest {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        1
    }

    fn attack(&self, _: &mut Population, _: u32, _: &Streams) {}

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        0
    }

    fn resized(&self, _: u64) -> Arc<dyn Agent> {
        Arc::new(self.clone())
    }
}
