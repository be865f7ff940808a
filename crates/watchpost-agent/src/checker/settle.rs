//! One outcome for each task, whoever reports it.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Handler, Message};
use watchpost_core::{Expired, Settled};
use watchpost_model::{
    CancelCause, CheckId, CheckType, ErrorReply, Outcome, PhasesUs, Reason, ReasonCode, RunId, TargetReport, TaskId,
    TaskResult, Timestamp, V1,
};

use super::dispatch::{CancelIds, Run};
use super::publish::Outbound;
use super::{Checker, Pending};
use crate::adhoc::Adhoc;

/// How often the log says at most that no Runner listens.
const TELL_NO_RUNNER_EVERY: Duration = Duration::from_secs(30);

/// What came back for a task.
pub(super) enum Answer {
    /// A Runner's result.
    Result(Box<TaskResult>),
    /// A Runner that could not read the task.
    Refused { task: TaskId, reply: ErrorReply },
    /// The bus could not route a task of this check.
    NoRunner(CheckId),
}

/// Answers, several at a time since each message to an actor has its price.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Answers(pub(super) Vec<Answer>);

impl Handler<Answers> for Checker {
    type Result = ();

    fn handle(&mut self, Answers(answers): Answers, ctx: &mut Self::Context) {
        for answer in answers {
            match answer {
                Answer::Result(result) => self.settle_with(*result),
                Answer::Refused { task, reply } => {
                    let message = format!("the Runner refused the task: {}", reply.message);
                    self.settle_here(task, Outcome::Missed, Reason::new(ReasonCode::BadTask, message));
                }
                Answer::NoRunner(check) => self.settle_unroutable(&check),
            }
        }
        self.step_stop(ctx);
        self.arm();
    }
}

/// The bus did not take a task.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Unpublished {
    pub(super) task: TaskId,
    pub(super) reason: Reason,
}

impl Handler<Unpublished> for Checker {
    type Result = ();

    fn handle(&mut self, Unpublished { task, reason }: Unpublished, ctx: &mut Self::Context) {
        self.settle_here(task, Outcome::Missed, reason);
        self.step_stop(ctx);
        self.arm();
    }
}

/// What a result says of where it comes from.
pub(super) struct Origin {
    pub(super) check: CheckId,
    pub(super) run: RunId,
    pub(super) scheduled_at: Timestamp,
    /// `None` where no check could be made of the target.
    pub(super) check_type: Option<CheckType>,
    pub(super) target: TargetReport,
    /// 0 where the endpoint was never tried.
    pub(super) attempt: u32,
    pub(super) config_generation: u64,
    pub(super) adhoc: Option<u64>,
}

impl Origin {
    /// Of a run that no task was made of: the whole target stands for its endpoints.
    fn of_run(run: &Run) -> Self {
        Self {
            check: run.check.id().clone(),
            run: run.run,
            scheduled_at: run.scheduled_at,
            check_type: run.check.check_type(),
            target: TargetReport { name: run.check.target_name(), endpoint: run.endpoint_name(), address: None },
            attempt: 0,
            config_generation: run.config_generation,
            adhoc: run.adhoc,
        }
    }

    /// Of a task that was sent.
    fn of_task(pending: Pending) -> Self {
        Self {
            check_type: Some(pending.probe.check_type()),
            target: TargetReport {
                name: pending.probe.target_name(),
                endpoint: pending.endpoint.name,
                address: pending.endpoint.address,
            },
            check: pending.check,
            run: pending.run,
            scheduled_at: pending.scheduled_at,
            attempt: 1,
            config_generation: pending.config_generation,
            adhoc: pending.adhoc,
        }
    }
}

impl Checker {
    fn settle_with(&mut self, result: TaskResult) {
        match self.ledger.settle(result.task) {
            Settled::First(pending) => {
                self.cx.stats.settled(result.outcome);
                self.tell_adhoc(pending.adhoc, result);
                // This one was routed, so it may be clear now which of its siblings were not.
                let unroutable = self.ledger.all_unroutable(&pending.check);
                self.report_unroutable(unroutable);
            }
            Settled::NotOpen => self.cx.stats.answers_not_open.increment(),
        }
    }

    /// Settles a task that no Runner will report on, and reports on it.
    pub(super) fn settle_here(&mut self, task: TaskId, outcome: Outcome, reason: Reason) {
        match self.ledger.settle(task) {
            Settled::First(pending) => self.report_for(task, pending, outcome, reason),
            Settled::NotOpen => self.cx.stats.answers_not_open.increment(),
        }
    }

    pub(super) fn expire_lost(&mut self) {
        let now = self.cx.clock.tick();
        while let Some(Expired { key: task, entry: pending, unroutable }) = self.ledger.expire(now) {
            let code = if unroutable { ReasonCode::NoRunner } else { ReasonCode::RunnerSilent };
            let grace = self.cx.settings.answer_grace;
            let by_when = match pending.adhoc {
                Some(_) => "in the time that the request had".to_owned(),
                None => format!("by its deadline plus {grace:?}"),
            };
            let message = format!("no Runner of bastion {} reported on it {by_when}", self.cx.settings.bastion);
            self.report_for(task, pending, Outcome::Lost, Reason::new(code, message));
        }
    }

    fn settle_unroutable(&mut self, check: &CheckId) {
        let unroutable = self.ledger.unroutable(check);
        self.report_unroutable(unroutable);
    }

    fn report_unroutable(&mut self, tasks: Vec<(TaskId, Pending)>) {
        if let Some((_, pending)) = tasks.first() {
            self.tell_no_runner(pending.probe.check_type());
        }
        for (task, pending) in tasks {
            let message = format!(
                "no Runner of bastion {} listens for {} tasks: is one running, and on this bus?",
                self.cx.settings.bastion,
                pending.probe.check_type()
            );
            self.report_for(task, pending, Outcome::Missed, Reason::new(ReasonCode::NoRunner, message));
        }
    }

    /// Says in the log that nobody runs the checks: now and then, not for each.
    fn tell_no_runner(&mut self, check_type: CheckType) {
        let now = self.cx.clock.tick();
        if self.told_no_runner.is_some_and(|told| now.since(told) < TELL_NO_RUNNER_EVERY) {
            return;
        }
        self.told_no_runner = Some(now);
        tracing::warn!(
            %check_type,
            bastion = %self.cx.settings.bastion,
            "no Runner listens: tasks are missed; is one running, with this bastion id and on this bus?"
        );
    }

    /// A run ended before any task of it was sent: one result stands for all of it.
    pub(super) fn settle_whole_run(&mut self, run: &Run, outcome: Outcome, reason: Reason) {
        self.settle_untried(Origin::of_run(run), outcome, reason);
    }

    /// Slots that the schedule could not keep are told in one record.
    pub(super) fn report_skipped(&mut self, run: &Run, skipped: u64) {
        tracing::warn!(check = %run.check.id(), skipped, "the schedule fell behind: slots were skipped");
        let message = format!("{skipped} scheduled runs before this one were skipped: the schedule had fallen behind");
        let reason = Reason::new(ReasonCode::BehindSchedule, message);
        let origin = Origin::of_run(run);
        // A name of its own, since the run may yet end untried and be told under the endpoint's.
        let task = TaskId::derive(run.run, &format!("{} skipped", origin.target.endpoint), 0);
        let mut result = self.result(task, origin, Outcome::Missed, reason);
        result.metrics.insert("slots".into(), skipped as f64);
        self.publish_and_tell(None, result);
    }

    pub(super) fn settle_untried(&mut self, origin: Origin, outcome: Outcome, reason: Reason) {
        let adhoc = origin.adhoc;
        let task = TaskId::derive(origin.run, &origin.target.endpoint, 0);
        let result = self.result(task, origin, outcome, reason);
        self.publish_and_tell(adhoc, result);
    }

    fn report_for(&mut self, task: TaskId, pending: Pending, outcome: Outcome, reason: Reason) {
        let adhoc = pending.adhoc;
        let result = self.result(task, Origin::of_task(pending), outcome, reason);
        self.publish_and_tell(adhoc, result);
    }

    /// A result that the Checker makes itself, since no Runner did.
    fn result(&self, task: TaskId, origin: Origin, outcome: Outcome, reason: Reason) -> TaskResult {
        TaskResult {
            v: V1,
            task,
            check: origin.check,
            run: origin.run,
            bastion: self.cx.settings.bastion.clone(),
            runner: None,
            check_type: origin.check_type,
            target: origin.target,
            scheduled_at: origin.scheduled_at,
            started_at: None,
            finished_at: self.cx.clock.now(),
            queue_wait_us: 0,
            attempt: origin.attempt,
            outcome,
            reason: Some(reason),
            phases_us: PhasesUs::default(),
            assertions: Vec::new(),
            http: None,
            tls: None,
            metrics: BTreeMap::new(),
            config_generation: origin.config_generation,
        }
    }

    fn publish_and_tell(&mut self, adhoc: Option<u64>, result: TaskResult) {
        self.cx.stats.settled(result.outcome);
        if self.outbox.try_send(Outbound::Result(Box::new(result.clone()))).is_err() {
            self.cx.stats.results_unsent.increment();
            tracing::warn!(task = %result.task, check = %result.check, outcome = %result.outcome, "the queue to the bus is full: a result was not published");
        }
        self.tell_adhoc(adhoc, result);
    }

    fn tell_adhoc(&mut self, id: Option<u64>, result: TaskResult) {
        let Some(id) = id else { return };
        let Some(adhoc) = self.adhocs.get_mut(&id) else { return };
        let (task, passed) = (result.task, result.outcome == Outcome::Pass);
        let cause = format!("{} of {} ended as {}", result.target.endpoint, result.target.name, result.outcome);
        // Invariant: the channel has room for every task and item, so this fails only if nobody listens.
        let gone = adhoc.results.try_send(result).is_err();
        let siblings = adhoc.group.settled(task, passed);
        let failing_fast = adhoc.group.is_failing_fast();
        if gone {
            self.cancel_runs_of(id);
        } else if failing_fast {
            if !siblings.is_empty() {
                self.cancel(CancelCause::GroupFailed, &cause, CancelIds::Tasks(siblings));
            }
            self.stop_resolving(|run| run.adhoc == Some(id), ReasonCode::GroupFailed, &cause);
        }
        self.forget_adhoc_if_done(id);
    }

    pub(super) fn forget_adhoc_if_done(&mut self, id: u64) {
        if self.adhocs.get(&id).is_some_and(Adhoc::is_done) {
            self.adhocs.remove(&id);
        }
    }
}
