//! The message by which a process says that it lives, and how it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::Message;
use crate::control::StoreReport;
use crate::id::{BastionGroup, BastionId, InstanceId, RunnerId};
use crate::message::V1;
use crate::outcome::{Outcome, ReasonCode};
use crate::probe::CheckType;
use crate::{Invalid, Timestamp};

/// How one process of a bastion stands. Counters count from its start. Later versions add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Heartbeat {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The process's Runner, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// This life of the process: another after each start. Absent from versions that do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The version of Watchpost that it runs.
    pub version: String,
    /// Which roles it plays.
    pub roles: Vec<Role>,
    /// When it started.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// When it said this.
    #[schemars(with = "String")]
    pub sent_at: Timestamp,
    /// How long it has run, in s, on a clock that nobody sets.
    #[serde(default)]
    pub uptime_s: u64,
    /// The bastion groups whose checks its Checker runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<BastionGroup>,
    /// How its Checker stands with the store of checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreReport>,
    /// Whether it was told to begin nothing new.
    #[serde(default)]
    pub draining: bool,
    /// One sentence where it runs nothing, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The generation of the configuration that its Checker runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_generation: Option<u64>,
    /// How many checks its Checker has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<u64>,
    /// How many tasks its Checker has sent that have no outcome yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outstanding: Option<u64>,
    /// By how much the latest run was fired after its time, of those since the heartbeat before, in µs; absent where
    /// none was fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_lag_us: Option<u64>,
    /// What 99 in 100 of them kept, in µs, told at most an eighth too high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_lag_p99_us: Option<u64>,
    /// How many sources of targets its Checker asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<u64>,
    /// How many of them give no targets at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources_degraded: Option<u64>,
    /// Its Runner's worker pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolReport>,
    /// How many tasks ended, by outcome.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<Outcome, u64>,
    /// How many tasks and runs were shed, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shed: BTreeMap<ReasonCode, u64>,
    /// How many actors died and were built anew.
    #[serde(default)]
    pub actors_rebuilt: u64,
    /// What its connection to the bus counted.
    #[serde(default)]
    pub bus: BusReport,
    /// What is on its way to the bus, and what did not get there.
    #[serde(default)]
    pub outbox: OutboxReport,
    /// What went wrong in the process itself, the latest first, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_errors: Vec<ErrorSeen>,
    /// The process's clock less that of the bus server, in µs, as last measured and exact to half a round trip; absent
    /// where the server does not tell the time (without JetStream, or without a stream of ours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
    /// The policy that it keeps to. Absent from versions that do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyReport>,
    /// How its audit log stands; absent where it writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditReport>,
}

/// How the audit log of a process stands. Whoever keeps it can tell later whether the log was cut off or written anew:
/// `watchpost audit verify --head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditReport {
    /// The number of its last entry that is on the disk; 0 where there is none.
    pub seq: u64,
    /// The hash of that entry, in hexadecimal, which stands for all before it as well.
    pub hash: String,
    /// How many events could not be written down since the process began.
    #[serde(default)]
    pub dropped: u64,
    /// Why nothing can be written at present; shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// Which policy a process keeps to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyReport {
    /// The file, or what is built in where there is none: `built in: strict` or `built in: local`.
    pub source: String,
    /// The SHA-256 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why the file as it is now is not in force, but the last good one; shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl PolicyReport {
    /// How much is told of what is wrong with the file, in characters.
    pub const BROKEN_CHARS_MAX: usize = 500;
}

/// What a process does for its bastion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Keeps the checks and schedules them.
    Checker,
    /// Runs tasks.
    Runner,
}

/// How one worker pool stands. `idle + busy + rebuilding = size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PoolReport {
    /// Whose tasks it runs.
    #[serde(rename = "type")]
    pub check_type: CheckType,
    /// How many workers there are.
    pub size: u64,
    /// How many there should be: `size` follows as workers come home.
    pub target: u64,
    /// How many are free.
    pub idle: u64,
    /// How many run a task.
    pub busy: u64,
    /// How many are being built anew after a panic.
    pub rebuilding: u64,
    /// How many tasks wait for a worker.
    pub waiting: u64,
}

/// What a process's connection to the bus counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct BusReport {
    /// Messages that were published.
    pub published: u64,
    /// Messages that were received.
    pub received: u64,
    /// Messages that were dropped since a subscription's queue was full.
    pub dropped_slow_consumer: u64,
    /// Messages that the bus refused.
    pub refused: u64,
    /// Messages and subscriptions that the bus server did not permit.
    pub forbidden: u64,
    /// How often the connection was made anew.
    pub reconnects: u64,
}

/// What a process has to publish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct OutboxReport {
    /// Tasks, results and verdicts that wait to be published.
    pub waiting: u64,
    /// Results and verdicts that were given up, since the bus did not take them or their time was over.
    pub dropped: u64,
}

/// Something that went wrong in a process, as often as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ErrorSeen {
    /// When it was last seen.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// One sentence, of at most 512 bytes, on the last time.
    pub message: String,
    /// How often it was seen since the process started, or since it was pushed out of the list.
    pub count: u64,
}

impl Message for Heartbeat {
    const NAME: &'static str = "heartbeat";
    const BYTES_MAX: usize = 64 * 1024;

    fn validate(&self) -> Result<(), Invalid> {
        let bounded = |field: &str, given: usize, max: usize| {
            if given <= max {
                return Ok(());
            }
            Err(Invalid::new(format!("field `{field}` has {given}: expected at most {max}")))
        };
        bounded("version", self.version.len(), Self::VERSION_BYTES_MAX)?;
        bounded("roles", self.roles.len(), Self::LIST_MAX)?;
        bounded("pools", self.pools.len(), Self::LIST_MAX)?;
        bounded("groups", self.groups.len(), Self::GROUPS_MAX)?;
        bounded("store.groups", self.store.as_ref().map_or(0, |store| store.groups.len()), Self::GROUPS_MAX)?;
        bounded("last_errors", self.last_errors.len(), Self::ERRORS_MAX)?;
        let longest =
            self.last_errors.iter().map(|error| error.message.len()).chain(self.message.as_ref().map(String::len));
        bounded("message", longest.max().unwrap_or(0), Self::TEXT_BYTES_MAX)?;
        bounded("shed", self.shed.len(), Self::SHED_MAX)
    }
}

impl Heartbeat {
    /// The longest version, in bytes.
    pub const VERSION_BYTES_MAX: usize = 64;
    /// The most roles, and the most pools.
    pub const LIST_MAX: usize = 64;
    /// The most groups: the bastion's own, and 64 others.
    pub const GROUPS_MAX: usize = 65;
    /// The most errors.
    pub const ERRORS_MAX: usize = 8;
    /// The longest sentence, in bytes.
    pub const TEXT_BYTES_MAX: usize = 512;
    /// The most reasons by which something was shed.
    pub const SHED_MAX: usize = 256;
}
