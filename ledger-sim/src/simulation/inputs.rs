//! What a rule reads at one settlement, made from people and queries.

use std::collections::BTreeMap;

use crate::emission::decayed_weight;
use crate::money::Amount;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;
use crate::rules::{
    Bid, CurationMarket, NodeReports, OwnedItems, Position, Role, Side, TournamentScore,
    TrailingUse, Usage,
};
use crate::scenario::World;
use crate::scores::ScoreView;
use crate::semivalue::CoalitionGame;

use super::population::{Identity, Population};
use super::requests::Query;

/// Which scores a rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// True ones.
    Exact,
    /// Estimates.
    Estimated,
}

/// Scores, usage and everything else that is drawn from people and queries.
pub struct Views<'a> {
    pub world: &'a World,
    pub population: &'a Population,
    pub streams: &'a Streams,
    pub sight: Sight,
    pub epoch_days: f64,
}

impl Views<'_> {
    /// Positions of the identities of each topic that contribute in an epoch.
    pub fn active(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut topics = vec![vec![]; self.world.contributors.topics as usize];
        for (at, identity) in self.population.identities.iter().enumerate() {
            if (identity.joined..identity.left).contains(&epoch) {
                let topic = identity.topic as usize % topics.len();
                topics[topic].push(at);
            }
        }
        topics
    }

    /// A row of scores for every query.
    ///
    /// # Errors
    /// Those of [`ScoreView::from_rows`].
    pub fn scores(
        &self,
        epoch: u32,
        queries: &[Query],
        active: &[Vec<usize>],
        lasting: &[f64],
    ) -> Result<ScoreView, Refusal> {
        let rows = queries.iter().map(|query| {
            let mut row = self.row(epoch, query, active, lasting);
            self.decay(epoch, &mut row);
            row
        });
        ScoreView::from_rows(self.population.identities.len(), rows)
    }

    /// Lowers scores by the age of their claims, `s 2^(-age / half-life)`.
    fn decay(&self, epoch: u32, row: &mut [(usize, f64)]) {
        let Some(half_life) = self.world.payouts.claims_half_life else { return };
        for (at, score) in row {
            let joined = self.population.identities[*at].joined;
            let age = f64::from(epoch.saturating_sub(joined)) * self.epoch_days;
            *score = decayed_weight(*score, age, half_life);
        }
    }

    fn row(
        &self,
        epoch: u32,
        query: &Query,
        active: &[Vec<usize>],
        lasting: &[f64],
    ) -> Vec<(usize, f64)> {
        if self.sight == Sight::Estimated && !query.is_covered {
            return vec![];
        }
        let topic = &active[query.topic as usize % active.len()];
        let noise = self.world.estimator.noise;
        let (shared, own) = (noise.correlation().sqrt(), (1.0 - noise.correlation()).sqrt());
        let mut row: Vec<(usize, f64)> = topic
            .iter()
            .map(|&at| {
                let identity = &self.population.identities[at];
                if self.sight == Sight::Exact {
                    return (at, identity.exact);
                }
                let mut score = identity.shown + self.world.estimator.bias;
                if noise.sigma() > 0.0 {
                    let fresh = self.streams.normal_in_row(
                        Purpose::EstimatorNoise,
                        identity.key,
                        epoch,
                        query.index,
                    );
                    let error = shared * lasting[at] + own * fresh;
                    score += noise.sigma() * identity.noise * error;
                }
                (at, score)
            })
            .collect();
        if let Some(wash) = query.wash {
            let wash = self.population.washes[wash];
            let total: f64 = row.iter().map(|(_, score)| score.max(0.0)).sum();
            row.iter_mut().for_each(|(_, score)| *score *= 1.0 - wash.own_share);
            let crafted = wash.own_share * if total > 0.0 { total } else { 1.0 };
            match row.iter_mut().find(|(at, _)| *at == wash.identity) {
                Some((_, score)) => *score += crafted,
                None => row.push((wash.identity, crafted)),
            }
        }
        row
    }

    /// Errors that last over all queries, one for each identity.
    pub fn lasting_errors(&self) -> Vec<f64> {
        let error =
            |identity: &Identity| self.streams.normal(Purpose::EstimatorBias, identity.key, 0, 0);
        if self.world.estimator.noise.sigma() == 0.0 {
            return vec![0.0; self.population.identities.len()];
        }
        self.population.identities.iter().map(error).collect()
    }

    /// Whose data each query uses: in proportion to worth, sharper for the more active half of
    /// users where activity and taste for the popular go together.
    pub fn usage(&self, queries: &[Query], active: &[Vec<usize>]) -> Result<Usage, Refusal> {
        let users = self.world.demand.users as usize + self.population.washes.len();
        let heads = [1.0 - self.world.demand.taste, 1.0 + self.world.demand.taste];
        let tables = heads.map(|power| -> Vec<Vec<f64>> {
            active.iter().map(|topic| self.cumulated(topic, power)).collect()
        });
        let mut rows = vec![BTreeMap::new(); users];
        for query in queries {
            let topic = query.topic as usize % active.len();
            let is_heavy = (query.user as usize) < self.world.demand.users as usize / 2;
            let cumulated = &tables[usize::from(is_heavy)][topic];
            let total = cumulated.last().copied().unwrap_or(0.0);
            let used = match query.wash {
                Some(wash) => self.population.washes[wash].identity,
                None if total <= 0.0 => continue,
                None => {
                    let at = cumulated.partition_point(|sum| *sum <= query.choice * total);
                    active[topic][at.min(active[topic].len() - 1)]
                }
            };
            *rows[query.user as usize].entry(used).or_insert(0) += 1;
        }
        let rows = rows.into_iter().map(|row| row.into_iter().collect()).collect();
        Usage::new(self.population.identities.len(), rows)
    }

    fn cumulated(&self, topic: &[usize], power: f64) -> Vec<f64> {
        let mut sum = 0.0;
        topic
            .iter()
            .map(|at| {
                let identity = &self.population.identities[*at];
                let worth = match self.sight {
                    Sight::Exact => identity.exact,
                    Sight::Estimated => identity.shown,
                };
                sum += if worth > 0.0 { worth.powf(power) } else { 0.0 };
                sum
            })
            .collect()
    }
}

/// Uses of every identity over the trailing twelve months.
#[derive(Clone, Debug, Default)]
pub struct Trailing {
    uses: BTreeMap<(u32, usize), u64>,
    last_seen: BTreeMap<(usize, usize), u32>,
}

impl Trailing {
    /// Adds the uses of an epoch.
    pub fn add(&mut self, epoch: u32, usage: &Usage) {
        for (user, row) in usage.rows().iter().enumerate() {
            for (identity, uses) in row {
                *self.uses.entry((epoch, *identity)).or_insert(0) += uses;
                self.last_seen.insert((*identity, user), epoch);
            }
        }
    }

    /// Uses within `window` epochs up to `epoch`.
    pub fn read(&mut self, epoch: u32, window: u32, identities: usize) -> Vec<TrailingUse> {
        let first = (epoch + 1).saturating_sub(window);
        self.uses = self.uses.split_off(&(first, 0));
        self.last_seen.retain(|_, last| *last >= first);
        let mut trailing = vec![TrailingUse { uses: 0, users: 0 }; identities];
        for ((_, identity), uses) in &self.uses {
            trailing[*identity].uses += uses;
        }
        for (identity, _) in self.last_seen.keys() {
            trailing[*identity].users += 1;
        }
        trailing
    }
}

/// Inputs that only some rules read, with the storage that [`Side`] borrows.
#[derive(Default)]
pub struct SideInputs {
    pub usage: Option<Usage>,
    pub trailing: Option<Vec<TrailingUse>>,
    pub eligible: Option<Vec<usize>>,
    pub accepted_items: Option<Vec<u64>>,
    pub stakes: Option<Vec<Amount>>,
    pub tournament: Option<Vec<TournamentScore>>,
    reports: Option<(Vec<Amount>, Vec<f64>)>,
    market: Option<(Vec<Amount>, Vec<Position>)>,
    game: Option<CoalitionGame>,
    owners: Vec<usize>,
    similarity: Option<Vec<f64>>,
    bids: Option<Vec<Bid>>,
    registered: Option<Vec<u64>>,
    is_item_game: bool,
}

impl SideInputs {
    /// The inputs as a rule borrows them.
    pub fn side(&self) -> Side<'_> {
        let reports = self.reports.as_ref();
        let market = self.market.as_ref();
        let items = self.game.as_ref().filter(|_| self.is_item_game);
        Side {
            usage: self.usage.as_ref(),
            trailing: self.trailing.as_deref(),
            eligible: self.eligible.as_deref(),
            accepted_items: self.accepted_items.as_deref(),
            stakes: self.stakes.as_deref(),
            tournament: self.tournament.as_deref(),
            reports: reports.map(|(stakes, weights)| NodeReports { stakes, weights }),
            market: market.map(|(volumes, positions)| CurationMarket { volumes, positions }),
            game: self.game.as_ref().filter(|_| !self.is_item_game),
            items: items.map(|game| OwnedItems { game, owners: &self.owners }),
            similarity: self.similarity.as_deref(),
            bids: self.bids.as_deref(),
            registered_seconds: self.registered.as_deref(),
        }
    }

    /// Fills in what the rule of the world needs beyond usage and stakes, which the books know.
    ///
    /// # Errors
    /// Those of the coalition game.
    pub fn fill(
        &mut self,
        views: &Views<'_>,
        epoch: u32,
        active: &[Vec<usize>],
        net: &[f64],
        queries: usize,
        pot: Amount,
    ) -> Result<(), Refusal> {
        let payouts = &views.world.payouts;
        let identities = &views.population.identities;
        if payouts.needs("eligible contributors") {
            let mut eligible: Vec<usize> = active.iter().flatten().copied().collect();
            eligible.sort_unstable();
            self.eligible = Some(eligible);
        }
        if payouts.needs("accepted items") {
            let is_new = |identity: &Identity| u64::from(identity.joined == epoch);
            self.accepted_items = Some(identities.iter().map(is_new).collect());
        }
        if payouts.needs("tournament scores") {
            self.tournament = Some(tournament(net, queries));
        }
        if payouts.needs("node reports") {
            self.reports = Some(reports(views, epoch, net));
        }
        if payouts.needs("curation market") {
            self.market = Some(market(views, net, pot)?);
        }
        let is_item_game = payouts.needs("an item game with owners");
        if payouts.needs("a coalition game") || is_item_game {
            self.game = Some(coverage_game(views)?);
            self.is_item_game = is_item_game;
            self.owners = identities.iter().map(|identity| identity.person as usize).collect();
        }
        if payouts.needs("similarity") {
            self.similarity = Some(similarity(identities));
        }
        if payouts.needs("bids") {
            self.bids = Some(bids(views, epoch, net, pot)?);
        }
        if payouts.needs("registration times") {
            let seconds = identities.iter().map(|identity| identity.registered_seconds);
            self.registered = Some(seconds.collect());
        }
        Ok(())
    }
}

/// A model's correlation is a hundredth of its mean score; its contribution what it has above the
/// mean of all.
fn tournament(net: &[f64], queries: usize) -> Vec<TournamentScore> {
    let count = queries.max(1) as f64;
    let mean = net.iter().sum::<f64>() / count / net.len().max(1) as f64;
    net.iter()
        .map(|sum| {
            let score = sum / count;
            TournamentScore { correlation: 0.01 * score, contribution: 0.01 * (score - mean) }
        })
        .collect()
}

/// Honest nodes report net scores with their own noise; those of a cabal put their weight on one
/// person's identities.
fn reports(views: &Views<'_>, epoch: u32, net: &[f64]) -> (Vec<Amount>, Vec<f64>) {
    let nodes = &views.world.nodes;
    let total: f64 = net.iter().map(|score| score.max(0.0)).sum();
    let mut weights = Vec::with_capacity(nodes.count as usize * net.len());
    for node in 0..nodes.count {
        let place = (node as f64 + 0.5) / nodes.count as f64;
        let cabal = views.population.cabals.iter().find(|cabal| place > 1.0 - cabal.nodes);
        let own = |at: usize| {
            cabal.is_some_and(|cabal| views.population.identities[at].person == cabal.person)
        };
        let own_count = (0..net.len()).filter(|at| own(*at)).count().max(1) as f64;
        for (at, score) in net.iter().enumerate() {
            let noise = match nodes.noise {
                0.0 => 1.0,
                noise => {
                    let z = views.streams.normal_in_row(Purpose::Reports, node, epoch, at as u64);
                    (1.0 + noise * z).max(0.0)
                }
            };
            let share = if total > 0.0 { score.max(0.0) / total } else { 0.0 };
            weights.push(match cabal {
                None => share * noise,
                Some(cabal) if own(at) => cabal.weight / own_count,
                Some(cabal) => share * (1.0 - cabal.weight),
            });
        }
    }
    (vec![nodes.stake; nodes.count as usize], weights)
}

/// Every identity publishes one asset, whose volume is its part of the pot, and stakes on it.
fn market(
    views: &Views<'_>,
    net: &[f64],
    pot: Amount,
) -> Result<(Vec<Amount>, Vec<Position>), Refusal> {
    let total: f64 = net.iter().map(|score| score.max(0.0)).sum();
    let share = |score: &f64| if total > 0.0 { (score.max(0.0) / total).min(1.0) } else { 0.0 };
    let volumes = net
        .iter()
        .map(|score| crate::emission::part_of(pot, share(score)))
        .collect::<Result<_, _>>()?;
    let unit = Amount::new(views.world.economy.scale.base_units_per_token());
    let positions = views
        .population
        .identities
        .iter()
        .enumerate()
        .map(|(at, identity)| {
            let stake = if identity.stake.is_zero() { unit } else { identity.stake };
            Position { contributor: at, asset: at, stake, locked: stake, role: Role::Publisher }
        })
        .collect();
    Ok((volumes, positions))
}

/// Data of one topic complement each other and copies add nothing: with `a = 1 - e^-exact` of each
/// original, `v(S) = sum over topics of 1 - product over originals in S of (1 - a)`.
fn coverage_game(views: &Views<'_>) -> Result<CoalitionGame, Refusal> {
    let identities = &views.population.identities;
    CoalitionGame::from_fn(identities.len(), |coalition| {
        let mut originals: BTreeMap<u64, (u32, f64)> = BTreeMap::new();
        for (at, identity) in identities.iter().enumerate() {
            if coalition >> at & 1 == 1 {
                let worth = identity.shown.max(identity.exact).max(0.0);
                let known = originals.entry(identity.origin).or_insert((identity.topic, 0.0));
                known.1 = known.1.max(worth);
            }
        }
        let mut left: BTreeMap<u32, f64> = BTreeMap::new();
        for (topic, worth) in originals.into_values() {
            *left.entry(topic).or_insert(0.0) += worth;
        }
        left.into_values().map(|worth| -(-worth).exp_m1()).sum()
    })
}

fn similarity(identities: &[Identity]) -> Vec<f64> {
    let rows = identities
        .iter()
        .flat_map(|a| identities.iter().map(move |b| f64::from(u8::from(a.origin == b.origin))));
    rows.collect()
}

/// Costs around the contributors' mean cost, values in proportion to scores.
fn bids(views: &Views<'_>, epoch: u32, net: &[f64], pot: Amount) -> Result<Vec<Bid>, Refusal> {
    let total: f64 = net.iter().map(|score| score.max(0.0)).sum();
    let cost = views.world.contributors.cost;
    let mut bids = Vec::with_capacity(net.len());
    for (identity, score) in views.population.identities.iter().zip(net) {
        let place = views.streams.uniform(Purpose::People, identity.key, 8, u64::from(epoch));
        let asked = crate::emission::part_of(cost, place)?.plus(cost.scaled(1, 2)?)?;
        let share = if total > 0.0 { (score.max(0.0) / total).min(1.0) } else { 0.0 };
        let value = crate::emission::part_of(pot, share)?;
        bids.push(Bid { cost: asked, value });
    }
    Ok(bids)
}
