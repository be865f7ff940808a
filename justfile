# The recipes are what CI runs; each is a script that also works without `just`.

default:
    @just --list

# Everything that CI runs.
ci:
    bash .ci/run

# Formatting, lints, documentation, dependencies.
lint:
    bash .ci/lint

# Every test, with a real nats-server.
test *ARGS:
    bash tests/run.sh {{ARGS}}

# Fetch what the tests and benchmarks need: a nats-server into .tools (ignored by git), servers to check from the distribution.
setup:
    bash deploy/fetch-nats-server.sh
    bash deploy/fetch-test-servers.sh

# Figures for docs/benchmarks.md. `just bench quick` to see that it works; or name sections:
# throughput dispatch lateness group policy memory start. Never part of CI.
bench *ARGS: setup
    cargo build --release --locked -p watchpost
    cargo bench --locked -p watchpost-tests --bench bench -- {{ARGS}}

# Changes the core in every small way and tells which changes no test minds; the answers are in
# docs/testing.md. Needs `cargo install cargo-mutants --locked`. Half an hour; never part of CI.
mutants *ARGS:
    PROPTEST_MAX_SHRINK_ITERS=0 cargo mutants -p watchpost-core --timeout 100 --output target {{ARGS}} -- --tests

# A first look: checks things on this machine until interrupted.
first:
    cargo run -p watchpost -- up -c deploy/examples/first.yaml

# The multi-threaded tests under the thread sanitizer, which must catch a planted race first.
tsan:
    bash tests/tsan.sh

# Ten minutes' worth of tasks of every fate, after which the process must be as it was before.
soak TASKS="100000":
    bash deploy/fetch-nats-server.sh
    cargo build --locked -p watchpost
    WATCHPOST_SOAK_TASKS={{TASKS}} cargo test --locked -p watchpost-tests --test soak -- --nocapture

# Simulates the whole agent in a network that fails: so many seeds, each a run of its own (docs/testing.md).
simulate SEEDS="300":
    WATCHPOST_SEEDS={{SEEDS}} cargo test --locked -p watchpost-tests --test simulation guarantee -- --nocapture

# Looks for inputs that break what reads them (fuzz/targets), so many seconds for each; or name targets. Needs
# `cargo install cargo-fuzz --locked`; what was found so far is in docs/security.md. Never part of CI.
fuzz SECONDS="60" *TARGETS:
    bash fuzz/run.sh {{SECONDS}} {{TARGETS}}

# Whether a dependency has a known vulnerability, wherever the network lets cargo-deny fetch the list.
advisories:
    cargo deny check advisories
