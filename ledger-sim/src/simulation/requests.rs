//! Queries: when they come, who asks, about what, and what is paid for them.

use crate::demand::poisson_arrivals;
use crate::document::Money;
use crate::money::Amount;
use crate::prices::Price;
use crate::random::{Purpose, Streams};
use crate::refusal::Refusal;
use crate::scenario::{Arrivals, Clock, Demand, Fee, TokenEconomy, World};

use super::population::Population;

/// One query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// Days since the start of the run.
    pub time: f64,
    /// Number of the query within its epoch, which names its draws.
    pub index: u64,
    /// Who asks.
    pub user: u32,
    /// About what.
    pub topic: u32,
    /// A number in the unit interval that chooses whose data are used.
    pub choice: f64,
    /// What is paid.
    pub fee: Amount,
    /// Whether it can be attributed by an estimate.
    pub is_covered: bool,
    /// Position of the wash that pays for it.
    pub wash: Option<usize>,
}

/// Queries of one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    /// By time.
    pub queries: Vec<Query>,
    /// What each user pays for the epoch.
    pub subscription: Amount,
}

/// Draws per query.
const USER: u32 = 0;
const TOPIC: u32 = 1;
const CHOICE: u32 = 2;
const COVERED: u32 = 3;

/// Demand over a whole run, without washes.
#[derive(Debug)]
pub struct DemandPlan {
    arrivals: Vec<Vec<f64>>,
    activity: Vec<f64>,
}

impl DemandPlan {
    /// Draws all arrival times.
    ///
    /// # Errors
    /// Those of the arrival processes.
    pub fn draw(demand: &Demand, clock: &Clock, streams: &Streams) -> Result<Self, Refusal> {
        let mut sum = 0.0;
        let activity = (1..=demand.users)
            .map(|rank| {
                sum += (rank as f64).powf(-demand.activity);
                sum
            })
            .collect();
        Ok(Self { arrivals: arrivals(demand, clock, streams)?, activity })
    }

    /// Rank of the user, from 0, at a place of the unit interval.
    fn user(&self, place: f64) -> u32 {
        let total = self.activity.last().copied().unwrap_or(1.0);
        self.activity.partition_point(|sum| *sum <= place * total) as u32
    }

    /// Queries of an epoch, those that washers pay for included.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] for a fee beyond the range of amounts.
    pub fn requests(
        &self,
        world: &World,
        clock: &Clock,
        population: &Population,
        streams: &Streams,
        epoch: u32,
        price: Price,
    ) -> Result<Requests, Refusal> {
        let fees = EpochFees::of(&world.economy, clock, epoch, price)?;
        let draw =
            |what: u32, index: u64| streams.uniform(Purpose::Demand, u64::from(what), epoch, index);
        let topics = f64::from(world.contributors.topics);
        let mut queries: Vec<Query> = (0u64..)
            .zip(&self.arrivals[epoch as usize])
            .map(|(index, time)| {
                Ok(Query {
                    time: *time,
                    index,
                    user: self.user(draw(USER, index)),
                    topic: (draw(TOPIC, index) * topics) as u32,
                    choice: draw(CHOICE, index),
                    fee: fees.query(streams, epoch, index)?,
                    is_covered: draw(COVERED, index) < world.estimator.coverage,
                    wash: None,
                })
            })
            .collect::<Result<_, Refusal>>()?;
        let end = f64::from(epoch + 1) * clock.epoch_days;
        for (at, wash) in population.washes.iter().enumerate() {
            let topic = population.identities[wash.identity].topic;
            for index in 0..wash.queries {
                let index = (1 << 32) + ((at as u64) << 24) + index;
                queries.push(Query {
                    time: end,
                    index,
                    user: world.demand.users as u32 + at as u32,
                    topic,
                    choice: draw(CHOICE, index),
                    fee: fees.query(streams, epoch, index)?,
                    is_covered: true,
                    wash: Some(at),
                });
            }
        }
        Ok(Requests { queries, subscription: fees.subscription })
    }
}

/// Fees at the price of one epoch.
struct EpochFees {
    flat: Amount,
    subscription: Amount,
    by_tokens: Option<(crate::fees::TokenPrices, f64, f64)>,
    kept: f64,
}

impl EpochFees {
    fn of(
        economy: &TokenEconomy,
        clock: &Clock,
        epoch: u32,
        price: Price,
    ) -> Result<Self, Refusal> {
        let years = f64::from(epoch) * clock.epoch_days / 365.0;
        let kept = (1.0 - economy.fee_decline).powf(years);
        let tokens = |money: Money| match money {
            Money::Tokens(amount) => crate::emission::part_of(amount, kept),
            Money::Dollars(amount) => {
                price.tokens(crate::emission::part_of(amount, kept)?, economy.scale)
            }
        };
        let mut fees =
            Self { flat: Amount::ZERO, subscription: Amount::ZERO, by_tokens: None, kept };
        match economy.fee {
            Fee::Flat(money) => fees.flat = tokens(money)?,
            Fee::Subscription(money) => fees.subscription = tokens(money)?,
            Fee::ByTokens { prices, input, output } => {
                fees.by_tokens = Some((prices, input as f64, output as f64));
            }
        }
        Ok(fees)
    }

    fn query(&self, streams: &Streams, epoch: u32, index: u64) -> Result<Amount, Refusal> {
        let Some((prices, input, output)) = self.by_tokens else { return Ok(self.flat) };
        // Lengths of texts are exponential around their mean.
        let length = |what, mean: f64| {
            (streams.exponential(Purpose::Demand, what, epoch, index) * mean).round() as u64
        };
        let fee = prices.fee(length(16, input), length(17, output))?;
        crate::emission::part_of(fee, self.kept)
    }
}

fn arrivals(demand: &Demand, clock: &Clock, streams: &Streams) -> Result<Vec<Vec<f64>>, Refusal> {
    let days = clock.epoch_days;
    let mean = |epoch: u32| -> f64 {
        let base = match demand.series.as_slice() {
            [] => demand.queries as f64,
            series => series[epoch as usize % series.len()] as f64,
        };
        let middle = (f64::from(epoch) + 0.5) * days / 365.0;
        base * demand.growth.map_or(1.0, |growth| growth.share(middle))
    };
    let horizon = f64::from(clock.epochs) * days;
    let epoch_of = |time: f64| ((time / days) as u32).min(clock.epochs - 1);
    let rate = |time: f64| mean(epoch_of(time)) / days;
    let bound = (0..clock.epochs).map(|epoch| mean(epoch) / days).fold(0.0, f64::max);
    let times = match demand.arrivals {
        Arrivals::Even => {
            return Ok((0..clock.epochs)
                .map(|epoch| {
                    let count = mean(epoch).round() as u64;
                    let step = days / count.max(1) as f64;
                    let start = f64::from(epoch) * days;
                    (0..count).map(|at| start + (at as f64 + 0.5) * step).collect()
                })
                .collect());
        }
        _ if bound == 0.0 => vec![],
        Arrivals::Poisson => poisson_arrivals(streams, rate, bound, horizon)?,
        Arrivals::Hawkes { branching, echo_days } => {
            let process = Arrivals::hawkes(branching, echo_days, bound)?;
            let times = process.arrivals(streams, horizon);
            // A rate below the highest keeps each query with the ratio of the two.
            let kept = |(at, time): &(u64, f64)| {
                let place = streams.uniform(Purpose::Thinning, 2, 0, *at);
                place * bound < rate(*time)
            };
            (0u64..).zip(times).filter(kept).map(|(_, time)| time).collect()
        }
    };
    let mut by_epoch = vec![vec![]; clock.epochs as usize];
    for time in times {
        by_epoch[epoch_of(time) as usize].push(time);
    }
    Ok(by_epoch)
}
