//! Scenarios from document to audited books.

use ledger_sim::agents::AGENTS;
use ledger_sim::document::Node;
use ledger_sim::noise::{false_positive_share, netted_sigma};
use ledger_sim::rules::RULES;
use ledger_sim::scenario::{Scenario, check};
use ledger_sim::simulation::{METRICS, Outcome, simulate};

/// A small world: four useful contributors of twelve, noise as large as the useful score.
const BASE: &str = r#"{
    "name": "base", "question": "?", "prediction": "!", "expect": ["mispaid-share < 1"],
    "seed": 7, "replicas": 1,
    "time": {"epochs": 4, "epoch": "30 days"},
    "token": {"supply": "1000000 tokens", "price": "0.2 USD"},
    "treasury": {"tokens": "10000 tokens"},
    "contributors": {"count": 12, "useful": "33 %", "stake": "10 tokens", "cost": "0.1 tokens"},
    "demand": {"queries": "40 queries", "users": 5, "activity": 1},
    "fees": {"per-query": "1 tokens", "platform": "10 %", "model": "20 %", "stakers": "30 %"},
    "estimator": {"noise": 1.0},
    "settlement": {"rule": "net-then-clip", "every": "10 queries"}
}"#;

fn base() -> Node {
    serde_json::from_str(BASE).unwrap()
}

fn with(changes: &[(&str, &str)]) -> Node {
    changes.iter().fold(base(), |document, (path, value)| {
        document.with(path, serde_json::from_str(value).unwrap()).unwrap()
    })
}

fn checked(changes: &[(&str, &str)]) -> Scenario {
    check(&with(changes)).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn run(changes: &[(&str, &str)]) -> Outcome {
    simulate(&checked(changes), 0).unwrap()
}

#[test]
fn fees_are_shared_and_paid_out_exactly() {
    let outcome = run(&[("estimator.noise", "0")]);
    // 4 epochs of 40 queries at 1 token: 160 tokens, of which 90 % x 50 % are the contributors'.
    assert_eq!(outcome.metrics["fees"], 160.0);
    assert_eq!(outcome.metrics["paid"], 72.0);
    // Without noise and friction payouts are what is owed: four useful people, 18 tokens each.
    assert_eq!(outcome.metrics["mispaid-share"], 0.0);
    assert_eq!(outcome.metrics["recognised"], 72.0);
    assert_eq!(outcome.metrics["reach"], 1.0);
    // Gini of 8 zeros and 4 equal amounts: 1 - 4/12.
    assert!((outcome.metrics["gini"] - 8.0 / 12.0).abs() < 1e-12);
    assert_eq!(outcome.lorenz.len(), 101);
    assert_eq!((outcome.lorenz[50], outcome.lorenz[100]), (0.0, 1.0));
}

#[test]
fn the_ends_of_money_sum_to_what_was_there() {
    let ends = [
        "recognised-share",
        "misdirected-share",
        "burn-share",
        "carry-share",
        "stranded-share",
        "claim-cost-share",
    ];
    for rule in ["\"net-then-clip\"", "\"equal\"", r#"{"replication-robust": {"penalty": 0.5}}"#] {
        let friction = r#"{"claim-cost": "0.01 tokens", "onboarded": "70 %"}"#;
        let found = run(&[("settlement.rule", rule), ("friction", friction)]).metrics;
        let sum: f64 = ends.iter().map(|end| found[end]).sum();
        // Six shares, each rounded once.
        assert!((sum - 1.0).abs() < 1e-14, "{rule}: {sum}");
        assert!(found["claim-cost-share"] > 0.0 && found["stranded-share"] > 0.0, "{rule}");
        // 72 tokens are owed for 160 queries: what misses its owner, over 160, times a million.
        let lost = (72.0 - found["recognised"]) / 160.0 * 1e6;
        assert!((found["cost-per-million"] - lost).abs() < 1e-6 * lost, "{rule}");
    }
}

#[test]
fn an_equal_split_prices_names_at_what_a_name_receives() {
    let agents = r#"[{"sybil-splitter": {"names": 4}}]"#;
    let found = run(&[("settlement.rule", "\"equal\""), ("agents", agents)]).metrics;
    // 18 tokens an epoch over 13 people, or over 16 names of which the attacker has 4: three more
    // names bring (4/16 - 1/13) x 18 tokens.
    let expected = (4.0 / 16.0 - 1.0 / 13.0) * 18.0 / 3.0;
    assert!((found["sybil-proofing-price"] - expected).abs() < 1e-8, "{found:?}");
}

#[test]
fn noise_pays_the_useless_as_the_closed_form_says() {
    // Many replicas of many queries approach the ratio of expectations of the closed form.
    let scenario = checked(&[
        ("contributors", r#"{"count": 100, "useful": "10 %"}"#),
        ("estimator.noise", "0.5"),
        ("demand.queries", "\"200 queries\""),
        ("time.epochs", "1"),
    ]);
    let share = |replica| simulate(&scenario, replica).unwrap().metrics["false-positive-share"];
    let mean = (0..40).map(share).sum::<f64>() / 40.0;
    let expected = false_positive_share(10.0, 90.0, 1.0, netted_sigma(0.5, 10.0, 0.0));
    assert!((mean - expected).abs() < 0.01, "{mean} against {expected}");
}

#[test]
fn the_closed_form_is_told_where_it_holds_and_nowhere_else() {
    let law = |changes: &[(&str, &str)]| run(changes).metrics.get("false-positive-law").copied();
    // Four useful of twelve, noise 1 netted over 10 queries: s = sqrt(.1).
    let netted = false_positive_share(4.0, 8.0, 1.0, 0.1f64.sqrt());
    assert_eq!(law(&[]), Some(netted));
    assert_eq!(law(&[("settlement.every", "\"epoch\"")]), {
        Some(false_positive_share(4.0, 8.0, 1.0, netted_sigma(1.0, 40.0, 0.0)))
    });
    let clipped = law(&[("settlement.rule", "\"linear-clipped\"")]);
    assert_eq!(clipped, Some(false_positive_share(4.0, 8.0, 1.0, 1.0)));
    assert_eq!(law(&[("settlement.rule", "\"power\"")]), None);
    assert_eq!(law(&[("contributors.values", r#"{"pareto": {"tail": 2}}"#)]), None);
    assert_eq!(law(&[("agents", "[\"free-rider\"]")]), None);
    assert_eq!(law(&[("estimator.coverage", "\"50 %\"")]), None);
}

#[test]
fn both_engines_write_the_same_journal() {
    for arrivals in ["\"even\"", "\"poisson\"", r#"{"hawkes": {"branching": 0.6}}"#] {
        for every in ["\"7 queries\"", "\"epoch\""] {
            let common = [("demand.arrivals", arrivals), ("settlement.every", every)];
            let epochs = run(&common);
            let events = run(&[common[0], common[1], ("time.engine", "\"events\"")]);
            assert_eq!(epochs, events, "{arrivals} {every}");
            assert!(!epochs.root.is_empty());
        }
    }
}

#[test]
fn the_journal_may_be_fine_or_coarse_and_people_receive_the_same() {
    let [query, settlement, epoch] =
        ["query", "settlement", "epoch"].map(|grain| run(&[("journal", &format!("\"{grain}\""))]));
    assert!(query.postings > settlement.postings && settlement.postings > epoch.postings);
    for name in ["paid", "recognised", "gini", "mispaid-share", "treasury-end"] {
        assert_eq!(query.metrics[name], settlement.metrics[name], "{name}");
        assert_eq!(query.metrics[name], epoch.metrics[name], "{name}");
    }
}

#[test]
fn every_rule_runs_in_the_world() {
    for rule in RULES {
        let treasury = r#"{"tokens": "100000 tokens"}"#;
        let outcome =
            run(&[("settlement.rule", &format!("\"{}\"", rule.name)), ("treasury", treasury)]);
        assert_eq!(outcome.metrics["residual"], 0.0, "{}", rule.name);
        assert!(outcome.metrics.contains_key("paid"), "{}", rule.name);
    }
}

/// A billion tokens of eighteen decimals: 10^27 units, of which no account of 64 bits holds more
/// than 18 tokens. Everything is settled and audited in them, and what is paid is what is paid in
/// nine decimals, up to a unit of those for each of the few settlements.
#[test]
fn every_rule_pays_in_eighteen_decimals_what_it_pays_in_nine() {
    for rule in RULES {
        let name = format!("\"{}\"", rule.name);
        let count = if rule.needs.iter().any(|need| need.contains("game")) { "8" } else { "12" };
        let run = |decimals: &str| {
            run(&[
                ("settlement.rule", &name),
                ("contributors.count", count),
                ("token.decimals", decimals),
                ("token.supply", "\"1000000000 tokens\""),
                ("fees.per-query", "\"1000 tokens\""),
                ("agents", "[\"sybil-splitter\", \"whale\"]"),
                ("journal", "\"query\""),
            ])
        };
        let (nine, eighteen) = (run("9"), run("18"));
        assert_eq!(eighteen.metrics["residual"], 0.0, "{}", rule.name);
        assert_eq!(nine.metrics["fees"], 160_000.0);
        assert_eq!(eighteen.metrics["fees"], 160_000.0);
        // These have parameters in base units, whose defaults are worth a billionth as much here.
        if ["flat-fee", "buyout", "tournament"].contains(&rule.name) {
            continue;
        }
        for metric in ["paid", "recognised", "attack-gain"] {
            let (a, b) = (nine.metrics[metric], eighteen.metrics[metric]);
            assert!((a - b).abs() < 1e-6, "{} {metric}: {a} {b}", rule.name);
        }
    }
}

#[test]
fn every_agent_attacks_in_audited_books() {
    for agent in AGENTS {
        let (rule, written) = match agent.name {
            "colluding-nodes" => {
                ("yuma", format!(r#"[{{"{}": {{"stake": "60 %"}}}}]"#, agent.name))
            }
            "best-responder" => (
                "net-then-clip",
                r#"[{"best-responder": {"attack": "sybil-splitter", "largest": 8}}]"#.to_owned(),
            ),
            name => ("net-then-clip", format!("[\"{name}\"]")),
        };
        let outcome = run(&[("settlement.rule", &format!("\"{rule}\"")), ("agents", &written)]);
        assert!(outcome.metrics.contains_key("attack-gain"), "{}", agent.name);
        if agent.name == "honest" {
            assert_eq!(outcome.metrics["attack-gain"], 0.0);
            assert_eq!(outcome.metrics["others-loss"], 0.0);
        }
    }
}

#[test]
fn a_majority_of_nodes_takes_more_than_a_minority() {
    let gain = |stake: &str| {
        let agents = format!(r#"[{{"colluding-nodes": {{"stake": "{stake}", "value": 0.1}}}}]"#);
        run(&[("settlement.rule", "\"yuma\""), ("agents", &agents), ("estimator.noise", "0")])
            .metrics["attack-gain"]
    };
    // The consensus clips whoever has less than half of the stake.
    assert!(gain("25 %") < gain("75 %") / 4.0, "{} {}", gain("25 %"), gain("75 %"));
}

#[test]
fn an_equal_split_pays_names_and_a_score_does_not() {
    let agents = r#"[{"sybil-splitter": {"names": 9, "noise-exponent": 1}}]"#;
    let gain = |rule: &str| {
        run(&[("settlement.rule", rule), ("agents", agents), ("estimator.noise", "0")]).metrics["attack-gain-relative"]
    };
    // 12 others and m own names take m/(12 + m) of an equal split: 9/21 against 1/13.
    // Of 4 useful people of 12 and one agent, an equal split among 12 + 9 names pays the useful
    // 4/21 instead of 4/5 and the agent 9/21 instead of 1/5: the distance is 4/5 - 4/21.
    let equal = run(&[("settlement.rule", "\"equal\""), ("agents", agents)]);
    let expected = 4.0 / 5.0 - 4.0 / 21.0;
    assert!((equal.metrics["distance-from-worth"] - expected).abs() < 1e-6);
    assert!((gain("\"equal\"") - (9.0 / 21.0 * 13.0 - 1.0)).abs() < 1e-6);
    assert!(gain("\"net-then-clip\"").abs() < 1e-6);
}

#[test]
fn a_best_responder_stops_where_names_cost_more_than_they_bring() {
    let run = |cost: &str| {
        let agent = format!(
            r#"[{{"best-responder": {{"largest": 32, "attack": {{"sybil-splitter":
                {{"names": 2, "cost": "{cost}"}}}}}}}}]"#
        );
        run(&[("settlement.rule", "\"equal\""), ("agents", &agent)]).metrics
    };
    assert_eq!(run("1000 tokens")["attack-size"], 0.0);
    assert_eq!(run("1000 tokens")["attack-gain"], 0.0);
    // 72 tokens m/(12 + m) less c (m - 1) is largest where 72 x 12/(12 + m)^2 = c: with c = 1, at
    // m = 17.4.
    let found = run("1 tokens");
    assert!((15.0..=20.0).contains(&found["attack-size"]), "{found:?}");
}

#[test]
fn friction_keeps_money_from_small_accounts() {
    let changes = [
        ("estimator.noise", "0"),
        ("contributors.values", r#"{"pareto": {"tail": 1.1}}"#),
        ("contributors.useful", "\"100 %\""),
        ("friction", r#"{"claim-cost": "4 tokens", "onboarded": "100 %"}"#),
    ];
    let outcome = run(&changes);
    assert!(outcome.metrics["reach"] < 1.0);
    assert!(outcome.metrics["stranded-share"] > 0.0);
    let closed: f64 =
        ["recognised", "mispaid-tokens"].map(|name| outcome.metrics[name]).iter().sum();
    let lost: f64 = ["stranded-share", "claim-cost-share", "burn-share", "carry-share"]
        .map(|name| outcome.metrics[name])
        .iter()
        .sum();
    assert!((closed / 72.0 + lost - 1.0).abs() < 1e-9);
}

/// Four equal people who join one after the other. Claims that last a century share as claims that
/// last for ever do, those that last a day do not, and who joined together shares as ever.
#[test]
fn claims_that_decay_share_otherwise_among_those_of_other_age() {
    let gini = |half_life: Option<&str>| {
        let mut changes = vec![
            ("estimator.noise", "0"),
            ("contributors.count", "4"),
            ("contributors.useful", "\"100 %\""),
            ("contributors.arrive-over", "\"100 %\""),
            ("time.epochs", "12"),
        ];
        changes.extend(half_life.map(|days| ("settlement.claims-half-life", days)));
        run(&changes).metrics["gini"]
    };
    let (never, slow, fast) = (gini(None), gini(Some("\"100 years\"")), gini(Some("\"1 days\"")));
    // 2^(-330 / 36500) = .994: what lasts a century is as good as what never ends.
    assert!((slow - never).abs() < 0.01, "{slow} {never}");
    assert!((fast - never).abs() > 0.05, "{fast} {never}");
    // All who joined together age together, and a pot is shared by ratios.
    let together = |half_life: Option<&str>| {
        let mut changes = vec![("estimator.noise", "0")];
        changes.extend(half_life.map(|days| ("settlement.claims-half-life", days)));
        run(&changes).lorenz
    };
    assert_eq!(together(Some("\"30 days\"")), together(None));
    let faults = check(&with(&[("settlement.claims-half-life", "\"0 days\"")])).unwrap_err();
    assert!(faults[0].to_string().contains("claims last no time"), "{}", faults[0]);
}

#[test]
fn locked_buckets_are_released_and_emission_is_paid() {
    let outcome = run(&[
        (
            "allocation",
            r#"[{"name": "team", "amount": "36000 tokens",
                "cliff": "2 months", "linear": "36 months"},
                {"name": "reserve", "to": "treasury", "amount": "1000 tokens",
                "at-launch": "10 %"}]"#,
        ),
        ("emission", r#"{"halving": {"reward": "100 tokens", "interval": 2}}"#),
    ]);
    assert_eq!(outcome.metrics["emission"], 300.0);
    // 10000 + 100 at launch + 900 in the first month - 300 emitted.
    assert_eq!(outcome.metrics["treasury-end"], 10_700.0);
}

#[test]
fn inflation_mints_within_the_cap_or_the_run_stops() {
    let inflation = r#"{"inflation": {"initial": "1 %", "step": "0 %", "target": "50 %",
        "bonded": "50 %", "from": "mint"}}"#;
    let minted = run(&[("emission", inflation), ("token.unminted", "\"100000 tokens\"")]);
    // 900000 x (1.01^4 - 1) = 36543.6...
    assert!((minted.metrics["emission"] - 36_543.6).abs() < 1.0, "{:?}", minted.metrics);
    let scenario = checked(&[("emission", inflation), ("token.unminted", "\"20000 tokens\"")]);
    let refused = simulate(&scenario, 0).unwrap_err();
    assert!(refused.to_string().contains("supply cap"), "{refused}");
}

#[test]
fn a_replica_is_a_function_of_seed_and_number() {
    let scenario = checked(&[("demand.arrivals", "\"poisson\"")]);
    assert_eq!(simulate(&scenario, 3), simulate(&scenario, 3));
    assert_ne!(simulate(&scenario, 3), simulate(&scenario, 4));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let faulty = with(&[
        (
            "fees",
            r#"{"per-query": "1 euro", "model": "60 %", "stakers": "50 %",
                "contributors": "10 %"}"#,
        ),
        ("treasury", r#"{"tokens": "2000000 tokens"}"#),
        ("token.supply", "\"-5 tokens\""),
        ("settlement.rule", "\"net-then-clop\""),
        ("agents", r#"["sybill"]"#),
        ("contributors.useful", "\"140 %\""),
        ("time.epoch", "\"30 parsecs\""),
        ("expect", r#"["gini", "ginny < 1"]"#),
        ("colour", "\"blue\""),
    ]);
    let faults = check(&faulty).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    for path in ["token.supply", "time.epoch", "expect.0", "expect.1", "colour"] {
        assert!(paths.contains(&path), "{path} not in {paths:?}");
    }
    // With a supply the rest can be judged as well.
    let faults = check(&faulty.with("token.supply", Node::Text("1000 tokens".into())).unwrap());
    let faults = faults.unwrap_err();
    let told = |path: &str, words: &str| {
        let found = faults.iter().any(|fault| fault.path == path && fault.message.contains(words));
        assert!(found, "{path}: {words} not in {faults:#?}");
    };
    told("fees.per-query", "units tokens, base-units, USD");
    told("fees.contributors", "120 %");
    told("token.supply", "more than the supply");
    told("settlement.rule", "unknown rule `net-then-clop`");
    told("agents.0", "unknown agent `sybill`");
    told("contributors.useful", "found `140 %`");
    told("expect.1", "unknown metric `ginny`");
}

#[test]
fn impossible_economics_are_refused_before_the_run() {
    let refused = |changes: &[(&str, &str)], words: &str| {
        let faults = check(&with(changes)).unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|fault| fault.contains(words)), "{words} not in {told:?}");
    };
    refused(
        &[("emission", r#"{"constant": {"amount": "5000 tokens"}}"#)],
        "20000 tokens are emitted",
    );
    refused(&[("token.unminted", "\"995000 tokens\"")], "5000 more than the supply");
    refused(
        &[("allocation", r#"[{"name": "a", "amount": "999999 tokens"}]"#)],
        "nothing can be released beyond the supply",
    );
    refused(&[("fees.platform", "\"101 %\"")], "found `101 %`");
    // 2 x 10^18 tokens of eighteen decimals are 2 x 10^36 units, and 2^120 are 1.3 x 10^36.
    let many = [("token.decimals", "18"), ("token.supply", "\"2e18 tokens\"")];
    refused(&many, "2^120 base units or more");
    refused(
        &[("contributors.count", "30"), ("settlement.rule", "\"semivalue\"")],
        "all coalitions",
    );
    refused(&[("agents", "[\"colluding-nodes\"]")], "reads node reports");
    refused(
        &[(
            "sweep",
            r#"{"design": "sobol", "points": 30, "parameters":
        {"estimator.noise": {"from": 0, "to": 1}}}"#,
        )],
        "write 32",
    );
}

#[test]
fn metrics_are_sorted_by_name() {
    assert!(METRICS.windows(2).all(|pair| pair[0].name < pair[1].name));
    let outcome = run(&[("agents", "[\"plagiarist\", \"poisoner\"]")]);
    assert!(outcome.metrics.keys().all(|name| METRICS.iter().any(|metric| metric.name == *name)));
}
