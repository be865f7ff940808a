//! From a check that is due to tasks on their way.

use std::sync::Arc;
use std::time::Duration;

use actix::Context;
use watchpost_core::Tick;
use watchpost_model::{
    CancelCause, CancelTasks, Check, Endpoint, Firing, Outcome, Reason, ReasonCode, RunId, TargetReport, Task,
    TaskClass, TaskId, Timestamp, V1,
};

use super::publish::Outbound;
use super::requester::GONE;
use super::settle::Origin;
use super::{Checker, FIRE_BATCH, Pending};
use crate::adhoc::{RUN_TASKS_MAX, RunItem};
use crate::clock::{later, timestamp_us};

/// The part of a request's time that is kept back so that outcomes are there when it is over.
const REPORT_RESERVE_MAX: Duration = Duration::from_millis(100);
/// What that part grows to with the number of checks, up to a quarter of the request's time.
const REPORT_RESERVE_EACH: Duration = Duration::from_micros(250);

/// One firing of a check.
pub(super) struct Run {
    pub(super) check: Arc<Check>,
    pub(super) run: RunId,
    pub(super) scheduled_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) answer_by: Timestamp,
    /// The same on this process's own clock, from before the time of day could be set.
    pub(super) answer_by_tick: Tick,
    pub(super) config_generation: u64,
    pub(super) adhoc: Option<u64>,
}

impl Checker {
    pub(super) fn fire_due(&mut self, ctx: &mut Context<Self>) {
        if self.stopping.is_some() {
            return;
        }
        for _ in 0..FIRE_BATCH {
            let now = self.cx.clock.now();
            let Some(due) = self.schedule.pop_due(now.as_microsecond()) else { return };
            let (check, skipped) = (Arc::clone(due.value), due.skipped);
            let scheduled_at = timestamp_us(due.scheduled_at_us);
            let check_timeout = check.timeout().get();
            let deadline = later(now, check_timeout);
            let run = Run {
                run: RunId::derive(&self.cx.settings.bastion, check.id(), scheduled_at),
                check,
                scheduled_at,
                deadline,
                answer_by: later(deadline, self.cx.settings.answer_grace),
                answer_by_tick: self.cx.clock.tick().after(check_timeout).after(self.cx.settings.answer_grace),
                config_generation: self.generation,
                adhoc: None,
            };
            if skipped > 0 {
                self.report_skipped(&run, skipped);
            }
            self.cx.stats.runs.increment();
            self.begin(run, ctx);
        }
    }

    /// Runs every item once. The tasks' deadline lies a little before the request's, so that
    /// whoever asked has every outcome by then.
    pub(super) fn run_now(&mut self, adhoc: u64, items: Vec<RunItem>, limit: Duration, ctx: &mut Context<Self>) {
        let now = self.cx.clock.now();
        // Outcomes of many tasks that end at the same moment take their time to come in.
        let many = REPORT_RESERVE_EACH * u32::try_from(items.len()).unwrap_or(u32::MAX);
        let reserve = (limit / 10).min(REPORT_RESERVE_MAX).max(many.min(limit / 4));
        let answer_by_tick = self.cx.clock.tick().after(limit);
        let answer_by = later(now, limit);
        let deadline_max = later(now, limit.saturating_sub(reserve));
        for item in items {
            self.last_adhoc_us = now.as_microsecond().max(self.last_adhoc_us + 1);
            let scheduled_at = timestamp_us(self.last_adhoc_us);
            match item {
                RunItem::Check(check) => {
                    let run = RunId::derive(&self.cx.settings.bastion, check.id(), scheduled_at);
                    if let Some(adhoc) = self.adhocs.get_mut(&adhoc) {
                        adhoc.runs.push(run);
                    }
                    let deadline = later(now, check.timeout().get()).min(deadline_max);
                    let run = Run {
                        check: Arc::from(check),
                        run,
                        scheduled_at,
                        deadline,
                        answer_by,
                        answer_by_tick,
                        config_generation: self.generation,
                        adhoc: Some(adhoc),
                    };
                    self.begin(run, ctx);
                }
                RunItem::Invalid { id, given, message } => {
                    let run = RunId::derive(&self.cx.settings.bastion, &id, scheduled_at);
                    let reason = Reason::new(ReasonCode::InvalidTarget, message);
                    let origin = Origin {
                        check: id,
                        run,
                        scheduled_at,
                        check_type: None,
                        target: TargetReport { name: given.clone(), endpoint: given, address: None },
                        attempt: 0,
                        config_generation: self.generation,
                        adhoc: Some(adhoc),
                    };
                    self.settle_untried(origin, Outcome::Error, reason);
                }
            }
        }
        if let Some(adhoc) = self.adhocs.get_mut(&adhoc) {
            adhoc.filling = false;
        }
        self.forget_adhoc_if_done(adhoc);
    }

    /// Sends the tasks of a run, once its endpoints are known.
    fn begin(&mut self, run: Run, ctx: &mut Context<Self>) {
        if self.stopping.is_some() {
            let reason = Reason::new(ReasonCode::ShuttingDown, "the Checker is stopping");
            self.settle_whole_run(&run, Outcome::Cancelled, reason);
            return;
        }
        let Some(probe) = run.check.probe() else {
            let reason = Reason::new(ReasonCode::NotPublished, "groups of checks cannot be run yet");
            self.settle_whole_run(&run, Outcome::Missed, reason);
            return;
        };
        if let Some(endpoints) = probe.target.static_endpoints() {
            self.dispatch(&run, endpoints);
            return;
        }
        self.resolve(run, ctx);
    }

    pub(super) fn dispatch(&mut self, run: &Run, endpoints: Vec<Endpoint>) {
        if let Some(adhoc) = run.adhoc.and_then(|id| self.adhocs.get(&id))
            && adhoc.tasks + endpoints.len() > RUN_TASKS_MAX
        {
            let message =
                format!("one request may have {RUN_TASKS_MAX} tasks, and has {} without this check", adhoc.tasks);
            self.settle_whole_run(run, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
            return;
        }
        let Some(probe) = run.check.probe() else { return };
        let firing = Firing {
            run: run.run,
            bastion: &self.cx.settings.bastion,
            scheduled_at: run.scheduled_at,
            deadline: run.deadline,
            answer_by: run.answer_by,
            class: if run.adhoc.is_some() { TaskClass::AdHoc } else { TaskClass::Scheduled },
            config_generation: run.config_generation,
        };
        let task = |endpoint| Task::new(run.check.id(), probe, endpoint, &firing);
        let tasks: Vec<Task> = endpoints.into_iter().map(task).collect();
        for task in tasks {
            self.send(run, task);
        }
    }

    fn send(&mut self, run: &Run, task: Task) {
        let key = task.task;
        let pending = Pending {
            run: run.run,
            scheduled_at: run.scheduled_at,
            endpoint: task.endpoint.clone(),
            probe: Arc::clone(&task.probe),
            check: task.check.clone(),
            config_generation: run.config_generation,
            adhoc: run.adhoc,
        };
        if self.ledger.open(key, task.check.clone(), run.answer_by_tick, pending).is_err() {
            // The same slot fired twice, as after a clock that was set back: the first one counts.
            tracing::debug!(task = %key, check = %task.check, "this very task is outstanding already");
            return;
        }
        let refusal = match run.adhoc.and_then(|id| self.adhocs.get_mut(&id)) {
            None => None,
            Some(adhoc) => {
                adhoc.tasks += 1;
                if !adhoc.group.add(key) {
                    Some((Outcome::Cancelled, ReasonCode::GroupFailed, "another task of the group failed before"))
                } else if adhoc.results.is_closed() {
                    Some((Outcome::Cancelled, ReasonCode::RequesterGone, GONE))
                } else {
                    None
                }
            }
        };
        if let Some((outcome, code, message)) = refusal {
            self.settle_here(key, outcome, Reason::new(code, message));
            return;
        }
        if self.outbox.try_send(Outbound::Task(Box::new(task))).is_err() {
            let message = "the queue of tasks to publish is full: the bus takes them too slowly";
            self.settle_here(key, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
        }
    }

    /// Asks the Runners to stop tasks. A queue that is full is no harm: they end by their deadline.
    pub(super) fn cancel(&self, cause: CancelCause, message: &str, ids: CancelIds) {
        for cancel in ids.into_messages(cause, message) {
            if self.outbox.try_send(Outbound::Cancel(cancel)).is_err() {
                tracing::warn!("the queue to the bus is full: tasks could not be cancelled and end by their deadline");
            }
        }
    }
}

/// Which tasks to stop.
pub(super) enum CancelIds {
    Runs(Vec<RunId>),
    Tasks(Vec<TaskId>),
}

impl CancelIds {
    fn into_messages(self, cause: CancelCause, message: &str) -> Vec<CancelTasks> {
        let make = |runs: &[RunId], tasks: &[TaskId]| CancelTasks {
            v: V1,
            cause,
            message: message.to_owned(),
            runs: runs.to_vec(),
            tasks: tasks.to_vec(),
        };
        match self {
            Self::Runs(runs) => runs.chunks(CancelTasks::IDS_MAX).map(|runs| make(runs, &[])).collect(),
            Self::Tasks(tasks) => tasks.chunks(CancelTasks::IDS_MAX).map(|tasks| make(&[], tasks)).collect(),
        }
    }
}
