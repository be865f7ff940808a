//! What a job has said of itself.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::beat::BeatStatus;

/// What was heard of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HeartbeatEvidence {
    /// When its last beat came; absent where none has since the check was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_beat_at: Option<Timestamp>,
    /// How it was by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<BeatStatus>,
    /// What it had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For how long it has been running, in ms, where it has said that it begins and not yet that it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_for_ms: Option<u64>,
}
