# Run an experiment and write its report: `just experiment`, `just experiment vowel-people`.
experiment name="retrofit-gap" *options:
    cargo run --release --locked --quiet --package attribench-cli -- run {{name}} {{options}}

# All tests.
test:
    cargo test --release --locked --workspace

# Slow proofs.
test-slow:
    ATTRIBENCH_SLOW=1 cargo test --release --locked --workspace -- slow

# What continuous integration asks of the source.
lint:
    cargo fmt --all --check
    cargo clippy --release --locked --workspace --all-targets -- --deny warnings

# Criterion benchmarks, one thread each.
bench:
    cargo bench --workspace

# This suite beside PyTorch and the libraries it competes with, in one run (installs several GB).
bench-peers *options:
    python3 bench-peers/bench_peers.py {{options}}
