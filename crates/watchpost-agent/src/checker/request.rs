//! Runs that somebody asked for, outside of the schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_core::{GroupSettings, GroupStep, Rule, TaskGroup, Tick, Verdict};
use watchpost_model::{
    CancelCause, Check, CheckId, Endpoint, Outcome, Reason, ReasonCode, RunId, TargetReport, TaskResult,
};

use super::Checker;
use super::requester::{self, GONE};
use super::run::{Ending, Fired, Node, verdict_of};
use super::settle::Origin;
use crate::adhoc::{RUN_TASKS_MAX, RunItem, RunOptions, RunReport, RunRequest};
use crate::clock::timestamp_us;

/// The part of a request's time that is kept back so that outcomes are there when it is over.
const REPORT_RESERVE_MAX: Duration = Duration::from_millis(100);
/// What that part grows to with the number of checks, up to a quarter of the request's time.
const REPORT_RESERVE_EACH: Duration = Duration::from_micros(250);

/// A request whose tasks do not all have their outcome yet.
pub(super) struct Request {
    /// Dropped with the request, which tells whoever watches for a requester that goes away.
    _ended: oneshot::Sender<()>,
    items: Vec<Item>,
    pub(super) group: TaskGroup<u32>,
    /// Invariant: its capacity is twice [`RUN_TASKS_MAX`] plus twice the number of items. Each task and each
    /// item sends at most one result, each run at most one verdict, and each item its end: there is always room.
    pub(super) results: mpsc::Sender<RunReport>,
    pub(super) tasks: usize,
    /// How many of these are for endpoints, and how many may be.
    pub(super) endpoints: usize,
    pub(super) endpoints_max: usize,
    pub(super) ended_by: Option<Ending>,
    /// The first that did not pass, as the others tell it.
    pub(super) first_failure: Option<Arc<str>>,
    deadline_max: Tick,
    answer_by: Tick,
}

/// One thing that was asked for.
struct Item {
    what: What,
    /// What became of it.
    run: Option<RunId>,
}

enum What {
    Check(Arc<Check>),
    Invalid { id: CheckId, given: String, message: String },
}

impl From<RunItem> for Item {
    fn from(item: RunItem) -> Self {
        let what = match item {
            RunItem::Check(check) => What::Check(Arc::from(check)),
            RunItem::Configured(check) => What::Check(check),
            RunItem::Invalid { id, given, message } => What::Invalid { id, given, message },
        };
        Self { what, run: None }
    }
}

impl Checker {
    /// Runs every item once. The tasks' deadline lies a little before the request's, so that
    /// whoever asked has every outcome by then.
    pub(super) fn begin_request(&mut self, request: RunRequest, options: RunOptions) -> mpsc::Receiver<RunReport> {
        let RunRequest { items, limit, policy } = request;
        let (results, receiver) = mpsc::channel(2 * (RUN_TASKS_MAX + items.len()));
        self.requests_seen += 1;
        let id = self.requests_seen;
        let (ended, request_ended) = oneshot::channel();
        let RunOptions { endpoints_max, cancelled } = options;
        let watch = requester::watch(id, results.clone(), request_ended, cancelled, self.me.clone());
        self.cx.helpers.spawn("requester", watch);
        let now = self.cx.clock.tick();
        // Outcomes of many tasks that end at the same moment take their time to come in.
        let many = REPORT_RESERVE_EACH * u32::try_from(items.len()).unwrap_or(u32::MAX);
        let reserve = (limit / 10).min(REPORT_RESERVE_MAX).max(many.min(limit / 4));
        let work = limit.saturating_sub(reserve);
        let settings = GroupSettings { policy, rule: Rule::All, parallel: usize::MAX };
        let mut group = TaskGroup::new(settings, (0..items.len() as u32).collect());
        let mut steps = Vec::new();
        group.begin(&mut steps);
        let request = Request {
            _ended: ended,
            items: items.into_iter().map(Item::from).collect(),
            group,
            results,
            tasks: 0,
            endpoints: 0,
            endpoints_max,
            ended_by: None,
            first_failure: None,
            deadline_max: now.after(work),
            answer_by: now.after(limit),
        };
        self.requests.insert(id, request);
        self.plan(Node::Request(id), steps);
        receiver
    }

    pub(super) fn request_step(&mut self, id: u64, step: GroupStep<u32>) {
        match step {
            // One that is never started is told like one that was cancelled before its start.
            GroupStep::Start(item) | GroupStep::Skip(item) => self.start_item(id, item),
            GroupStep::Cancel(item) => {
                let Some(request) = self.requests.get(&id) else { return };
                if let Some(run) = request.run_of(item) {
                    let ending = request.ending();
                    self.cancel_run(run, &ending);
                }
            }
            GroupStep::Decided(_) => {}
            GroupStep::Ended(_) => drop(self.requests.remove(&id)),
        }
    }

    fn start_item(&mut self, id: u64, item: u32) {
        let Some(fired) = self.fire_item(id, item) else { return };
        match self.requests.get(&id).filter(|request| request.group.is_stopped()).map(Request::ending) {
            Some(ending) => self.settle_whole_run(&fired, Outcome::Cancelled, ending.reason()),
            None => self.begin_run(fired),
        }
    }

    /// The run of one item; `None` where no run can be made of it, which is told at once.
    pub(super) fn fire_item(&mut self, id: u64, index: u32) -> Option<Fired> {
        let now_us = self.cx.clock.now().as_microsecond();
        let request = self.requests.get_mut(&id)?;
        let item = request.items.get_mut(index as usize)?;
        // No two share a scheduled time, so that their ids differ.
        self.last_adhoc_us = now_us.max(self.last_adhoc_us + 1);
        let scheduled_at = timestamp_us(self.last_adhoc_us);
        match &item.what {
            What::Check(check) => {
                let run = RunId::derive(&self.cx.settings.bastion, check.id(), scheduled_at);
                item.run = Some(run);
                Some(Fired {
                    run,
                    check: Arc::clone(check),
                    parent: Some((Node::Request(id), index)),
                    scheduled_at,
                    deadline: self.cx.clock.tick().after(check.timeout().get()).min(request.deadline_max),
                    answer_by: request.answer_by,
                    config_generation: self.generation,
                    request: Some(id),
                })
            }
            What::Invalid { id: check, given, message } => {
                let run = RunId::derive(&self.cx.settings.bastion, check, scheduled_at);
                let reason = Reason::new(ReasonCode::InvalidTarget, message.clone());
                let origin = Origin {
                    check: check.clone(),
                    run,
                    scheduled_at,
                    check_type: None,
                    target: TargetReport::new(given.clone(), &Endpoint::named(given)),
                    attempt: 0,
                    config_generation: self.generation,
                    request: Some(id),
                };
                self.settle_untried(Some(origin), Outcome::Error, reason);
                self.member_ended(Node::Request(id), index, verdict_of(Outcome::Error));
                None
            }
        }
    }

    /// Hands a result to whoever asked for it.
    pub(super) fn tell_request(&mut self, id: Option<u64>, result: TaskResult) {
        let Some(id) = id else { return };
        let Some(request) = self.requests.get_mut(&id) else { return };
        if verdict_of(result.outcome) != Verdict::Passed && request.first_failure.is_none() {
            let cause = format!("{} of {} ended as {}", result.target.endpoint, result.target.name, result.outcome);
            request.first_failure = Some(cause.into());
        }
        self.report(id, RunReport::Result(Box::new(result)));
    }

    /// Hands something to whoever asked.
    pub(super) fn report(&mut self, id: u64, report: RunReport) {
        let Some(request) = self.requests.get(&id) else { return };
        match request.results.try_send(report) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.cancel_request(id, &Ending::new(CancelCause::RequesterGone, GONE));
            }
            Err(mpsc::error::TrySendError::Full(report)) => {
                tracing::error!(?report, "a request has more reports than tasks; this is a defect of Watchpost");
            }
        }
    }
}

impl Request {
    /// The run of an item that was begun.
    pub(super) fn run_of(&self, item: u32) -> Option<RunId> {
        self.items.get(item as usize)?.run
    }

    fn ending(&self) -> Ending {
        let failed = || self.first_failure.clone().unwrap_or_else(|| "another task of the group failed".into());
        self.ended_by.clone().unwrap_or_else(|| Ending::new(CancelCause::GroupFailed, failed()))
    }
}
