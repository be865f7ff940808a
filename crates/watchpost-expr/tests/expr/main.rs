//! The language as those who write checks meet it: what it takes, what it says of the rest, what it
//! comes to, and that nothing goes beyond its bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod absent;
mod bounds;
mod cost;
mod document;

mod functions;
mod operators;
mod precedence;
mod random;
mod seen;
mod support;
mod syntax;
mod types;
