//! How a run as a whole ended, by the rule of its check.

use watchpost_core::{GroupCounts, Verdict};
use watchpost_model::{Outcome, Reason, ReasonCode, RunId, RunVerdict, V1, VerdictOf};

use super::Checker;
use super::publish::Outbound;
use super::run::{Fired, Node, Run, rule_of};
use crate::RunReport;

impl Run {
    /// What its verdict is as an outcome, and why.
    pub(super) fn outcome(&self, verdict: Verdict) -> (Outcome, Option<Reason>) {
        let trouble = match verdict {
            Verdict::Passed => return (Outcome::Pass, None),
            Verdict::Failed => self.first_failed.as_ref(),
            Verdict::Undecided => self.first_undecided.as_ref(),
        };
        let what = if self.is_group() { "checks" } else { "endpoints" };
        let GroupCounts { total, .. } = self.group.counts();
        let Some(trouble) = trouble else {
            return match &self.ended_by {
                // It was ended before any of its members had said a word.
                Some(ending) => (Outcome::Cancelled, Some(ending.reason())),
                // All passed, and they are too few: the name resolved to fewer endpoints than are needed.
                None => {
                    let message = format!("there are {total} {what}, and {} must pass", self.group.needed());
                    (Outcome::Fail, Some(Reason::new(ReasonCode::VerdictNotMet, message)))
                }
            };
        };
        if !self.is_group() && total == 1 {
            return (trouble.outcome, trouble.reason.clone());
        }
        if verdict == Verdict::Failed {
            let message = format!("too few {what} passed; the first that did not: {trouble}");
            return (Outcome::Fail, Some(Reason::new(ReasonCode::VerdictNotMet, message)));
        }
        let code = trouble.reason.as_ref().map_or(ReasonCode::VerdictNotMet, |reason| reason.code.clone());
        let message = format!("it is not known whether enough {what} pass; the first without a word: {trouble}");
        (trouble.outcome, Some(Reason::new(code, message)))
    }
}

impl Checker {
    /// Publishes how a run ended, where that says more than its one result did.
    pub(super) fn publish_verdict(&mut self, run: &Run, verdict: Verdict) {
        let counts = run.group.counts();
        // The result of the one endpoint says all of it, unless one could never be enough.
        if !run.is_group() && counts.total < 2 && run.group.needed() <= counts.total {
            return;
        }
        let (outcome, reason) = run.outcome(verdict);
        let verdict = self.verdict(&run.fired, run.fired.run, counts, outcome, reason);
        self.send_verdict(&run.fired, verdict);
    }

    /// Of a group none of whose members was begun, under the name `run`.
    pub(super) fn publish_untried_verdict(&mut self, fired: &Fired, run: RunId, outcome: Outcome, reason: Reason) {
        self.cx.stats.shed(&reason.code);
        let total = fired.check.group().map_or(0, <[_]>::len);
        let counts = GroupCounts { total, undecided: total, ..GroupCounts::default() };
        let verdict = self.verdict(fired, run, counts, outcome, Some(reason));
        self.send_verdict(fired, verdict);
    }

    fn verdict(
        &self,
        fired: &Fired,
        run: RunId,
        counts: GroupCounts,
        outcome: Outcome,
        reason: Option<Reason>,
    ) -> RunVerdict {
        let rule = fired.check.rules().verdict;
        RunVerdict {
            v: V1,
            run,
            parent: match fired.parent {
                Some((Node::Run(parent), _)) => Some(parent),
                _ => None,
            },
            check: fired.check.id().clone(),
            bastion: self.cx.settings.bastion.clone(),
            scheduled_at: fired.scheduled_at,
            finished_at: self.cx.clock.now(),
            outcome,
            reason,
            verdict: rule,
            of: if fired.check.group().is_some() { VerdictOf::Checks } else { VerdictOf::Endpoints },
            needed: count(rule_of(&fired.check, counts.total).needed(counts.total)),
            total: count(counts.total),
            passed: count(counts.passed),
            failed: count(counts.failed),
            undecided: count(counts.undecided),
            config_generation: fired.config_generation,
        }
    }

    fn send_verdict(&mut self, fired: &Fired, verdict: RunVerdict) {
        tracing::debug!(check = %verdict.check, run = %verdict.run, outcome = %verdict.outcome, "a run ended");
        let keep = self.is_in_force(&fired.check);
        if let Err(error) = self.outbox.try_send(Outbound::Verdict { verdict: Box::new(verdict.clone()), keep }) {
            self.cx.stats.results_unsent.increment();
            tracing::warn!(%error, "the queue to the bus is full: a verdict was not published");
        }
        if let Some(id) = fired.request {
            self.report(id, RunReport::Verdict(Box::new(verdict)));
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
