//! Who contributes, under which names, and what an estimator sees of it.

use crate::money::Amount;
use crate::random::{Purpose, Streams};
use crate::scenario::{Clock, Contributors, Values, World};

/// One name under which data are contributed.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The person behind it.
    pub person: u32,
    /// Names its random draws, so that an attack leaves those of all others as they are.
    pub key: u64,
    /// The identity whose data these are: itself, or the original of a copy.
    pub origin: u64,
    /// True score for a query about its topic.
    pub exact: f64,
    /// Expectation of the estimated score, in the same unit.
    pub shown: f64,
    /// Factor on the estimator's noise.
    pub noise: f64,
    /// What the data are about.
    pub topic: u32,
    /// First epoch.
    pub joined: u32,
    /// Epoch from which it contributes no more.
    pub left: u32,
    /// When it was registered.
    pub registered_seconds: u64,
    /// Stake.
    pub stake: Amount,
}

/// Queries that somebody pays for to have an own identity credited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wash {
    /// Position of the identity.
    pub identity: usize,
    /// Queries an epoch.
    pub queries: u64,
    /// Share of the queries' score that it crafts for itself.
    pub own_share: f64,
}

/// Nodes that report in favour of one person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cabal {
    /// The person.
    pub person: u32,
    /// Share of the nodes, from the last on.
    pub nodes: f64,
    /// Weight that they report for the person's identities together.
    pub weight: f64,
}

/// Detection and punishment of a person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// The person.
    pub person: u32,
    /// Probability of detection in an epoch.
    pub probability: f64,
}

/// Everybody, and what they do beyond contributing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Population {
    /// Names under which data are contributed.
    pub identities: Vec<Identity>,
    /// Number of persons.
    pub persons: u32,
    /// Washed queries.
    pub washes: Vec<Wash>,
    /// Nodes that collude.
    pub cabals: Vec<Cabal>,
    /// Who is watched.
    pub watches: Vec<Watch>,
    /// Person that each victim loses to.
    pub victims: Vec<u32>,
    next_key: u64,
}

/// A contributor's number among the draws of people.
const VALUE: u32 = 0;
const TOPIC: u32 = 1;
const START: u32 = 2;
const REGISTRATION: u32 = 3;

impl Population {
    /// Everybody as they are without any attack: contributors, then each agent's honest self.
    pub fn honest(world: &World, clock: &Clock, streams: &Streams) -> Self {
        let mut population = Self::default();
        let contributors = &world.contributors;
        let useful = (contributors.count as f64 * contributors.useful).ceil() as u64;
        for person in 0..contributors.count {
            let value = if person < useful { value_of(contributors, streams, person) } else { 0.0 };
            population.add_person(contributors, clock, streams, value);
        }
        for agent in &world.agents {
            let value = agent.honest_value();
            population.add_person(contributors, clock, streams, value.unwrap_or(0.0));
            if value.is_none() {
                // Who has nothing to contribute is a person without a name until it attacks.
                population.identities.pop();
            }
        }
        population.normalise(useful as f64);
        population
    }

    /// The same after every agent has acted.
    pub fn attacked(&self, world: &World, streams: &Streams) -> Self {
        let mut population = self.clone();
        for (person, agent) in (world.contributors.count as u32..).zip(&world.agents) {
            agent.attack(&mut population, person, streams);
        }
        population
    }

    fn add_person(
        &mut self,
        contributors: &Contributors,
        clock: &Clock,
        streams: &Streams,
        value: f64,
    ) {
        let person = u64::from(self.persons);
        let draw = |what| streams.uniform(Purpose::People, person, what, 0);
        let start = draw(START) * contributors.arrive_over * f64::from(clock.epochs);
        let joined = start as u32;
        let stays = match contributors.stops {
            None => u32::MAX,
            Some(hazard) => hazard.draw(streams, person, clock.epochs),
        };
        let seconds = clock.epoch_days * 86_400.0;
        self.identities.push(Identity {
            person: self.persons,
            key: person,
            origin: person,
            exact: value,
            shown: value,
            noise: 1.0,
            topic: (draw(TOPIC) * f64::from(contributors.topics)) as u32,
            joined,
            left: joined.saturating_add(stays),
            registered_seconds: ((f64::from(joined) + draw(REGISTRATION)) * seconds) as u64,
            stake: contributors.stake,
        });
        self.persons += 1;
        self.next_key = self.next_key.max(person + 1);
    }

    /// Scales values so that useful contributors have a mean of one.
    fn normalise(&mut self, useful: f64) {
        let total: f64 =
            self.identities.iter().take(useful as usize).map(|identity| identity.exact).sum();
        if total > 0.0 {
            for identity in self.identities.iter_mut().take(useful as usize) {
                identity.exact *= useful / total;
                identity.shown = identity.exact;
            }
        }
    }

    /// Positions of a person's identities.
    pub fn of(&self, person: u32) -> Vec<usize> {
        let own = |at: &usize| self.identities[*at].person == person;
        (0..self.identities.len()).filter(own).collect()
    }

    /// A new name, with draws of its own.
    pub fn add(&mut self, identity: Identity) -> usize {
        // Draws of added names start far above those of everybody in any population.
        let key = (1 << 32) + self.next_key;
        self.next_key += 1;
        self.identities.push(Identity { key, ..identity });
        self.identities.len() - 1
    }

    /// Splits the stake behind a name in `parts`: one part stays, and each further name takes the
    /// part that is returned. More names do not make more capital.
    pub fn split_stake(&mut self, at: usize, parts: u64) -> Amount {
        let own = &mut self.identities[at].stake;
        let parts = u128::from(parts.max(1));
        let part = own.get() / parts;
        // What does not divide stays with the first name.
        *own = Amount::new(own.get() - part * (parts - 1));
        Amount::new(part)
    }

    /// A name without worth for `person`.
    pub fn worthless(&self, person: u32) -> Identity {
        Identity {
            person,
            key: 0,
            origin: (1 << 33) + self.next_key,
            exact: 0.0,
            shown: 0.0,
            noise: 1.0,
            topic: person % self.topics(),
            joined: 0,
            left: u32::MAX,
            registered_seconds: u64::from(person),
            stake: Amount::ZERO,
        }
    }

    /// Number of subjects.
    pub fn topics(&self) -> u32 {
        self.identities.iter().map(|identity| identity.topic + 1).max().unwrap_or(1)
    }

    /// The contributor, agents left out, whose data are worth most.
    pub fn most_valuable(&self, contributors: u32) -> Option<usize> {
        let honest = self.identities.iter().enumerate();
        let honest = honest.filter(|(_, identity)| identity.person < contributors);
        honest.max_by(|a, b| a.1.exact.total_cmp(&b.1.exact)).map(|(at, _)| at)
    }
}

fn value_of(contributors: &Contributors, streams: &Streams, person: u64) -> f64 {
    match contributors.values {
        Values::Equal => 1.0,
        Values::LogNormal(spread) => {
            let z = streams.normal(Purpose::People, person, VALUE, 0);
            (spread * z - spread * spread / 2.0).exp()
        }
        Values::Pareto(tail) => {
            let u = streams.uniform(Purpose::People, person, VALUE, 0);
            // Mean one: the scale is (tail - 1) / tail.
            (tail - 1.0) / tail * u.powf(-1.0 / tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_share_the_stake_of_their_person() {
        let mut population = Population::default();
        let stake = Amount::new(11);
        let at = population.add(Identity { stake, ..population.worthless(0) });
        // 11 in 4 parts: 2 for each of three further names, and 5 stay.
        assert_eq!(population.split_stake(at, 4), Amount::new(2));
        assert_eq!(population.identities[at].stake, Amount::new(5));
        assert_eq!(population.split_stake(at, 1), Amount::new(5));
        assert_eq!(population.identities[at].stake, Amount::new(5));
    }
}
