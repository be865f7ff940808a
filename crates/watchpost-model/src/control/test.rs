//! Running a check once, on request, and hearing what comes of it as it comes.

use serde::{Deserialize, Serialize};

use super::RequestId;
use crate::Invalid;
use crate::check::CHECK_BYTES_MAX;
use crate::codec::Message;
use crate::document::CheckDocument;
use crate::id::{CheckId, RunId};
use crate::message::V1;
use crate::result::TaskResult;
use crate::target::ADDRESSES_MAX;
use crate::time::TIMEOUT_MAX;
use crate::verdict::RunVerdict;

/// Runs a check once, now. Exactly one of `check` and `document` must be given.
///
/// The reply subject hears [`TestReport`]s: one when it has begun, one for each result and verdict, one each second
/// while nothing else comes, and one at the end. Each carries a reply subject: whatever is sent there stops the test,
/// and so does the requester's going away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestCheck {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// A check that the bastion has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckId>,
    /// A check that need not be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Box<CheckDocument>>,
    /// How long until every outcome must be there, 100 to 300 000 ms; the check's own timeout and a second if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// Refuse where there are more endpoints than this, before anything is run: 1 to 10 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_endpoints: Option<u32>,
}

impl Message for TestCheck {
    const NAME: &'static str = "check.test";
    const BYTES_MAX: usize = CHECK_BYTES_MAX + 4096;

    fn validate(&self) -> Result<(), Invalid> {
        if self.check.is_some() == self.document.is_some() {
            return Err(Invalid::new("exactly one of the fields `check` and `document` must be given"));
        }
        if let Some(limit) = self.limit_ms
            && !(Self::LIMIT_MS_MIN..=Self::LIMIT_MS_MAX).contains(&limit)
        {
            let (min, max) = (Self::LIMIT_MS_MIN, Self::LIMIT_MS_MAX);
            return Err(Invalid::new(format!("field `limit_ms` is {limit}: expected {min} to {max}")));
        }
        match self.max_endpoints {
            Some(max) if max == 0 || max as usize > ADDRESSES_MAX => {
                Err(Invalid::new(format!("field `max_endpoints` is {max}: expected 1 to {ADDRESSES_MAX}")))
            }
            _ => Ok(()),
        }
    }
}

impl TestCheck {
    /// The shortest limit, in ms.
    pub const LIMIT_MS_MIN: u64 = 100;
    /// The longest limit, in ms.
    pub const LIMIT_MS_MAX: u64 = TIMEOUT_MAX.as_secs() * 1000;
}

/// What is heard of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestReport {
    /// The protocol version, 1.
    pub v: V1,
    /// Counts the reports of one test from 0: a gap shows that one was lost.
    pub seq: u64,
    /// What it is about.
    pub kind: TestReportKind,
    /// The check.
    pub check: CheckId,
    /// The run; absent where there is none yet, or none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// With `kind: result`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<TaskResult>>,
    /// With `kind: verdict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Box<RunVerdict>>,
    /// With `kind: end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<TestEnd>,
}

/// What a report of a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestReportKind {
    /// It has begun.
    Begun,
    /// It goes on; sent each second while nothing else is.
    Going,
    /// One endpoint has its outcome.
    Result,
    /// A run over several endpoints, or of a group, has its verdict.
    Verdict,
    /// Nothing more will come.
    End,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TestEnd {
    /// Whether the check passed, by its own rule.
    pub passed: bool,
    /// How many results were sent.
    pub results: u64,
    /// Why it was cut off, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<TestCutOff>,
    /// One sentence on why it was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why a test was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestCutOff {
    /// The requester said so.
    Cancelled,
    /// There are more endpoints than `max_endpoints`; nothing was run.
    TooManyEndpoints,
    /// The process stops.
    ShuttingDown,
}

impl Message for TestReport {
    const NAME: &'static str = "test report";
    const BYTES_MAX: usize = TaskResult::BYTES_MAX + 4096;
}
