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

/// What a PostgreSQL server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PostgresEvidence {
    /// Its version, which it tells those who are logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is a standby, which PostgreSQL 14 and later tell those who are logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<bool>,
    /// How it had the check prove who it is: `trust`, `cleartext`, `md5` or `scram-sha-256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
    /// How many rows the query had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The code of the server's error (SQLSTATE), where it answered with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
}
