//! The configurations of `deploy/nats`, exactly as they are shipped: a real nats-server runs with them, the built binary
//! plays each role and does all of its work, and everything that a role may not do is tried and refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod attempts;
mod credentials;
mod customers;
mod forbidden;
mod jwt;
mod reflected;
mod rig;
mod work;
