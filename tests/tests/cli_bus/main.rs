//! The command line over the bus, end to end: the built binary, a real nats-server, real bastions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod apply;
mod away;
mod bastions;
mod checks;
mod connection;
mod results;
mod rig;
mod test_now;
