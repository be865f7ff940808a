//! The message that says how a whole run ended.

use serde::{Deserialize, Serialize};

use crate::codec::Message;
use crate::group::VerdictRule;
use crate::id::{BastionId, CheckId, RunId};
use crate::message::V1;
use crate::outcome::{Outcome, Reason};
use crate::{Invalid, Timestamp};

/// How a run over several endpoints, or of a group, ended. The Checker publishes one for each such
/// run, besides the results of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunVerdict {
    /// The protocol version, 1.
    pub v: V1,
    /// The run.
    pub run: RunId,
    /// The run of the group that it is a part of; absent where it is part of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The check that ran.
    pub check: CheckId,
    /// The bastion that ran it.
    pub bastion: BastionId,
    /// When the run was due.
    #[schemars(with = "String")]
    pub scheduled_at: Timestamp,
    /// When the last of its parts had ended.
    #[schemars(with = "String")]
    pub finished_at: Timestamp,
    /// How it ended, by its rule.
    pub outcome: Outcome,
    /// Why, unless it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The rule.
    pub verdict: VerdictRule,
    /// What the numbers count.
    pub of: VerdictOf,
    /// How many had to pass.
    pub needed: u32,
    /// How many there were.
    pub total: u32,
    /// How many passed.
    pub passed: u32,
    /// How many did not pass, by an outcome that speaks of the target.
    pub failed: u32,
    /// How many ended in an outcome that says nothing of the target.
    pub undecided: u32,
    /// The generation of the configuration that the check came from.
    #[serde(default)]
    pub config_generation: u64,
}

/// What a verdict's numbers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictOf {
    /// The endpoints of a check's target.
    Endpoints,
    /// The members of a group.
    Checks,
}

impl VerdictOf {
    /// The word on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Checks => "checks",
        }
    }
}

impl Message for RunVerdict {
    const NAME: &'static str = "verdict";
    const BYTES_MAX: usize = 64 * 1024;

    fn validate(&self) -> Result<(), Invalid> {
        let counted = [self.passed, self.failed, self.undecided].map(u64::from).iter().sum::<u64>();
        if counted > u64::from(self.total) {
            return Err(Invalid::new(format!(
                "field `total` is {}, and {counted} are counted: expected at least as many",
                self.total
            )));
        }
        Ok(())
    }
}
