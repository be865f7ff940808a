#!/usr/bin/env bash
# Looks for inputs that break what reads them: `bash fuzz/run.sh SECONDS [TARGET…]`, so long for each target; all where
# none is named. What it finds stays in fuzz/artifacts, what it has learnt in fuzz/corpus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
targets=("${@:2}")
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2
    exit 2
fi
# The instrumentation of coverage is there in the stable compiler, and has to be asked for.
export RUSTC_BOOTSTRAP=1
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cargo fuzz list)

seed() { mkdir -p "fuzz/corpus/$1" && cp --update "${@:2}" "fuzz/corpus/$1/"; }
seed config deploy/examples/*.yaml
seed imports crates/watchpost-import/tests/import/samples/*

# Memory is not what is looked at with an address sanitizer: there is no unsafe code in what reads.
cargo fuzz build --sanitizer none
for target in "${targets[@]}"; do
    echo "== $target: $seconds s"
    cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
done
