//! The Runner: takes tasks from the bus, one pool of workers and one Dispatcher for each check
//! type, and reports one outcome for each task that it accepted.
//!
//! A task's way: [`intake`] reads it and admits it → the Dispatcher asks its pool → task and worker
//! are moved into [`execute`] → both come home in `Finished` → the worker goes back to the pool, the
//! report to [`report`], which publishes it. The admission that it got at the intake travels with it
//! all the way, so that what is accepted and not yet reported is bounded and known by name.

mod admission;
mod audited;
mod cancelled;
mod dispatcher;
mod drain;
mod execute;
mod intake;
mod report;
mod stop;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};
use watchpost_audit::AuditLog;
use watchpost_bus::SharedBus;
use watchpost_core::PoolStats;
use watchpost_model::{CheckType, Subjects};
use watchpost_probe::ProbeSet;

use crate::AgentError;
use crate::clock::Clock;
use crate::control::Tally;
use crate::helpers::Helpers;
use crate::settings::{AgentSettings, PoolSettings};
use crate::stats::Stats;
use crate::trust::Trust;
pub(crate) use admission::Admissions;
use dispatcher::{Address, Event};

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
    pub(crate) helpers: Helpers,
    /// Counts the requests to cancel, which are heard here.
    pub(crate) tally: Arc<Tally>,
    pub(crate) audit: AuditLog,
    /// Whose checks are run, where not everybody's are.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// How one pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Its type.
    pub check_type: CheckType,
    /// How many workers it has.
    pub size: usize,
    /// How many it is to have: it shrinks as workers come home.
    pub target: usize,
    /// Workers that wait for a task.
    pub idle: usize,
    /// Workers that are out with a task.
    pub busy: usize,
    /// Workers that are built anew after a panic.
    pub rebuilding: usize,
    /// Tasks that wait for a worker.
    pub waiting: usize,
}

impl PoolStatus {
    fn new(check_type: CheckType, stats: PoolStats) -> Self {
        let PoolStats { size, target, idle, busy, rebuilding, waiting } = stats;
        Self { check_type, size, target, idle, busy, rebuilding, waiting }
    }
}

/// A Runner at work.
pub(crate) struct Runner {
    cx: Arc<RunnerContext>,
    pools: Vec<PoolOf>,
    /// Told not to take tasks, the intakes unsubscribe, and hand on what had arrived.
    intakes: watch::Sender<Intakes>,
    /// How many intakes are subscribed.
    listening: Arc<watch::Sender<usize>>,
    /// Dropped with it, which ends the listener to cancels: those are heard while it drains, too.
    _alive: oneshot::Sender<()>,
}

/// What belongs to one check type.
struct PoolOf {
    check_type: CheckType,
    dispatcher: Address,
    /// Bounds how many tasks of the type are accepted and not yet reported.
    permits: Arc<Semaphore>,
    sizing: Mutex<Sizing>,
}

/// How a pool was sized last.
struct Sizing {
    settings: PoolSettings,
    /// How many permits there are, free or out.
    permits: usize,
}

impl Runner {
    /// Starts a Runner for every type that `probes` can check. It is subscribed before it returns.
    pub(crate) async fn start(cx: RunnerContext, probes: &ProbeSet) -> Result<Self, AgentError> {
        let cx = Arc::new(cx);
        let (intakes, wanted) = watch::channel(Intakes::Take);
        let listening = Arc::new(watch::Sender::new(0));
        // A pool may grow later: there is room for the reports of the largest.
        let reports_max = |check_type| PoolSettings { size: PoolSettings::SIZE_MAX, ..cx.settings.pool(check_type) };
        let reports_max = probes.iter().map(|(check_type, _)| accepted_max(reports_max(check_type))).sum();
        let reporter = report::start(Arc::clone(&cx), reports_max);
        let mut pools = Vec::new();
        for (check_type, factory) in probes.iter() {
            let settings = cx.settings.pool(check_type);
            pools.push(PoolOf {
                check_type,
                dispatcher: dispatcher::start(&cx, check_type, factory, reporter.clone()),
                permits: Arc::new(Semaphore::new(accepted_max(settings))),
                sizing: Mutex::new(Sizing { settings, permits: accepted_max(settings) }),
            });
        }
        for PoolOf { check_type, dispatcher, permits, .. } in &pools {
            let tasks = subscribe(&cx, cx.subjects.task(*check_type), Some(Subjects::RUNNERS)).await?;
            let intake = intake::Intake {
                cx: Arc::clone(&cx),
                check_type: *check_type,
                permits: Arc::clone(permits),
                dispatcher: dispatcher.clone(),
                listening: Arc::clone(&listening),
            };
            listening.send_modify(|listening| *listening += 1);
            cx.helpers.spawn("intake", intake.take_tasks(tasks, wanted.clone()));
        }
        let cancels = subscribe(&cx, cx.subjects.task_cancel(), None).await?;
        let dispatchers = pools.iter().map(|pool| pool.dispatcher.clone()).collect();
        let (alive, gone) = oneshot::channel();
        cx.helpers.spawn("cancels", intake::take_cancels(Arc::clone(&cx), cancels, dispatchers, gone));
        Ok(Self { cx, pools, intakes, listening, _alive: alive })
    }

    /// How many accepted tasks have no outcome yet, and how many have one that is not sent yet.
    pub(crate) fn open_and_unsent(&self) -> (usize, usize) {
        self.cx.admissions.count()
    }

    /// How its pools stand.
    pub(crate) async fn pools(&self) -> Result<Vec<PoolStatus>, AgentError> {
        let mut all = Vec::new();
        for pool in &self.pools {
            all.push(pool.status().await?);
        }
        Ok(all)
    }

    #[cfg(test)]
    pub(crate) async fn panic_dispatcher(&self, check_type: CheckType, with_task_in_hand: bool) {
        for pool in self.pools.iter().filter(|pool| pool.check_type == check_type) {
            pool.dispatcher.send(Event::Panic { with_task_in_hand }).await.unwrap();
        }
    }

    /// Gives each pool the size that `pools` has for it, or the default, and the share of it that one check may hold.
    /// Tasks and workers that are out are left alone.
    pub(crate) async fn resize(&self, pools: &BTreeMap<CheckType, PoolSettings>) -> Result<(), AgentError> {
        for pool in &self.pools {
            pool.resize(pools.get(&pool.check_type).copied().unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Gives one pool another size, and says how it stands then; `None` where there is no such pool.
    pub(crate) async fn resize_one(
        &self,
        check_type: CheckType,
        wanted: PoolSettings,
    ) -> Result<Option<PoolStatus>, AgentError> {
        let Some(pool) = self.pools.iter().find(|pool| pool.check_type == check_type) else { return Ok(None) };
        pool.resize(wanted).await?;
        Ok(Some(pool.status().await?))
    }
}

/// What the intakes are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intakes {
    /// Take tasks.
    Take,
    /// Take none until they are told to take some again.
    Rest,
    /// End.
    Stop,
}

impl PoolOf {
    async fn resize(&self, wanted: PoolSettings) -> Result<(), AgentError> {
        self.make_room(wanted);
        // Told also where nothing seems to change: that the last word was heeded is for the pool to know.
        self.dispatcher.send(Event::Resize(wanted)).await.map_err(|_| AgentError::ActorGone("Dispatcher"))
    }

    async fn status(&self) -> Result<PoolStatus, AgentError> {
        let gone = || AgentError::ActorGone("Dispatcher");
        let (answer, stats) = oneshot::channel();
        self.dispatcher.send(Event::Ask(answer)).await.map_err(|_| gone())?;
        Ok(PoolStatus::new(self.check_type, stats.await.map_err(|_| gone())?))
    }

    /// Makes room for what a pool of that size accepts. The length of the queue is taken at the start alone.
    fn make_room(&self, wanted: PoolSettings) {
        let mut sizing = self.sizing.lock();
        sizing.settings = PoolSettings { queue_max: sizing.settings.queue_max, ..wanted };
        let room = accepted_max(sizing.settings);
        if room > sizing.permits {
            self.permits.add_permits(room - sizing.permits);
            sizing.permits = room;
        } else {
            // Permits that are out cannot be taken back; then the bound stays that much larger.
            sizing.permits -= self.permits.forget_permits(sizing.permits - room);
        }
    }
}

/// How many tasks of one type may be accepted and not yet reported.
fn accepted_max(pool: PoolSettings) -> usize {
    pool.size + pool.queue_max + REPORTS_HELD_MAX
}

async fn subscribe(
    cx: &RunnerContext,
    subject: String,
    queue: Option<&str>,
) -> Result<watchpost_bus::Subscription, AgentError> {
    cx.bus.subscribe(&subject, queue).await.map_err(|source| AgentError::Subscribe { subject: subject.clone(), source })
}
