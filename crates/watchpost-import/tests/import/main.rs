//! Whole configurations of other monitors, and what becomes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod hostile;
mod keys;
mod meaning;
mod samples;
mod support;
