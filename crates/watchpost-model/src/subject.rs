//! Subject names: the outside contract of the bus.

use std::str::FromStr;

use crate::Invalid;
use crate::control::Verb;
use crate::id::{BastionId, CheckId};
use crate::probe::CheckType;

/// Names of message headers.
pub mod header {
    /// The task's id; JetStream drops a second message with the same one.
    pub const MSG_ID: &str = "Nats-Msg-Id";
    /// The task that an error reply is about.
    pub const TASK: &str = "Watchpost-Task";
    /// How the payload is written.
    pub const CONTENT_TYPE: &str = "Content-Type";
    /// Marks a payload that is an [`ErrorReply`](crate::ErrorReply), with its code as the value.
    pub const ERROR: &str = "Watchpost-Error";
    /// Who asks, as they say themselves: for the audit log.
    pub const SENDER: &str = "Watchpost-Sender";
    /// What a NATS server says of a request that came from another account.
    pub const NATS_REQUEST_INFO: &str = "Nats-Request-Info";
}

/// The first part of every subject, `watchpost` by default: tokens of `[A-Za-z0-9_-]` with dots between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPrefix(Box<str>);

impl Default for SubjectPrefix {
    fn default() -> Self {
        Self("watchpost".into())
    }
}

impl FromStr for SubjectPrefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let token_ok = |token: &str| token.parse::<BastionId>().is_ok();
        if text.len() <= 128 && text.split('.').all(token_ok) {
            return Ok(Self(text.into()));
        }
        Err(Invalid::new(format!(
            "`{}` is not a subject prefix: expected for example `watchpost` or `acme.watchpost`",
            crate::shorten(text, 80)
        )))
    }
}

impl std::fmt::Display for SubjectPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for SubjectPrefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "the subject prefix", 128)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for SubjectPrefix {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SubjectPrefix".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$", "maxLength": 128 })
    }
}

/// The subjects of one bastion.
#[derive(Debug, Clone)]
pub struct Subjects {
    base: Box<str>,
}

impl Subjects {
    /// The queue group in which Runners share the tasks of a bastion.
    pub const RUNNERS: &'static str = "runners";

    /// The subjects of `bastion` below `prefix`.
    pub fn new(prefix: &SubjectPrefix, bastion: &BastionId) -> Self {
        Self { base: format!("{prefix}.{bastion}").into() }
    }

    /// Where tasks of one type go.
    pub fn task(&self, check_type: CheckType) -> String {
        format!("{}.task.{check_type}", self.base)
    }

    /// Where the results of one check go.
    pub fn result(&self, check: &CheckId) -> String {
        format!("{}.result.{check}", self.base)
    }

    /// Where the results of every check go: a wildcard to subscribe to.
    pub fn results(&self) -> String {
        format!("{}.result.*", self.base)
    }

    /// Where the verdicts over whole runs of one check go.
    pub fn verdict(&self, check: &CheckId) -> String {
        format!("{}.verdict.{check}", self.base)
    }

    /// Where the verdicts of every check go: a wildcard to subscribe to.
    pub fn verdicts(&self) -> String {
        format!("{}.verdict.*", self.base)
    }

    /// Where the processes of the bastion say how they stand.
    pub fn heartbeat(&self) -> String {
        format!("{}.heartbeat", self.base)
    }

    /// Where the job of one heartbeat check reports in.
    pub fn beat(&self, check: &CheckId) -> String {
        format!("{}.beat.{check}", self.base)
    }

    /// Where the jobs of every heartbeat check report in: a wildcard to subscribe to.
    pub fn beats(&self) -> String {
        format!("{}.beat.*", self.base)
    }

    /// The check that a beat's subject belongs to.
    pub fn check_of_beat<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&*self.base)?.strip_prefix(".beat.")
    }

    /// Where it is told what became of one check.
    pub fn event(&self, check: &CheckId) -> String {
        format!("{}.event.{check}", self.base)
    }

    /// Where it is told what became of every check: a wildcard to subscribe to.
    pub fn events(&self) -> String {
        format!("{}.event.*", self.base)
    }

    /// Where the bastion is asked to do something.
    pub fn control(&self, verb: Verb) -> String {
        format!("{}.control.{verb}", self.base)
    }

    /// Where the bastion is asked anything: a wildcard to subscribe to.
    pub fn controls(&self) -> String {
        format!("{}.control.>", self.base)
    }

    /// What a control subject asks for.
    pub fn verb_of_control<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&*self.base)?.strip_prefix(".control.")
    }

    /// Where Runners hear that tasks are to be stopped.
    pub fn task_cancel(&self) -> String {
        self.control(Verb::TaskCancel)
    }

    /// The check that a result subject belongs to.
    pub fn check_of_result<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&*self.base)?.strip_prefix(".result.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_follow_the_contract() {
        let subjects = Subjects::new(&SubjectPrefix::default(), &"b1".parse().unwrap());
        assert_eq!(subjects.task(CheckType::Http), "watchpost.b1.task.http");
        let result = subjects.result(&"home".parse().unwrap());
        assert_eq!(result, "watchpost.b1.result.home");
        assert_eq!(subjects.check_of_result(&result), Some("home"));
        assert_eq!(subjects.verdict(&"home".parse().unwrap()), "watchpost.b1.verdict.home");
        assert_eq!(subjects.check_of_result("watchpost.b1.verdict.home"), None);
        assert_eq!(subjects.heartbeat(), "watchpost.b1.heartbeat");
        let beat = subjects.beat(&"home".parse().unwrap());
        assert_eq!((beat.as_str(), subjects.check_of_beat(&beat)), ("watchpost.b1.beat.home", Some("home")));
        assert_eq!(subjects.check_of_result("watchpost.b2.result.home"), None);
        let put = subjects.control(Verb::CheckPut);
        assert_eq!(
            (put.as_str(), subjects.verb_of_control(&put)),
            ("watchpost.b1.control.check.put", Some("check.put"))
        );
    }

    #[test]
    fn a_prefix_is_tokens_with_dots() {
        for good in ["watchpost", "a.b-c.d_e"] {
            assert!(good.parse::<SubjectPrefix>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "a.*", "a.>", "a b"] {
            assert!(bad.parse::<SubjectPrefix>().is_err(), "{bad}");
        }
    }
}
