# Arguments reach the commands as they were typed, quotes and all.
set positional-arguments

# Run an experiment and write its report: `just experiment`, `just experiment vowel-people --jobs 1`.
experiment name="retrofit-gap" *options:
    cargo run --release --locked --package attribench-cli -- run "$@"

# Run a scenario of payout economics: `just economics`, `just economics openledger-like --replicas 8`.
economics scenario="sybil-under-noise" *options:
    cargo run --release --locked --package attribench-cli -- simulate "$@"

# All quick tests.
test:
    cargo test --release --locked --workspace

# Slow proofs: every integration test in a file `tests/slow_NAME.rs`; those of what is not built by
# default too: `just test-slow --features attribench-hub/download`.
test-slow *options:
    cargo test --release --locked --workspace --test 'slow_*' "$@"

# What continuous integration asks of the source.
lint:
    cargo fmt --all --check
    cargo clippy --release --locked --workspace --all-targets -- --deny warnings
    cargo clippy --release --locked --workspace --test 'slow_*' -- --deny warnings

# Criterion benchmarks, one thread each.
bench:
    cargo bench --locked --workspace

# This suite beside PyTorch and the libraries it competes with, in one run (installs several GB).
bench-peers *options:
    python3 bench-peers/bench_peers.py "$@"
