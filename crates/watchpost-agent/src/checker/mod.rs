//! The Checker: keeps the checks, fires them when they are due, and knows of every task that it
//! sent until its one outcome is known.
//!
//! It touches the bus and the resolver, nothing else of the network.

mod aim;
mod beat_intake;
mod beats;
mod cancel;
mod change;
mod family;
mod fire;
mod handle;
mod last;
mod listen;
mod member;
mod publish;
mod request;
mod requester;
mod resolve;
mod run;
mod set_clock;
mod settle;
mod stop;
mod tree;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_bus::SharedBus;
use watchpost_core::{GroupStep, Ledger, Schedule, SlotId, Tick};
use watchpost_model::{
    Beat, BeatTaken, CancelCause, Check, CheckId, Endpoint, ProbeSettings, Reason, RunId, Subjects, TaskId, Timestamp,
};
use watchpost_probe::Resolver;

use crate::abandoned::RoleStop;
use crate::actor::Behaviour;
use crate::adhoc::{RunOptions, RunReport, RunRequest};
use crate::clock::{Alarm, Clock};
use crate::discovery::{Discovery, Source};
use crate::helpers::Helpers;
use crate::settings::AgentSettings;
use crate::stats::Stats;
use crate::trust::Trust;

pub use beats::BeatRefused;
pub(crate) use change::Change;
pub(crate) use handle::start;
pub use handle::{CheckerHandle, CheckerStatus, ChecksChanged};
pub(crate) use last::Lasts;
use publish::Outbound;
pub(crate) use publish::task_headers;
use request::Request;
use resolve::Endpoints;
use run::{Ending, Node, Run};
use set_clock::clock_offset_us;
use settle::Answer;
use stop::Stopping;

/// How many checks are fired before the actor looks at its other messages again.
const FIRE_BATCH: usize = 512;
/// How long the timer sleeps at most: by then a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What everything that belongs to one Checker shares.
pub(crate) struct CheckerContext {
    pub(crate) settings: AgentSettings,
    pub(crate) subjects: Subjects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: SharedBus,
    pub(crate) resolver: Resolver,
    pub(crate) discovery: Discovery,
    pub(crate) stats: Arc<Stats>,
    pub(crate) helpers: Helpers,
    /// The last results of each check.
    pub(crate) lasts: Arc<Lasts>,
    /// Held by whoever wants no task to be published for a moment.
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
    /// Whose checks are run, where not everybody's are.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// Everything that can happen to the Checker.
pub(crate) enum Event {
    /// The timer's moment has come.
    Wake,
    /// Replaces the whole set of checks.
    Replace(Vec<Check>, oneshot::Sender<ChecksChanged>),
    /// Changes the set of checks.
    Change(Change, oneshot::Sender<ChecksChanged>),
    /// Runs checks once, now.
    RunNow(RunRequest, RunOptions, oneshot::Sender<mpsc::Receiver<RunReport>>),
    /// Which of these checks are there, with everything that they are made of?
    Family(Vec<CheckId>, oneshot::Sender<Vec<Arc<Check>>>),
    /// Begins or ends a drain.
    Drain(bool, oneshot::Sender<()>),
    /// How does it stand?
    Ask(oneshot::Sender<CheckerStatus>),
    /// Answers, several at a time since each event has its price.
    Answers(Vec<Answer>),
    /// The bus did not take a task.
    Unpublished { task: TaskId, reason: Reason },
    /// A job has reported in.
    Beat { check: CheckId, beat: Box<Beat>, answer: oneshot::Sender<Result<BeatTaken, BeatRefused>> },
    /// The endpoints of a run were found, or could not be.
    Resolved { run: RunId, endpoints: Endpoints },
    /// Whoever asked is gone.
    RequesterGone(u64),
    /// Whoever asked wants no more of it.
    RequestCancelled(u64),
    /// Begins to stop; `done` hears what could not be brought to an end.
    BeginStop { grace: Duration, done: oneshot::Sender<RoleStop> },
    /// Everything that was to be published has left the process, or could not.
    Flushed(bool),
    #[cfg(test)]
    Panic,
}

/// The actor's state and decisions, which are those of [`Schedule`], [`Ledger`] and
/// [`TaskGroup`](watchpost_core::TaskGroup). Ordered maps throughout: what happens must not depend on how a
/// map happens to be laid out.
pub(crate) struct Checker {
    cx: Arc<CheckerContext>,
    /// Where its own tasks send to. Weak, since it must not keep itself alive.
    me: mpsc::WeakSender<Event>,
    outbox: mpsc::Sender<Outbound>,
    /// Dropped with it, which ends its listeners.
    _alive: [oneshot::Sender<()>; 2],
    alarm: Box<dyn Alarm>,
    checks: BTreeMap<CheckId, Configured>,
    schedule: Schedule<Arc<Check>>,
    ledger: Ledger<TaskId, CheckId, Pending>,
    /// Counts up with each set of checks that is applied.
    generation: u64,
    runs: BTreeMap<RunId, Run>,
    /// What was heard of the jobs of heartbeat checks.
    jobs: beats::Jobs,
    requests: BTreeMap<u64, Request>,
    requests_seen: u64,
    /// What came back and is not taken yet.
    answers: VecDeque<Answer>,
    /// What the groups have decided and is not done yet.
    todo: VecDeque<(Node, GroupStep<u32>)>,
    cancelling: cancel::Cancelling,
    /// Runs whose names are being resolved.
    resolving: BTreeSet<RunId>,
    /// The scheduled time of the last ad-hoc run: no two share one, so that their ids differ.
    last_adhoc_us: i64,
    /// Time of day less monotonic clock, in µs, when last looked at.
    clock_offset_us: i64,
    /// When the log last said that no Runner listens.
    told_no_runner: Option<Tick>,
    /// Whether it was told to fire nothing.
    draining: bool,
    stopping: Option<Stopping>,
}

/// A check of the configuration.
struct Configured {
    check: Arc<Check>,
    /// Its timer, unless it is never due by itself.
    slot: Option<SlotId>,
    /// Its latest scheduled run, while that is going.
    going: Option<RunId>,
    /// Where its targets come from, which is asked for as long as this is held.
    _source: Option<Arc<Source>>,
    /// Where its latest run went, if its targets come from a source.
    aims: Option<aim::Aims>,
}

/// What the ledger keeps of a task: enough to report on it if nobody else does.
struct Pending {
    run: RunId,
    /// Which member of the run.
    member: u32,
    scheduled_at: Timestamp,
    endpoint: Endpoint,
    probe: Arc<ProbeSettings>,
    check: CheckId,
    config_generation: u64,
    request: Option<u64>,
}

impl Behaviour for Checker {
    type Event = Event;
    const NAME: &'static str = "Checker";

    /// After a panic: what was decided is done, and what the panic cost is given up, so that every run ends.
    fn begin(&mut self) {
        self.work_off();
        self.take_answers();
        self.reconcile();
        self.work_off();
        self.settle();
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Wake => {
                self.notice_set_clock();
                self.fire_due();
                self.expire_lost();
                self.tell_all_news();
            }
            Event::Replace(checks, changed) => {
                let change = self.difference(checks);
                // Whoever asked may have given up; here as below.
                let _gone = changed.send(self.change_checks(change));
            }
            Event::Change(change, changed) => {
                let _gone = changed.send(self.change_checks(change));
            }
            Event::RunNow(request, options, results) => {
                let receiver = self.begin_request(request, options);
                let _gone = results.send(receiver);
            }
            Event::Family(ids, family) => {
                let _gone = family.send(self.family(ids));
            }
            Event::Drain(draining, done) => {
                self.drain(draining);
                let _gone = done.send(());
            }
            Event::Ask(status) => {
                let (sources, sources_degraded) = self.cx.discovery.count();
                let _gone = status.send(CheckerStatus {
                    checks: self.checks.len(),
                    outstanding: self.ledger.len() + self.resolving.len(),
                    config_generation: self.generation,
                    sources,
                    sources_degraded,
                    unpublished: self.unpublished(),
                });
            }
            Event::Answers(answers) => {
                self.answers.extend(answers);
                self.take_answers();
            }
            Event::Unpublished { task, reason } => self.settle_here(task, watchpost_model::Outcome::Missed, reason),
            Event::Beat { check, beat, answer } => {
                let _gone = answer.send(self.take_beat(&check, *beat));
            }
            Event::Resolved { run, endpoints } => self.resolved(run, endpoints),
            Event::RequesterGone(id) => {
                self.cancel_request(id, &Ending::new(CancelCause::RequesterGone, requester::GONE));
            }
            Event::RequestCancelled(id) => {
                self.cancel_request(id, &Ending::new(CancelCause::Requested, requester::CANCELLED));
            }
            Event::BeginStop { grace, done } => self.begin_stop(grace, done),
            Event::Flushed(sent) => self.flushed(sent),
            #[cfg(test)]
            Event::Panic => panic!("as the test asked"),
        }
        self.work_off();
    }

    fn settle(&mut self) {
        self.step_stop();
        self.arm();
    }

    fn clock(&self) -> &dyn Clock {
        &*self.cx.clock
    }
}

impl Checker {
    fn new(
        cx: Arc<CheckerContext>,
        me: mpsc::WeakSender<Event>,
        outbox: mpsc::Sender<Outbound>,
        alive: [oneshot::Sender<()>; 2],
        alarm: Box<dyn Alarm>,
    ) -> Self {
        let clock_offset_us = clock_offset_us(&*cx.clock);
        Self {
            cx,
            me,
            outbox,
            _alive: alive,
            alarm,
            checks: BTreeMap::new(),
            schedule: Schedule::default(),
            ledger: Ledger::default(),
            generation: 0,
            runs: BTreeMap::new(),
            jobs: beats::Jobs::default(),
            requests: BTreeMap::new(),
            requests_seen: 0,
            answers: VecDeque::new(),
            todo: VecDeque::new(),
            cancelling: cancel::Cancelling::default(),
            resolving: BTreeSet::new(),
            last_adhoc_us: 0,
            clock_offset_us,
            told_no_runner: None,
            draining: false,
            stopping: None,
        }
    }

    /// Sets the timer to the next moment at which something is due.
    fn arm(&self) {
        let clock = &self.cx.clock;
        let mut sleep = SLEEP_MAX;
        if self.may_fire()
            && let Some(due_us) = self.schedule.next_due_us()
        {
            let ahead = due_us.saturating_sub(clock.now().as_microsecond());
            sleep = sleep.min(Duration::from_micros(u64::try_from(ahead).unwrap_or(0)));
        }
        let drain_wake = self.stopping.as_ref().and_then(Stopping::next_wake);
        let news = self.jobs.next_look().filter(|_| self.may_fire());
        for tick in [self.ledger.next_expiry(), drain_wake, news].into_iter().flatten() {
            sleep = sleep.min(tick.since(clock.tick()));
        }
        self.alarm.set(sleep);
    }
}
