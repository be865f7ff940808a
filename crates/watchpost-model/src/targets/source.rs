//! How a source of targets stands.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::outcome::Reason;

/// Whether a source gives its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// What it was asked last, it answered.
    Fresh,
    /// It gives none at present: the last ones that it gave are used.
    Degraded,
}

/// How the source of a target stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceReport {
    /// How the source is called: `file /etc/targets/*.json`.
    pub name: String,
    /// Whether it gives its targets.
    pub state: SourceState,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Why it gives none.
    pub reason: Reason,
}
