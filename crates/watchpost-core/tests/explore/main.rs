//! Every order of events of small scenarios, on the real state machines: breadth first, each state once.
//! See docs/testing.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how many states were explored is for people, with --nocapture")]

mod explorer;
mod pool;
mod pool_and_ledger;
mod task_group;
