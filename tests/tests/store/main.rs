//! Checks in a bucket on NATS, written by others: how they get to a bastion, and what keeps them running.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod following;
mod load;
mod loss;
mod rig;
