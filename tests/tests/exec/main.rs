//! `exec` checks: real plugins, and programs that do what none should. After each of them nothing of it is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod agent;
mod confined;
mod misbehaviour;
mod permitted;
mod plugins;
mod rig;
mod sandboxed;
mod trusted;
