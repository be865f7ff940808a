//! Messages besides tasks and results, and what all messages share.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Invalid;
use crate::codec::Message;
use crate::id::{RunId, TaskId};
use crate::outcome::ReasonCode;

/// The version that every message of this protocol carries in `v`.
pub const PROTOCOL_VERSION: u64 = 1;

/// The `v: 1` of a message: reading any other version fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(PROTOCOL_VERSION)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            PROTOCOL_VERSION => Ok(Self),
            other => Err(serde::de::Error::custom(format_args!(
                "version {other} of the protocol is not known here: expected `v: {PROTOCOL_VERSION}`"
            ))),
        }
    }
}

impl schemars::JsonSchema for V1 {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "V1".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": PROTOCOL_VERSION })
    }
}

/// Why somebody cancelled tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// A sibling in the task group failed, and the group fails fast.
    GroupFailed,
    /// Whoever asked is gone, or wants no answer any more.
    RequesterGone,
    /// The process that asked, or that runs it, is stopping.
    ShuttingDown,
    /// The check was replaced or removed.
    CheckChanged,
    /// Somebody asked for it.
    Requested,
}

impl CancelCause {
    /// The reason code of the tasks that it ends.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::GroupFailed => ReasonCode::GroupFailed,
            Self::RequesterGone => ReasonCode::RequesterGone,
            Self::ShuttingDown => ReasonCode::ShuttingDown,
            Self::CheckChanged => ReasonCode::CheckChanged,
            Self::Requested => ReasonCode::CancelledOnRequest,
        }
    }
}

/// Asks every Runner of a bastion to stop tasks. Runners stop those that they hold, each of which
/// then ends as `cancelled` on its own reply subject, and those that arrive within some seconds after:
/// a request may overtake its tasks. Each Runner answers, where a reply is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CancelTasks {
    /// The protocol version, 1.
    pub v: V1,
    /// Why.
    pub cause: CancelCause,
    /// One sentence that goes into each task's reason.
    pub message: String,
    /// All tasks of these runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
    /// These tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskId>,
}

impl Message for CancelTasks {
    const NAME: &'static str = "cancel";
    const BYTES_MAX: usize = 256 * 1024;

    fn validate(&self) -> Result<(), Invalid> {
        let (ids, text) = (self.runs.len() + self.tasks.len(), self.message.len());
        if ids > Self::IDS_MAX {
            return Err(Invalid::new(format!("it names {ids} runs and tasks: expected at most {}", Self::IDS_MAX)));
        }
        // The text goes into the reason of each task that it stops.
        if text > Self::TEXT_BYTES_MAX {
            return Err(Invalid::new(format!(
                "field `message` has {text} bytes: expected at most {}",
                Self::TEXT_BYTES_MAX
            )));
        }
        Ok(())
    }
}

impl CancelTasks {
    /// How many ids fit into one message; more are sent in several.
    pub const IDS_MAX: usize = 4096;

    /// The longest `message`, in bytes.
    pub const TEXT_BYTES_MAX: usize = 1024;
}

/// What was wrong with a message, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The payload is larger than this kind of message may be.
    TooLarge,
    /// The payload cannot be read, or a field is missing or not valid.
    BadPayload,
    /// The message is of a version that is not known here.
    UnknownVersion,
    /// There is no such check, or none of the kind that the message is for.
    UnknownCheck,
    /// The message does not show that its sender may.
    NotAllowed,
    /// Such messages come too fast.
    TooOften,
    /// Whoever should act on it cannot at this moment.
    Unavailable,
    /// The revision that was expected is not the one that is there.
    Conflict,
    /// What was asked for would not be run here; the message says why.
    Refused,
    /// The check is the bastion's own, from its file: it cannot be changed over the bus.
    ReadOnly,
    /// There is no such verb.
    UnknownVerb,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooLarge => "too_large",
            Self::BadPayload => "bad_payload",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownCheck => "unknown_check",
            Self::NotAllowed => "not_allowed",
            Self::TooOften => "too_often",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::ReadOnly => "read_only",
            Self::UnknownVerb => "unknown_verb",
        })
    }
}

/// The answer to a message that could not be acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorReply {
    /// The protocol version, 1.
    pub v: V1,
    /// What was wrong, for machines.
    pub code: ErrorCode,
    /// What was wrong and what was expected, for people.
    pub message: String,
    /// The field at fault, where one can be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Message for ErrorReply {
    const NAME: &'static str = "error";
    const BYTES_MAX: usize = 16 * 1024;
}
