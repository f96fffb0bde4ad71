//! The last stage of an attribution experiment: scores of a stream of queries become money.

use std::num::NonZeroUsize;

use crate::account::{Account, Family};
use crate::apportion::{Identities, Ties, apportion, apportion_by_amounts};
use crate::audit::{AuditReport, audit};
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::posting::{Kind, Line};
use crate::random::Streams;
use crate::refusal::Refusal;
use crate::rules::{self, Inputs, OnEmpty, Rule, Side, State};
use crate::scores::ScoreView;

/// How a stream is settled. Two streams are comparable when they differ in their scores alone.
#[derive(Clone, Debug)]
pub struct StreamOptions<'a> {
    /// Seed of all draws and of tie-breaking.
    pub seed: u64,
    /// Names of the contributors; ties and draws follow them, so that permuting the contributors
    /// permutes the payouts.
    pub identities: Identities<'a>,
    /// Queries settled together; `None` settles the whole stream at once.
    pub queries_per_settlement: Option<NonZeroUsize>,
    /// What happens to a pot without claimants.
    pub on_empty: OnEmpty,
    /// Fee of each query, by which the pool is split over queries; `None` splits it equally.
    pub query_fees: Option<&'a [Amount]>,
    /// Inputs that only some rules read, the same at every settlement. Stakes are bonded in the
    /// books before the first.
    pub side: Side<'a>,
    /// What the treasury holds at first, for rules that it funds.
    pub treasury: Amount,
}

impl StreamOptions<'_> {
    /// One settlement over numbered contributors, the pool split equally over queries.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            identities: Identities::Numbered,
            queries_per_settlement: None,
            on_empty: OnEmpty::Carry,
            query_fees: None,
            side: Side::default(),
            treasury: Amount::ZERO,
        }
    }
}

/// Money after a stream was settled: audited books. Only [`settle_stream`] makes one.
#[derive(Clone, Debug)]
pub struct StreamOutcome {
    payouts: Vec<Amount>,
    ledger: Ledger,
    report: AuditReport,
    state: State,
}

impl StreamOutcome {
    /// Payout of each contributor over the whole stream, in base units.
    pub fn payouts(&self) -> &[Amount] {
        &self.payouts
    }

    /// Money destroyed.
    pub fn burn(&self) -> Result<Amount, Refusal> {
        self.ledger.balance(Account::BURN)
    }

    /// Money left at the end of the stream.
    pub fn carry(&self) -> Result<Amount, Refusal> {
        self.ledger.balance(Account::CARRY)
    }

    /// Money in the treasury at the end of the stream.
    pub fn treasury(&self) -> Result<Amount, Refusal> {
        self.ledger.balance(Account::TREASURY)
    }

    /// The books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What the auditor saw.
    pub fn report(&self) -> &AuditReport {
        &self.report
    }

    /// What the rule remembers at the end.
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// Splits `pool` over the queries of `scores`, settles them by `rule`, and audits the books.
///
/// The pool is split by largest remainder, equally or by the fees of the queries. The queries are
/// settled in order, `queries_per_settlement` at a time, each settlement taking over the carry
/// and the state of the one before. Exact scores and each estimate of them go through the same
/// call; `metrics::PayoutError` compares the payouts.
///
/// # Errors
/// [`Refusal::RuleNeeds`] for scores without queries, for fees that are not one a query, and for
/// what the rule lacks; [`Refusal::ZeroTotalWeight`] when all fees are zero; those of the rule;
/// and whatever the audit finds.
pub fn settle_stream(
    scores: &ScoreView,
    pool: Amount,
    rule: &dyn Rule,
    options: &StreamOptions<'_>,
) -> Result<StreamOutcome, Refusal> {
    let queries = scores.queries();
    let pots = query_pots(queries, pool, options)?;
    let run = options.seed.to_be_bytes();
    let period = options.queries_per_settlement.map_or(queries, NonZeroUsize::get);
    let mut ledger = open_books(scores.contributors(), pool, options)?;
    ledger.open(Family::Pot, queries.div_ceil(period))?;
    let mut state = State::Fresh;
    for (epoch, start) in (0u32..).zip((0..queries).step_by(period)) {
        let range = start..(start + period).min(queries);
        let slice = scores.slice(range.clone());
        let mut inputs = Inputs::new(scores.contributors(), &pots[range.clone()]);
        inputs.carry_in = ledger.balance(Account::CARRY)?;
        inputs.epoch = epoch;
        inputs.run = &run;
        inputs.identities = options.identities;
        inputs.on_empty = options.on_empty;
        inputs.streams = Some(Streams::new(options.seed, 0));
        inputs.scores = Some(&slice);
        inputs.query_fees = options.query_fees.map(|fees| &fees[range]);
        inputs.side = options.side;
        state = settle_once(&mut ledger, rule, &inputs, &state)?;
    }
    let report = audit(&ledger)?;
    let payouts = (0..scores.contributors() as u32)
        .map(|index| ledger.balance(Account::contributor(index)))
        .collect::<Result<_, _>>()?;
    Ok(StreamOutcome { payouts, ledger, report, state })
}

fn query_pots(
    queries: usize,
    pool: Amount,
    options: &StreamOptions<'_>,
) -> Result<Vec<Amount>, Refusal> {
    if queries == 0 {
        return Err(Refusal::RuleNeeds { rule: "stream", input: "at least one query" });
    }
    match options.query_fees {
        None => apportion(pool, &vec![1; queries], &Ties::Index),
        Some(fees) if fees.len() == queries => apportion_by_amounts(pool, fees, &Ties::Index),
        Some(_) => Err(Refusal::RuleNeeds { rule: "stream", input: "a fee for each query" }),
    }
}

/// Books in which nothing but stakes and the treasury is funded.
fn open_books(
    contributors: usize,
    pool: Amount,
    options: &StreamOptions<'_>,
) -> Result<Ledger, Refusal> {
    let stakes = options.side.stakes.unwrap_or_default();
    let staked = Amount::total(stakes.iter().copied())?;
    let funded = staked.plus(options.treasury)?;
    let mut ledger = Ledger::new(pool.plus(funded)?)?;
    ledger.open(Family::Contributor, contributors)?;
    ledger.open(Family::Stake, stakes.len())?;
    ledger.open(Family::Node, options.side.reports.map_or(0, |reports| reports.stakes.len()))?;
    if !funded.is_zero() {
        let mut lines = vec![
            Line::new(Account::MINT, -funded.signed()?),
            Line::new(Account::TREASURY, options.treasury.signed()?),
        ];
        for (index, stake) in (0u32..).zip(stakes) {
            lines.push(Line::new(Account::new(Family::Stake, index), stake.signed()?));
        }
        ledger.post(Kind::Stake, 0, &lines)?;
    }
    Ok(ledger)
}

/// Mints the settlement's pot, settles it and posts the result; returns the new state.
fn settle_once(
    ledger: &mut Ledger,
    rule: &dyn Rule,
    inputs: &Inputs<'_>,
    state: &State,
) -> Result<State, Refusal> {
    let pot = inputs.pot()?.signed()?;
    let emission = [Line::new(Account::MINT, -pot), Line::new(Account::pot(inputs.epoch), pot)];
    ledger.post(Kind::Emit, inputs.epoch, &emission)?;
    let settlement = rules::settle(rule, inputs, state)?;
    crate::settlement::post_settlement(ledger, inputs, &settlement)?;
    Ok(settlement.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Parameters;
    use proptest::prelude::*;

    fn run(
        rule: &str,
        scores: &ScoreView,
        pool: u128,
        options: &StreamOptions<'_>,
    ) -> StreamOutcome {
        let rule = rules::build(rule, &Parameters::new()).unwrap();
        settle_stream(scores, Amount::new(pool), rule.as_ref(), options).unwrap()
    }

    fn units(outcome: &StreamOutcome) -> Vec<u128> {
        outcome.payouts().iter().map(|amount| amount.get()).collect()
    }

    #[test]
    fn a_stream_by_hand() {
        // Pool 1000 over two queries of 500; the golden case of per-query against netted.
        let view = ScoreView::from_dense(3, 2, &[3.0, -2.0, -1.0, 2.0, 2.0, 1.0]).unwrap();
        let options = StreamOptions::seeded(1);
        assert_eq!(units(&run("linear-clipped", &view, 1_000, &options)), [300, 333, 367]);
        let netted = run("net-then-clip", &view, 1_000, &options);
        assert_eq!(units(&netted), [200, 200, 600]);
        assert_eq!((netted.report().settlements, netted.report().minted), (1, 1_000));
        // One query at a time, netting has nothing to net: it is the clipped rule again.
        let single = NonZeroUsize::new(1);
        let each = StreamOptions { queries_per_settlement: single, ..options };
        let outcome = run("net-then-clip", &view, 1_000, &each);
        assert_eq!((units(&outcome), outcome.report().settlements), (vec![300, 333, 367], 2));
    }

    #[test]
    fn fees_split_the_pool() {
        let view = ScoreView::from_dense(2, 2, &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let fees = [Amount::new(3), Amount::new(1)];
        let options = StreamOptions { query_fees: Some(&fees), ..StreamOptions::seeded(1) };
        assert_eq!(units(&run("linear-clipped", &view, 1_000, &options)), [750, 250]);
    }

    #[test]
    fn what_nobody_earned_is_carried_burnt_or_returned() {
        let view = ScoreView::from_dense(1, 1, &[-1.0]).unwrap();
        let go = |on_empty| {
            let options = StreamOptions { on_empty, ..StreamOptions::seeded(1) };
            let outcome = run("linear-clipped", &view, 9, &options);
            [outcome.carry(), outcome.burn(), outcome.treasury()].map(|a| a.unwrap().get())
        };
        assert_eq!(go(OnEmpty::Carry), [9, 0, 0]);
        assert_eq!(go(OnEmpty::Burn), [0, 9, 0]);
        assert_eq!(go(OnEmpty::Treasury), [0, 0, 9]);
    }

    #[test]
    fn stakes_and_treasury_are_in_the_books() {
        let view = ScoreView::from_dense(2, 1, &[0.0, 0.0]).unwrap();
        let stakes = [Amount::new(1_000), Amount::new(1_000)];
        let score = |correlation| rules::TournamentScore { correlation, contribution: 0.0 };
        let scores = [score(0.03), score(-0.2)];
        let side = Side { stakes: Some(&stakes), tournament: Some(&scores), ..Side::default() };
        let treasury = Amount::new(100);
        let options = StreamOptions { side, treasury, ..StreamOptions::seeded(1) };
        let outcome = run("tournament", &view, 9, &options);
        // A gain of 30 from the treasury, a loss of 5% of the stake; the pool has no claimant.
        assert_eq!(units(&outcome), [30, 0]);
        assert_eq!(outcome.ledger().family(Family::Stake), [1_000, 950]);
        assert_eq!(outcome.treasury(), Ok(Amount::new(70)));
        assert_eq!((outcome.burn(), outcome.carry()), (Ok(Amount::new(50)), Ok(Amount::new(9))));
        let poor = StreamOptions { treasury: Amount::new(29), ..options };
        let rule = rules::build("tournament", &Parameters::new()).unwrap();
        let refusal = settle_stream(&view, Amount::new(9), rule.as_ref(), &poor).unwrap_err();
        assert_eq!(refusal, Refusal::Underflow { account: Account::TREASURY });
    }

    #[test]
    fn refusals() {
        let rule = rules::build("equal", &Parameters::new()).unwrap();
        let go = |view: &ScoreView, pool: u128, options: &StreamOptions<'_>| {
            settle_stream(view, Amount::new(pool), rule.as_ref(), options).unwrap_err()
        };
        let options = StreamOptions::seeded(1);
        let empty = ScoreView::from_rows(1, []).unwrap();
        assert!(matches!(go(&empty, 1, &options), Refusal::RuleNeeds { .. }));
        let view = ScoreView::from_dense(1, 1, &[1.0]).unwrap();
        assert_eq!(go(&view, 1 << 120, &options), Refusal::ScaleTooSmall);
        let no_fee = StreamOptions { query_fees: Some(&[Amount::ZERO]), ..options.clone() };
        assert_eq!(go(&view, 1, &no_fee), Refusal::ZeroTotalWeight);
        let short = StreamOptions { query_fees: Some(&[]), ..options };
        assert!(matches!(go(&view, 1, &short), Refusal::RuleNeeds { .. }));
    }

    fn matrix() -> impl Strategy<Value = (usize, usize, Vec<f64>)> {
        (1usize..7, 1usize..6).prop_flat_map(|(contributors, queries)| {
            // Small integers, so that ties and negative sums are common.
            let score = (-3i32..4).prop_map(f64::from);
            let scores = prop::collection::vec(score, contributors * queries);
            (Just(contributors), Just(queries), scores)
        })
    }

    fn any_pool() -> impl Strategy<Value = u128> {
        prop_oneof![0u128..10_000, 0u128..1 << 120]
    }

    proptest! {
        #[test]
        fn money_is_conserved_by_every_stream_rule(
            (contributors, queries, scores) in matrix(), pool in any_pool(), period in 1usize..4
        ) {
            let view = ScoreView::from_dense(contributors, queries, &scores).unwrap();
            let options = StreamOptions {
                queries_per_settlement: NonZeroUsize::new(period),
                ..StreamOptions::seeded(5)
            };
            for name in rules::stream_rules().map(|entry| entry.name) {
                let outcome = run(name, &view, pool, &options);
                let again = run(name, &view, pool, &options);
                prop_assert_eq!(outcome.payouts(), again.payouts());
                let paid = Amount::total(outcome.payouts().iter().copied()).unwrap();
                let rest = outcome.carry().unwrap().plus(outcome.burn().unwrap()).unwrap();
                prop_assert_eq!(paid.plus(rest).unwrap(), Amount::new(pool));
            }
        }

        #[test]
        fn permuting_the_contributors_permutes_the_payouts(
            (contributors, queries, scores) in matrix(), pool in 0u128..10_000
        ) {
            let names: Vec<String> = (0..contributors).map(|i| format!("c-{i}")).collect();
            let reversed: Vec<String> = names.iter().rev().cloned().collect();
            let rows: Vec<&[f64]> = scores.chunks(queries).collect();
            let back: Vec<f64> = rows.iter().rev().flat_map(|row| row.iter().copied()).collect();
            let forward = ScoreView::from_dense(contributors, queries, &scores).unwrap();
            let backward = ScoreView::from_dense(contributors, queries, &back).unwrap();
            for name in rules::stream_rules().map(|entry| entry.name) {
                let named = |names| StreamOptions {
                    identities: Identities::Named(names),
                    ..StreamOptions::seeded(5)
                };
                let a = units(&run(name, &forward, pool, &named(&names)));
                let mut b = units(&run(name, &backward, pool, &named(&reversed)));
                b.reverse();
                prop_assert_eq!(a, b, "{}", name);
            }
        }
    }
}
