//! Whatever the rule, the agent and the fees: nothing is made or lost, or the run is refused.
//! `slow_conservation.rs` asks the same of books of a million postings.

mod worlds;

use ledger_sim::account::{Account, Family};
use ledger_sim::audit::audit;
use ledger_sim::ledger::Ledger;
use ledger_sim::money::Amount;
use ledger_sim::posting::{Kind, Line};
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::scenario::check;
use ledger_sim::simulation::simulate;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// The run audits its books and closes its waterfall to the base unit, or it would be refused.
    #[test]
    fn money_is_conserved(drawn in worlds::drawn(0), queries in 1u64..40, period in 1u64..50) {
        let node = worlds::document(&drawn, queries, period);
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
        let (from, to, amount) = (words[0] % 1_000, words[1] % 1_000, i128::from(words[2] >> 8));
        let lines = [Line::new(wallet(from), -amount), Line::new(wallet(to), amount)];
        refused += u32::from(ledger.post(Kind::Withdraw, posting, &lines).is_err());
    }
    // What was refused left no trace; the auditor agrees with every balance and with the root.
    let report = audit(&ledger).unwrap();
    assert_eq!(report.postings as u32, 1_000_001 - refused);
    assert_eq!((report.residual, report.minted), (0, 1 << 40));
    let held: i128 = ledger.family(Family::Wallet).iter().sum();
    assert_eq!(held, 1 << 40);
}
