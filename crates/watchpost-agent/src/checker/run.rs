//! Runs and requests as a tree: deadlines and cancellation flow down, outcomes flow up.
//!
//! A request has items, a run of a group has member checks, a run of any other check has endpoints. Each
//! of these nodes is a [`TaskGroup`], which decides who starts, who is cancelled and what the verdict is.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use watchpost_core::{GroupPolicy, GroupSettings, Rule, TaskGroup, Tick, Verdict};
use watchpost_model::{
    CancelCause, Check, Endpoint, Outcome, ProbeBody, Reason, ReasonCode, RunId, RunPolicy, SourceReport, Timestamp,
    VerdictRule,
};
use watchpost_trust::Proof;

use super::Checker;
use super::aim::Aim;
use super::beats::heartbeat_of;
use crate::adhoc::RUN_TASKS_MAX;

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
    pub(super) fired: Fired,
    pub(super) members: Members,
    pub(super) group: TaskGroup<u32>,
    /// Why it was ended before its members did by themselves.
    pub(super) ended_by: Option<Ending>,
    /// The first members that did not pass, as its verdict tells them.
    pub(super) first_failed: Option<Trouble>,
    pub(super) first_undecided: Option<Trouble>,
    /// The signed check that its tasks carry, where signatures are asked for.
    pub(super) proof: Option<Arc<str>>,
}

/// What is the same for a run from its beginning to its end.
pub(super) struct Fired {
    pub(super) check: Arc<Check>,
    pub(super) run: RunId,
    /// Whose member it is: the place in the tree, and which one of its members.
    pub(super) parent: Option<(Node, u32)>,
    pub(super) scheduled_at: Timestamp,
    /// When its tasks must be over, and until when their outcomes are waited for: on this process's own
    /// clock, so that a time of day that is set moves neither.
    pub(super) deadline: Tick,
    pub(super) answer_by: Tick,
    pub(super) config_generation: u64,
    /// The request at the root of the tree, if there is one.
    pub(super) request: Option<u64>,
}

/// What a run is made of.
pub(super) enum Members {
    /// The endpoints are yet to be found.
    Resolving(AbortHandle),
    Endpoints(Vec<Endpoint>),
    /// The targets of a source, with a word on it where it gives none at present.
    Targets {
        aims: Arc<[Aim]>,
        source: Option<Arc<SourceReport>>,
    },
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
        Reason::new(self.cause.reason_code(), &*self.message)
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
    /// The run of a member of this one, begun at `now`. Its time only shrinks.
    pub(super) fn member(&self, now: Tick, check: &Arc<Check>, index: u32, grace: Duration) -> Self {
        let deadline = now.after(check.timeout().get()).min(self.deadline);
        Self {
            run: RunId::derive_member(self.run, check.id()),
            check: Arc::clone(check),
            parent: Some((Node::Run(self.run), index)),
            scheduled_at: self.scheduled_at,
            deadline,
            answer_by: deadline.after(grace).min(self.answer_by),
            config_generation: self.config_generation,
            request: self.request,
        }
    }
}

impl Run {
    /// A run whose endpoints are yet to be found.
    pub(super) fn resolving(fired: Fired, lookup: AbortHandle) -> Self {
        let settings = GroupSettings { policy: GroupPolicy::CollectAll, rule: Rule::All, parallel: 1 };
        Self {
            fired,
            members: Members::Resolving(lookup),
            group: TaskGroup::new(settings, Vec::new()),
            ended_by: None,
            first_failed: None,
            first_undecided: None,
            proof: None,
        }
    }

    /// Why its members are ended: from above, or since one of them failed.
    pub(super) fn ending(&self) -> Ending {
        if let Some(ending) = &self.ended_by {
            return ending.clone();
        }
        let trouble = self.first_failed.as_ref().or(self.first_undecided.as_ref());
        let message = trouble.map_or_else(|| "another member of the group failed".to_owned(), ToString::to_string);
        Ending::new(CancelCause::GroupFailed, message)
    }

    /// What its parent tells of it.
    pub(super) fn as_trouble(&self, verdict: Verdict) -> Trouble {
        let (outcome, reason) = self.outcome(verdict);
        Trouble { member: self.fired.check.id().to_string(), outcome, reason }
    }

    /// Of a member that is an endpoint: where it is, and what is done there, or why nothing can be. `None` of other
    /// members.
    pub(super) fn aim(&self, member: u32) -> Option<(Endpoint, Result<&ProbeBody, &Reason>)> {
        let member = member as usize;
        match &self.members {
            Members::Resolving(_) | Members::Checks(_) => None,
            Members::Endpoints(endpoints) => Some((endpoints.get(member)?.clone(), Ok(self.fired.check.probe()?))),
            Members::Targets { aims, source } => {
                let aim = aims.get(member)?;
                let endpoint = Endpoint { source: source.clone(), ..aim.endpoint.clone() };
                Some((endpoint, aim.body.as_deref()))
            }
        }
    }

    /// Whether it is made of checks.
    pub(super) fn is_group(&self) -> bool {
        matches!(self.members, Members::Checks(_))
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
            return self.tell_parent(&fired, Verdict::Undecided);
        }
        if heartbeat_of(&fired.check).is_some() {
            // The job itself is asked nothing.
            return self.settle_pulse(&fired, false);
        }
        if let Some(members) = fired.check.group() {
            let checks: Option<Vec<_>> = members.iter().map(|id| self.check(id)).collect();
            let Some(mut checks) = checks else { return self.settle_without_members(&fired) };
            checks.retain(|check| !self.is_idle(check));
            if checks.is_empty() {
                let reason = Reason::new(ReasonCode::Paused, "every member of the group is paused");
                return self.settle_whole_run(&fired, Outcome::Cancelled, reason);
            }
            return self.enter_run(fired, Members::Checks(checks));
        }
        if fired.check.probe().is_some_and(|probe| probe.targets().is_some()) {
            return self.take_aim(fired);
        }
        match fired.check.probe().and_then(|probe| probe.target.static_endpoints()) {
            Some(endpoints) => self.enter_run(fired, Members::Endpoints(endpoints)),
            None => self.resolve(fired),
        }
    }

    /// A group whose members are not all there. The configuration as a whole was valid, so either it was
    /// replaced since, or somebody asked for a group of their own.
    fn settle_without_members(&mut self, fired: &Fired) {
        let message = "not all of its members are among the checks";
        let (outcome, code) = match fired.request {
            Some(_) => (Outcome::Error, ReasonCode::InvalidTarget),
            None => (Outcome::Cancelled, ReasonCode::CheckChanged),
        };
        self.settle_whole_run(fired, outcome, Reason::new(code, message));
    }

    /// The members of a run are known.
    pub(super) fn enter_run(&mut self, fired: Fired, members: Members) {
        let count = match &members {
            Members::Resolving(_) => 0,
            Members::Endpoints(endpoints) => endpoints.len(),
            Members::Targets { aims, .. } => aims.len(),
            Members::Checks(checks) => checks.len(),
        };
        if let Some(request) = fired.request.and_then(|id| self.requests.get_mut(&id)) {
            let endpoints = if matches!(members, Members::Checks(_)) { 0 } else { count };
            let too_many = |max, so_far| {
                let message = format!("this request may have {max} tasks, and has {so_far} without this check");
                Reason::new(ReasonCode::Overloaded, message)
            };
            let reason = if request.tasks + count > RUN_TASKS_MAX {
                Some(too_many(RUN_TASKS_MAX, request.tasks))
            } else if request.endpoints + endpoints > request.endpoints_max {
                Some(too_many(request.endpoints_max, request.endpoints))
            } else {
                None
            };
            if let Some(reason) = reason {
                return self.settle_whole_run(&fired, Outcome::Missed, reason);
            }
            request.endpoints += endpoints;
            request.tasks += count;
        }
        let rules = fired.check.rules();
        let settings = GroupSettings {
            policy: match rules.policy {
                RunPolicy::CollectAll => GroupPolicy::CollectAll,
                RunPolicy::FailFast => GroupPolicy::FailFast,
            },
            rule: rule_of(&fired.check, count),
            parallel: rules.parallel,
        };
        let id = fired.run;
        let mut group = TaskGroup::new(settings, (0..count as u32).collect());
        let mut steps = Vec::new();
        group.begin(&mut steps);
        let proof = match &self.cx.trust {
            Some(_) if fired.check.probe().is_some() => Proof::write(&fired.check),
            _ => None,
        };
        let run = Run { fired, members, group, ended_by: None, first_failed: None, first_undecided: None, proof };
        self.runs.insert(id, run);
        self.plan(Node::Run(id), steps);
    }
}

/// The rule of a check for a run of `total` members, as the core knows it. Where members of a group are paused, no
/// more are needed than there are left.
pub(super) fn rule_of(check: &Check, total: usize) -> Rule {
    match check.rules().verdict {
        VerdictRule::All => Rule::All,
        VerdictRule::Any => Rule::Any,
        VerdictRule::Quorum(needed) if check.group().is_some() => Rule::Quorum((needed as usize).min(total)),
        VerdictRule::Quorum(needed) => Rule::Quorum(needed as usize),
        VerdictRule::Percent(percent) => Rule::Percent(percent),
    }
}

/// What an outcome is worth to a verdict.
pub(super) fn verdict_of(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Pass => Verdict::Passed,
        Outcome::Fail | Outcome::Error | Outcome::Timeout => Verdict::Failed,
        Outcome::Cancelled | Outcome::Lost | Outcome::Missed => Verdict::Undecided,
    }
}
