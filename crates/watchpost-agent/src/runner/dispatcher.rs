//! The Dispatcher: gives each task of one check type a free worker, or lets it wait for one, or
//! cancels it. Its decisions are those of [`Pool`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::oneshot;
use watchpost_core::{Limits, Pool, PoolStats, Refusal, Step, Tick};
use watchpost_model::{CancelTasks, CheckType, Outcome, Reason, ReasonCode, RunId, TaskId};

use super::RunnerContext;
use super::cancelled::{CancelledAhead, Id};
use super::execute::{Execute, execute};
use super::homecoming::{self, Home, Homecoming};
use super::intake::Job;
use super::report::{Report, ReportSender};
use super::worker::Worker;
use crate::settings::PoolSettings;

/// The actor.
pub(super) struct Dispatcher {
    cx: Arc<RunnerContext>,
    check_type: CheckType,
    queue_max: usize,
    pool: Pool<TaskId, Worker, Job>,
    /// What runs, and how to stop it.
    running: HashMap<TaskId, Running>,
    cancelled_ahead: CancelledAhead,
    reports: ReportSender,
    /// Where tasks that ended go on their way back here.
    homecoming: Homecoming,
    /// The timer that is set for the next wait to be over.
    expiry: Option<(Tick, SpawnHandle)>,
}

struct Running {
    run: RunId,
    /// Taken when it is told to stop.
    cancel: Option<oneshot::Sender<Reason>>,
}

impl Dispatcher {
    pub(super) fn new(
        cx: Arc<RunnerContext>,
        check_type: CheckType,
        settings: PoolSettings,
        workers: Vec<Worker>,
        reports: ReportSender,
    ) -> Self {
        let limits = Limits { queue_max: settings.queue_max, wait_max: cx.settings.wait_max };
        Self {
            cx,
            check_type,
            queue_max: settings.queue_max,
            pool: Pool::new(limits, workers),
            running: HashMap::new(),
            cancelled_ahead: CancelledAhead::default(),
            reports,
            homecoming: homecoming::start(settings.size),
            expiry: None,
        }
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;
}

/// Run these tasks. They were admitted, which bounds how many of them there are.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct RunTasks(pub(super) Vec<Job>);

impl Handler<RunTasks> for Dispatcher {
    type Result = ();

    fn handle(&mut self, RunTasks(jobs): RunTasks, ctx: &mut Self::Context) {
        self.expire();
        for job in jobs {
            let now = self.cx.clock.tick();
            if let Some(reason) = self.cancelled_ahead.reason(now, &job.task) {
                self.refuse(job, Duration::ZERO, reason);
                continue;
            }
            let step = self.pool.submit(now, job.task.task, job.deadline, job);
            self.carry_out(step, ctx);
        }
        self.set_timer(ctx);
    }
}

/// A task ended, and its worker is home.
pub(super) struct Finished {
    pub(super) task: TaskId,
    pub(super) worker: Worker,
    pub(super) report: Report,
}

/// Tasks that ended at about the same time, each with its worker.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct AllFinished(pub(super) Vec<Finished>);

impl Handler<AllFinished> for Dispatcher {
    type Result = ();

    fn handle(&mut self, AllFinished(all): AllFinished, ctx: &mut Self::Context) {
        for Finished { task, worker, report } in all {
            tracing::debug!(%task, check_type = %self.check_type, worker = worker.id(), "worker returned");
            self.running.remove(&task);
            self.expire();
            if let Some(step) = self.pool.worker_returned(self.cx.clock.tick(), task, worker) {
                self.carry_out(step, ctx);
            }
            self.send(report);
        }
        self.set_timer(ctx);
    }
}

/// Stop the tasks that it names, those that are here and those that are still to come.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CancelRunning(pub(super) Arc<CancelTasks>);

impl Handler<CancelRunning> for Dispatcher {
    type Result = ();

    fn handle(&mut self, CancelRunning(cancel): CancelRunning, ctx: &mut Self::Context) {
        let reason = Reason::new(cancel.cause.reason_code(), cancel.message.clone());
        let runs: HashSet<&RunId> = cancel.runs.iter().collect();
        let of_runs = |run: &RunId| runs.contains(run);
        let named: HashSet<&TaskId> = cancel.tasks.iter().collect();
        let mut waiting = cancel.tasks.clone();
        waiting.extend(self.pool.waiting().filter(|(_, job)| of_runs(&job.task.run)).map(|(task, _)| task));
        let now = self.cx.clock.tick();
        let shared = Arc::new(reason.clone());
        for task in waiting {
            match self.pool.cancel(now, task) {
                Some(Step::Refuse { job, waited, .. }) => self.refuse(job, waited, reason.clone()),
                _ if self.running.contains_key(&task) => {}
                _ => self.cancelled_ahead.note(now, Id::Task(task), &shared),
            }
        }
        for run in &cancel.runs {
            self.cancelled_ahead.note(now, Id::Run(*run), &shared);
        }
        for (task, running) in &mut self.running {
            if named.contains(task) || of_runs(&running.run) {
                running.stop(reason.clone());
            }
        }
        self.set_timer(ctx);
    }
}

/// Take nothing more, and cancel what waits.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Close;

impl Handler<Close> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Close: Close, ctx: &mut Self::Context) {
        while let Some(step) = self.pool.close(self.cx.clock.tick()) {
            self.carry_out(step, ctx);
        }
        self.set_timer(ctx);
    }
}

/// Cancel what runs.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CancelAll;

impl Handler<CancelAll> for Dispatcher {
    type Result = ();

    fn handle(&mut self, CancelAll: CancelAll, _: &mut Self::Context) {
        let reason = shutting_down();
        for running in self.running.values_mut() {
            running.stop(reason.clone());
        }
    }
}

/// How does the pool stand?
#[derive(Message)]
#[rtype(result = "(usize, PoolStats)")]
pub(super) struct AskPool;

impl Handler<AskPool> for Dispatcher {
    type Result = actix::MessageResult<AskPool>;

    fn handle(&mut self, AskPool: AskPool, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult((self.pool.size(), self.pool.stats()))
    }
}

impl Dispatcher {
    fn carry_out(&mut self, step: Step<Worker, Job>, ctx: &mut Context<Self>) {
        match step {
            Step::Wait => {}
            Step::Start { job, worker, waited } => {
                let (cancel, cancelled) = oneshot::channel();
                let (task, run) = (job.task.task, job.task.run);
                tracing::debug!(%task, check = %job.task.check, check_type = %self.check_type, worker = worker.id(), "worker taken");
                self.running.insert(task, Running { run, cancel: Some(cancel) });
                let message = Execute { job, worker, waited, cancelled };
                let home = Home { dispatcher: ctx.address(), homecoming: self.homecoming.clone() };
                tokio::spawn(execute(Arc::clone(&self.cx), message, home));
            }
            Step::Refuse { job, refusal: Refusal::Duplicate, .. } => {
                // The one that is here already will be reported.
                self.cx.stats.tasks_duplicate.increment();
                tracing::debug!(task = %job.task.task, check = %job.task.check, "a duplicate was dropped");
                job.admission.reported();
            }
            Step::Refuse { job, refusal, waited } => {
                let reason = self.reason_of(refusal, &job, waited);
                self.refuse(job, waited, reason);
            }
        }
    }

    fn reason_of(&self, refusal: Refusal, job: &Job, waited: Duration) -> Reason {
        let check_type = self.check_type;
        match refusal {
            Refusal::QueueFull => {
                self.cx.stats.tasks_overloaded.increment();
                let message = format!("{} {check_type} tasks wait for a worker already", self.queue_max);
                Reason::new(ReasonCode::Overloaded, message)
            }
            Refusal::NoFreeWorker => {
                let message =
                    format!("none of the {} {check_type} workers was free within {waited:.1?}", self.pool.size());
                Reason::new(ReasonCode::NoFreeWorker, message)
            }
            Refusal::DeadlinePassed => {
                let message = format!("it arrived after its deadline, {}", job.task.deadline);
                Reason::new(ReasonCode::DeadlinePassed, message)
            }
            Refusal::Closed | Refusal::Cancelled | Refusal::Duplicate => shutting_down(),
        }
    }

    fn refuse(&self, job: Job, waited: Duration, reason: Reason) {
        self.send(Report::untried(&self.cx, job, waited, Outcome::Cancelled, reason));
    }

    /// Hands a report on. Invariant: the queue has room for every task that can be admitted.
    fn send(&self, report: Report) {
        report.ended();
        if let Err(error) = self.reports.try_send(report) {
            tracing::error!(%error, "a report could not be queued; this is a defect of Watchpost");
        }
    }

    fn expire(&mut self) {
        let now = self.cx.clock.tick();
        while let Some(step) = self.pool.expire(now) {
            if let Step::Refuse { job, refusal, waited } = step {
                let reason = self.reason_of(refusal, &job, waited);
                self.refuse(job, waited, reason);
            }
        }
    }

    /// Keeps one timer for the next wait that will be over.
    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let next = self.pool.next_expiry();
        if self.expiry.map(|(at, _)| at) == next {
            return;
        }
        if let Some((_, handle)) = self.expiry.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = next {
            let delay = at.since(self.cx.clock.tick());
            let handle = ctx.run_later(delay, |dispatcher, ctx| {
                dispatcher.expiry = None;
                dispatcher.expire();
                dispatcher.set_timer(ctx);
            });
            self.expiry = Some((at, handle));
        }
    }
}

impl Running {
    fn stop(&mut self, reason: Reason) {
        if let Some(cancel) = self.cancel.take() {
            // It may have ended on its own just now: then its outcome is on its way.
            let _gone = cancel.send(reason);
        }
    }
}

fn shutting_down() -> Reason {
    Reason::new(ReasonCode::ShuttingDown, "the Runner is stopping")
}
