//! A million contributors and a million queries on one thread: scores of a hundred contributors a
//! query, netted over a thousand queries, exact apportionment at every settlement, books with one
//! posting an epoch of a hundred settlements, audited at the end.

use ledger_sim::account::{Account, Family};
use ledger_sim::apportion::{Apportioner, Ties, weights_from_scores};
use ledger_sim::audit::audit;
use ledger_sim::ledger::Ledger;
use ledger_sim::money::Amount;
use ledger_sim::posting::{Kind, Line};
use ledger_sim::random::{Purpose, Streams};
use ledger_sim::refusal::Refusal;
use ledger_sim::rules::Settlement;
use ledger_sim::settlement::{Money, post_money};

const CONTRIBUTORS: usize = 1_000_000;
const SETTLEMENTS: u32 = 1_000;
const QUERIES: u64 = 1_000;
const TOUCHED: u64 = 100;
const EPOCH: u32 = 100;
const POT: Amount = Amount::new(1_000_000_000_000);

fn main() -> Result<(), Refusal> {
    let streams = Streams::new(7, 0);
    let supply = POT.times(u64::from(SETTLEMENTS))?;
    let mut ledger = Ledger::new(supply)?;
    ledger.open(Family::Contributor, CONTRIBUTORS)?;
    ledger.open(Family::Pot, (SETTLEMENTS / EPOCH) as usize)?;
    let (mut apportioner, mut parts) = (Apportioner::default(), Vec::<u64>::new());
    let mut net = vec![0.0f64; CONTRIBUTORS];
    for epoch in 0..SETTLEMENTS / EPOCH {
        let mut paid = vec![0u64; CONTRIBUTORS];
        for settlement in epoch * EPOCH..(epoch + 1) * EPOCH {
            add_scores(&streams, settlement, &mut net);
            let weights = weights_from_scores(&net)?;
            let ties = Ties::Keyed {
                run: b"million",
                epoch: settlement,
                identities: Default::default(),
                members: None,
            };
            apportioner.apportion_into(POT, &weights, &ties, &mut parts)?;
            for (sum, part) in paid.iter_mut().zip(&parts) {
                *sum = sum.checked_add(*part).ok_or(Refusal::Overflow)?;
            }
        }
        let money = POT.times(u64::from(EPOCH))?;
        let minted = money.signed()?;
        let lines = [Line::new(Account::MINT, -minted), Line::new(Account::pot(epoch), minted)];
        ledger.post(Kind::Emit, epoch, &lines)?;
        let payouts = paid.into_iter().map(|units| Amount::new(u128::from(units))).collect();
        let settlement = Settlement { payouts, ..Settlement::default() };
        post_money(&mut ledger, epoch, &Money::of(Amount::ZERO, money, Amount::ZERO, settlement))?;
    }
    let report = audit(&ledger)?;
    println!("{} postings, {} lines, residual {}", report.postings, report.lines, report.residual);
    Ok(())
}

/// Adds the scores of a thousand queries for a hundred contributors each, two a block of words.
fn add_scores(streams: &Streams, settlement: u32, net: &mut [f64]) {
    for pair in 0..QUERIES * TOUCHED / 2 {
        let words = streams.words(Purpose::Demand, 0, settlement, pair);
        for half in [[words[0], words[1]], [words[2], words[3]]] {
            let at = ((u64::from(half[0]) * CONTRIBUTORS as u64) >> 32) as usize;
            net[at] += f64::from(half[1]) / f64::from(u32::MAX) - 0.2;
        }
    }
}
