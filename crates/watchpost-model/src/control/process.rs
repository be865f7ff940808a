//! What can be asked of one process of a bastion.

use serde::{Deserialize, Serialize};

use super::RequestId;
use crate::codec::Message;
use crate::id::{BastionId, CheckId, RunnerId};
use crate::message::V1;
use crate::probe::CheckType;
use crate::result::TaskResult;
use crate::text::text_type;
use crate::verdict::RunVerdict;
use crate::{Invalid, PoolReport, Timestamp};

/// The most results of one check that are kept: those of its endpoints that ended last.
pub const LAST_RESULTS_MAX: usize = 8;
/// The largest request that holds nothing but names and numbers.
const SMALL: usize = 4096;

text_type!(
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,watchpost_agent=debug`; at
    /// most 512 bytes.
    LogFilter,
    "the log filter",
    512,
    |_| Ok(())
);

/// Asks for the last results of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AskLast {
    /// The protocol version, 1.
    pub v: V1,
    /// The check.
    pub check: CheckId,
}

/// The last results of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastResults {
    /// The protocol version, 1.
    pub v: V1,
    /// The check.
    pub check: CheckId,
    /// One for each of the endpoints that ended last, the newest first, at most 8, of the runs since the process started.
    pub results: Vec<TaskResult>,
    /// The last verdict over a whole run, where the check has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Box<RunVerdict>>,
}

/// Asks how processes stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AskStatus {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// Only this Runner is to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
}

/// Begins or ends a drain: a Checker fires nothing, a Runner takes no task; what runs goes on to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drain {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Only this Runner's process is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
}

/// How a process stands after a drain was begun or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drained {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The process's Runner, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// Whether it drains.
    pub draining: bool,
    /// Tasks that are not over yet.
    pub outstanding: u64,
}

/// Changes the size of a worker pool until the process ends, or its file changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResizePool {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Whose workers.
    #[serde(rename = "type")]
    pub check_type: CheckType,
    /// How many there should be, 1 to 10 000.
    pub size: u32,
    /// How many one check may hold at a time; three quarters of them if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_check: Option<u32>,
    /// Only this Runner is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
}

/// How a pool stands after its size was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PoolResized {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The Runner.
    pub runner: RunnerId,
    /// The pool: `target` is the new size, which `size` follows as workers come home.
    pub pool: PoolReport,
}

/// Changes what a process logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SetLogLevel {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// What to log.
    pub filter: LogFilter,
    /// After how many seconds it goes back to what the process was started with, 1 to 86 400; 900 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
    /// Only this Runner's process is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
}

/// What a process logs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogLevelSet {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The process's Runner, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// What is logged.
    pub filter: LogFilter,
    /// Until when.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// How many tasks a request to cancel has stopped at one Runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TasksCancelled {
    /// The protocol version, 1.
    pub v: V1,
    /// The Runner.
    pub runner: RunnerId,
    /// How many of its tasks were stopped.
    pub tasks: u64,
}

/// Asks a Checker to send no task for a moment. Whatever it has sent before is at the server when it answers.
///
/// A Runner asks so before it leaves its queue group, since what the server sends to it at that very moment would be
/// lost. The answer carries a reply subject: whatever is sent there ends the hold, and so does the end of its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HoldTasks {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// For how long at most, 1 to 2 000 ms; 2 000 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u32>,
}

/// No task is sent now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TasksHeld {
    /// The protocol version, 1.
    pub v: V1,
    /// For how long at most, in ms.
    pub for_ms: u32,
}

impl HoldTasks {
    /// The longest hold, in ms.
    pub const FOR_MS_MAX: u32 = 2_000;
}

impl Message for HoldTasks {
    const NAME: &'static str = "task.hold";
    const BYTES_MAX: usize = SMALL;

    fn validate(&self) -> Result<(), Invalid> {
        match self.for_ms {
            Some(given) if !(1..=Self::FOR_MS_MAX).contains(&given) => {
                Err(Invalid::new(format!("field `for_ms` is {given}: expected 1 to {}", Self::FOR_MS_MAX)))
            }
            _ => Ok(()),
        }
    }
}

impl Message for TasksHeld {
    const NAME: &'static str = "answer to a hold";
    const BYTES_MAX: usize = SMALL;
}

impl ResizePool {
    /// The largest pool.
    pub const SIZE_MAX: u32 = 10_000;
}

impl SetLogLevel {
    /// How long it holds where nothing else is said, in s.
    pub const FOR_S_DEFAULT: u32 = 900;
    /// How long it may hold, in s.
    pub const FOR_S_MAX: u32 = 86_400;
}

impl Message for AskLast {
    const NAME: &'static str = "result.last";
    const BYTES_MAX: usize = SMALL;
}

impl Message for LastResults {
    const NAME: &'static str = "last results";
    const BYTES_MAX: usize = 1024 * 1024;
}

impl Message for AskStatus {
    const NAME: &'static str = "bastion.status";
    const BYTES_MAX: usize = SMALL;
}

impl Message for Drain {
    const NAME: &'static str = "drain";
    const BYTES_MAX: usize = SMALL;
}

impl Message for Drained {
    const NAME: &'static str = "answer to a drain";
    const BYTES_MAX: usize = SMALL;
}

impl Message for ResizePool {
    const NAME: &'static str = "pool.resize";
    const BYTES_MAX: usize = SMALL;

    fn validate(&self) -> Result<(), Invalid> {
        let bounded = |field: &str, given: u32| {
            if (1..=Self::SIZE_MAX).contains(&given) {
                return Ok(());
            }
            Err(Invalid::new(format!("field `{field}` is {given}: expected 1 to {}", Self::SIZE_MAX)))
        };
        bounded("size", self.size)?;
        self.per_check.map_or(Ok(()), |given| bounded("per_check", given))
    }
}

impl Message for PoolResized {
    const NAME: &'static str = "resized pool";
    const BYTES_MAX: usize = SMALL;
}

impl Message for SetLogLevel {
    const NAME: &'static str = "bastion.log_level";
    const BYTES_MAX: usize = SMALL;

    fn validate(&self) -> Result<(), Invalid> {
        match self.for_s {
            Some(given) if !(1..=Self::FOR_S_MAX).contains(&given) => {
                Err(Invalid::new(format!("field `for_s` is {given}: expected 1 to {}", Self::FOR_S_MAX)))
            }
            _ => Ok(()),
        }
    }
}

impl Message for LogLevelSet {
    const NAME: &'static str = "log level";
    const BYTES_MAX: usize = SMALL;
}

impl Message for TasksCancelled {
    const NAME: &'static str = "answer to a cancel";
    const BYTES_MAX: usize = SMALL;
}
