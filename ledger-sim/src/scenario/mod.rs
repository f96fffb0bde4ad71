//! A scenario that has been checked: only this is simulated.
//!
//! [`check`] reads a document, notes everything that is wrong with it at once, and refuses
//! economics that cannot be: shares beyond the whole, more tokens than there are, releases beyond
//! the supply. Quantities carry units; money is read digit by digit.

mod adoption;
mod money;
mod people;
mod sweep;

pub use adoption::{Adoption, Treasury};
pub use money::{
    Allocation, Emission, EmissionLaw, Fee, Frictions, Holder, MoneySource, TokenEconomy,
};
pub use people::{Arrivals, Contributors, Demand, Estimator, Nodes, Values};
pub use sweep::{Axis, Design, Levels, Sweep};

use std::sync::Arc;

use crate::agents::{self, Agent};
use crate::document::{Fault, Fields, Node, Reader};
use crate::rules::{self, OnEmpty, Parameters, Rule, Value};
use crate::simulation::METRICS;

/// How long a run is, and in which steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Epochs of a run.
    pub epochs: u32,
    /// Days of an epoch.
    pub epoch_days: f64,
    /// How time advances.
    pub engine: Engine,
}

/// How time advances. Both give the same journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Epoch by epoch over flat arrays.
    Epochs,
    /// Event by event from a heap ordered by time, kind and number.
    Events,
}

/// How often queries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So many queries together; what is left at the end of an epoch is settled then.
    Queries(u64),
    /// All queries of an epoch together.
    Epoch,
}

/// What the journal keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// A posting for each query's fee and for each settlement.
    Query,
    /// Fees of a settlement in one posting.
    Settlement,
    /// Fees and settlements of an epoch in one posting each.
    Epoch,
}

/// The payout rule and when it is applied.
#[derive(Clone, Debug)]
pub struct Payouts {
    /// The rule.
    pub rule: Arc<dyn Rule>,
    /// Inputs that the rule needs beyond scores and pots.
    pub needs: &'static [&'static str],
    /// How often it is applied.
    pub period: Period,
    /// Days in which a claim loses half of its weight with the time since its owner joined; never
    /// where absent. Rules that read scores know it.
    pub claims_half_life: Option<f64>,
    /// What happens to an unowned pot.
    pub on_empty: OnEmpty,
    /// What the journal keeps.
    pub journal: Granularity,
}

impl Payouts {
    /// Whether the rule reads an input beyond scores and pots.
    pub fn needs(&self, input: &str) -> bool {
        self.needs.contains(&input)
    }
}

/// The world in which contributors are paid.
#[derive(Clone, Debug)]
pub struct World {
    /// Token, fees, emission and friction.
    pub economy: TokenEconomy,
    /// Who contributes.
    pub contributors: Contributors,
    /// Who asks.
    pub demand: Demand,
    /// How attribution is estimated.
    pub estimator: Estimator,
    /// Nodes that report attribution.
    pub nodes: Nodes,
    /// How pots are paid out.
    pub payouts: Payouts,
    /// Who behaves strategically.
    pub agents: Vec<Arc<dyn Agent>>,
}

/// A condition on a metric, checked after the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The condition as it was written.
    pub text: String,
    /// Name of the metric.
    pub metric: String,
    /// Settings that a case must have for the condition to bear on it, `name=value`.
    pub case: Vec<(String, String)>,
    /// Whether values above the limit are asked for, or values below it.
    pub side: Side,
    /// The limit.
    pub limit: f64,
}

/// On which side of a limit a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below.
    Below,
    /// Above.
    Above,
}

impl Side {
    /// Whether `value` is on this side of `limit`.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::Above => value > limit,
        }
    }
}

impl Condition {
    /// Reads `metric < number`, `metric > number` or `metric(name=value, ...) < number`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (left, side, right) = if let Some((left, right)) = text.split_once('<') {
            (left, Side::Below, right)
        } else if let Some((left, right)) = text.split_once('>') {
            (left, Side::Above, right)
        } else {
            return Err(format!("`{text}` compares nothing: write `metric < number`"));
        };
        let right = right.trim();
        let percent = right.strip_suffix('%').map(str::trim);
        let limit: f64 = percent
            .unwrap_or(right)
            .parse()
            .map_err(|_| format!("`{right}` is no number: write `metric < number`"))?;
        let limit = if percent.is_some() { limit / 100.0 } else { limit };
        let (metric, case) = match left.trim().split_once('(') {
            None => (left.trim(), ""),
            Some((metric, case)) => match case.trim().strip_suffix(')') {
                Some(case) => (metric.trim(), case),
                None => return Err(format!("`{left}` lacks its closing bracket")),
            },
        };
        let pair = |part: &str| -> Result<(String, String), String> {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` names no setting: write `name=value`"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        let case = case
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(pair)
            .collect::<Result<_, _>>()?;
        if !METRICS.iter().any(|known| known.name == metric) {
            let known: Vec<&str> = METRICS.iter().map(|known| known.name).collect();
            return Err(format!("unknown metric `{metric}` (known: {})", known.join(", ")));
        }
        Ok(Self { text: text.to_owned(), metric: metric.to_owned(), case, side, limit })
    }
}

/// A checked scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Name of the scenario and of its folder.
    pub name: String,
    /// What is asked.
    pub question: String,
    /// What was expected before anything ran.
    pub prediction: String,
    /// Parts of the prediction as conditions. One that fails is a finding, no failure of the run.
    pub predicts: Vec<Condition>,
    /// Conditions checked after the run.
    pub expect: Vec<Condition>,
    /// Root of all randomness.
    pub seed: u64,
    /// Replicas of each case.
    pub replicas: u64,
    /// Epochs.
    pub clock: Clock,
    /// The world in which contributors are paid, where there is one.
    pub world: Option<World>,
    /// Who comes to use models, and how long the money lasts, where that is asked.
    pub adoption: Option<Adoption>,
}

/// Checks a document.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(document: &Node) -> Result<Scenario, Vec<Fault>> {
    let reader = Reader::default();
    let scenario = read(&reader, document);
    let faults = reader.into_faults();
    match scenario {
        Some(scenario) if faults.is_empty() => Ok(scenario),
        _ => Err(faults),
    }
}

fn read(reader: &Reader, document: &Node) -> Option<Scenario> {
    let root = reader.root(document);
    let words = |name| root.need(name, String::new(), |entry| entry.text());
    let (name, question, prediction) = (words("name"), words("question"), words("prediction"));
    let predicts = root.get("predicts", vec![], |entry| Some(read_conditions(entry)));
    let expect = root.need("expect", vec![], |entry| Some(read_conditions(entry)));
    let seed = root.need("seed", 0, |entry| entry.count(0, u64::MAX >> 1));
    let replicas = root.need("replicas", 1, |entry| entry.count(1, 1_000_000));
    let clock = read_clock(&root);
    let world = root.has("contributors").then(|| read_world(&root, &clock));
    let adoption = root.find("adoption").and_then(|entry| entry.fields());
    let adoption = adoption.and_then(adoption::read);
    if world.is_none() && adoption.is_none() {
        root.fault("contributors", "there is nobody to pay", "add `contributors:` or `adoption:`");
    }
    sweep::read(&root);
    if world.is_none() {
        for name in WORLD_SECTIONS {
            if root.find(name).is_some() {
                root.fault(name, format!("`{name}` needs contributors"), "add `contributors:`");
            }
        }
    }
    root.close();
    let world = match world {
        None => None,
        Some(world) => Some(world?),
    };
    Some(Scenario {
        name,
        question,
        prediction,
        predicts,
        expect,
        seed,
        replicas,
        clock,
        world,
        adoption,
    })
}

const WORLD_SECTIONS: [&str; 13] = [
    "contributors",
    "token",
    "allocation",
    "treasury",
    "fees",
    "emission",
    "demand",
    "estimator",
    "nodes",
    "settlement",
    "friction",
    "agents",
    "journal",
];

fn read_conditions(entry: &crate::document::Entry<'_>) -> Vec<Condition> {
    let mut conditions = vec![];
    for member in entry.list() {
        let Some(text) = member.text() else { continue };
        match Condition::parse(&text) {
            Ok(condition) => conditions.push(condition),
            Err(message) => member.fault(message, "for example `mispaid-share < 0.2`"),
        }
    }
    conditions
}

fn read_clock(root: &Fields<'_>) -> Clock {
    let fields = root.section("time");
    let engines = [("epochs", Engine::Epochs), ("events", Engine::Events)];
    let clock = Clock {
        epochs: fields.need("epochs", 1, |entry| entry.count(1, 100_000)) as u32,
        epoch_days: fields.get("epoch", 30.0, |entry| entry.days()),
        engine: fields.get("engine", Engine::Epochs, |entry| entry.choice("engine", &engines)),
    };
    if clock.epoch_days <= 0.0 {
        fields.fault("epoch", "an epoch takes no time", "write for example `30 days`");
    }
    fields.close();
    clock
}

fn read_world(root: &Fields<'_>, clock: &Clock) -> Option<World> {
    let economy = money::read(root, clock);
    let contributors = people::read_contributors(root, &economy);
    let demand = people::read_demand(root);
    let estimator = people::read_estimator(root);
    let nodes = people::read_nodes(root, &economy);
    let payouts = read_payouts(root, &economy);
    let agents = root.get("agents", vec![], |entry| {
        Some(entry.list().iter().filter_map(|agent| agents::read(agent, &economy)).collect())
    });
    let payouts = payouts?;
    let people = contributors.count + agents.iter().map(|agent| agent.identities()).sum::<u64>();
    let has_game = ["a coalition game", "an item game with owners"];
    if has_game.iter().any(|input| payouts.needs(input)) && people > 16 {
        root.fault(
            "contributors.count",
            format!(
                "rule `{}` needs the values of all coalitions of {people} identities",
                payouts.rule.name()
            ),
            "at most 16 identities, those of agents included",
        );
    }
    if payouts.needs("similarity") && people > 4_000 {
        root.fault(
            "contributors.count",
            format!("rule `{}` compares all pairs of {people} identities", payouts.rule.name()),
            "at most 4000 identities",
        );
    }
    if agents.iter().any(|agent| agent.name() == "colluding-nodes")
        && !payouts.needs("node reports")
    {
        root.fault(
            "agents",
            format!(
                "colluding nodes need a rule that reads node reports, not `{}`",
                payouts.rule.name()
            ),
            "settle by `yuma`",
        );
    }
    Some(World { economy, contributors, demand, estimator, nodes, payouts, agents })
}

fn read_payouts(root: &Fields<'_>, economy: &TokenEconomy) -> Option<Payouts> {
    let fields = root.section("settlement");
    let rule = match fields.find("rule") {
        Some(entry) => read_rule(&entry, economy),
        None => {
            fields.missing("rule");
            None
        }
    };
    let period = fields.get("every", Period::Epoch, |entry| match entry.node {
        Node::Text(text) if text == "epoch" => Some(Period::Epoch),
        _ => entry.count_of("queries", 1).map(Period::Queries),
    });
    let claims_half_life = fields.get("claims-half-life", None, |entry| entry.days().map(Some));
    if claims_half_life.is_some_and(|days| days <= 0.0) {
        fields.fault("claims-half-life", "claims last no time", "write for example `12 months`");
    }
    let places =
        [("carry", OnEmpty::Carry), ("burn", OnEmpty::Burn), ("treasury", OnEmpty::Treasury)];
    let on_empty = fields.get("on-empty", OnEmpty::Carry, |entry| entry.choice("place", &places));
    fields.close();
    let grains = [
        ("settlement", Granularity::Settlement),
        ("query", Granularity::Query),
        ("epoch", Granularity::Epoch),
    ];
    let journal =
        root.get("journal", Granularity::Settlement, |entry| entry.choice("journal", &grains));
    let (rule, needs) = rule?;
    Some(Payouts { rule, needs, period, claims_half_life, on_empty, journal })
}

type BuiltRule = (Arc<dyn Rule>, &'static [&'static str]);

fn read_rule(entry: &crate::document::Entry<'_>, economy: &TokenEconomy) -> Option<BuiltRule> {
    let (name, fields) = entry.named()?;
    entry.known("rule", &name, rules::RULES.iter().map(|rule| rule.name))?;
    let mut parameters = Parameters::new();
    for (name, value) in fields.entries() {
        let converted = match value.node {
            Node::Integer(integer) => u128::try_from(*integer).ok().map(Value::Integer),
            Node::Number(number) => Some(Value::Number(*number)),
            Node::Text(text) => match crate::document::Quantity::parse(text) {
                Some(quantity) if quantity.unit == "%" => {
                    quantity.rate().map(|rate| Value::Integer(u128::from(rate.get())))
                }
                Some(quantity) if !quantity.unit.is_empty() => {
                    value.tokens(economy.scale).map(|amount| Value::Integer(amount.get()))
                }
                Some(quantity) => Some(Value::Number(quantity.number())),
                None => Some(Value::Text(text.clone())),
            },
            _ => None,
        };
        match converted {
            Some(converted) => {
                // Parameters of rules are written with underscores in the registry.
                parameters.insert(name.replace('-', "_"), converted);
            }
            None => value.fault("a parameter is a number, a quantity or a name", "see the rule"),
        }
    }
    let needs = rules::find(&name)?.needs;
    match rules::build(&name, &parameters) {
        Ok(rule) => Some((rule.into(), needs)),
        Err(refusal) => {
            entry.fault(format!("rule `{name}`: {refusal}"), "see `attribench list rules`");
            None
        }
    }
}
