//! What servers that hold data answered.

use serde::{Deserialize, Serialize};

/// What a Redis server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedisEvidence {
    /// What the server calls itself, where it says so (RESP3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its version, where it says so (RESP3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `standalone`, `sentinel` or `cluster`, where it says so (RESP3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `master` or `replica`, where it says so (RESP3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}
