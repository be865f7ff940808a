//! Clients that are not ours, as docs/protocol.md shows them, and the nats-server that `up --bus managed` runs for them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails in a test fails the test")]

mod examples;
mod managed;
