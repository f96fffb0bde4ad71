//! What a log costs: appending, proving, recording a step, reading everything again.

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use attribench_provenance::{
    Digest, StateDigest, TreeReader, TreeWriter,
    recorder::{ItemFacts, Recorder, RunFacts, StepFacts},
    tree::write_tree,
};
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

const LEAVES: u64 = 1_000_000;
/// Parameters of an MLP 784-128-64-10.
const PARAMETERS: usize = 109_386;
const BATCH: u32 = 64;

fn entry(index: u64) -> [u8; 100] {
    let mut entry = [7; 100];
    entry[..8].copy_from_slice(&index.to_be_bytes());
    entry
}

fn facts() -> RunFacts {
    let digest = Digest::of(b"bench");
    RunFacts {
        run: "bench".to_owned(),
        binary: digest,
        code: digest,
        configuration: digest,
        environment: BTreeMap::new(),
        lockfile: digest,
        model: "mlp".to_owned(),
        parameters: PARAMETERS as u64,
        precision: "f32".to_owned(),
        seed: 1,
        time: 1,
    }
}

fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("append a million entries of 100 bytes and flush", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir().unwrap(),
            |folder| {
                let mut tree = TreeWriter::create(folder.path()).unwrap();
                (0..LEAVES).for_each(|index| {
                    tree.append(&entry(index)).unwrap();
                });
                black_box(tree.flush().unwrap());
                folder
            },
            BatchSize::PerIteration,
        );
    });
    let folder = tempfile::tempdir().unwrap();
    write_tree(folder.path(), (0..LEAVES).map(entry)).unwrap();
    let reader = TreeReader::open(folder.path(), LEAVES);
    group.bench_function("read and check a million entries", |bencher| {
        bencher.iter(|| black_box(reader.check(&mut |_, _| Ok(())).unwrap()));
    });
    group.finish();

    let mut group = criterion.benchmark_group("proof from tiles of a million entries");
    let mut index = 0;
    group.bench_function("inclusion", |bencher| {
        bencher.iter(|| {
            index = (index + 7_919) % LEAVES;
            black_box(reader.inclusion(index).unwrap())
        });
    });
    group.bench_function("consistency", |bencher| {
        bencher.iter(|| {
            index = (index + 7_919) % LEAVES;
            black_box(reader.consistency(index + 1).unwrap())
        });
    });
    group.finish();
}

fn recording(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recording");
    let batch: Vec<u32> = (0..BATCH).collect();
    let credits: Vec<f64> = batch.iter().map(|id| 0.1 * f64::from(*id)).collect();
    let item = |&example: &u32| ItemFacts {
        example,
        content: Digest::of(&example.to_be_bytes()),
        owner: example % 4,
        licence: "CC0-1.0".to_owned(),
        time: None,
    };
    let items: Vec<ItemFacts> = batch.iter().map(item).collect();
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let parameters = vec![1u8; 4 * PARAMETERS];
    let folder = tempfile::tempdir().unwrap();
    let batches = std::iter::once(batch.clone());
    let mut recorder =
        Recorder::begin(&folder.path().join("log"), None, facts(), &items, &names, batches)
            .unwrap();
    let mut step = 0;
    group.bench_function("a step of 64 examples, without the digest of the state", |bencher| {
        bencher.iter(|| {
            let state = StateDigest::default();
            let facts = StepFacts { step, rate: 0.1, batch: &batch, state, credits: &credits };
            recorder.step(facts).unwrap();
            step += 1;
        });
    });
    group.bench_function("the digest of 109,386 parameters", |bencher| {
        bencher.iter(|| black_box(StateDigest::of(&parameters)));
    });
    group.finish();
}

criterion_group!(benches, log, recording);
criterion_main!(benches);
