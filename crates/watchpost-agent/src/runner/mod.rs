//! The Runner: takes tasks from the bus, one pool of workers and one Dispatcher for each check
//! type, and reports one outcome for each task that it accepted.
//!
//! A task's way: [`intake`] reads it and admits it → the Dispatcher asks its pool → task and worker
//! are moved into [`execute`] → both come home in `Finished`, by way of [`homecoming`] → the worker
//! goes back to the pool, the report to [`report`], which publishes it. The admission that it got at
//! the intake travels with it all the way, so that what is accepted and not yet reported is bounded
//! and known by name.

mod admission;
mod cancelled;
mod dispatcher;
mod execute;
mod homecoming;
mod intake;
mod report;
mod stop;
mod worker;

use std::sync::Arc;

use actix::{Actor, Addr};
use tokio::sync::watch;
use watchpost_bus::SharedBus;
use watchpost_model::{CheckType, Subjects};
use watchpost_probe::ProbeSet;

use crate::AgentError;
use crate::clock::Clock;
use crate::settings::AgentSettings;
use crate::stats::Stats;
pub(crate) use admission::Admissions;
use dispatcher::{AskPool, Dispatcher};
use worker::Worker;

/// How many reports may wait to be published beyond what waits or runs: room for results that are
/// held while the bus is away.
const REPORTS_HELD_MAX: usize = 4096;

/// What everything that belongs to one Runner shares.
pub(crate) struct RunnerContext {
    pub(crate) settings: AgentSettings,
    pub(crate) subjects: Subjects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: SharedBus,
    pub(crate) stats: Arc<Stats>,
    pub(crate) admissions: Arc<Admissions>,
}

/// How one pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Its type.
    pub check_type: CheckType,
    /// How many workers it has.
    pub size: usize,
    /// Workers that wait for a task.
    pub idle: usize,
    /// Workers that are out with a task.
    pub busy: usize,
    /// Tasks that wait for a worker.
    pub waiting: usize,
}

/// A Runner at work.
pub(crate) struct Runner {
    cx: Arc<RunnerContext>,
    dispatchers: Vec<(CheckType, Addr<Dispatcher>)>,
    /// Told `true`, the intakes unsubscribe, hand on what had arrived, and end.
    stop_intake: watch::Sender<bool>,
}

impl Runner {
    /// Starts a Runner for every type that `probes` can check. It is subscribed before it returns.
    pub(crate) async fn start(cx: RunnerContext, probes: &ProbeSet) -> Result<Self, AgentError> {
        let cx = Arc::new(cx);
        let (stop_intake, stopped) = watch::channel(false);
        let reports_max = probes.iter().map(|(check_type, _)| cx.settings.pool(check_type)).map(accepted_max).sum();
        let reporter = report::start(Arc::clone(&cx), reports_max);
        let mut dispatchers = Vec::new();
        for (check_type, factory) in probes.iter() {
            let pool = cx.settings.pool(check_type);
            let workers = (0..pool.size).map(|id| Worker::new(check_type, id, Arc::clone(factory))).collect();
            let dispatcher = Dispatcher::new(Arc::clone(&cx), check_type, pool, workers, reporter.clone()).start();
            dispatchers.push((check_type, dispatcher));
        }
        for (check_type, dispatcher) in &dispatchers {
            let tasks = subscribe(&cx, cx.subjects.task(*check_type), Some(Subjects::RUNNERS)).await?;
            let permits = Arc::new(tokio::sync::Semaphore::new(accepted_max(cx.settings.pool(*check_type))));
            let intake = intake::Intake {
                cx: Arc::clone(&cx),
                check_type: *check_type,
                permits,
                dispatcher: dispatcher.clone(),
            };
            tokio::spawn(intake.take_tasks(tasks, stopped.clone()));
        }
        let cancels = subscribe(&cx, cx.subjects.task_cancel(), None).await?;
        let addrs = dispatchers.iter().map(|(_, addr)| addr.clone()).collect();
        tokio::spawn(intake::take_cancels(Arc::clone(&cx), cancels, addrs, stopped));
        Ok(Self { cx, dispatchers, stop_intake })
    }

    /// How its pools stand.
    pub(crate) async fn pools(&self) -> Result<Vec<PoolStatus>, AgentError> {
        let mut pools = Vec::new();
        for (check_type, dispatcher) in &self.dispatchers {
            let (size, stats) = dispatcher.send(AskPool).await.map_err(|_| AgentError::ActorGone("Dispatcher"))?;
            pools.push(PoolStatus {
                check_type: *check_type,
                size,
                idle: stats.idle,
                busy: stats.busy,
                waiting: stats.waiting,
            });
        }
        Ok(pools)
    }
}

/// How many tasks of one type may be accepted and not yet reported.
fn accepted_max(pool: crate::PoolSettings) -> usize {
    pool.size + pool.queue_max + REPORTS_HELD_MAX
}

async fn subscribe(
    cx: &RunnerContext,
    subject: String,
    queue: Option<&str>,
) -> Result<watchpost_bus::Subscription, AgentError> {
    cx.bus.subscribe(&subject, queue).await.map_err(|source| AgentError::Subscribe { subject: subject.clone(), source })
}
