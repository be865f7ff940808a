//! What became of the steps of a flow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a flow got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepsEvidence {
    /// How many steps came out as expected.
    pub steps_done: u32,
    /// The steps that were begun, in their order.
    #[serde(default)]
    pub steps: Vec<StepReport>,
    /// What was captured, by name: what results may show, the beginning of each value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
}

/// One step that was begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StepReport {
    /// What it is called: its number, and its name where it has one.
    pub step: String,
    /// When it began, in µs after the task's `started_at`.
    pub start_us: u64,
    /// How long it took, in µs; absent where it was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// Whether it came out as expected.
    #[serde(default)]
    pub passed: bool,
}
