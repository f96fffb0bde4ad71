//! Sybil splitter: spreads its own items over many names.
//!
//! With `m` names of value `v / m` and noise `sigma m^-g` the expected clipped score is
//! `m e(v/m, sigma m^-g)`, see [`crate::noise::split_score`]: `g = 1` is neutral, `g = 1/2` what
//! independent errors of items give, `g = 0` a floor of noise for each name. Relabelling leaves the
//! scores of items as they are. Fields: `value`, `names`, `noise-exponent`, `cost` (tokens a name
//! beyond the first).

use std::sync::Arc;

use super::{Agent, Entry, Loop};
use crate::document::Fields;
use crate::money::Amount;
use crate::random::Streams;
use crate::scenario::TokenEconomy;
use crate::simulation::{Identity, Population};

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "sybil-splitter",
    summary: "spreads its own items over many names",
    played: Loop::Open,
    headline: "attack-gain-relative",
    build,
};

#[derive(Clone, Debug)]
struct SybilSplitter {
    value: f64,
    names: u64,
    noise_exponent: f64,
    cost: Amount,
}

fn build(fields: &Fields<'_>, economy: &TokenEconomy) -> Option<Arc<dyn Agent>> {
    Some(Arc::new(SybilSplitter {
        value: fields.get("value", 1.0, |entry| entry.number(0.0, 1e6)),
        names: fields.get("names", 2, |entry| entry.count(1, 1 << 20)),
        noise_exponent: fields.get("noise-exponent", 0.5, |entry| entry.number(0.0, 1.0)),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(economy.scale)),
    }))
}

impl Agent for SybilSplitter {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn honest_value(&self) -> Option<f64> {
        Some(self.value)
    }

    fn identities(&self) -> u64 {
        self.names
    }

    fn attack(&self, population: &mut Population, person: u32, _: &Streams) {
        let names = self.names as f64;
        for at in population.of(person) {
            let stake = population.split_stake(at, self.names);
            let own = &mut population.identities[at];
            own.exact /= names;
            own.shown /= names;
            own.noise *= names.powf(-self.noise_exponent);
            let part = Identity { stake, ..own.clone() };
            for name in 1..self.names {
                // Parts hold different items: none is a copy of another.
                let origin = (1 << 40) + (u64::from(person) << 20) + name;
                population.add(Identity { origin, ..part.clone() });
            }
        }
    }

    fn cost(&self) -> Amount {
        self.cost.times(self.names.saturating_sub(1)).unwrap_or(Amount::ZERO)
    }

    fn size(&self) -> u64 {
        self.names
    }

    fn resized(&self, size: u64) -> Arc<dyn Agent> {
        Arc::new(Self { names: size.max(1), ..self.clone() })
    }
}
