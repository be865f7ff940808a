//! One outcome for each task, whoever reports it.

use std::collections::BTreeMap;
use std::time::Duration;

use watchpost_core::{Expired, Settled, Verdict};
use watchpost_model::{
    CheckId, CheckType, Endpoint, ErrorReply, Format, Outcome, PhasesUs, ProbeBody, Reason, ReasonCode, RunId,
    TargetReport, TaskId, TaskResult, Timestamp, V1,
};

use super::publish::Outbound;
use super::run::{Fired, Node, Trouble, verdict_of};
use super::{Checker, Pending};

/// How often the log says at most that no Runner listens.
const TELL_NO_RUNNER_EVERY: Duration = Duration::from_secs(30);

/// What came back for a task.
pub(crate) enum Answer {
    /// A Runner's result, and its bytes as they came.
    Result { result: Box<TaskResult>, payload: Box<[u8]>, format: Format },
    /// A Runner that could not read the task.
    Refused { task: TaskId, reply: ErrorReply },
    /// The bus could not route a task of this check.
    NoRunner(CheckId),
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
    pub(super) request: Option<u64>,
}

impl Origin {
    /// Of a run of a probe that no task was made of: the whole target stands for its endpoints.
    pub(super) fn of_run(fired: &Fired) -> Option<Self> {
        let probe = fired.check.probe()?;
        let target = TargetReport::new(probe.target_name(), &Endpoint::named(&probe.endpoint_name()));
        Some(Self {
            check: fired.check.id().clone(),
            run: fired.run,
            scheduled_at: fired.scheduled_at,
            check_type: Some(probe.check_type()),
            target,
            attempt: 0,
            config_generation: fired.config_generation,
            request: fired.request,
        })
    }

    /// Of one endpoint that no task was made for.
    pub(super) fn of_endpoint(fired: &Fired, endpoint: &Endpoint, body: Option<&ProbeBody>) -> Option<Self> {
        let origin = Self::of_run(fired)?;
        let name = body.map_or(origin.target.name, ProbeBody::target_name);
        Some(Self { target: TargetReport::new(name, endpoint), ..origin })
    }

    /// Of a task that was sent.
    fn of_task(pending: &Pending) -> Self {
        Self {
            check_type: Some(pending.probe.check_type()),
            target: TargetReport::new(pending.probe.target_name(), &pending.endpoint),
            check: pending.check.clone(),
            run: pending.run,
            scheduled_at: pending.scheduled_at,
            attempt: 1,
            config_generation: pending.config_generation,
            request: pending.request,
        }
    }
}

impl Checker {
    /// One at a time, so that a panic costs one.
    pub(super) fn take_answers(&mut self) {
        while let Some(answer) = self.answers.pop_front() {
            match answer {
                Answer::Result { result, payload, format } => self.settle_with(*result, payload, format),
                Answer::Refused { task, reply } => {
                    let message = format!("the Runner refused the task: {}", reply.message);
                    self.settle_here(task, Outcome::Missed, Reason::new(ReasonCode::BadTask, message));
                }
                Answer::NoRunner(check) => self.settle_unroutable(&check),
            }
            // One after the other, so that what the first one cancels is not started by the second.
            self.work_off();
        }
    }

    fn settle_with(&mut self, result: TaskResult, payload: Box<[u8]>, format: Format) {
        match self.ledger.settle(result.task) {
            Settled::First(pending) => {
                self.cx.stats.settled(result.outcome);
                let check = pending.check.clone();
                if self.is_of_a_check_in_force(pending.run) {
                    self.cx.lasts.note(&check, &pending.endpoint.name, payload, format);
                }
                self.settled(pending, result);
                // This one was routed, so it may be clear now which of its siblings were not.
                let unroutable = self.ledger.all_unroutable(&check);
                self.report_unroutable(unroutable);
            }
            Settled::NotOpen => self.cx.stats.answers_not_open.increment(),
        }
    }

    /// Whether a run is one of a check as it is configured now.
    fn is_of_a_check_in_force(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| self.is_in_force(&run.fired.check))
    }

    /// A task has its outcome: whoever asked hears it, and its run goes on or ends.
    fn settled(&mut self, pending: Pending, result: TaskResult) {
        let verdict = verdict_of(result.outcome);
        let trouble = || Trouble {
            member: pending.endpoint.name.clone(),
            outcome: result.outcome,
            reason: result.reason.clone(),
        };
        self.note_trouble(Node::Run(pending.run), trouble, verdict);
        self.tell_request(pending.request, result);
        self.member_ended(Node::Run(pending.run), pending.member, verdict);
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
            let by_when = match pending.request {
                Some(_) => "in the time that the request had".to_owned(),
                None => format!("by its deadline plus {grace:?}"),
            };
            let message = format!("no Runner of bastion {} reported on it {by_when}", self.cx.settings.bastion);
            self.report_for(task, pending, Outcome::Lost, Reason::new(code, message));
            self.work_off();
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
        self.cx.stats.troubles.note(self.cx.clock.now(), "no Runner listens for tasks of a type", &check_type);
        tracing::warn!(
            %check_type,
            bastion = %self.cx.settings.bastion,
            "no Runner listens: tasks are missed; is one running, with this bastion id and on this bus?"
        );
    }

    /// A run ended before any task of it was sent: one result stands for all of it, or its verdict where it
    /// is a group.
    pub(super) fn settle_whole_run(&mut self, fired: &Fired, outcome: Outcome, reason: Reason) {
        let verdict = verdict_of(outcome);
        if let Some((parent, _)) = fired.parent {
            let trouble = || Trouble { member: fired.check.id().to_string(), outcome, reason: Some(reason.clone()) };
            self.note_trouble(parent, trouble, verdict);
        }
        match Origin::of_run(fired) {
            Some(origin) => self.settle_untried(Some(origin), outcome, reason),
            None => self.publish_untried_verdict(fired, fired.run, outcome, reason),
        }
        self.no_longer_going(fired);
        self.tell_parent(fired, verdict);
    }

    /// Slots that the schedule could not keep are told in one record.
    pub(super) fn report_skipped(&mut self, fired: &Fired, skipped: u64) {
        tracing::warn!(check = %fired.check.id(), skipped, "the schedule fell behind: slots were skipped");
        let message = format!("{skipped} scheduled runs before this one were skipped: the schedule had fallen behind");
        let reason = Reason::new(ReasonCode::BehindSchedule, message);
        let Some(origin) = Origin::of_run(fired) else {
            // A name of its own here as well. No group is its own member, so nothing else is called so.
            let run = RunId::derive_member(fired.run, fired.check.id());
            return self.publish_untried_verdict(fired, run, Outcome::Missed, reason);
        };
        // A name of its own, since the run may yet end untried and be told under the endpoint's.
        let task = TaskId::derive(fired.run, &format!("{} skipped", origin.target.endpoint), 0);
        let mut result = self.result(task, origin, Outcome::Missed, reason);
        result.metrics.insert("slots".into(), skipped as f64);
        self.publish_result(&result, true);
    }

    /// Reports on what no task was made for.
    pub(super) fn settle_untried(&mut self, origin: Option<Origin>, outcome: Outcome, reason: Reason) {
        let Some(origin) = origin else { return };
        let request = origin.request;
        let keep = request.is_none() || self.is_of_a_check_in_force(origin.run);
        let task = TaskId::derive(origin.run, &origin.target.endpoint, 0);
        let result = self.result(task, origin, outcome, reason);
        self.publish_result(&result, keep);
        self.tell_request(request, result);
    }

    fn report_for(&mut self, task: TaskId, pending: Pending, outcome: Outcome, reason: Reason) {
        let origin = Origin::of_task(&pending);
        let keep = self.is_of_a_check_in_force(pending.run);
        let result = self.result(task, origin, outcome, reason);
        self.publish_result(&result, keep);
        self.settled(pending, result);
    }

    /// A result that the Checker makes itself, since no Runner did.
    pub(super) fn result(
        &self,
        task: TaskId,
        origin: Origin,
        outcome: Outcome,
        reason: impl Into<Option<Reason>>,
    ) -> TaskResult {
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
            reason: reason.into(),
            phases_us: PhasesUs::default(),
            hops: Vec::new(),
            assertions: Vec::new(),
            http: None,
            tls: None,
            evidence: None,
            metrics: BTreeMap::new(),
            config_generation: origin.config_generation,
        }
    }

    /// With `keep` it is one of the last results of its check.
    pub(super) fn publish_result(&mut self, result: &TaskResult, keep: bool) {
        self.cx.stats.settled(result.outcome);
        if let (Verdict::Undecided, Some(reason)) = (verdict_of(result.outcome), &result.reason) {
            self.cx.stats.shed(&reason.code);
        }
        if self.outbox.try_send(Outbound::Result { result: Box::new(result.clone()), keep }).is_err() {
            self.cx.stats.results_unsent.increment();
            tracing::warn!(task = %result.task, check = %result.check, outcome = %result.outcome, "the queue to the bus is full: a result was not published");
        }
    }
}
