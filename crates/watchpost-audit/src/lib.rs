//! The audit log: what was asked of a bastion, and what it did in the customer's network.
//!
//! It owns the vocabulary of what is written down, and the file: JSON lines, each with the hash of the one before,
//! synced to disk and rotated. It knows neither the bus nor the actors.
//!
//! Invariants:
//! - No entry holds a secret: programs are named without their arguments, checks by their ids.
//! - Whoever records never waits. What does not fit is counted, and the log itself says that it is missing.
//! - What is written is never written over. A line that a crash cut off was promised to nobody and is cut away, and the
//!   log says so.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("watchpost-audit-doc-{}", std::process::id()));
//! # let file = folder.join("a.audit.jsonl");
//! use std::sync::Arc;
//! use std::time::Duration;
//! use watchpost_audit::{AuditEvent, AuditLog, AuditSettings, verify};
//! use watchpost_model::Timestamp;
//!
//! let settings = AuditSettings::new(file.clone(), "a".parse()?, Arc::new(|| Timestamp::UNIX_EPOCH));
//! let log = AuditLog::open(settings)?;
//! log.record(AuditEvent::Started { role: "runner".to_owned(), version: "1.0.0".to_owned() });
//! assert!(log.close(Duration::from_secs(10)));
//! assert!(verify(&[file], None)?.problems.is_empty());
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```

mod entry;
mod event;
mod file;
mod files;
mod log;
mod settings;
mod tail;
mod verify;
mod writer;

pub use entry::{ENTRY_BYTES_MAX, Head};
pub use event::{AuditEvent, Requester, TEXT_CHARS_MAX};
pub use log::{AuditLog, AuditStatus};
pub use settings::{AuditError, AuditSettings, MAX_SIZE_DEFAULT, MAX_SIZE_MIN, Now, ROTATED_DEFAULT, ROTATED_MAX};
pub use verify::{PROBLEMS_MAX, Problem, Verified, read_entries, verify};
