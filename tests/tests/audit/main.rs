//! What a bastion writes down of what was asked of it and what it did, and what it tells of its policy before anything
//! runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod denied;
mod ended;
mod process;
mod rollout;
mod written;
