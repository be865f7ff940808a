//! What the policies of Runners deny of checks, asked before anything runs.

use serde::{Deserialize, Serialize};

use crate::codec::Message;
use crate::document::CheckDocument;
use crate::heartbeat::PolicyReport;
use crate::id::{BastionId, CheckId, RunnerId};
use crate::message::V1;
use crate::{Invalid, shorten};

/// Asks what a Runner's policy denies of checks, whatever names will resolve to. Nothing is run or resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestPolicy {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// Only this Runner is to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// The checks, at most 1 000. Without any, the answer says which policy there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckDocument>,
}

/// What the policy of one Runner denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyTested {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The Runner.
    pub runner: RunnerId,
    /// Its policy.
    pub policy: PolicyReport,
    /// What it denies of the checks, in their order. What is not here is not certain to be denied: names are judged by
    /// what they resolve to, when a check runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<CheckDenied>,
}

/// Something that a policy denies of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckDenied {
    /// The check.
    pub check: CheckId,
    /// The rule's name, `default` where none fits, or the part of the policy, as `special.loopback` or `files`.
    pub rule: String,
    /// One sentence: the rule, what it does not permit, and what would have to change.
    pub message: String,
}

/// What the policy of a Runner denies of a check: each of its runs there ends as `cancelled` with `policy_denied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Denial {
    /// Whose policy it is.
    pub runner: RunnerId,
    /// The rule's name, `default` where none fits, or the part of the policy, as `special.loopback` or `files`.
    pub rule: String,
    /// One sentence: the rule, what it does not permit, and what would have to change.
    pub message: String,
}

impl Denial {
    /// The longest sentence, in characters.
    pub const MESSAGE_CHARS_MAX: usize = 400;
    /// The most of them that are told of one check.
    pub const OF_A_CHECK_MAX: usize = 16;

    /// A denial; what is too long of `message` is cut off.
    pub fn new(runner: RunnerId, rule: &str, message: &str) -> Self {
        let message = shorten(message, Self::MESSAGE_CHARS_MAX).into_owned();
        Self { runner, rule: rule.to_owned(), message }
    }
}

impl TestPolicy {
    /// The most checks of one request.
    pub const CHECKS_MAX: usize = 1_000;
}

impl Message for TestPolicy {
    const NAME: &'static str = "policy.test";
    const BYTES_MAX: usize = 1024 * 1024;

    fn validate(&self) -> Result<(), Invalid> {
        if self.checks.len() <= Self::CHECKS_MAX {
            return Ok(());
        }
        let given = self.checks.len();
        Err(Invalid::new(format!("field `checks` has {given} checks: expected at most {}", Self::CHECKS_MAX)))
    }
}

impl Message for PolicyTested {
    const NAME: &'static str = "answer to a policy test";
    const BYTES_MAX: usize = 1024 * 1024;
}
