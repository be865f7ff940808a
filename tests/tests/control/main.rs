//! What can be asked of a bastion over the bus, by somebody who is not Watchpost, and what it says of itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

mod drain;
mod fuzz;
mod heartbeats;
mod log;
mod micro;
mod once;
mod rig;
mod store;
mod test_stream;
mod verbs;
