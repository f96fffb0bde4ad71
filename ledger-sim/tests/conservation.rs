//! Whatever the rule, the agent and the fees: nothing is made or lost, or the run is refused.

use ledger_sim::account::{Account, Family};
use ledger_sim::agents::AGENTS;
use ledger_sim::audit::audit;
use ledger_sim::document::Node;
use ledger_sim::ledger::Ledger;
use ledger_sim::money::Amount;
use ledger_sim::posting::{Kind, Line};
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::rules::RULES;
use ledger_sim::scenario::check;
use ledger_sim::simulation::simulate;
use proptest::prelude::*;

fn document(rule: usize, agent: usize, fee: u64, numbers: (u64, u64, u64), seed: u64) -> Node {
    let (rule, agent) = (RULES[rule].name, AGENTS[agent].name);
    let agent = match agent {
        "best-responder" => r#"{"best-responder": {"attack": "free-rider", "largest": 2}}"#.into(),
        "colluding-nodes" if rule != "yuma" => "\"honest\"".to_owned(),
        name => format!("\"{name}\""),
    };
    let (queries, period, cost) = numbers;
    let text = format!(
        r#"{{"name": "random", "question": "?", "prediction": "!", "expect": ["residual < 1"],
        "seed": {seed}, "replicas": 1, "time": {{"epochs": 3, "epoch": "30 days"}},
        "token": {{"supply": "1000000 tokens", "price": "0.3 USD"}},
        "treasury": {{"tokens": "100000 tokens"}},
        "emission": {{"constant": {{"amount": "10 tokens"}}}},
        "contributors": {{"count": 8, "useful": "50 %", "stake": "5 tokens", "topics": 2}},
        "demand": {{"queries": "{queries} queries", "arrivals": "poisson", "users": 3}},
        "fees": {{"per-query": "{fee} base-units", "platform": "7 %", "model": "13 %"}},
        "estimator": {{"noise": 1.5, "coverage": "80 %"}},
        "settlement": {{"rule": "{rule}", "every": "{period} queries", "on-empty": "burn"}},
        "friction": {{"claim-cost": "{cost} base-units", "onboarded": "70 %",
                      "sweep-after": "2 epochs"}},
        "agents": [{agent}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The run audits its books and closes its waterfall to the base unit, or it would be refused.
    #[test]
    fn money_is_conserved(
        rule in 0..RULES.len(),
        agent in 0..AGENTS.len(),
        fee in 0u64..3_000_000_000,
        queries in 1u64..40,
        period in 1u64..50,
        cost in 0u64..2_000_000_000,
        seed in 0u64..1_000,
    ) {
        let node = document(rule, agent, fee, (queries, period, cost), seed);
        let scenario = check(&node).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
        let outcome = simulate(&scenario, 0);
        let outcome = outcome.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        prop_assert_eq!(outcome.metrics["residual"], 0.0);
    }
}

#[test]
fn a_million_postings_balance() {
    let streams = Streams::new(3, 0);
    let mut ledger = Ledger::new(Amount::new(1 << 40)).unwrap();
    ledger.open(Family::Wallet, 1_000).unwrap();
    let wallet = |at: u32| Account::new(Family::Wallet, at);
    let lines = [Line::new(Account::MINT, -(1 << 40)), Line::new(wallet(0), 1 << 40)];
    ledger.post(Kind::Emit, 0, &lines).unwrap();
    let mut refused = 0;
    for posting in 0..1_000_000u32 {
        let words = streams.words(Purpose::Demand, 0, 0, u64::from(posting));
        let (from, to, amount) = (words[0] % 1_000, words[1] % 1_000, i64::from(words[2] >> 8));
        let lines = [Line::new(wallet(from), -amount), Line::new(wallet(to), amount)];
        refused += u32::from(ledger.post(Kind::Withdraw, posting, &lines).is_err());
    }
    // What was refused left no trace; the auditor agrees with every balance and with the root.
    let report = audit(&ledger).unwrap();
    assert_eq!(report.postings as u32, 1_000_001 - refused);
    assert_eq!((report.residual, report.minted), (0, 1 << 40));
    let held: i64 = ledger.family(Family::Wallet).iter().sum();
    assert_eq!(held, 1 << 40);
}
