//! Checks of many targets, and the sources that these come from: each against a peer that speaks as the real one
//! does, and end to end through the binary.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod binary;
mod dns;
mod files;
mod http;
mod kubernetes;
mod source;
