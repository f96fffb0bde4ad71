//! Random worlds for the tests of conservation.

use ledger_sim::agents::AGENTS;
use ledger_sim::document::Node;
use ledger_sim::rules::RULES;
use proptest::prelude::*;

/// What is drawn of a world.
#[derive(Clone, Debug)]
pub struct Drawn {
    rule: usize,
    agent: usize,
    fee: u64,
    cost: u64,
    decimals: u32,
    seed: u64,
}

/// Worlds whose fees are at least so many base units.
pub fn drawn(least_fee: u64) -> impl Strategy<Value = Drawn> {
    let amounts = (least_fee..3_000_000_000, 0u64..2_000_000_000);
    let decimals = prop_oneof![Just(9), Just(18)];
    (0..RULES.len(), 0..AGENTS.len(), amounts, decimals, 0u64..1_000).prop_map(
        |(rule, agent, (fee, cost), decimals, seed)| Drawn {
            rule,
            agent,
            fee,
            cost,
            decimals,
            seed,
        },
    )
}

/// A world of eight people over three epochs, with `queries` an epoch and a settlement every
/// `period` of them, whose journal has a posting for every fee.
pub fn document(drawn: &Drawn, queries: u64, period: u64) -> Node {
    let (rule, agent) = (RULES[drawn.rule].name, AGENTS[drawn.agent].name);
    let agent = match agent {
        "best-responder" => r#"{"best-responder": {"attack": "free-rider", "largest": 2}}"#.into(),
        "colluding-nodes" if rule != "yuma" => "\"honest\"".to_owned(),
        name => format!("\"{name}\""),
    };
    // A fee and a cost of up to three tokens, to the last digit.
    let Drawn { fee, cost, decimals, seed, .. } = drawn;
    let digits = if *decimals == 18 { "000000007" } else { "" };
    let text = format!(
        r#"{{"name": "random", "question": "?", "prediction": "!", "expect": ["residual < 1"],
        "seed": {seed}, "replicas": 1, "time": {{"epochs": 3, "epoch": "30 days"}},
        "token": {{"supply": "1000000000 tokens", "price": "0.3 USD", "decimals": {decimals}}},
        "treasury": {{"tokens": "100000 tokens"}},
        "emission": {{"constant": {{"amount": "10 tokens"}}}},
        "contributors": {{"count": 8, "useful": "50 %", "stake": "5 tokens", "topics": 2}},
        "demand": {{"queries": "{queries} queries", "arrivals": "poisson", "users": 3}},
        "fees": {{"per-query": "{fee}{digits} base-units", "platform": "7 %", "model": "13 %"}},
        "estimator": {{"noise": 1.5, "coverage": "80 %"}},
        "settlement": {{"rule": "{rule}", "every": "{period} queries", "on-empty": "burn"}},
        "friction": {{"claim-cost": "{cost}{digits} base-units", "onboarded": "70 %",
                      "sweep-after": "2 epochs"}},
        "journal": "query", "agents": [{agent}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}
