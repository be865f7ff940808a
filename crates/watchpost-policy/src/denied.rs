//! Refusals.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the policy does not permit, and by which of its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Denied {
    /// The rule's name, `default` where none fits, or the part of the policy, as `special.loopback` or `files`.
    pub rule: String,
    /// One sentence: the rule, what it does not permit, and what would have to change.
    pub message: String,
}

impl Denied {
    pub(crate) fn new(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: rule.into(), message: message.into() }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Denied {}
