//! Signatures over checks: who may tell a bastion what to check, whoever holds the bus.
//!
//! It owns the canonical bytes of a check, signing them with an nkey (Ed25519), and judging a signature: by whom it
//! is, that it is over this check, for this bastion group, and not older than one that was seen; and whether a task
//! does no more than a signed check says. It reads no file and no clock, and knows neither the bus nor the store.
//!
//! Invariants:
//! - What is signed is what a check means, and not how it is written: a check that was read in one format and written
//!   in another has the same canonical bytes, and one that does anything else has others.
//! - A seed is in no error, and in nothing that can be shown.
//!
//! ```
//! use watchpost_model::{Check, CheckDocument};
//! use watchpost_trust::{Signer, Signers, verify};
//!
//! let signer = Signer::generate()?;
//! let document: CheckDocument = serde_json::from_str(r#"{"id": "web", "tcp": {"address": "10.0.0.1:80"}}"#)?;
//! let (group, at) = ("site".parse()?, "2026-01-02T03:04:05Z".parse()?);
//! let signed = Check::try_from(signer.sign(document, &group, 1, at)?)?;
//!
//! let signers = Signers::new([signer.key().clone()])?;
//! assert_eq!(verify(&signed, &group, &signers)?.revision, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canonical;
mod fault;
mod proof;
mod revisions;
mod sign;
mod verify;

pub use canonical::canonical_bytes;
pub use fault::{Fault, SignerError};
pub use proof::{Aimed, DEADLINE_SLACK, FoundTargets, Proof};
pub use revisions::{REVISIONS_MAX, Revisions};
pub use sign::Signer;
pub use verify::{SIGNERS_MAX, Signers, verify};
