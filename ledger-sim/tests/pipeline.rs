//! The whole way of money through the public interface: exact and estimated scores, a rule, audited
//! books, claims under friction, and a waterfall in which every base unit is accounted for.

use std::num::NonZeroUsize;

use ledger_sim::account::{Account, Family};
use ledger_sim::audit::audit;
use ledger_sim::demand::EstimatorNoise;
use ledger_sim::friction::{Friction, claim_all};
use ledger_sim::metrics::PayoutError;
use ledger_sim::metrics::people::Waterfall;
use ledger_sim::money::Amount;
use ledger_sim::random::Streams;
use ledger_sim::rules::{self, Parameters};
use ledger_sim::scores::ScoreView;
use ledger_sim::stream::{StreamOptions, StreamOutcome, settle_stream};

const CONTRIBUTORS: usize = 40;
const QUERIES: usize = 25;
const POOL: Amount = Amount::new(1_000_003);

/// Contributor `i` has score `40 - i`, the last ten have none.
fn exact_scores() -> Vec<f64> {
    let value = |i: usize| if i < 30 { (CONTRIBUTORS - i) as f64 } else { 0.0 };
    (0..CONTRIBUTORS * QUERIES).map(|at| value(at / QUERIES)).collect()
}

fn settle(rule: &str, scores: &[f64]) -> StreamOutcome {
    let view = ScoreView::from_dense(CONTRIBUTORS, QUERIES, scores).unwrap();
    let rule = rules::build(rule, &Parameters::new()).unwrap();
    let options =
        StreamOptions { queries_per_settlement: NonZeroUsize::new(10), ..StreamOptions::seeded(3) };
    settle_stream(&view, POOL, rule.as_ref(), &options).unwrap()
}

fn estimates(sigma: f64) -> Vec<f64> {
    let noise = EstimatorNoise::new(sigma, 0.2).unwrap();
    noise.estimates(&Streams::new(9, 0), &exact_scores(), QUERIES)
}

#[test]
fn the_waterfall_closes_for_every_rule_and_estimate() {
    let friction = Friction { minimum_withdrawal: Amount::new(500), claim_cost: Amount::new(90) };
    for entry in rules::stream_rules() {
        let owed = settle(entry.name, &exact_scores());
        for sigma in [0.0, 5.0, 50.0] {
            let outcome = settle(entry.name, &estimates(sigma));
            let mut ledger = outcome.ledger().clone();
            let epoch = ledger.epoch();
            let received = claim_all(&mut ledger, epoch, &friction).unwrap();
            audit(&ledger).unwrap();
            let unclaimed: i128 = ledger.family(Family::Contributor).iter().sum();
            let waterfall = Waterfall::close(
                POOL,
                owed.payouts(),
                &received,
                ledger.balance(Account::BURN).unwrap(),
                ledger.balance(Account::CARRY).unwrap(),
                Amount::new(unclaimed.unsigned_abs()),
                ledger.balance(Account::GAS).unwrap(),
            );
            assert!(waterfall.is_ok(), "{} {sigma}: {waterfall:?}", entry.name);
        }
    }
}

#[test]
fn noise_costs_more_the_more_there_is_and_the_null_rule_knows_nothing() {
    let error = |rule: &str, sigma: f64| {
        let owed = settle("net-then-clip", &exact_scores());
        let paid = settle(rule, &estimates(sigma));
        PayoutError::between(owed.payouts(), paid.payouts(), Amount::ZERO).unwrap()
    };
    let none = error("net-then-clip", 0.0);
    assert_eq!((none.mispaid, none.kendall_tau_b), (Amount::ZERO, Some(1.0)));
    let (little, much) = (error("net-then-clip", 5.0), error("net-then-clip", 50.0));
    assert!(little.mispaid < much.mispaid);
    assert!(little.money_weighted_tau > much.money_weighted_tau);
    // The null pays the same whatever the scores.
    assert_eq!(error("random", 0.0), error("random", 50.0));
}
