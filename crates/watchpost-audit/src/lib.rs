//! The audit log: what was asked of a bastion, and what it did in the customer's network.
//!
//! It owns the vocabulary of what is written down, and the file: JSON lines, each with the hash of the one before,
//! synced to disk and rotated. It knows neither the bus nor the actors.
//!
//! Invariants:
//! - No entry holds a secret: programs are named without their arguments, checks by their ids.
//! - Whoever records never waits. What does not fit is counted, and the log itself says that it is missing.

mod event;

pub use event::{AuditEvent, Requester};
