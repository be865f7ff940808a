//! Carries out what the pool has decided: tasks and workers are moved on, refusals become reports.

use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use watchpost_core::{Pool, Refusal, Step, Tick};
use watchpost_model::{CheckId, Outcome, Reason, ReasonCode, RunId, TaskId};

use super::super::execute::{Execute, execute};
use super::super::intake::Job;
use super::super::report::Report;
use super::super::worker::Worker;
use super::{Dispatcher, Running, shutting_down};

impl Dispatcher {
    /// Asks the pool, and does what it says.
    pub(super) fn decide(
        &mut self,
        ask: impl FnOnce(&mut Pool<TaskId, CheckId, Worker, Job>, Tick, &mut Vec<Step<TaskId, Worker, Job>>),
    ) {
        let mut steps = Vec::new();
        ask(&mut self.pool, self.cx.clock.tick(), &mut steps);
        self.steps.extend(steps);
        self.carry_out();
    }

    pub(super) fn carry_out(&mut self) {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Start { key, job, worker, waited } => self.start(key, job, worker, waited),
                Step::Refuse { job, refusal: Refusal::Duplicate, .. } => self.drop_duplicate(job),
                Step::Refuse { job, refusal, waited, .. } => {
                    let reason = self.reason_of(refusal, &job, waited);
                    self.refuse(job, waited, reason);
                }
                Step::Build { seat } => {
                    let worker = Worker::try_new(self.workers_made, &self.factory);
                    self.workers_made += 1;
                    let mut steps = Vec::new();
                    self.pool.built(self.cx.clock.tick(), seat, worker, &mut steps);
                    self.steps.extend(steps);
                }
                Step::Dismiss { worker } => {
                    tracing::debug!(check_type = %self.check_type, worker = worker.id(), "worker dismissed");
                }
            }
        }
    }

    /// Moves task and worker into the message that starts the work (O4).
    pub(super) fn start(&mut self, task: TaskId, job: Job, worker: Worker, waited: Duration) {
        // Its senders are the intakes and what runs: without any of them nobody could have sent this task.
        let Some(home) = self.home.upgrade() else { return };
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.panic_with_task_in_hand), "as the test asked");
        tracing::debug!(%task, check = %job.task.check, check_type = %self.check_type, worker = worker.id(), "worker taken");
        let (cancel, cancelled) = oneshot::channel();
        self.running.insert(task, Running { run: job.task.run, cancel: Some(cancel) });
        let message = Execute { job, worker, waited, cancelled };
        tokio::spawn(execute(Arc::clone(&self.cx), message, home));
    }

    pub(super) fn reason_of(&self, refusal: Refusal, job: &Job, waited: Duration) -> Reason {
        let check_type = self.check_type;
        match refusal {
            Refusal::QueueFull => {
                let message = format!("{} {check_type} tasks wait for a worker already", self.settings.queue_max);
                Reason::new(ReasonCode::Overloaded, message)
            }
            Refusal::NoFreeWorker => {
                let message =
                    format!("none of the {} {check_type} workers was free within {waited:.1?}", self.pool.stats().size);
                Reason::new(ReasonCode::NoFreeWorker, message)
            }
            Refusal::DeadlinePassed => {
                let message = format!("it arrived after its deadline, {}", job.task.deadline);
                Reason::new(ReasonCode::DeadlinePassed, message)
            }
            Refusal::Closed | Refusal::Cancelled | Refusal::Duplicate => shutting_down(),
        }
    }

    /// The one that is or was here is reported.
    pub(super) fn drop_duplicate(&self, job: Job) {
        self.cx.stats.tasks_duplicate.increment();
        tracing::debug!(task = %job.task.task, check = %job.task.check, "a duplicate was dropped");
        job.admission.reported();
    }

    pub(super) fn refuse(&mut self, job: Job, waited: Duration, reason: Reason) {
        self.forget(job.task.run, job.task.task);
        self.cx.stats.shed(&reason.code);
        self.send(Report::untried(&self.cx, job, waited, Outcome::Cancelled, reason));
    }

    /// A task waits and runs no more.
    pub(super) fn forget(&mut self, run: RunId, task: TaskId) {
        if let Entry::Occupied(mut tasks) = self.of_run.entry(run) {
            tasks.get_mut().remove(&task);
            if tasks.get().is_empty() {
                tasks.remove();
            }
        }
    }

    /// Hands a report on. Invariant: the queue has room for every task that can be admitted.
    pub(super) fn send(&self, report: Report) {
        report.ended();
        if let Err(error) = self.reports.try_send(report) {
            tracing::error!(%error, "a report could not be queued; this is a defect of Watchpost");
        }
    }
}
