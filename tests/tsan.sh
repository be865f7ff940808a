#!/usr/bin/env bash
# Runs the multi-threaded tests under the thread sanitizer, after a planted race that it must catch.
#
# Without arguments: all of them (`just tsan`). With `short`: those of the actors alone, as CI does.
# The sanitizer is part of the stable compiler but not of its interface, hence RUSTC_BOOTSTRAP; the
# standard library and C code are not instrumented, so what happens inside of them is not seen. The test
# harness is part of it: one test at a time, and no output handed from thread to thread.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
case "$target" in
x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
*) echo "tsan: not available for $target; skipped" >&2 && exit 0 ;;
esac
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=target/tsan
export CARGO_PROFILE_DEV_DEBUG=line-tables-only
flags="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan/suppressions.txt halt_on_error=1 second_deadlock_stack=1"

# A sanitizer that finds nothing must be one that finds something.
mkdir -p "$CARGO_TARGET_DIR"
# shellcheck disable=SC2086
rustc --edition 2024 --target "$target" $flags tests/tsan/planted_race.rs -o "$CARGO_TARGET_DIR/planted_race"
if "$CARGO_TARGET_DIR/planted_race" 2>"$CARGO_TARGET_DIR/planted_race.log"; then
    echo "tsan: the planted race was not caught: the sanitizer does not work here" >&2
    exit 1
fi
grep -q "data race" "$CARGO_TARGET_DIR/planted_race.log"
echo "tsan: the planted race was caught"

export RUSTFLAGS="$flags"
cargo test --locked --target "$target" -p watchpost-agent --lib -- --test-threads=1 --nocapture
if [ "${1:-}" != short ]; then
    cargo test --locked --target "$target" -p watchpost-bus -p watchpost-probe --lib -- --test-threads=1 --nocapture
    # The whole agent in one process, and the bus in process, against targets on loopback.
    cargo test --locked --target "$target" -p watchpost-tests --test origins -- fates --test-threads=1 --nocapture
    cargo test --locked --target "$target" -p watchpost-tests --test bus -- in_process --test-threads=1 --nocapture
fi
echo "tsan: no race was found"
