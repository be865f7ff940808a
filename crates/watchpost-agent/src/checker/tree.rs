//! Working off what the groups of the tree decide.
//!
//! Steps wait in a queue and are done first come, first served: so a tree however deep or wide needs no
//! recursion, and what a panic interrupts is gone on with.

use std::collections::BTreeSet;

use watchpost_core::{GroupStep, Verdict};
use watchpost_model::{Outcome, Reason, ReasonCode, RunId};

use super::Checker;
use super::run::{Ending, Fired, Members, Node, Trouble};
use crate::adhoc::RunReport;

impl Checker {
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
    pub(super) fn tell_parent(&mut self, fired: &Fired, verdict: Verdict) {
        if let Some((node, member)) = fired.parent {
            self.member_ended(node, member, verdict);
        }
    }

    /// Notes the first members of a node that did not pass.
    pub(super) fn note_trouble(&mut self, node: Node, trouble: impl FnOnce() -> Trouble, verdict: Verdict) {
        match node {
            Node::Run(id) => {
                let Some(run) = self.runs.get_mut(&id) else { return };
                let first = match verdict {
                    Verdict::Passed => return,
                    Verdict::Failed => &mut run.first_failed,
                    Verdict::Undecided => &mut run.first_undecided,
                };
                first.get_or_insert_with(trouble);
            }
            Node::Request(id) => {
                let Some(request) = self.requests.get_mut(&id) else { return };
                if verdict != Verdict::Passed && request.first_failure.is_none() {
                    request.first_failure = Some(trouble().to_string().into());
                }
            }
        }
    }

    /// Its verdict cannot change any more: whoever fails fast acts on it at once.
    fn decided(&mut self, id: RunId, verdict: Verdict) {
        let Some(run) = self.runs.get(&id) else { return };
        let Some((node, member)) = run.fired.parent else { return };
        let trouble = run.as_trouble(verdict);
        self.note_trouble(node, || trouble, verdict);
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
        if let Some((parent, _)) = run.fired.parent {
            self.note_trouble(parent, || run.as_trouble(verdict), verdict);
        }
        self.no_longer_going(&run.fired);
        self.tell_parent(&run.fired, verdict);
    }

    /// After a panic: members in flight that nobody will report on any more are given up, and that is told,
    /// so that every run ends and every task has its outcome.
    pub(super) fn reconcile(&mut self) {
        let reason =
            || Reason::new(ReasonCode::Panicked, "the Checker panicked over it; this is a defect of Watchpost");
        let open: BTreeSet<(RunId, u32)> =
            self.ledger.iter().map(|(_, pending)| (pending.run, pending.member)).collect();
        let mut lost = Vec::new();
        for (id, run) in &self.runs {
            let is_lost = |member: &u32| match &run.members {
                Members::Resolving(_) => false,
                Members::Endpoints(_) | Members::Targets { .. } => !open.contains(&(*id, *member)),
                Members::Checks(checks) => checks
                    .get(*member as usize)
                    .is_none_or(|check| !self.runs.contains_key(&RunId::derive_member(*id, check.id()))),
            };
            lost.extend(run.group.in_flight().filter(is_lost).map(|member| (*id, member)));
        }
        for (id, member) in lost {
            self.give_up_member(id, member, Outcome::Cancelled, reason());
        }
        let lost: Vec<(u64, u32)> = self
            .requests
            .iter()
            .flat_map(|(id, request)| {
                let begun = |item: &u32| request.run_of(*item).is_some_and(|run| self.runs.contains_key(&run));
                request.group.in_flight().filter(move |item| !begun(item)).map(|item| (*id, item))
            })
            .collect();
        for (id, item) in lost {
            if let Some(fired) = self.fire_item(id, item) {
                self.settle_whole_run(&fired, Outcome::Cancelled, reason());
            }
        }
    }
}
