//! Signed checks on a real bus: whoever holds the bus tries to make others run something else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod command_line;
mod control;
mod replays;
mod rig;
mod store;
mod tasks;
