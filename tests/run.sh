#!/usr/bin/env bash
# Sets up and runs every test. Arguments go to the test runner, for example a part of a test's name.
#
# Fetches a nats-server into .tools/ (ignored by git) and installs the servers and plugins that checks are tried
# against; the tests start them themselves on free ports and stop them. A test that cannot find it fails: none is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash deploy/fetch-nats-server.sh
bash deploy/fetch-test-servers.sh
# The end-to-end tests run the built binary.
cargo build --locked -p watchpost
cargo test --locked --workspace --doc
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace "$@"
else
    cargo test --locked --workspace --lib --bins --tests -- "$@"
fi
