//! What a mail server said.

use serde::{Deserialize, Serialize};

use super::Turn;

/// What a mail server said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MailEvidence {
    /// What it said first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// What it offers, as it said at last: by TLS, where there was TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whether there was TLS.
    #[serde(default)]
    pub encrypted: bool,
    /// By which mechanism somebody was logged in, if anybody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// How many bytes the check sent.
    #[serde(default)]
    pub sent_bytes: u64,
    /// How many bytes the server sent.
    #[serde(default)]
    pub received_bytes: u64,
    /// Who said what; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transcript: Vec<Turn>,
}
