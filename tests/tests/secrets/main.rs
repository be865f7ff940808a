//! Secrets: filled in where they are needed, and found nowhere else, whatever a peer does with them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod bound;
mod echo;
mod memory;
mod mirror;
mod planted;
mod search;
