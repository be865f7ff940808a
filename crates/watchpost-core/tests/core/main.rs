//! The state machines one by one: what they promise by name, and long random sequences of events against
//! naive models of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod asked;
mod beats;
mod drain;
mod fairness;
mod group;
mod group_random;
mod group_tree;
mod ledger;
mod pool;
mod pool_model;
mod pool_random;
mod schedule;
