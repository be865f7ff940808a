//! One run against one endpoint.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::check::{CHECK_BYTES_MAX, ProbeBody};
use crate::codec::Message;
use crate::expect::Expect;
use crate::id::{BastionId, CheckId, RunId, TaskId};
use crate::message::V1;
use crate::probe::{CheckType, ProbeSettings};
use crate::target::Endpoint;
use crate::template::first_template;
use crate::{Invalid, Timestamp};

/// One run of a check against one endpoint, on its way to a worker.
// Not `Clone`: a task is moved from hand to hand, and whoever holds it is the only one who can
// run it. Its settings are shared, since nothing ever changes them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Task {
    /// The protocol version, 1.
    pub v: V1,
    /// Identifies the task everywhere.
    pub task: TaskId,
    /// The firing that the task belongs to.
    pub run: RunId,
    /// The check that it runs.
    pub check: CheckId,
    /// The bastion whose Checker sent it.
    pub bastion: BastionId,
    /// When the run was due.
    #[schemars(with = "String")]
    pub scheduled_at: Timestamp,
    /// When the task must be over. It only shrinks on its way down.
    #[schemars(with = "String")]
    pub deadline: Timestamp,
    /// Until when the outcome is waited for. A Runner sends nothing after it: by then the task has
    /// been reported as `lost`.
    #[schemars(with = "String")]
    pub answer_by: Timestamp,
    /// Counts the tries of this run against this endpoint, from 1.
    pub attempt: u32,
    /// Who wants its outcome, which decides who goes first where tasks wait for a worker.
    #[serde(default)]
    pub class: TaskClass,
    /// Where to connect.
    pub endpoint: Endpoint,
    /// What to do there.
    #[schemars(with = "ProbeSettings")]
    pub probe: Arc<ProbeSettings>,
    /// What to expect of the answer.
    #[serde(default)]
    #[schemars(with = "Expect")]
    pub expect: Arc<Expect>,
    /// The generation of the configuration that the check came from.
    #[serde(default)]
    pub config_generation: u64,
    /// The check as it was signed, in JSON, by which a Runner that trusts nobody else can tell that it is to do this.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "proof")]
    pub proof: Option<Arc<str>>,
}

impl Task {
    /// The task of `check`, which does what `body` says, against `endpoint`.
    pub fn new(check: &CheckId, body: &ProbeBody, endpoint: Endpoint, firing: &Firing<'_>) -> Self {
        Self {
            v: V1,
            task: TaskId::derive(firing.run, &endpoint.name, 1),
            run: firing.run,
            check: check.clone(),
            bastion: firing.bastion.clone(),
            scheduled_at: firing.scheduled_at,
            deadline: firing.deadline,
            answer_by: firing.answer_by,
            attempt: 1,
            class: firing.class,
            endpoint,
            probe: Arc::clone(&body.settings),
            expect: Arc::clone(&body.expect),
            config_generation: firing.config_generation,
            proof: None,
        }
    }

    /// The same task with these settings, in which secrets stand in the place of the references to them. It is for the
    /// probe only: nothing may show it or send it anywhere.
    #[must_use]
    pub fn filled(&self, probe: Arc<ProbeSettings>) -> Self {
        Self {
            v: self.v,
            task: self.task,
            run: self.run,
            check: self.check.clone(),
            bastion: self.bastion.clone(),
            scheduled_at: self.scheduled_at,
            deadline: self.deadline,
            answer_by: self.answer_by,
            attempt: self.attempt,
            class: self.class,
            endpoint: self.endpoint.clone(),
            probe,
            expect: Arc::clone(&self.expect),
            config_generation: self.config_generation,
            // It is over the references, and was judged before.
            proof: None,
        }
    }

    /// The type of check, which decides the pool.
    pub fn check_type(&self) -> CheckType {
        self.probe.check_type()
    }
}

fn proof<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
    // Whoever has none leaves it out.
    crate::text::deserialize(deserializer, "the signed check", CHECK_BYTES_MAX).map(|text| Some(text.into()))
}

/// Who wants a task's outcome. Where tasks wait for a worker, the lesser class goes first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskClass {
    /// Somebody asked for it.
    AdHoc,
    /// The schedule fired it.
    #[default]
    Scheduled,
}

/// What the tasks of one run have in common.
#[derive(Debug, Clone, Copy)]
pub struct Firing<'a> {
    /// The run's id.
    pub run: RunId,
    /// Who runs it.
    pub bastion: &'a BastionId,
    /// When it was due.
    pub scheduled_at: Timestamp,
    /// When its tasks must be over.
    pub deadline: Timestamp,
    /// Until when their outcomes are waited for.
    pub answer_by: Timestamp,
    /// Who wants their outcomes.
    pub class: TaskClass,
    /// The generation of the configuration.
    pub config_generation: u64,
}

impl Message for Task {
    const NAME: &'static str = "task";
    /// A task without its proof, and the proof; together less than what a NATS server takes unless told otherwise.
    const BYTES_MAX: usize = 256 * 1024 + CHECK_BYTES_MAX;

    fn validate(&self) -> Result<(), Invalid> {
        if self.answer_by < self.deadline {
            return Err(Invalid::new("answer_by lies before deadline: expected the deadline or later"));
        }
        let has_ports = self.probe.host_port().is_none_or(|host_port| host_port.port() != 0);
        if has_ports && self.endpoint.address.is_some_and(|address| address.port() == 0) {
            return Err(Invalid::new("endpoint.address has port 0: expected 1 to 65535"));
        }
        if self.attempt == 0 {
            return Err(Invalid::new("field `attempt` is 0: expected 1 or more"));
        }
        self.probe.validate(&self.expect)?;
        match first_template(&*self.probe, "probe").or_else(|| first_template(&*self.expect, "expect")) {
            Some((key, _)) => Err(Invalid::new(format!("field `{key}` is a template: expected it filled in"))),
            None => Ok(()),
        }
    }
}
