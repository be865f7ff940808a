//! Runs and requests as a tree: deadlines and cancellation flow down, outcomes flow up.
//!
//! A request has items, a run of a group has member checks, a run of any other check has endpoints. Each
//! of these nodes is a [`TaskGroup`], which decides who starts, who is cancelled and what the verdict is.
//! Its steps are worked off from a queue, so that a tree however deep or wide needs no recursion, and what
//! a panic interrupts is gone on with.

use std::sync::Arc;

use tokio::task::AbortHandle;
use watchpost_core::{GroupPolicy, GroupSettings, GroupStep, Rule, TaskGroup, Tick, Verdict};
use watchpost_model::{
    CancelCause, Check, Endpoint, Firing, Outcome, Reason, ReasonCode, RunId, RunPolicy, Task, TaskClass, Timestamp,
    VerdictRule,
};

use super::Checker;
use super::Pending;
use super::publish::Outbound;
use super::requester::GONE;
use super::settle::Origin;
use crate::adhoc::{RUN_TASKS_MAX, RunReport};
use crate::clock::later;

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// A request for runs.
    Request(u64),
    /// A run.
    Run(RunId),
}

/// One firing of a check, until every outcome of it is known.
pub(super) struct Run {
    pub(super) firing: Fired,
    pub(super) members: Members,
    pub(super) group: TaskGroup<u32>,
    /// Why it was ended before its members did by themselves.
    pub(super) ended_by: Option<Ending>,
    /// The first members that did not pass, as its verdict tells them.
    pub(super) first_failed: Option<Trouble>,
    pub(super) first_undecided: Option<Trouble>,
}

/// What is the same for a run from its beginning to its end.
#[derive(Clone)]
pub(super) struct Fired {
    pub(super) check: Arc<Check>,
    pub(super) run: RunId,
    /// Whose member it is: the place in the tree, and which one of its members.
    pub(super) parent: Option<(Node, u32)>,
    pub(super) scheduled_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) answer_by: Timestamp,
    /// The same on this process's own clock, from before the time of day could be set.
    pub(super) deadline_tick: Tick,
    pub(super) answer_by_tick: Tick,
    pub(super) config_generation: u64,
    /// The request at the root of the tree, if there is one.
    pub(super) request: Option<u64>,
}

/// What a run is made of.
pub(super) enum Members {
    /// The endpoints are yet to be found.
    Resolving(AbortHandle),
    Endpoints(Vec<Endpoint>),
    Checks(Vec<Arc<Check>>),
}

/// Why a node was ended early.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) cause: CancelCause,
    pub(super) message: Arc<str>,
}

/// A member that did not pass.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) member: String,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Reason>,
}

impl Ending {
    pub(super) fn new(cause: CancelCause, message: impl Into<Arc<str>>) -> Self {
        Self { cause, message: message.into() }
    }

    pub(super) fn reason(&self) -> Reason {
        Reason::new(crate::runner::code_of(self.cause), &*self.message)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended as {}", self.member, self.outcome)?;
        match &self.reason {
            Some(reason) => write!(f, " ({}: {})", reason.code, watchpost_model::shorten(&reason.message, 200)),
            None => Ok(()),
        }
    }
}

impl Fired {
    /// The run of a member of this one. Its time only shrinks.
    fn member(&self, now: Timestamp, tick: Tick, check: &Arc<Check>, index: u32, grace: std::time::Duration) -> Self {
        let timeout = check.timeout().get();
        let deadline_tick = tick.after(timeout).min(self.deadline_tick);
        let deadline = later(now, timeout).min(self.deadline);
        Self {
            run: RunId::derive_member(self.run, check.id()),
            check: Arc::clone(check),
            parent: Some((Node::Run(self.run), index)),
            scheduled_at: self.scheduled_at,
            deadline,
            answer_by: later(deadline, grace).min(self.answer_by),
            deadline_tick,
            answer_by_tick: deadline_tick.after(grace).min(self.answer_by_tick),
            config_generation: self.config_generation,
            request: self.request,
        }
    }
}

impl Checker {
    /// Begins a run: finds its members, and starts as many as may be in flight.
    pub(super) fn begin_run(&mut self, fired: Fired) {
        if self.is_cancelling() {
            let reason = Reason::new(ReasonCode::ShuttingDown, "the Checker is stopping");
            return self.settle_whole_run(&fired, Outcome::Cancelled, reason);
        }
        if self.runs.contains_key(&fired.run) {
            // The same slot fired twice, as after a clock that was set back: the first one counts.
            tracing::debug!(check = %fired.check.id(), run = %fired.run, "this very run is under way already");
            return self.member_of(&fired, Verdict::Undecided);
        }
        if let Some(members) = fired.check.group() {
            let known: Result<Vec<_>, _> = members
                .iter()
                .map(|id| self.check(id).ok_or_else(|| format!("its member `{id}` is not among the checks")))
                .collect();
            return match known {
                Ok(checks) => self.enter_run(fired, Members::Checks(checks)),
                Err(why) => self.settle_whole_run(&fired, Outcome::Error, Reason::new(ReasonCode::InvalidTarget, why)),
            };
        }
        match fired.check.probe().and_then(|probe| probe.target.static_endpoints()) {
            Some(endpoints) => self.enter_run(fired, Members::Endpoints(endpoints)),
            None => self.resolve(fired),
        }
    }

    /// The members of a run are known.
    pub(super) fn enter_run(&mut self, fired: Fired, members: Members) {
        let count = match &members {
            Members::Resolving(_) => 0,
            Members::Endpoints(endpoints) => endpoints.len(),
            Members::Checks(checks) => checks.len(),
        };
        if let Some(request) = fired.request.and_then(|id| self.requests.get_mut(&id)) {
            if request.tasks + count > RUN_TASKS_MAX {
                let message =
                    format!("one request may have {RUN_TASKS_MAX} tasks, and has {} without this check", request.tasks);
                let reason = Reason::new(ReasonCode::Overloaded, message);
                return self.settle_whole_run(&fired, Outcome::Missed, reason);
            }
            request.tasks += count;
        }
        let rules = fired.check.rules();
        let settings = GroupSettings {
            policy: match rules.policy {
                RunPolicy::CollectAll => GroupPolicy::CollectAll,
                RunPolicy::FailFast => GroupPolicy::FailFast,
            },
            rule: match rules.verdict {
                VerdictRule::All => Rule::All,
                VerdictRule::Any => Rule::Any,
                VerdictRule::Quorum(needed) => Rule::Quorum(needed as usize),
                VerdictRule::Percent(percent) => Rule::Percent(percent),
            },
            parallel: rules.parallel,
        };
        let id = fired.run;
        let mut group = TaskGroup::new(settings, (0..count as u32).collect());
        let mut steps = Vec::new();
        group.begin(&mut steps);
        let run = Run { firing: fired, members, group, ended_by: None, first_failed: None, first_undecided: None };
        self.runs.insert(id, run);
        self.plan(Node::Run(id), steps);
    }

    /// Notes what is to be done; [`Checker::work_off`] does it.
    pub(super) fn plan(&mut self, node: Node, steps: Vec<GroupStep<u32>>) {
        self.todo.extend(steps.into_iter().map(|step| (node, step)));
    }

    /// Does what the groups have decided, and what follows from that, until nothing is left to do.
    pub(super) fn work_off(&mut self) {
        while let Some((node, step)) = self.todo.pop_front() {
            match (node, step) {
                (Node::Request(id), step) => self.request_step(id, step),
                (Node::Run(id), GroupStep::Start(member)) => self.start_member(id, member),
                (Node::Run(id), GroupStep::Cancel(member)) => self.cancel_member(id, member),
                (Node::Run(id), GroupStep::Skip(member)) => self.skip_member(id, member),
                (Node::Run(id), GroupStep::Decided(verdict)) => self.decided(id, verdict),
                (Node::Run(id), GroupStep::Ended(verdict)) => self.end_run(id, verdict),
            }
        }
        self.send_cancels();
    }

    /// A member of a node ended.
    pub(super) fn member_ended(&mut self, node: Node, member: u32, verdict: Verdict) {
        let mut steps = Vec::new();
        match node {
            Node::Run(id) => {
                let Some(run) = self.runs.get_mut(&id) else { return };
                run.group.member_ended(member, verdict, &mut steps);
            }
            Node::Request(id) => {
                self.report(id, RunReport::Over { item: member as usize, passed: verdict == Verdict::Passed });
                let Some(request) = self.requests.get_mut(&id) else { return };
                request.group.member_ended(member, verdict, &mut steps);
            }
        }
        self.plan(node, steps);
    }

    /// Tells the parent of a run how that ended.
    pub(super) fn member_of(&mut self, fired: &Fired, verdict: Verdict) {
        if let Some((node, member)) = fired.parent {
            self.member_ended(node, member, verdict);
        }
    }

    /// Notes the first members of a run that did not pass.
    pub(super) fn note_trouble(&mut self, run: RunId, trouble: impl FnOnce() -> Trouble, verdict: Verdict) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        let first = match verdict {
            Verdict::Passed => return,
            Verdict::Failed => &mut run.first_failed,
            Verdict::Undecided => &mut run.first_undecided,
        };
        first.get_or_insert_with(trouble);
    }

    /// Its verdict cannot change any more: whoever fails fast acts on it at once.
    fn decided(&mut self, id: RunId, verdict: Verdict) {
        let Some((node, member)) = self.runs.get(&id).and_then(|run| run.firing.parent) else { return };
        let mut steps = Vec::new();
        match node {
            Node::Run(parent) => {
                let Some(parent) = self.runs.get_mut(&parent) else { return };
                parent.group.member_decided(member, verdict, &mut steps);
            }
            Node::Request(parent) => {
                let Some(parent) = self.requests.get_mut(&parent) else { return };
                parent.group.member_decided(member, verdict, &mut steps);
            }
        }
        self.plan(node, steps);
    }

    fn start_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        match &run.members {
            Members::Resolving(_) => {}
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                let clock = &self.cx.clock;
                let grace = self.cx.settings.answer_grace;
                let fired = run.firing.member(clock.now(), clock.tick(), check, member, grace);
                if fired.deadline_tick <= clock.tick() {
                    let reason = too_late(run.group.counts().total, "members");
                    return self.settle_whole_run(&fired, Outcome::Cancelled, reason);
                }
                self.begin_run(fired);
            }
            Members::Endpoints(endpoints) => {
                let Some(endpoint) = endpoints.get(member as usize).cloned() else { return };
                if run.firing.deadline_tick <= self.cx.clock.tick() {
                    let reason = too_late(run.group.counts().total, "endpoints");
                    self.settle_member(id, member, Outcome::Cancelled, reason);
                    return self.member_ended(Node::Run(id), member, Verdict::Undecided);
                }
                self.send_task(id, member, endpoint);
            }
        }
    }

    fn send_task(&mut self, id: RunId, member: u32, endpoint: Endpoint) {
        let Some(Run { firing: fired, .. }) = self.runs.get(&id) else { return };
        let firing = Firing {
            run: fired.run,
            bastion: &self.cx.settings.bastion,
            scheduled_at: fired.scheduled_at,
            deadline: fired.deadline,
            answer_by: fired.answer_by,
            config_generation: fired.config_generation,
            class: if fired.request.is_some() { TaskClass::AdHoc } else { TaskClass::Scheduled },
        };
        // Only the checks of probes have endpoints.
        let Some(probe) = fired.check.probe() else { return };
        let task = Task::new(fired.check.id(), probe, endpoint, &firing);
        let (key, request, answer_by) = (task.task, fired.request, fired.answer_by_tick);
        let pending = Pending {
            run: fired.run,
            member,
            scheduled_at: fired.scheduled_at,
            endpoint: task.endpoint.clone(),
            probe: Arc::clone(&task.probe),
            check: task.check.clone(),
            config_generation: fired.config_generation,
            request,
        };
        if self.ledger.open(key, task.check.clone(), answer_by, pending).is_err() {
            tracing::debug!(task = %key, check = %task.check, "this very task is outstanding already");
            return self.member_ended(Node::Run(id), member, Verdict::Undecided);
        }
        if request.and_then(|id| self.requests.get(&id)).is_some_and(|request| request.results.is_closed()) {
            return self.settle_here(key, Outcome::Cancelled, Reason::new(ReasonCode::RequesterGone, GONE));
        }
        if self.outbox.try_send(Outbound::Task(Box::new(task))).is_err() {
            let message = "the queue of tasks to publish is full: the bus takes them too slowly";
            self.settle_here(key, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
        }
    }

    fn cancel_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        let ending = run.ending();
        match &run.members {
            Members::Resolving(_) => {}
            // Whatever of the run is in flight is to be stopped: its id says that in one word.
            Members::Endpoints(_) => self.cancel_at_runners(id, ending),
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                self.cancel_run(RunId::derive_member(id, check.id()), &ending);
            }
        }
    }

    /// Reports on a member that was never started. The group has counted it.
    fn skip_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        let reason = run.ending().reason();
        match &run.members {
            Members::Resolving(_) => {}
            Members::Endpoints(_) => self.settle_member(id, member, Outcome::Cancelled, reason),
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                let (now, tick) = (self.cx.clock.now(), self.cx.clock.tick());
                let mut fired = run.firing.member(now, tick, check, member, self.cx.settings.answer_grace);
                fired.parent = None;
                self.settle_whole_run(&fired, Outcome::Cancelled, reason);
            }
        }
    }

    /// Reports on one endpoint of a run that no task was made for.
    fn settle_member(&mut self, id: RunId, member: u32, outcome: Outcome, reason: Reason) {
        let Some(Run { firing, members: Members::Endpoints(endpoints), .. }) = self.runs.get(&id) else { return };
        let Some(endpoint) = endpoints.get(member as usize) else { return };
        let origin = Origin::of_endpoint(firing, endpoint);
        let trouble = Trouble { member: endpoint.name.clone(), outcome, reason: Some(reason.clone()) };
        self.note_trouble(id, || trouble, Verdict::Undecided);
        self.settle_untried(origin, outcome, reason);
    }

    /// Ends a run before its members did by themselves. Doing it again changes nothing.
    pub(super) fn cancel_run(&mut self, id: RunId, ending: &Ending) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.ended_by.get_or_insert_with(|| ending.clone());
        if let Members::Resolving(lookup) = &run.members {
            lookup.abort();
            if let Some(fired) = self.forget_resolving(id) {
                self.settle_whole_run(&fired, Outcome::Cancelled, ending.reason());
            }
            return;
        }
        let mut steps = Vec::new();
        run.group.cancel(&mut steps);
        self.plan(Node::Run(id), steps);
    }

    fn end_run(&mut self, id: RunId, verdict: Verdict) {
        let Some(run) = self.runs.remove(&id) else { return };
        self.publish_verdict(&run, verdict);
        if let Some((Node::Run(parent), _)) = run.firing.parent {
            let trouble = || run.as_trouble(verdict);
            self.note_trouble(parent, trouble, verdict);
        }
        self.no_longer_going(&run.firing);
        self.member_of(&run.firing, verdict);
    }

    /// After a panic: a member in flight that nobody will report on any more is given up, so that every
    /// run ends.
    pub(super) fn reconcile_runs(&mut self) {
        let open: std::collections::BTreeSet<(RunId, u32)> =
            self.ledger.iter().map(|(_, pending)| (pending.run, pending.member)).collect();
        let mut given_up = Vec::new();
        for (id, run) in &self.runs {
            let lost = |member: &u32| match &run.members {
                Members::Resolving(_) => false,
                Members::Endpoints(_) => !open.contains(&(*id, *member)),
                Members::Checks(checks) => checks
                    .get(*member as usize)
                    .is_none_or(|check| !self.runs.contains_key(&RunId::derive_member(*id, check.id()))),
            };
            given_up.extend(run.group.in_flight().filter(lost).map(|member| (Node::Run(*id), member)));
        }
        for (id, request) in &self.requests {
            let run = |member: &u32| request.runs.get(*member as usize).copied().flatten();
            let begun = |member: &u32| run(member).is_some_and(|run| self.runs.contains_key(&run));
            given_up.extend(request.group.in_flight().filter(|m| !begun(m)).map(|member| (Node::Request(*id), member)));
        }
        for (node, member) in given_up {
            // What is still to be started is not lost.
            if !self.todo.contains(&(node, GroupStep::Start(member))) {
                self.member_ended(node, member, Verdict::Undecided);
            }
        }
    }
}

impl Run {
    /// A run whose endpoints are yet to be found.
    pub(super) fn resolving(firing: Fired, lookup: AbortHandle) -> Self {
        let settings = GroupSettings { policy: GroupPolicy::CollectAll, rule: Rule::All, parallel: 1 };
        Self {
            firing,
            members: Members::Resolving(lookup),
            group: TaskGroup::new(settings, Vec::new()),
            ended_by: None,
            first_failed: None,
            first_undecided: None,
        }
    }

    /// Why its members are ended: from above, or since one of them failed.
    fn ending(&self) -> Ending {
        if let Some(ending) = &self.ended_by {
            return ending.clone();
        }
        let trouble = self.first_failed.as_ref().or(self.first_undecided.as_ref());
        let message = trouble.map_or_else(|| "another member of the group failed".to_owned(), ToString::to_string);
        Ending::new(CancelCause::GroupFailed, message)
    }

    /// What its parent tells of it.
    fn as_trouble(&self, verdict: Verdict) -> Trouble {
        let (outcome, reason) = self.outcome(verdict);
        Trouble { member: self.firing.check.id().to_string(), outcome, reason }
    }

    /// Whether it is made of checks.
    pub(super) fn is_group(&self) -> bool {
        matches!(self.members, Members::Checks(_))
    }
}

fn too_late(of: usize, what: &str) -> Reason {
    let message =
        format!("its turn among {of} {what} did not come before the deadline: `parallel` or the timeout is too small");
    Reason::new(ReasonCode::DeadlinePassed, message)
}

/// What an outcome is worth to a verdict.
pub(super) fn verdict_of(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Pass => Verdict::Passed,
        Outcome::Fail | Outcome::Error | Outcome::Timeout => Verdict::Failed,
        Outcome::Cancelled | Outcome::Lost | Outcome::Missed => Verdict::Undecided,
    }
}
