//! The Checker: keeps the checks, fires them when they are due, and knows of every task that it
//! sent until its one outcome is known.
//!
//! It touches the bus and the resolver, nothing else of the network.

mod dispatch;
mod handle;
mod listen;
mod publish;
mod requester;
mod resolve;
mod settle;
mod stop;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use tokio::sync::{mpsc, oneshot};
use watchpost_bus::SharedBus;
use watchpost_core::{Ledger, Schedule, SlotId, TaskGroup, Tick, phase};
use watchpost_model::{Check, CheckId, Endpoint, ProbeSettings, RunId, Subjects, TaskId, TaskResult, Timestamp};
use watchpost_probe::Resolver;

use crate::adhoc::{Adhoc, RUN_TASKS_MAX, RunRequest};
use crate::clock::Clock;
use crate::settings::AgentSettings;
use crate::stats::Stats;
use crate::wake::WakeTimer;

pub(crate) use handle::start;
pub use handle::{CheckerHandle, CheckerStatus, ChecksChanged};
use publish::Outbound;
pub(crate) use publish::task_headers;
use resolve::Resolving;
use stop::Stopping;

/// How many checks are fired before the actor looks at its other messages again.
const FIRE_BATCH: usize = 512;
/// How long the timer sleeps at most: by then a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How far the time of day may drift from the monotonic clock before it counts as set. NTP slews
/// by at most 500 ppm, which is far less in [`SLEEP_MAX`].
const CLOCK_STEP_MIN_US: i64 = 250_000;

/// What everything that belongs to one Checker shares.
pub(crate) struct CheckerContext {
    pub(crate) settings: AgentSettings,
    pub(crate) subjects: Subjects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: SharedBus,
    pub(crate) resolver: Resolver,
    pub(crate) stats: Arc<Stats>,
}

/// The actor. Its decisions are those of [`Schedule`], [`Ledger`] and [`TaskGroup`].
pub(crate) struct Checker {
    cx: Arc<CheckerContext>,
    outbox: mpsc::Sender<Outbound>,
    timer: WakeTimer,
    checks: HashMap<CheckId, SlotId>,
    schedule: Schedule<Arc<Check>>,
    ledger: Ledger<TaskId, CheckId, Pending>,
    /// Counts up with each set of checks that is applied.
    generation: u64,
    adhocs: HashMap<u64, Adhoc>,
    adhocs_seen: u64,
    /// The scheduled time of the last ad-hoc run: no two share one, so that their ids differ.
    last_adhoc_us: i64,
    /// Runs whose names are being resolved.
    resolving: HashMap<RunId, Resolving>,
    /// Time of day less monotonic clock, in µs, when last looked at.
    clock_offset_us: i64,
    /// When the log last said that no Runner listens.
    told_no_runner: Option<Tick>,
    stopping: Option<Stopping>,
}

/// What the ledger keeps of a task: enough to report on it if nobody else does.
struct Pending {
    run: RunId,
    scheduled_at: Timestamp,
    endpoint: Endpoint,
    probe: Arc<ProbeSettings>,
    check: CheckId,
    config_generation: u64,
    adhoc: Option<u64>,
}

impl Actor for Checker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        self.arm();
    }
}

/// The timer's moment has come.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

impl Handler<Wake> for Checker {
    type Result = ();

    fn handle(&mut self, Wake: Wake, ctx: &mut Self::Context) {
        self.notice_set_clock();
        self.fire_due(ctx);
        self.expire_lost();
        self.step_stop(ctx);
        self.arm();
    }
}

/// Replaces the whole set of checks.
#[derive(Message)]
#[rtype(result = "ChecksChanged")]
pub(super) struct ReplaceChecks(pub(super) Vec<Check>);

impl Handler<ReplaceChecks> for Checker {
    type Result = actix::MessageResult<ReplaceChecks>;

    fn handle(&mut self, ReplaceChecks(checks): ReplaceChecks, ctx: &mut Self::Context) -> Self::Result {
        // A slot that is due and not fired yet would be lost with its timer.
        self.fire_due(ctx);
        let changed = self.replace_checks(checks);
        self.arm();
        actix::MessageResult(changed)
    }
}

/// Runs checks once, now.
#[derive(Message)]
#[rtype(result = "mpsc::Receiver<TaskResult>")]
pub(super) struct RunNow(pub(super) RunRequest);

impl Handler<RunNow> for Checker {
    type Result = actix::MessageResult<RunNow>;

    fn handle(&mut self, RunNow(request): RunNow, ctx: &mut Self::Context) -> Self::Result {
        let (results, receiver) = mpsc::channel(RUN_TASKS_MAX + request.items.len());
        self.adhocs_seen += 1;
        let (ended, request_ended) = oneshot::channel();
        tokio::spawn(requester::watch(self.adhocs_seen, results.clone(), request_ended, ctx.address()));
        let adhoc = Adhoc {
            _ended: ended,
            group: TaskGroup::new(request.policy),
            unresolved: 0,
            runs: Vec::new(),
            results,
            tasks: 0,
            filling: true,
        };
        self.adhocs.insert(self.adhocs_seen, adhoc);
        self.run_now(self.adhocs_seen, request.items, request.limit, ctx);
        self.arm();
        actix::MessageResult(receiver)
    }
}

/// Asks how it stands.
#[derive(Message)]
#[rtype(result = "CheckerStatus")]
pub(super) struct AskStatus;

impl Handler<AskStatus> for Checker {
    type Result = actix::MessageResult<AskStatus>;

    fn handle(&mut self, AskStatus: AskStatus, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(CheckerStatus {
            checks: self.schedule.len(),
            outstanding: self.ledger.len() + self.resolving.len(),
            config_generation: self.generation,
        })
    }
}

impl Checker {
    fn new(cx: Arc<CheckerContext>, outbox: mpsc::Sender<Outbound>, timer: WakeTimer) -> Self {
        let clock_offset_us = clock_offset_us(&*cx.clock);
        Self {
            cx,
            outbox,
            timer,
            checks: HashMap::new(),
            schedule: Schedule::default(),
            ledger: Ledger::default(),
            generation: 0,
            adhocs: HashMap::new(),
            adhocs_seen: 0,
            last_adhoc_us: 0,
            resolving: HashMap::new(),
            clock_offset_us,
            told_no_runner: None,
            stopping: None,
        }
    }

    /// Applies a set of checks. A check that is the same keeps its timer; one that differs gets a
    /// new one in place of the old.
    fn replace_checks(&mut self, checks: Vec<Check>) -> ChecksChanged {
        let mut changed = ChecksChanged::default();
        let mut before = std::mem::take(&mut self.checks);
        self.generation += 1;
        let now_us = self.cx.clock.now().as_microsecond();
        for check in checks {
            let id = check.id().clone();
            match before.remove(&id) {
                Some(slot) if self.schedule.get(slot).is_some_and(|old| **old == check) => {
                    changed.unchanged += 1;
                    self.checks.insert(id, slot);
                    continue;
                }
                Some(slot) => {
                    changed.replaced += 1;
                    self.schedule.remove(slot);
                }
                None => changed.added += 1,
            }
            let interval = check.interval().get();
            let slot = self.schedule.insert(now_us, interval, phase(id.as_str(), interval), Arc::new(check));
            self.checks.insert(id, slot);
        }
        for slot in before.into_values() {
            changed.removed += 1;
            self.schedule.remove(slot);
        }
        changed.config_generation = self.generation;
        changed
    }

    /// Sets the timer to the next moment at which something is due.
    fn arm(&self) {
        let clock = &self.cx.clock;
        let mut sleep = SLEEP_MAX;
        if self.stopping.is_none()
            && let Some(due_us) = self.schedule.next_due_us()
        {
            let ahead = due_us.saturating_sub(clock.now().as_microsecond());
            sleep = sleep.min(Duration::from_micros(u64::try_from(ahead).unwrap_or(0)));
        }
        let drain_wake = self.stopping.as_ref().and_then(Stopping::next_wake);
        for tick in [self.ledger.next_expiry(), drain_wake].into_iter().flatten() {
            sleep = sleep.min(tick.since(clock.tick()));
        }
        self.timer.set(Some(Instant::now() + sleep));
    }

    /// Whether the clock was set back or forward, or the machine slept: the schedule moves with it.
    fn notice_set_clock(&mut self) {
        let offset_us = clock_offset_us(&*self.cx.clock);
        let step_us = offset_us - self.clock_offset_us;
        self.clock_offset_us = offset_us;
        if step_us.abs() < CLOCK_STEP_MIN_US {
            return;
        }
        tracing::warn!(step_ms = step_us / 1000, "the time of day was set; the schedule follows it");
        self.schedule.realign(self.cx.clock.now().as_microsecond());
    }
}

/// Time of day less monotonic clock, in µs. A thread that is held up between the two readings would
/// see a step where there is none, so it looks again until it was not.
fn clock_offset_us(clock: &dyn Clock) -> i64 {
    const TRIES: usize = 5;
    const HELD_UP: Duration = Duration::from_millis(10);
    let mut offset_us = 0;
    for _ in 0..TRIES {
        let before = clock.tick();
        let now = clock.now();
        offset_us = now.as_microsecond().saturating_sub(i64::try_from(before.as_micros()).unwrap_or(i64::MAX));
        if clock.tick().since(before) < HELD_UP {
            break;
        }
    }
    offset_us
}
