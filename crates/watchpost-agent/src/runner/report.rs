//! From an outcome to a result on the bus. Publishing is nobody's business but this task's, so
//! that a slow bus never holds a worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use watchpost_bus::{BusError, Outgoing};
use watchpost_core::Tick;
use watchpost_model::{Format, Labels, Outcome, Reason, TargetReport, Task, TaskId, TaskResult, Timestamp, V1, encode};
use watchpost_probe::{Evidence, Verdict};

use super::RunnerContext;
use super::admission::Admission;
use super::audited::write_down;
use super::intake::Job;
use crate::checker::task_headers;

/// How soon a result is tried again while the bus is away.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Where reports go on their way to the bus.
pub(super) type ReportSender = mpsc::Sender<Report>;

/// A result that is to be published, with the admission of its task.
pub(super) struct Report {
    task: TaskId,
    outcome: Outcome,
    /// After this it may cross with the word that the task is lost.
    send_by: Tick,
    message: Outgoing,
    admission: Admission,
}

impl Report {
    /// Of a task that a worker executed, with the labels of its target as results show them.
    pub(super) fn tried(
        cx: &RunnerContext,
        job: Job,
        started_at: Timestamp,
        waited: Duration,
        verdict: Verdict,
        labels: Labels,
        evidence: Evidence,
    ) -> Self {
        let mut result = bare(cx, &job.task, waited, verdict.outcome, verdict.reason);
        result.target.labels = labels;
        result.started_at = Some(started_at);
        result.target.address = evidence.address.or(result.target.address);
        result.phases_us = evidence.phases;
        result.hops = evidence.hops;
        result.assertions = evidence.assertions;
        result.http = evidence.http;
        result.tls = evidence.tls;
        result.evidence = evidence.of_type;
        result.metrics = evidence.metrics;
        write_down(&cx.audit, &job.task, &result, true);
        Self::new(job, &result)
    }

    /// Of a task that no worker got.
    pub(super) fn untried(cx: &RunnerContext, job: Job, waited: Duration, outcome: Outcome, reason: Reason) -> Self {
        let result = bare(cx, &job.task, waited, outcome, Some(reason));
        write_down(&cx.audit, &job.task, &result, false);
        Self::new(job, &result)
    }

    fn new(job: Job, result: &TaskResult) -> Self {
        let Job { task, deadline, answer_by, reply, admission, .. } = job;
        Self {
            task: task.task,
            outcome: result.outcome,
            send_by: deadline.after(answer_by.since(deadline) / 4 * 3),
            message: outgoing(reply, result),
            admission,
        }
    }

    /// The task has its outcome.
    pub(super) fn ended(&self) {
        self.admission.ended();
    }
}

fn outgoing(reply: String, result: &TaskResult) -> Outgoing {
    Outgoing::new(reply, Bytes::from(encode(result, Format::MsgPack))).headers(task_headers(result.task))
}

fn bare(cx: &RunnerContext, task: &Task, waited: Duration, outcome: Outcome, reason: Option<Reason>) -> TaskResult {
    TaskResult {
        v: V1,
        task: task.task,
        check: task.check.clone(),
        run: task.run,
        bastion: task.bastion.clone(),
        runner: Some(cx.settings.runner.clone()),
        check_type: Some(task.check_type()),
        target: TargetReport::new(task.probe.target_name(), &task.endpoint),
        scheduled_at: task.scheduled_at,
        started_at: None,
        finished_at: cx.clock.now(),
        queue_wait_us: u64::try_from(waited.as_micros()).unwrap_or(u64::MAX),
        attempt: task.attempt,
        outcome,
        reason,
        phases_us: watchpost_model::PhasesUs::default(),
        hops: Vec::new(),
        assertions: Vec::new(),
        http: None,
        tls: None,
        evidence: None,
        metrics: std::collections::BTreeMap::new(),
        config_generation: task.config_generation,
    }
}

/// Starts the task that publishes. Invariant: `reports_max` is what all types may have admitted,
/// so that the queue is never full.
pub(super) fn start(cx: Arc<RunnerContext>, reports_max: usize) -> ReportSender {
    let (sender, mut reports) = mpsc::channel::<Report>(reports_max);
    let helpers = cx.helpers.clone();
    helpers.spawn("report", async move {
        while let Some(report) = reports.recv().await {
            publish(&cx, report).await;
        }
    });
    sender
}

/// Sends one result; while the bus is away, again and again until nobody waits for it any more.
async fn publish(cx: &RunnerContext, report: Report) {
    let Report { task, outcome, send_by, message, admission } = report;
    loop {
        if cx.clock.tick() >= send_by {
            cx.stats.results_late.increment();
            cx.stats.troubles.note(cx.clock.now(), "a result was not sent in time", &task);
            tracing::warn!(%task, %outcome, "a result was not sent in time: its task counts as lost");
            return admission.given_up();
        }
        match cx.bus.publish(message.clone()).await {
            Ok(()) => return admission.reported(),
            Err(BusError::Unavailable { .. } | BusError::Full { .. }) => tokio::time::sleep(RETRY_EVERY).await,
            Err(error) => {
                cx.stats.results_unsent.increment();
                cx.stats.troubles.note(cx.clock.now(), "a result cannot be sent", &error);
                tracing::error!(%task, %outcome, %error, "a result cannot be sent");
                return admission.given_up();
            }
        }
    }
}

/// The result of a task that was not accepted.
pub(super) fn refusal(cx: &RunnerContext, task: &Task, reply: String, reason: Reason) -> Outgoing {
    outgoing(reply, &bare(cx, task, Duration::ZERO, Outcome::Cancelled, Some(reason)))
}
