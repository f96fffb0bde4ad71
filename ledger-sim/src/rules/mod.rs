//! Payout rules: pure functions from scores (or usage, bids, stakes) and a pot to integer payouts.
//!
//! One rule is one file: documentation, parameters, code and tests. To add one, write the file and
//! its two lines here (the module and the entry of [`RULES`], which is sorted by name).

mod arrival_order;
pub mod axioms;
mod buyout;
mod curation_rank;
mod equal;
mod faithful_group;
mod flat_fee;
mod linear_clipped;
mod net_then_clip;
mod parameters;
mod power;
mod pro_rata;
mod procurement;
mod random;
mod replication_robust;
mod semivalue;
mod signed_debt;
mod softmax;
mod threshold_pool;
mod tournament;
mod user_centric;
mod yuma;

pub use curation_rank::{CurationMarket, Position, Role};
pub use faithful_group::OwnedItems;
pub use parameters::{Parameters, Reader, Value};
pub use pro_rata::Usage;
pub use procurement::Bid;
pub use threshold_pool::TrailingUse;
pub use tournament::TournamentScore;
pub use yuma::NodeReports;

use serde::{Deserialize, Serialize};

use crate::apportion::{Identities, Ties, apportion, weights_from_scores};
use crate::money::Amount;
use crate::random::Streams;
use crate::refusal::Refusal;
use crate::scores::ScoreView;
use crate::semivalue::CoalitionGame;

/// A payout rule with its parameters. Pure and deterministic: the same inputs and state give the
/// same settlement, bit for bit.
pub trait Rule: std::fmt::Debug + Send + Sync {
    /// Name of the rule in the registry.
    fn name(&self) -> &'static str;

    /// Whether the rule reads scores, or an input that is made from them. Where it does not, a
    /// simulation draws none: a row of them for every query is most of its work.
    fn reads_scores(&self) -> bool {
        true
    }

    /// Splits the money of `inputs` given the state that the previous settlement left.
    ///
    /// Callers use [`settle`], which verifies that nothing was made or lost.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] for an input that the rule cannot work without, and whatever the
    /// arithmetic refuses.
    fn settle(&self, inputs: &Inputs<'_>, state: &State) -> Result<Settlement, Refusal>;
}

/// What a rule remembers between settlements.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Nothing yet, or nothing ever.
    #[default]
    Fresh,
    /// Debt of each contributor in score units, zero or negative.
    Debts(Vec<f64>),
    /// Bonds of each node to each contributor, node by node.
    Bonds(Vec<f64>),
}

/// What happens to a pot that nobody has a claim to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnEmpty {
    /// It waits for the next settlement.
    #[default]
    Carry,
    /// It is destroyed.
    Burn,
    /// It returns to the treasury.
    Treasury,
}

/// Everything a rule may read at one settlement. A rule that lacks an input refuses.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Number of contributors, the length of the payouts.
    pub contributors: usize,
    /// Money of each query of the settlement, or a single pot.
    pub pots: &'a [Amount],
    /// Money that earlier settlements left.
    pub carry_in: Amount,
    /// Index of the settlement.
    pub epoch: u32,
    /// Bytes that identify the run, for ties.
    pub run: &'a [u8],
    /// Names of the contributors.
    pub identities: Identities<'a>,
    /// What happens to a pot without claimants.
    pub on_empty: OnEmpty,
    /// Randomness, for rules that draw.
    pub streams: Option<Streams>,
    /// Scores of contributors for the queries.
    pub scores: Option<&'a ScoreView>,
    /// Fee of each query.
    pub query_fees: Option<&'a [Amount]>,
    /// What only some rules read.
    pub side: Side<'a>,
}

/// Inputs beyond scores and pots; each is read by the few rules that name it in [`Entry::needs`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Side<'a> {
    /// Uses of contributors by users.
    pub usage: Option<&'a Usage>,
    /// Use of each contributor over the trailing twelve months.
    pub trailing: Option<&'a [TrailingUse]>,
    /// Indices of the eligible contributors.
    pub eligible: Option<&'a [usize]>,
    /// Items of each contributor accepted at this settlement.
    pub accepted_items: Option<&'a [u64]>,
    /// Stake of each contributor.
    pub stakes: Option<&'a [Amount]>,
    /// Tournament scores of each contributor.
    pub tournament: Option<&'a [TournamentScore]>,
    /// Reports of attribution nodes.
    pub reports: Option<NodeReports<'a>>,
    /// Consumed volumes and positions of stakers.
    pub market: Option<CurationMarket<'a>>,
    /// Values of all coalitions of contributors.
    pub game: Option<&'a CoalitionGame>,
    /// Values of all coalitions of items, and who owns the items.
    pub items: Option<OwnedItems<'a>>,
    /// Similarity of contributors in [0, 1], row by row.
    pub similarity: Option<&'a [f64]>,
    /// Bid of each contributor.
    pub bids: Option<&'a [Bid]>,
    /// When each contributor registered, in seconds.
    pub registered_seconds: Option<&'a [u64]>,
}

impl<'a> Inputs<'a> {
    /// Inputs of a first settlement over `pots`, with nothing optional.
    pub fn new(contributors: usize, pots: &'a [Amount]) -> Self {
        Self {
            contributors,
            pots,
            carry_in: Amount::ZERO,
            epoch: 0,
            run: b"",
            identities: Identities::Numbered,
            on_empty: OnEmpty::Carry,
            streams: None,
            scores: None,
            query_fees: None,
            side: Side::default(),
        }
    }

    /// Money of all pots.
    pub fn pot(&self) -> Result<Amount, Refusal> {
        Amount::total(self.pots.iter().copied())
    }

    /// Money of all pots and of earlier settlements.
    pub fn money(&self) -> Result<Amount, Refusal> {
        self.pot()?.plus(self.carry_in)
    }

    /// Keyed ties of this settlement.
    pub fn ties(&self) -> Ties<'a> {
        Ties::Keyed { run: self.run, epoch: self.epoch, identities: self.identities, members: None }
    }

    /// The scores, which must be those of the contributors.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] for `rule` when they are missing or of another shape.
    pub fn scores(&self, rule: &'static str) -> Result<&'a ScoreView, Refusal> {
        let scores = require(self.scores, rule, "scores")?;
        if scores.contributors() != self.contributors {
            return Err(Refusal::RuleNeeds { rule, input: "scores of every contributor" });
        }
        Ok(scores)
    }

    /// Splits all the money by `weights`; an unowned pot goes where `on_empty` says.
    ///
    /// # Errors
    /// Those of [`apportion`], other than for lack of weight.
    pub fn split_by_weights(&self, weights: &[u64]) -> Result<Settlement, Refusal> {
        let money = self.money()?;
        match apportion(money, weights, &self.ties()) {
            Ok(payouts) => Ok(Settlement { payouts, ..Settlement::default() }),
            Err(Refusal::ZeroTotalWeight) => Ok(self.unowned(money)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Splits all the money in proportion to the positive parts of `scores`, one for each
    /// contributor.
    ///
    /// # Errors
    /// As [`Inputs::split_by_weights`], and [`Refusal::NonFinite`].
    pub fn split_by_scores(&self, scores: &[f64]) -> Result<Settlement, Refusal> {
        self.split_by_weights(&weights_from_scores(scores)?)
    }

    /// A settlement that pays nobody and disposes of `money` as `on_empty` says.
    pub fn unowned(&self, money: Amount) -> Settlement {
        let mut settlement =
            Settlement { payouts: vec![Amount::ZERO; self.contributors], ..Default::default() };
        match self.on_empty {
            OnEmpty::Carry => settlement.carry = money,
            OnEmpty::Burn => settlement.burn = money,
            OnEmpty::Treasury => settlement.returned = money,
        }
        settlement
    }
}

/// `input`, or [`Refusal::RuleNeeds`].
pub(crate) fn require<T>(
    input: Option<T>,
    rule: &'static str,
    name: &'static str,
) -> Result<T, Refusal> {
    input.ok_or(Refusal::RuleNeeds { rule, input: name })
}

/// Where the money of a settlement goes. Contract, verified by [`settle`]:
/// payouts + nodes + burn + carry + returned = pots + carry in + drawn + slashed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// Payout of each contributor.
    pub payouts: Vec<Amount>,
    /// Payout of each attribution node; empty for rules without nodes.
    pub nodes: Vec<Amount>,
    /// Money destroyed, confiscated stake included.
    pub burn: Amount,
    /// Money left for a later settlement.
    pub carry: Amount,
    /// Money returned to the treasury.
    pub returned: Amount,
    /// Money drawn from the treasury by rules that it funds.
    pub drawn: Amount,
    /// Stake taken from each contributor; empty for rules without stakes.
    pub slashed: Vec<Amount>,
    /// What the rule remembers.
    pub state: State,
}

impl Settlement {
    /// Sum of what contributors are paid.
    pub fn paid(&self) -> Result<Amount, Refusal> {
        Amount::total(self.payouts.iter().copied())
    }

    fn accounted_for(&self) -> u128 {
        let wide = |amounts: &[Amount]| -> u128 { amounts.iter().map(|amount| amount.get()).sum() };
        wide(&self.payouts) + wide(&self.nodes) + wide(&[self.burn, self.carry, self.returned])
    }

    fn expected(&self, inputs: &Inputs<'_>) -> u128 {
        let wide = |amounts: &[Amount]| -> u128 { amounts.iter().map(|amount| amount.get()).sum() };
        wide(inputs.pots) + wide(&self.slashed) + wide(&[inputs.carry_in, self.drawn])
    }
}

/// Settles by `rule` and verifies its contract.
///
/// # Errors
/// Those of the rule, and [`Refusal::PotMismatch`] when its settlement makes or loses money or
/// does not name every contributor.
pub fn settle(rule: &dyn Rule, inputs: &Inputs<'_>, state: &State) -> Result<Settlement, Refusal> {
    let settlement = rule.settle(inputs, state)?;
    let (expected, got) = (settlement.expected(inputs), settlement.accounted_for());
    if expected != got {
        return Err(Refusal::PotMismatch { expected, got });
    }
    if settlement.payouts.len() != inputs.contributors {
        let (expected, got) = (inputs.contributors as u128, settlement.payouts.len() as u128);
        return Err(Refusal::PotMismatch { expected, got });
    }
    Ok(settlement)
}

/// One line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the rule.
    pub name: &'static str,
    /// What the rule does, in a line.
    pub summary: &'static str,
    /// The best known attack on it.
    pub attack: &'static str,
    /// Inputs it needs beyond scores, pots and a seed.
    pub needs: &'static [&'static str],
    /// Builds the rule, refusing parameters that it does not know.
    pub build: fn(&Parameters) -> Result<Box<dyn Rule>, Refusal>,
}

/// Every rule, sorted by name.
pub static RULES: &[Entry] = &[
    arrival_order::ENTRY,
    buyout::ENTRY,
    curation_rank::ENTRY,
    equal::ENTRY,
    faithful_group::ENTRY,
    flat_fee::ENTRY,
    linear_clipped::ENTRY,
    net_then_clip::ENTRY,
    power::ENTRY,
    pro_rata::ENTRY,
    procurement::ENTRY,
    random::ENTRY,
    replication_robust::ENTRY,
    semivalue::ENTRY,
    signed_debt::ENTRY,
    softmax::ENTRY,
    threshold_pool::ENTRY,
    tournament::ENTRY,
    user_centric::ENTRY,
    yuma::ENTRY,
];

/// Rules that need nothing but scores, a pot for each query and a seed.
pub fn stream_rules() -> impl Iterator<Item = &'static Entry> {
    RULES.iter().filter(|entry| entry.needs.is_empty())
}

/// The registry's entry of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    RULES.binary_search_by(|entry| entry.name.cmp(name)).ok().map(|at| &RULES[at])
}

/// Builds the rule called `name` from `parameters`.
///
/// # Errors
/// [`Refusal::ParamOutOfRange`]; for a rule that is not in the registry it names those that are.
pub fn build(name: &str, parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    match find(name) {
        Some(entry) => (entry.build)(parameters),
        None => {
            let known: Vec<&str> = RULES.iter().map(|entry| entry.name).collect();
            Err(Refusal::parameter(&format!("rule {name} (known: {})", known.join(", "))))
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Shared by the tests of the rules.

    use super::*;

    /// Amounts of base units.
    pub fn amounts(units: &[u128]) -> Vec<Amount> {
        units.iter().copied().map(Amount::new).collect()
    }

    /// A rule of the registry with parameters.
    pub fn rule(name: &str, parameters: &[(&str, Value)]) -> Box<dyn Rule> {
        build(name, &with(parameters)).unwrap()
    }

    /// Parameters from a list.
    pub fn with(parameters: &[(&str, Value)]) -> Parameters {
        parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    /// Settles scores in contributor-major order over `pots` from a fresh state.
    pub fn settle_scores(rule: &dyn Rule, scores: &[f64], pots: &[u128]) -> Settlement {
        let pots = amounts(pots);
        let contributors = scores.len() / pots.len();
        let view = ScoreView::from_dense(contributors, pots.len(), scores).unwrap();
        let mut inputs = Inputs::new(contributors, &pots);
        inputs.scores = Some(&view);
        inputs.streams = Some(Streams::new(1, 0));
        settle(rule, &inputs, &State::Fresh).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_every_rule_answers_to_its_name() {
        assert!(RULES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for entry in RULES {
            let rule = build(entry.name, &Parameters::new()).unwrap();
            assert_eq!(rule.name(), entry.name);
            assert!(!entry.summary.is_empty() && !entry.attack.is_empty());
        }
    }

    /// Every rule on inputs that hold everything, and on inputs that lack what it says it needs.
    #[test]
    fn every_rule_keeps_the_contract_and_names_what_it_lacks() {
        use crate::semivalue::testing::{ABC, coverage};
        let pots = testing::amounts(&[100, 77, 1]);
        let stakes = testing::amounts(&[500, 300, 200]);
        let view = ScoreView::from_dense(3, 3, &[1., 2., -3., 4., -1., 0.5, 0., 0., 2.]).unwrap();
        let usage = Usage::new(3, vec![vec![(0, 3)], vec![(1, 1), (2, 5)], vec![]]).unwrap();
        let score = |correlation| TournamentScore { correlation, contribution: 0.1 };
        let bid = |cost| Bid { cost: Amount::new(cost), value: Amount::new(40) };
        let positions = [Position {
            contributor: 1,
            asset: 0,
            stake: Amount::new(5),
            locked: Amount::new(500),
            role: Role::Curator,
        }];
        let game = coverage(&ABC);
        let mut inputs = Inputs::new(3, &pots);
        inputs.carry_in = Amount::new(13);
        inputs.streams = Some(Streams::new(1, 0));
        inputs.scores = Some(&view);
        inputs.query_fees = Some(&pots);
        let trailing = [TrailingUse { uses: 5_000, users: 7 }; 3];
        let tournament = [score(0.02), score(-0.3), score(0.0)];
        let bids = [bid(10), bid(20), bid(50)];
        let volumes = testing::amounts(&[1_000]);
        let bare = inputs.clone();
        inputs.side = Side {
            usage: Some(&usage),
            trailing: Some(&trailing),
            eligible: Some(&[0, 2]),
            accepted_items: Some(&[1, 0, 4]),
            stakes: Some(&stakes),
            tournament: Some(&tournament),
            reports: Some(NodeReports { stakes: &stakes[..1], weights: &[0.2, 0.3, 0.5] }),
            market: Some(CurationMarket { volumes: &volumes, positions: &positions }),
            game: Some(&game),
            items: Some(OwnedItems { game: &game, owners: &[2, 0, 2] }),
            similarity: Some(&[1., 0., 0.5, 0., 1., 0., 0.5, 0., 1.]),
            bids: Some(&bids),
            registered_seconds: Some(&[30, 10, 20]),
        };
        for entry in RULES {
            let rule = build(entry.name, &Parameters::new()).unwrap();
            let first = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
            let again = settle(rule.as_ref(), &inputs, &State::Fresh).unwrap();
            assert_eq!(first, again, "{}", entry.name);
            let next = settle(rule.as_ref(), &inputs, &first.state);
            assert!(next.is_ok(), "{}: {next:?}", entry.name);
            match settle(rule.as_ref(), &bare, &State::Fresh) {
                Ok(_) => assert!(entry.needs.is_empty(), "{}", entry.name),
                Err(Refusal::RuleNeeds { rule, .. }) => assert_eq!(rule, entry.name),
                Err(other) => panic!("{}: {other}", entry.name),
            }
        }
    }

    #[test]
    fn unknown_rules_and_parameters_are_refused() {
        let message = build("no-such-rule", &Parameters::new()).unwrap_err().to_string();
        assert!(message.contains("no-such-rule (known: arrival-order, "), "{message}");
        let stray = testing::with(&[("no-such-parameter", Value::Integer(1))]);
        for entry in RULES {
            let refusal = (entry.build)(&stray).unwrap_err();
            assert_eq!(refusal, Refusal::parameter("no-such-parameter"), "{}", entry.name);
        }
    }

    /// A rule that loses a unit, or forgets a contributor.
    #[derive(Debug)]
    struct Careless {
        payouts: Vec<Amount>,
    }

    impl Rule for Careless {
        fn name(&self) -> &'static str {
            "careless"
        }
        fn settle(&self, _: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
            Ok(Settlement { payouts: self.payouts.clone(), ..Settlement::default() })
        }
    }

    #[test]
    fn a_rule_that_breaks_the_contract_is_refused() {
        let pots = testing::amounts(&[10]);
        let inputs = Inputs::new(2, &pots);
        let careless = Careless { payouts: testing::amounts(&[5, 4]) };
        assert_eq!(
            settle(&careless, &inputs, &State::Fresh),
            Err(Refusal::PotMismatch { expected: 10, got: 9 })
        );
        let careless = Careless { payouts: testing::amounts(&[10]) };
        assert_eq!(
            settle(&careless, &inputs, &State::Fresh),
            Err(Refusal::PotMismatch { expected: 2, got: 1 })
        );
    }

    #[test]
    fn an_unowned_pot_goes_where_the_scenario_says() {
        let pots = testing::amounts(&[10]);
        let mut inputs = Inputs::new(1, &pots);
        inputs.carry_in = Amount::new(3);
        let all = Amount::new(13);
        let go = |inputs: &Inputs<'_>| inputs.split_by_weights(&[0]).unwrap();
        assert_eq!(go(&inputs).carry, all);
        inputs.on_empty = OnEmpty::Burn;
        assert_eq!(go(&inputs).burn, all);
        inputs.on_empty = OnEmpty::Treasury;
        assert_eq!(go(&inputs).returned, all);
    }
}
