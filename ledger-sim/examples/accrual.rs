//! Contributor-updates a second of pro-rata accrual in base units: `accrual COUNT [history]`.
//!
//! With `history` the balances of every step are kept, as simulators of economies keep them;
//! without, as everywhere in this crate, what a probe does not ask for is gone with its step.
//! Prints one JSON object, beside which `bench-peers/economy_jobs.py` puts other simulators.

#![allow(clippy::disallowed_types, reason = "the clock is what this program reports")]

use std::hint::black_box;
use std::time::Instant;

use ledger_sim::engines::FlatPool;
use ledger_sim::money::Amount;
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::refusal::Refusal;

const POT: Amount = Amount::new(1_000_007);
/// Updates of a run, and of one that keeps them: as many as radCAD's job keeps.
const UPDATES: [usize; 2] = [1_000_000_000, 20_000_000];

fn main() -> Result<(), Refusal> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (count, keeps) = match arguments.as_slice() {
        [count] => (count.parse().ok(), false),
        [count, word] if word == "history" => (count.parse().ok(), true),
        _ => (None, false),
    };
    let Some(count) = count.filter(|count| (1..=10_000_000).contains(count)) else {
        eprintln!("usage: accrual COUNT [history], of 1 to 10000000 contributors");
        std::process::exit(2);
    };
    let streams = Streams::new(1, 0);
    let weight = |at: usize| (streams.exponential(Purpose::People, at as u64, 0, 0) * 1e9) as u64;
    let mut pool = FlatPool::new((0..count).map(weight).collect())?;
    let steps = UPDATES[usize::from(keeps)].div_ceil(count).max(5);
    let mut history: Vec<Vec<u64>> = vec![];
    let start = Instant::now();
    for _ in 0..steps {
        pool.accrue(POT)?;
        if keeps {
            // A million units at a time never pass 64 bits here.
            history.push(pool.narrow_balances().ok_or(Refusal::Overflow)?.to_vec());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    black_box((&pool, &history));
    let rate = (count * steps) as f64 / seconds;
    println!(r#"{{"updates_per_second": {rate}, "seconds": {seconds}, "steps": {steps}}}"#);
    Ok(())
}
