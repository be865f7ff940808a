//! Members of runs: endpoints, of which tasks are made, and checks, of which runs are.

use std::sync::Arc;

use watchpost_core::Verdict;
use watchpost_model::{CancelCause, Check, Firing, Outcome, Reason, ReasonCode, RunId, Task, TaskClass};

use super::publish::Outbound;
use super::requester::GONE;
use super::run::{Ending, Fired, Members, Node, Trouble, verdict_of};
use super::settle::Origin;
use super::{Checker, Pending};
use crate::clock::later;

impl Checker {
    pub(super) fn start_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        // Between the group's word and now it may have been cancelled: then nothing is begun.
        if run.group.is_stopped() {
            let reason = run.ending().reason();
            return self.give_up_member(id, member, Outcome::Cancelled, reason);
        }
        if run.fired.deadline <= self.cx.clock.tick() {
            let total = run.group.counts().total;
            let message = format!(
                "its turn among {total} did not come before the deadline: `parallel` or the timeout is too small"
            );
            let reason = Reason::new(ReasonCode::DeadlinePassed, message);
            return self.give_up_member(id, member, Outcome::Cancelled, reason);
        }
        match &run.members {
            Members::Resolving(_) => {}
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                let fired = self.member_run(&run.fired, check, member);
                if self.is_in_force(check) {
                    return self.begin_run(fired);
                }
                let ending = Ending::new(CancelCause::CheckChanged, CHANGED);
                self.settle_whole_run(&fired, Outcome::Cancelled, ending.reason());
            }
            Members::Endpoints(_) | Members::Targets { .. } => self.send_task(id, member),
        }
    }

    fn member_run(&self, fired: &Fired, check: &Arc<Check>, member: u32) -> Fired {
        fired.member(self.cx.clock.tick(), check, member, self.cx.settings.answer_grace)
    }

    /// Whether this is how the check is configured now. It may have been replaced or removed while it waited.
    pub(super) fn is_in_force(&self, check: &Arc<Check>) -> bool {
        self.checks.get(check.id()).is_some_and(|entry| Arc::ptr_eq(&entry.check, check))
    }

    fn send_task(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        let Some((endpoint, body)) = run.aim(member) else { return };
        let body = match body {
            Ok(body) => body,
            Err(reason) => {
                let reason = reason.clone();
                return self.give_up_member(id, member, Outcome::Error, reason);
            }
        };
        let fired = &run.fired;
        // Times of day as the clock is set now: whoever reads them does so within ms.
        let (now, tick) = (self.cx.clock.now(), self.cx.clock.tick());
        let firing = Firing {
            run: fired.run,
            bastion: &self.cx.settings.bastion,
            scheduled_at: fired.scheduled_at,
            deadline: later(now, fired.deadline.since(tick)),
            answer_by: later(now, fired.answer_by.since(tick)),
            config_generation: fired.config_generation,
            class: if fired.request.is_some() { TaskClass::AdHoc } else { TaskClass::Scheduled },
        };
        let mut task = Task::new(fired.check.id(), body, endpoint, &firing);
        task.proof = run.proof.clone();
        let (key, request, answer_by) = (task.task, fired.request, fired.answer_by);
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
        if let Some(trust) = &self.cx.trust {
            trust.note_sent(&task);
        }
        if !self.has_room_for_tasks() || self.outbox.try_send(Outbound::Task(Box::new(task))).is_err() {
            let message = "the queue of tasks to publish is full: the bus takes them too slowly";
            self.settle_here(key, Outcome::Missed, Reason::new(ReasonCode::Overloaded, message));
        }
    }

    pub(super) fn cancel_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        let ending = run.ending();
        match &run.members {
            Members::Resolving(_) => {}
            // Whatever of the run is in flight is to be stopped: its id says that in one word.
            Members::Endpoints(_) | Members::Targets { .. } => self.cancel_at_runners(id, ending),
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                self.cancel_run(RunId::derive_member(id, check.id()), &ending);
            }
        }
    }

    /// Reports on a member that is never started. The group has counted it, and ignores what it hears.
    pub(super) fn skip_member(&mut self, id: RunId, member: u32) {
        let Some(run) = self.runs.get(&id) else { return };
        let reason = run.ending().reason();
        self.give_up_member(id, member, Outcome::Cancelled, reason);
    }

    /// Ends a member that no task or run was made for, and reports on it: on a group as a whole.
    pub(super) fn give_up_member(&mut self, id: RunId, member: u32, outcome: Outcome, reason: Reason) {
        let Some(run) = self.runs.get(&id) else { return };
        match &run.members {
            Members::Resolving(_) => {}
            Members::Endpoints(_) | Members::Targets { .. } => {
                let Some((endpoint, body)) = run.aim(member) else { return };
                let verdict = verdict_of(outcome);
                let origin = Origin::of_endpoint(&run.fired, &endpoint, body.ok());
                let trouble = Trouble { member: endpoint.name, outcome, reason: Some(reason.clone()) };
                self.note_trouble(Node::Run(id), || trouble, verdict);
                self.settle_untried(origin, outcome, reason);
                self.member_ended(Node::Run(id), member, verdict);
            }
            Members::Checks(checks) => {
                let Some(check) = checks.get(member as usize) else { return };
                let fired = self.member_run(&run.fired, check, member);
                self.settle_whole_run(&fired, outcome, reason);
            }
        }
    }
}

/// What is said of a check that was replaced or removed.
pub(super) const CHANGED: &str = "the check was replaced or removed while it ran";
