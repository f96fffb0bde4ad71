//! Wash inferencer: pays for queries that are crafted to credit its own data.
//!
//! The margin per unit of fee is in [`crate::agents::WashTrade`]; emission in proportion to usage
//! invites it. Fields: `value`, `queries` (an epoch), `own-share` (of the crafted queries' score).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Population, Wash};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "wash-inferencer",
    summary: "pays for queries that credit its own data",
    played: Loop::Open,
    headline: "attack-gain",
    build,
};

#[derive(Clone, Debug)]
struct WashInferencer {
    value: f64,
    queries: u64,
    own_share: f64,
}

fn build(fields: &Fields<'_>, _: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(WashInferencer {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        queries: fields.get("queries", 100, |entry| entry.count_of("queries", 0)),
        own_share: fields.get("own-share", 1.0, |entry| entry.share()),
    }))
}

impl Agent for WashInferencer {
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
        for identity in population.of(person) {
            let (queries, own_share) = (self.queries, self.own_share);
            population.washes.push(Wash { identity, queries, own_share });
        }
    }

    fn cost(&self) -> Amount {
        Amount::ZERO
    }

    fn size(&self) -> u64 {
        self.queries
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { queries: size, ..self.clone() })
    }
}
