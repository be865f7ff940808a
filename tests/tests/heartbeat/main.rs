//! Heartbeat checks: jobs that report in by themselves, over HTTP and the bus, and what their silence means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod bus;
mod http;
mod rig;
mod runs;
