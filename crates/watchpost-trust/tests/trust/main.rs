//! Signatures over checks, and what tries to get around them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod altered;
mod proofs;
mod revisions;
mod rig;
mod vector;
