//! Contributor-updates a second of pro-rata accrual in base units: `accrual COUNT`.
//!
//! Prints one JSON object, beside which `bench-peers/economy_jobs.py` puts other simulators.

#![allow(clippy::disallowed_types, reason = "the clock is what this program reports")]

use std::time::Instant;

use ledger_sim::engines::FlatPool;
use ledger_sim::money::Amount;
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::refusal::Refusal;

const POT: Amount = Amount::new(1_000_007);
const UPDATES: usize = 1_000_000_000;

fn main() -> Result<(), Refusal> {
    let asked = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let Some(count) = asked.filter(|count| (1..=10_000_000).contains(count)) else {
        eprintln!("usage: accrual COUNT, of 1 to 10000000 contributors");
        std::process::exit(2);
    };
    let streams = Streams::new(1, 0);
    let weight = |at: usize| (streams.exponential(Purpose::People, at as u64, 0, 0) * 1e9) as u64;
    let mut pool = FlatPool::new((0..count).map(weight).collect())?;
    let steps = UPDATES.div_ceil(count);
    let start = Instant::now();
    for _ in 0..steps {
        pool.accrue(POT)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = (count * steps) as f64 / seconds;
    println!(r#"{{"updates_per_second": {rate}, "seconds": {seconds}, "steps": {steps}}}"#);
    Ok(())
}
