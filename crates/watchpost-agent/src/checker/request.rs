//! Runs that somebody asked for, outside of the schedule.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchpost_core::{GroupSettings, GroupStep, Rule, TaskGroup, Tick, Verdict};
use watchpost_model::{CancelCause, Outcome, Reason, ReasonCode, RunId, TargetReport, TaskResult, Timestamp};

use super::Checker;
use super::requester::{self, GONE};
use super::run::{Ending, Fired, Node, verdict_of};
use super::settle::Origin;
use crate::adhoc::{RUN_TASKS_MAX, RunItem, RunReport, RunRequest};
use crate::clock::{later, timestamp_us};

/// The part of a request's time that is kept back so that outcomes are there when it is over.
const REPORT_RESERVE_MAX: Duration = Duration::from_millis(100);
/// What that part grows to with the number of checks, up to a quarter of the request's time.
const REPORT_RESERVE_EACH: Duration = Duration::from_micros(250);

/// A request whose tasks do not all have their outcome yet.
pub(super) struct Request {
    /// Dropped with the request, which tells whoever watches for a requester that goes away.
    _ended: oneshot::Sender<()>,
    /// Taken as each begins.
    items: Vec<Option<RunItem>>,
    /// What became of them.
    pub(super) runs: Vec<Option<RunId>>,
    pub(super) group: TaskGroup<u32>,
    /// Invariant: its capacity is twice [`RUN_TASKS_MAX`] plus twice the number of items. Each task and each
    /// item sends at most one result, each run at most one verdict, and each item its end: there is always room.
    pub(super) results: mpsc::Sender<RunReport>,
    pub(super) tasks: usize,
    pub(super) ended_by: Option<Ending>,
    /// The first that did not pass, as the others tell it.
    first_failure: Option<Arc<str>>,
    deadline_max: (Timestamp, Tick),
    answer_by: (Timestamp, Tick),
}

impl Checker {
    /// Runs every item once. The tasks' deadline lies a little before the request's, so that
    /// whoever asked has every outcome by then.
    pub(super) fn begin_request(&mut self, request: RunRequest) -> mpsc::Receiver<RunReport> {
        let RunRequest { items, limit, policy } = request;
        let (results, receiver) = mpsc::channel(2 * (RUN_TASKS_MAX + items.len()));
        self.requests_seen += 1;
        let id = self.requests_seen;
        let (ended, request_ended) = oneshot::channel();
        tokio::spawn(requester::watch(id, results.clone(), request_ended, self.me.clone()));
        let (now, tick) = (self.cx.clock.now(), self.cx.clock.tick());
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
            runs: vec![None; items.len()],
            items: items.into_iter().map(Some).collect(),
            group,
            results,
            tasks: 0,
            ended_by: None,
            first_failure: None,
            deadline_max: (later(now, work), tick.after(work)),
            answer_by: (later(now, limit), tick.after(limit)),
        };
        self.requests.insert(id, request);
        self.plan(Node::Request(id), steps);
        receiver
    }

    pub(super) fn request_step(&mut self, id: u64, step: GroupStep<u32>) {
        match step {
            GroupStep::Start(item) => self.start_item(id, item),
            GroupStep::Cancel(item) => {
                let Some(request) = self.requests.get(&id) else { return };
                if let Some(Some(run)) = request.runs.get(item as usize).copied() {
                    let ending = request.ending();
                    self.cancel_run(run, &ending);
                }
            }
            GroupStep::Skip(item) => {
                let Some(ending) = self.requests.get(&id).map(Request::ending) else { return };
                if let Some(mut fired) = self.fire_item(id, item) {
                    fired.parent = None;
                    self.settle_whole_run(&fired, Outcome::Cancelled, ending.reason());
                }
            }
            GroupStep::Decided(_) => {}
            GroupStep::Ended(_) => drop(self.requests.remove(&id)),
        }
    }

    fn start_item(&mut self, id: u64, item: u32) {
        if let Some(fired) = self.fire_item(id, item) {
            self.begin_run(fired);
        }
    }

    /// The run of one item; `None` where no run can be made of it, which is told at once.
    fn fire_item(&mut self, id: u64, index: u32) -> Option<Fired> {
        let now_us = self.cx.clock.now().as_microsecond();
        let request = self.requests.get_mut(&id)?;
        let item = request.items.get_mut(index as usize)?.take()?;
        // No two share a scheduled time, so that their ids differ.
        self.last_adhoc_us = now_us.max(self.last_adhoc_us + 1);
        let scheduled_at = timestamp_us(self.last_adhoc_us);
        match item {
            RunItem::Check(check) => {
                let (now, tick) = (self.cx.clock.now(), self.cx.clock.tick());
                let timeout = check.timeout().get();
                let run = RunId::derive(&self.cx.settings.bastion, check.id(), scheduled_at);
                if let Some(kept) = request.runs.get_mut(index as usize) {
                    *kept = Some(run);
                }
                Some(Fired {
                    run,
                    check: Arc::from(check),
                    parent: Some((Node::Request(id), index)),
                    scheduled_at,
                    deadline: later(now, timeout).min(request.deadline_max.0),
                    answer_by: request.answer_by.0,
                    deadline_tick: tick.after(timeout).min(request.deadline_max.1),
                    answer_by_tick: request.answer_by.1,
                    config_generation: self.generation,
                    request: Some(id),
                })
            }
            RunItem::Invalid { id: check, given, message } => {
                let run = RunId::derive(&self.cx.settings.bastion, &check, scheduled_at);
                let reason = Reason::new(ReasonCode::InvalidTarget, message);
                let origin = Origin {
                    check,
                    run,
                    scheduled_at,
                    check_type: None,
                    target: TargetReport { name: given.clone(), endpoint: given, address: None },
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
    fn ending(&self) -> Ending {
        let failed = || self.first_failure.clone().unwrap_or_else(|| "another task of the group failed".into());
        self.ended_by.clone().unwrap_or_else(|| Ending::new(CancelCause::GroupFailed, failed()))
    }
}
