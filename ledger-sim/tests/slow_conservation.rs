//! Conservation in books of up to a million postings, of random rules, agents, fees and widths.

mod worlds;

use ledger_sim::scenario::check;
use ledger_sim::simulation::simulate;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Postings asked for, and how many worlds are asked for them.
const SIZES: [(u64, u32); 3] = [(10_000, 24), (100_000, 8), (1_000_000, 4)];

#[test]
fn money_is_conserved_in_a_million_postings() {
    for (postings, cases) in SIZES {
        let config =
            ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
        let mut runner = TestRunner::new(config);
        // A fee of nothing is not posted.
        let world = (worlds::drawn(1), 20u64..2_000);
        runner
            .run(&world, |(drawn, period)| {
                // Each query of three epochs posts its fee. Their number is Poisson, with a
                // deviation of its root: six of them more.
                let queries = (postings + 6 * postings.isqrt()).div_ceil(3);
                let node = worlds::document(&drawn, queries, period);
                let told = |faults| TestCaseError::fail(format!("{faults:?}"));
                let scenario = check(&node).map_err(told)?;
                let outcome = simulate(&scenario, 0);
                let outcome =
                    outcome.map_err(|refused| TestCaseError::fail(refused.to_string()))?;
                prop_assert_eq!(outcome.metrics["residual"], 0.0);
                let posted = outcome.metrics["postings"];
                prop_assert!(posted >= postings as f64, "{} postings", posted);
                Ok(())
            })
            .unwrap();
    }
}
