//! Accounts a second, on one thread: pro-rata accrual, exact apportionment, audit.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ledger_sim::account::{Account, Family};
use ledger_sim::apportion::{Apportioner, Ties};
use ledger_sim::audit::audit;
use ledger_sim::engines::FlatPool;
use ledger_sim::ledger::Ledger;
use ledger_sim::money::Amount;
use ledger_sim::posting::{Kind, Line};
use ledger_sim::random::{Purpose, Streams};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const POT: Amount = Amount::new(1_000_000_000_007);

fn weights(count: usize) -> Vec<u64> {
    let streams = Streams::new(1, 0);
    let weight = |at: usize| (streams.exponential(Purpose::People, at as u64, 0, 0) * 1e9) as u64;
    (0..count).map(weight).collect()
}

fn accrual(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pro-rata accrual");
    for size in SIZES {
        let mut pool = FlatPool::new(weights(size)).unwrap();
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| pool.accrue(Amount::new(1_000_007)).unwrap());
        });
    }
    group.finish();
}

fn apportionment(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exact apportionment");
    for size in SIZES {
        let weights = weights(size);
        let (mut apportioner, mut parts) = (Apportioner::default(), Vec::<u64>::new());
        let ties =
            Ties::Keyed { run: b"bench", epoch: 1, identities: Default::default(), members: None };
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                apportioner.apportion_into(black_box(POT), &weights, &ties, &mut parts).unwrap();
            });
        });
    }
    group.finish();
}

/// Books of postings between random wallets, two lines each: what claims and fees look like.
fn small_postings(count: u32) -> Ledger {
    const WALLETS: u32 = 10_000;
    let streams = Streams::new(1, 0);
    let wallet = |at: u32| Account::new(Family::Wallet, at % WALLETS);
    let mut ledger = Ledger::new(Amount::new(1 << 60)).unwrap();
    ledger.open(Family::Wallet, WALLETS as usize).unwrap();
    for posting in 0..count {
        let words = streams.words(Purpose::Demand, 0, 0, u64::from(posting));
        let lines = [Line::new(Account::MINT, -7), Line::new(wallet(words[0]), 7)];
        ledger.post(Kind::Emit, posting, &lines).unwrap();
    }
    ledger
}

/// Books of postings that pay a hundred thousand people each: what settlements look like.
fn large_postings(count: u32) -> Ledger {
    const PEOPLE: u32 = 100_000;
    let mut ledger = Ledger::new(Amount::new(1 << 60)).unwrap();
    ledger.open(Family::Contributor, PEOPLE as usize).unwrap();
    for posting in 0..count {
        let mut lines = vec![Line::new(Account::MINT, -i128::from(PEOPLE))];
        lines.extend((0..PEOPLE).map(|at| Line::new(Account::contributor(at), 1)));
        ledger.post(Kind::Emit, posting, &lines).unwrap();
    }
    ledger
}

fn audits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("audit");
    group.sample_size(10);
    let small = small_postings(1_000_000);
    group.throughput(Throughput::Elements(small.journal().len() as u64));
    group.bench_function("postings of two lines", |bencher| {
        bencher.iter(|| audit(black_box(&small)).unwrap());
    });
    let large = large_postings(10);
    group.throughput(Throughput::Elements(large.journal().line_count() as u64));
    group.bench_function("lines of large postings", |bencher| {
        bencher.iter(|| audit(black_box(&large)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, accrual, apportionment, audits);
criterion_main!(benches);
