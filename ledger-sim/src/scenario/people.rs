//! Contributors, users, the estimator of attribution and the nodes that report it.

use crate::agents::StopHazard;
use crate::demand::{EstimatorNoise, Hawkes};
use crate::document::{Entry, Fields};
use crate::money::Amount;

use super::TokenEconomy;

/// How value is spread over useful contributors; every law has mean one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// All alike.
    Equal,
    /// Log-normal with this standard deviation of the logarithm.
    LogNormal(f64),
    /// Pareto with this tail exponent, above one.
    Pareto(f64),
}

/// Who contributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contributors {
    /// How many.
    pub count: u64,
    /// Share of them whose data are worth anything.
    pub useful: f64,
    /// How value is spread over those.
    pub values: Values,
    /// Cost of contributing an epoch.
    pub cost: Amount,
    /// What a contributor could earn elsewhere an epoch.
    pub outside_option: Amount,
    /// When contributors stop; never where absent.
    pub stops: Option<StopHazard>,
    /// Whether they all start together, or spread over the first half of the run.
    pub arrive_over: f64,
    /// Tokens that each has at stake.
    pub stake: Amount,
    /// Kinds of subject that data are about.
    pub topics: u32,
}

/// When queries come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// So many an epoch, evenly spaced.
    Even,
    /// A Poisson process.
    Poisson,
    /// Bursts: a Hawkes process with this branching ratio, and the mean duration of an echo in
    /// days.
    Hawkes {
        /// Queries that each query brings about, below one.
        branching: f64,
        /// Days after which an echo has faded to 1/e.
        echo_days: f64,
    },
}

/// Who asks, how often and about what.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Mean number of queries an epoch at full use.
    pub queries: u64,
    /// When they come.
    pub arrivals: Arrivals,
    /// Users.
    pub users: u64,
    /// Exponent of the law of activity: user `k` asks in proportion to `k^-activity`.
    pub activity: f64,
    /// Correlation of activity with a taste for what is popular, from -1 to 1.
    pub taste: f64,
    /// Growth of use by diffusion (innovation and imitation a year); at full use from the start
    /// where absent.
    pub growth: Option<crate::adoption::Bass>,
    /// A series of queries an epoch that replaces the mean, repeated where it is too short.
    pub series: Vec<u64>,
}

/// How attribution is estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimator {
    /// Noise, in units of a useful contributor's mean score, with its correlation over queries.
    pub noise: EstimatorNoise,
    /// Added to every score.
    pub bias: f64,
    /// Share of queries that can be attributed at all.
    pub coverage: f64,
}

/// Nodes that report attribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nodes {
    /// How many.
    pub count: u64,
    /// Stake of each.
    pub stake: Amount,
    /// Standard deviation of a report's weights, relative to their mean.
    pub noise: f64,
}

pub(super) fn read_contributors(root: &Fields<'_>, economy: &TokenEconomy) -> Contributors {
    let fields = root.section("contributors");
    let scale = economy.scale;
    let contributors = Contributors {
        count: fields.need("count", 1, |entry| entry.count(1, 10_000_000)),
        useful: fields.get("useful", 1.0, |entry| entry.share()),
        values: fields.get("values", Values::Equal, read_values),
        cost: fields.get("cost", Amount::ZERO, |entry| entry.tokens(scale)),
        outside_option: fields.get("outside-option", Amount::ZERO, |entry| entry.tokens(scale)),
        stops: fields.get("stops", None, |entry| read_hazard(entry).map(Some)),
        arrive_over: fields.get("arrive-over", 0.0, |entry| entry.share()),
        stake: fields.get("stake", Amount::ZERO, |entry| entry.tokens(scale)),
        topics: fields.get("topics", 1, |entry| entry.count(1, 10_000)) as u32,
    };
    if contributors.useful == 0.0 {
        fields.fault("useful", "nobody is useful", "leave at least one");
    }
    let staked = contributors.stake.times(contributors.count);
    if staked.is_ok_and(|staked| staked > economy.market) {
        fields.fault("stake", "more is staked than circulates", "lower the stake");
    }
    fields.close();
    contributors
}

fn read_values(entry: &Entry<'_>) -> Option<Values> {
    let (name, fields) = entry.named()?;
    entry.known("law of values", &name, ["equal", "log-normal", "pareto"].into_iter())?;
    let values = match name.as_str() {
        "log-normal" => {
            Values::LogNormal(fields.get("spread", 1.0, |entry| entry.number(0.0, 5.0)))
        }
        "pareto" => Values::Pareto(fields.get("tail", 1.5, |entry| entry.number(1.01, 100.0))),
        _ => Values::Equal,
    };
    fields.close();
    Some(values)
}

pub(crate) fn read_hazard(entry: &Entry<'_>) -> Option<StopHazard> {
    let fields = entry.fields()?;
    let scale = fields.get("scale", 0.85, |entry| entry.number(0.0, 100.0));
    let offset = fields.get("offset", 1.0, |entry| entry.number(-0.99, 1e6));
    fields.close();
    let hazard = StopHazard::new(scale, offset);
    if let Err(refusal) = &hazard {
        entry.fault(refusal.to_string(), "the hazard scale / (k + offset) is at most one at k = 1");
    }
    hazard.ok()
}

pub(super) fn read_demand(root: &Fields<'_>) -> Demand {
    let fields = root.section("demand");
    let demand = Demand {
        queries: fields.need("queries", 1, |entry| entry.count_of("queries", 1)),
        arrivals: fields.get("arrivals", Arrivals::Even, read_arrivals),
        users: fields.get("users", 1, |entry| entry.count(1, 10_000_000)),
        activity: fields.get("activity", 0.0, |entry| entry.number(0.0, 5.0)),
        taste: fields.get("taste", 0.0, |entry| entry.number(-1.0, 1.0)),
        growth: fields.get("growth", None, |entry| read_bass(entry).map(Some)),
        series: fields.get("series", vec![], |entry| {
            entry.list().iter().map(|member| member.count(0, 1 << 32)).collect()
        }),
    };
    fields.close();
    demand
}

pub(super) fn read_bass(entry: &Entry<'_>) -> Option<crate::adoption::Bass> {
    let fields = entry.fields()?;
    let innovation = fields.get("innovation", 0.03, |entry| entry.number(1e-9, 100.0));
    let imitation = fields.get("imitation", 0.38, |entry| entry.number(1e-9, 100.0));
    fields.close();
    crate::adoption::Bass::new(innovation, imitation).ok()
}

fn read_arrivals(entry: &Entry<'_>) -> Option<Arrivals> {
    let (name, fields) = entry.named()?;
    entry.known("arrival process", &name, ["even", "poisson", "hawkes"].into_iter())?;
    let arrivals = match name.as_str() {
        "poisson" => Arrivals::Poisson,
        "hawkes" => Arrivals::Hawkes {
            branching: fields.get("branching", 0.5, |entry| entry.number(0.0, 0.999)),
            echo_days: fields.get("echo", 1.0, |entry| entry.days()).max(1e-6),
        },
        _ => Arrivals::Even,
    };
    fields.close();
    Some(arrivals)
}

impl Arrivals {
    /// The Hawkes process with a mean of `rate` queries a day.
    ///
    /// # Errors
    /// Those of [`Hawkes::new`].
    pub fn hawkes(
        branching: f64,
        echo_days: f64,
        rate: f64,
    ) -> Result<Hawkes, crate::refusal::Refusal> {
        Hawkes::new(rate * (1.0 - branching), branching / echo_days, 1.0 / echo_days)
    }
}

pub(super) fn read_estimator(root: &Fields<'_>) -> Estimator {
    let fields = root.section("estimator");
    let noise = fields.get("noise", 0.0, |entry| entry.number(0.0, 1e6));
    let correlation = fields.get("correlation", 0.0, |entry| entry.share());
    let estimator = Estimator {
        noise: EstimatorNoise::new(noise, correlation).unwrap_or(EstimatorNoise::NONE),
        bias: fields.get("bias", 0.0, |entry| entry.number(-1e6, 1e6)),
        coverage: fields.get("coverage", 1.0, |entry| entry.share()),
    };
    fields.close();
    estimator
}

pub(super) fn read_nodes(root: &Fields<'_>, economy: &TokenEconomy) -> Nodes {
    let fields = root.section("nodes");
    let unit = Amount::new(economy.scale.base_units_per_token());
    let nodes = Nodes {
        count: fields.get("count", 16, |entry| entry.count(1, 10_000)),
        stake: fields.get("stake", unit, |entry| entry.tokens(economy.scale)),
        noise: fields.get("noise", 0.0, |entry| entry.number(0.0, 100.0)),
    };
    fields.close();
    nodes
}
