//! The Dispatcher: gives each task of one check type a free worker, or lets it wait for one, or
//! cancels it. Its decisions are those of [`Pool`].

mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_core::{Arrival, Class, Limits, Pool, PoolStats, Refusal, Step, Tick};
use watchpost_model::{CancelTasks, CheckId, CheckType, Reason, ReasonCode, RunId, TaskClass, TaskId};
use watchpost_probe::ProbeFactory;

use super::RunnerContext;
use super::cancelled::{Cancelled, Id, NotRun};
use super::intake::Job;
use super::report::{Report, ReportSender};
use super::worker::Worker;
use crate::actor::Behaviour;
use crate::clock::Clock;
use crate::settings::PoolSettings;

/// How many messages may wait for a Dispatcher. Whoever sends one more waits; the tasks in them were
/// admitted, which bounds those.
const INBOX_MAX: usize = 1024;

/// Everything that can happen to a Dispatcher.
pub(super) enum Event {
    /// Run these tasks. They were admitted, which bounds how many of them there are.
    Run(Vec<Job>),
    /// A task ended, and its worker is home.
    Finished(Finished),
    /// Stop the tasks that it names, those that are here and those that are still to come. Tells how many are here.
    Cancel(Arc<CancelTasks>, oneshot::Sender<usize>),
    /// Have so many workers.
    Resize(PoolSettings),
    /// Take nothing more, and cancel what waits.
    Close,
    /// Cancel what runs.
    CancelAll,
    /// How does the pool stand?
    Ask(oneshot::Sender<PoolStats>),
    /// Panic now, or with the next task and its worker in hand.
    #[cfg(test)]
    Panic { with_task_in_hand: bool },
}

/// A task that ended.
pub(super) struct Finished {
    pub(super) task: TaskId,
    pub(super) worker: Worker,
    /// Whether the probe panicked, so that nobody knows what the worker is like now.
    pub(super) broken: bool,
    /// None where making it panicked, which its admission has counted and told.
    pub(super) report: Option<Report>,
}

/// The way to a Dispatcher.
pub(super) type Address = mpsc::Sender<Event>;

/// The actor's state and decisions.
pub(super) struct Dispatcher {
    cx: Arc<RunnerContext>,
    check_type: CheckType,
    settings: PoolSettings,
    factory: ProbeFactory,
    workers_made: usize,
    pool: Pool<TaskId, CheckId, Worker, Job>,
    /// What came in and the pool has not heard of yet.
    arrived: VecDeque<Job>,
    /// What the pool has decided and is not carried out yet.
    steps: VecDeque<Step<TaskId, Worker, Job>>,
    /// What runs, and how to stop it.
    running: BTreeMap<TaskId, Running>,
    /// What waits or runs, by its run.
    of_run: BTreeMap<RunId, BTreeSet<TaskId>>,
    cancelled: Cancelled,
    reports: ReportSender,
    /// Where tasks come home to. Weak, since it must not keep itself alive.
    home: mpsc::WeakSender<Event>,
    #[cfg(test)]
    panic_with_task_in_hand: bool,
}

struct Running {
    run: RunId,
    /// Taken when it is told to stop.
    cancel: Option<oneshot::Sender<Reason>>,
}

/// Starts the Dispatcher of one check type.
pub(super) fn start(
    cx: &Arc<RunnerContext>,
    check_type: CheckType,
    factory: &ProbeFactory,
    reports: ReportSender,
) -> Address {
    let settings = cx.settings.pool(check_type);
    let limits = Limits {
        queue_max: settings.queue_max,
        wait_max: cx.settings.wait_max,
        per_check_max: settings.per_check_max(),
    };
    let workers = (0..settings.size).map(|id| Worker::new(id, factory)).collect();
    let (address, inbox) = mpsc::channel(INBOX_MAX);
    let dispatcher = Dispatcher {
        cx: Arc::clone(cx),
        check_type,
        settings,
        factory: Arc::clone(factory),
        workers_made: settings.size,
        pool: Pool::new(limits, workers),
        arrived: VecDeque::new(),
        steps: VecDeque::new(),
        running: BTreeMap::new(),
        of_run: BTreeMap::new(),
        cancelled: Cancelled::default(),
        reports,
        home: address.downgrade(),
        #[cfg(test)]
        panic_with_task_in_hand: false,
    };
    crate::actor::start(dispatcher, inbox, Arc::clone(&cx.stats));
    address
}

impl Behaviour for Dispatcher {
    type Event = Event;
    const NAME: &'static str = "Dispatcher";

    /// After a panic: what was decided is carried out, what came in is taken, and a worker that was lost on
    /// its way out or home is made anew. What it was to run is dropped with it, which its admission counts
    /// and tells.
    fn begin(&mut self) {
        self.carry_out();
        self.take_arrived();
        let lost: Vec<TaskId> = self.pool.running().filter(|task| !self.running.contains_key(task)).collect();
        for task in lost {
            self.decide(|pool, now, steps| pool.worker_lost(now, task, steps));
        }
        // Nothing is being built by now: what was, is lost as well.
        for seat in self.pool.building().collect::<Vec<_>>() {
            self.decide(|pool, now, steps| pool.built(now, seat, None, steps));
        }
        let held = |task: &TaskId| self.pool.holds(*task);
        self.of_run.retain(|_, tasks| {
            tasks.retain(held);
            !tasks.is_empty()
        });
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Run(jobs) => {
                self.arrived.extend(jobs);
                self.take_arrived();
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Cancel(cancel, stopped) => {
                let number = self.cancel(&cancel);
                // Whoever asked may have given up.
                let _gone = stopped.send(number);
            }
            Event::Resize(settings) => self.resize(settings),
            Event::Close => self.decide(Pool::close),
            Event::CancelAll => {
                self.running.values_mut().for_each(|running| {
                    running.stop(shutting_down());
                });
            }
            // Whoever asked may have given up.
            Event::Ask(answer) => drop(answer.send(self.pool.stats())),
            #[cfg(test)]
            Event::Panic { with_task_in_hand: true } => self.panic_with_task_in_hand = true,
            #[cfg(test)]
            Event::Panic { .. } => panic!("as the test asked"),
        }
    }

    fn next_wake(&self) -> Option<Tick> {
        self.pool.next_wake()
    }

    fn wake(&mut self) {
        self.decide(Pool::advance);
    }

    fn clock(&self) -> &dyn Clock {
        &*self.cx.clock
    }
}

impl Dispatcher {
    /// One at a time, so that a panic costs one.
    fn take_arrived(&mut self) {
        while let Some(job) = self.arrived.pop_front() {
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        let now = self.cx.clock.tick();
        // One that is here already is a duplicate and no more, also where it was cancelled.
        if !self.pool.holds(job.task.task) {
            match self.cancelled.why_not(now, &job.task) {
                Some(NotRun::Told) => return self.drop_duplicate(job),
                Some(NotRun::Cancelled(reason)) => {
                    self.cancelled.note_told(now, job.task.task);
                    return self.refuse(job, Duration::ZERO, reason);
                }
                None => {}
            }
            self.of_run.entry(job.task.run).or_default().insert(job.task.task);
        }
        let arrival = Arrival {
            key: job.task.task,
            check: job.task.check.clone(),
            class: match job.task.class {
                TaskClass::AdHoc => Class::AdHoc,
                TaskClass::Scheduled => Class::Scheduled,
            },
            deadline: job.deadline,
        };
        self.decide(|pool, now, steps| pool.submit(now, arrival, job, steps));
    }

    fn finished(&mut self, Finished { task, worker, broken, report }: Finished) {
        tracing::debug!(%task, check_type = %self.check_type, worker = worker.id(), "worker returned");
        if let Some(running) = self.running.remove(&task) {
            self.forget(running.run, task);
        }
        // The worker first: what waits goes on while the report is on its way.
        if broken {
            tracing::warn!(check_type = %self.check_type, worker = worker.id(), "a worker is built anew after a panic");
            drop(worker);
            self.decide(|pool, now, steps| pool.worker_lost(now, task, steps));
        } else {
            self.decide(|pool, now, steps| pool.worker_returned(now, task, worker, steps));
        }
        if let Some(report) = report {
            self.send(report);
        }
    }

    /// Says how many tasks are stopped that were here.
    fn cancel(&mut self, cancel: &CancelTasks) -> usize {
        let mut stopped = 0;
        let reason = Arc::new(Reason::new(cancel.cause.reason_code(), cancel.message.clone()));
        let now = self.cx.clock.tick();
        let of_runs = cancel.runs.iter().filter_map(|run| self.of_run.get(run)).flatten();
        let named: BTreeSet<TaskId> = cancel.tasks.iter().chain(of_runs).copied().collect();
        for task in named {
            if let Some(running) = self.running.get_mut(&task) {
                stopped += usize::from(running.stop(Reason::clone(&reason)));
                self.cancelled.note_told(now, task);
                continue;
            }
            let mut steps = Vec::new();
            if self.pool.cancel(now, task, &mut steps) {
                stopped += 1;
                self.cancelled.note_told(now, task);
            } else {
                self.cancelled.note_ahead(now, Id::Task(task), &reason);
            }
            for step in steps {
                match step {
                    Step::Refuse { job, refusal: Refusal::Cancelled, waited, .. } => {
                        self.refuse(job, waited, Reason::clone(&reason));
                    }
                    other => self.steps.push_back(other),
                }
            }
        }
        for run in &cancel.runs {
            self.cancelled.note_ahead(now, Id::Run(*run), &reason);
        }
        self.carry_out();
        stopped
    }

    fn resize(&mut self, settings: PoolSettings) {
        if settings.size != self.settings.size {
            tracing::info!(check_type = %self.check_type, from = self.settings.size, to = settings.size, "the pool is resized");
        }
        self.settings.size = settings.size;
        self.decide(|pool, now, steps| pool.resize(now, settings.size, settings.per_check_max(), steps));
    }
}

impl Running {
    /// Says whether it is stopped by this: it may have been told before, or have ended on its own just now, and then
    /// its outcome is on its way.
    fn stop(&mut self, reason: Reason) -> bool {
        self.cancel.take().is_some_and(|cancel| cancel.send(reason).is_ok())
    }
}

fn shutting_down() -> Reason {
    Reason::new(ReasonCode::ShuttingDown, "the Runner is stopping")
}
