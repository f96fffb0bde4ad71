//! An invented record of twelve methods over all levels of access, for tests alone.

use attribench_core::{
    AccessLevel, Agreement, EffectPair, Estimate, Failure, GameShare, Manipulated, Payout, Record,
    Row, SamplingError, Timing, Trial, TrialOutcome, Verdict,
};
use attribench_reports::{Fact, Notice, RunFacts};

/// Method, level, LDS, half width of its interval, gradients, replayed steps, scale of its effects.
type Invented = (&'static str, AccessLevel, f64, f64, f64, f64, f64);

const METHODS: [Invented; 12] = [
    ("random", AccessLevel::BlackBox, 0.003, 0.021, 0.0, 0.0, 0.02),
    ("embedding-cosine", AccessLevel::BlackBox, 0.094, 0.024, 0.0, 0.0, 0.8),
    ("grad-dot", AccessLevel::FinalModel, 0.153, 0.027, 5_500.0, 0.0, 40.0),
    ("grad-cosine", AccessLevel::FinalModel, 0.148, 0.026, 5_500.0, 0.0, 0.9),
    ("trak", AccessLevel::FinalModel, 0.164, 0.031, 6_100.0, 0.0, 2.5),
    ("ek-fac", AccessLevel::FinalModel, 0.388, 0.035, 16_000.0, 0.0, 1.1),
    ("influence-cg", AccessLevel::FinalModel, 0.351, 0.034, 260_000.0, 0.0, 1.4),
    ("tracin", AccessLevel::Checkpoints, 0.211, 0.029, 27_500.0, 0.0, 0.7),
    ("trak-ensemble", AccessLevel::Checkpoints, 0.312, 0.033, 61_000.0, 0.0, 2.1),
    ("adam-influence", AccessLevel::OptimizerStates, 0.402, 0.034, 82_000.0, 0.0, 1.2),
    ("in-run-shapley", AccessLevel::FullTrace, 0.481, 0.037, 50_000.0, 1_000.0, 0.9),
    ("metagradient", AccessLevel::FullTrace, 0.742, 0.028, 175_000.0, 3_500.0, 1.02),
];

const CONTRIBUTORS: [(&str, usize, u64); 8] = [
    ("Public library of Aalst", 900, 231_400),
    ("Jo & daughters", 700, 180_250),
    ("St. Mary's choir", 650, 142_000),
    ("Radio Ljubljana", 600, 121_300),
    ("Anonymous 5", 500, 99_050),
    ("Ōsaka weather service", 450, 90_000),
    ("Photo club", 400, 76_000),
    ("Late joiner", 300, 60_000),
];

/// Numbers in [-1, 1) that look random and never change.
fn noise(index: usize) -> f64 {
    let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed >> 11) as f64 / (1u64 << 53) as f64) * 2.0 - 1.0
}

fn row(method: &str, access: Option<AccessLevel>, metric: &str, value: Estimate) -> Row {
    Row {
        experiment: "retrofit-gap".into(),
        dataset: "fashion-mnist-5000".into(),
        model: "mlp-784-128-64-10".into(),
        method: method.into(),
        access,
        truth: "subset".into(),
        metric: metric.into(),
        grain: "example".into(),
        unit: "correlation".into(),
        value,
        settings_tried: 3,
    }
}

/// A counted cost of a method.
pub fn cost_row(method: &str, metric: &str, count: f64) -> Row {
    Row {
        truth: "none".into(),
        grain: "run".into(),
        unit: metric.into(),
        ..row(method, Some(AccessLevel::FinalModel), metric, Estimate::exact(count))
    }
}

fn between(point: f64, half: f64, undefined: usize) -> Estimate {
    Estimate::new(point, point - half, point + half, 0.95, 500, undefined)
}

fn rows() -> Vec<Row> {
    let mut rows = vec![row("truth", None, "lds-ceiling", between(0.881, 0.012, 0))];
    for (index, (method, access, lds, half, gradients, replayed, scale)) in
        METHODS.into_iter().enumerate()
    {
        let level = Some(access);
        let undefined = if method == "trak" { 7 } else { 0 };
        rows.push(row(method, level, "lds", between(lds, half, undefined)));
        rows.push(Row {
            grain: "contributor".into(),
            truth: "leave-contributor-out".into(),
            ..row(method, level, "contributor-spearman", between(lds * 0.9 + 0.05, half * 2.5, 0))
        });
        rows.push(Row {
            unit: "ratio".into(),
            ..row(method, level, "calibration-slope", between(1.0 / scale, 0.1 / scale, 0))
        });
        let share = 0.02 + 0.3 * (1.0 - lds);
        let money = |metric: &str, unit: &str, value| Row {
            truth: "exact-shapley".into(),
            grain: "contributor".into(),
            unit: unit.into(),
            ..row(method, level, metric, value)
        };
        rows.push(money("mispaid-share", "share", between(share, 0.02, 0)));
        rows.push(money("mispaid-tokens", "tokens", between(share * 1e6, 2e4, 0)));
        let cost = |metric, count| Row { access: level, ..cost_row(method, metric, count) };
        rows.push(cost("gradients", gradients));
        rows.push(cost("forwards", if index == 1 { 5_500.0 } else { 0.0 }));
        rows.push(cost("replayed-steps", replayed));
    }
    rows.push(Row {
        truth: "none".into(),
        unit: "tokens".into(),
        ..row(
            "in-run-shapley",
            Some(AccessLevel::FullTrace),
            "ledger-residual",
            Estimate::exact(0.0),
        )
    });
    rows
}

fn effects() -> Vec<EffectPair> {
    let mut effects = Vec::new();
    for (index, (method, _, lds, _, _, _, scale)) in METHODS.into_iter().enumerate() {
        for pair in 0..900 {
            // Cubes have the heavy tails that effects have.
            let measured = 0.04 * noise(pair).powi(3);
            let error = 0.04 * noise(pair + 7_919 * (index + 1)).powi(3) * (1.0 - lds) * 0.9;
            effects.push(EffectPair {
                method: method.into(),
                truth: "leave-one-out".into(),
                removed: (pair / 30).to_string(),
                query: (pair % 30) as u32,
                predicted: scale * (measured * lds.powf(0.4) + error),
                measured,
            });
        }
    }
    effects
}

fn payouts() -> Vec<Payout> {
    let total: u64 = CONTRIBUTORS.iter().map(|(_, _, exact)| exact).sum();
    let mut payouts = Vec::new();
    for (index, (method, access, lds, ..)) in METHODS.into_iter().enumerate() {
        let mut left = total;
        for (person, (contributor, examples, exact)) in CONTRIBUTORS.into_iter().enumerate() {
            let wrong = 1.0 + (1.0 - lds) * 0.7 * noise(31 * index + person);
            let last = person + 1 == CONTRIBUTORS.len();
            let estimated = if last { left } else { left.min((exact as f64 * wrong) as u64) };
            left -= estimated;
            payouts.push(Payout {
                method: method.into(),
                access,
                rule: "proportional".into(),
                reference: "exact-shapley".into(),
                contributor: contributor.into(),
                examples,
                exact,
                estimated,
            });
        }
    }
    payouts
}

/// The whole record.
pub fn record() -> Record {
    let verdict = |condition: &str, held, evidence: &str| Verdict {
        condition: condition.into(),
        held,
        evidence: evidence.into(),
    };
    let trial = |damping: &str, outcome, chosen| Trial {
        method: "ek-fac".into(),
        parameters: format!("{{\"damping\":{damping}}}"),
        outcome,
        chosen,
    };
    Record {
        question: "How much accuracy is lost when attribution is retrofitted to a finished model?"
            .into(),
        prediction: "Methods of the final weights reach less than half of the ceiling.".into(),
        rows: rows(),
        effects: effects(),
        payouts: payouts(),
        verdicts: vec![
            verdict("lds(ek-fac) > lds(grad-dot)", true, "0.388 against 0.153"),
            verdict("lds(trak) > lds(ek-fac)", false, "0.164 against 0.388"),
        ],
        failures: vec![Failure {
            method: "lissa".into(),
            access: AccessLevel::FinalModel,
            reason: "diverged at damping <0.001>".into(),
        }],
        trials: vec![
            trial("0.1", TrialOutcome::Lds(Estimate::new(0.31, 0.25, 0.36, 0.95, 50, 0)), true),
            trial("0.001", TrialOutcome::Failed("not positive definite".into()), false),
        ],
        agreements: agreements(),
        ..game()
    }
}

/// Agreement of every two methods, more alike the nearer their scores are.
fn agreements() -> Vec<Agreement> {
    let pairs = (0..METHODS.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
    let agreement = |(other, one): (usize, usize)| {
        let (left, right) = (METHODS[other], METHODS[one]);
        let value = 0.9 - 1.2 * (left.2 - right.2).abs() + 0.1 * noise(other * 12 + one);
        let correlation = Estimate::new(value, value - 0.05, value + 0.04, 0.95, 50, 0);
        Agreement { methods: [left.0.into(), right.0.into()], correlation }
    };
    pairs.map(agreement).collect()
}

/// A game of two contributors: two values, two samplers with two budgets, one manipulation.
fn game() -> Record {
    let share = |value: &str, contributor: &str, worth, share| GameShare {
        value: value.into(),
        contributor: contributor.into(),
        examples: 40,
        worth,
        standard_error: (value == "banzhaf").then_some(0.01),
        share,
    };
    let error = |sampler: &str, budget, point: f64| SamplingError {
        sampler: sampler.into(),
        estimates: "shapley".into(),
        budget,
        evaluations: budget as f64 - 4.0,
        share_error: Estimate::new(point, point * 0.8, point * 1.2, 0.95, 20, 0),
        mispaid: None,
        coverage: Some(0.95),
    };
    let manipulated = |value: &str, after| Manipulated {
        value: value.into(),
        manipulation: "copy".into(),
        contributor: "alice".into(),
        before: 0.6,
        after,
    };
    Record {
        game_shares: vec![
            share("shapley", "alice", 0.3, 0.6),
            share("shapley", "<bob>", 0.2, 0.4),
            share("banzhaf", "alice", 0.25, 0.55),
            share("banzhaf", "<bob>", 0.2, 0.45),
        ],
        sampling_errors: vec![
            error("permutation-shapley", 100, 0.1),
            error("permutation-shapley", 1000, 0.03),
            error("group-testing", 100, 0.4),
            error("group-testing", 1000, 0.12),
        ],
        manipulated: vec![manipulated("shapley", 0.66), manipulated("banzhaf", 0.5)],
        ..Record::default()
    }
}

/// What was run on what.
pub fn facts() -> RunFacts {
    RunFacts {
        experiment: "retrofit-gap".into(),
        specification: "question: >\n  How much accuracy is lost?\ndata: fashion-mnist-5000\n"
            .into(),
        hashes: vec![Fact::new("specification", "9f2c41d07b66")],
        commit: Some("a01abce".into()),
        machine: vec![Fact::new("processor", "2 cores, AVX-512")],
        versions: vec![Fact::new("attribench", "0.1.0"), Fact::new("rustc", "1.95.0")],
        seeds: vec![Fact::new("root", "20260101")],
        seconds: Some(412.6),
        peak_memory_bytes: Some(1_234_000_000),
        batch_size: Some(50),
        datasets: vec!["Fashion-MNIST, 5,000 of 60,000 training images".into()],
        models: vec!["MLP 784-128-64-10, ReLU, 109,386 parameters".into()],
        notices: vec![Notice {
            work: "Fashion-MNIST".into(),
            licence: "MIT".into(),
            text: "Copyright (c) 2017 Zalando SE, https://tech.zalando.com".into(),
        }],
        commands: vec!["attribench run experiments/retrofit-gap.yaml".into()],
    }
}

/// Wall times; the random method has none.
pub fn timings() -> Vec<Timing> {
    let mut timings = vec![
        Timing { stage: "train".into(), method: None, seconds: 3.2 },
        Timing { stage: "truth subset".into(), method: None, seconds: 301.0 },
    ];
    for (method, _, _, _, gradients, replayed, _) in METHODS.into_iter().skip(1) {
        let seconds = 0.05 + gradients / 2_000.0 + replayed / 100.0;
        let stage = format!("fit {method}");
        timings.push(Timing { stage, method: Some(method.into()), seconds });
    }
    timings
}
