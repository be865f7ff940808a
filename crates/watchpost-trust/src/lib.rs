//! Signatures over checks: who may tell a bastion what to check, whoever holds the bus.
//!
//! It owns the canonical bytes of a check, signing them with an nkey (Ed25519), and judging a signature:
//! by whom it is, that it is over this check, for this bastion group, and not older than one that was seen.
//! It reads no file and no clock, and knows neither the bus nor the store.
