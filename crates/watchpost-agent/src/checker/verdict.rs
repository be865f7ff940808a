//! How a run as a whole ended, by the rule of its check.

use watchpost_core::{GroupCounts, Verdict};
use watchpost_model::{Outcome, Reason, ReasonCode, RunVerdict, V1, VerdictOf};

use super::Checker;
use super::publish::Outbound;
use super::run::{Fired, Node, Run, Trouble};

impl Run {
    /// What its verdict is as an outcome, and why.
    pub(super) fn outcome(&self, verdict: Verdict) -> (Outcome, Option<Reason>) {
        let GroupCounts { total, passed, .. } = self.group.counts();
        let what = if self.is_group() { "checks" } else { "endpoints" };
        let told = |code: ReasonCode, trouble: Option<&Trouble>| {
            let first = trouble.map(|trouble| format!("; first: {trouble}")).unwrap_or_default();
            let message = format!("{passed} of {total} {what} passed, {} needed{first}", self.group.needed());
            Some(Reason::new(code, message))
        };
        match verdict {
            Verdict::Passed => (Outcome::Pass, None),
            Verdict::Failed => (Outcome::Fail, told(ReasonCode::VerdictNotMet, self.first_failed.as_ref())),
            Verdict::Undecided => {
                let trouble = self.first_undecided.as_ref();
                let code = trouble.and_then(|trouble| trouble.reason.as_ref()).map(|reason| reason.code.clone());
                let outcome = trouble.map_or(Outcome::Cancelled, |trouble| trouble.outcome);
                (outcome, told(code.unwrap_or(ReasonCode::VerdictNotMet), trouble))
            }
        }
    }
}

impl Checker {
    /// Publishes how a run ended, where that says more than its one result did.
    pub(super) fn publish_verdict(&mut self, run: &Run, verdict: Verdict) {
        let counts = run.group.counts();
        if !run.is_group() && counts.total < 2 {
            return;
        }
        let (outcome, reason) = run.outcome(verdict);
        let verdict = self.verdict(&run.firing, counts, run.group.needed(), outcome, reason);
        self.send_verdict(verdict);
    }

    /// Of a group none of whose members was begun.
    pub(super) fn publish_untried_verdict(&mut self, fired: &Fired, outcome: Outcome, reason: Reason) {
        self.cx.stats.shed(&reason.code);
        let total = fired.check.group().map_or(0, <[_]>::len);
        let counts = GroupCounts { total, undecided: total, ..GroupCounts::default() };
        let verdict = self.verdict(fired, counts, total, outcome, Some(reason));
        self.send_verdict(verdict);
    }

    fn verdict(
        &self,
        fired: &Fired,
        counts: GroupCounts,
        needed: usize,
        outcome: Outcome,
        reason: Option<Reason>,
    ) -> RunVerdict {
        RunVerdict {
            v: V1,
            run: fired.run,
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
            verdict: fired.check.rules().verdict,
            of: if fired.check.group().is_some() { VerdictOf::Checks } else { VerdictOf::Endpoints },
            needed: count(needed),
            total: count(counts.total),
            passed: count(counts.passed),
            failed: count(counts.failed),
            undecided: count(counts.undecided),
            config_generation: fired.config_generation,
        }
    }

    fn send_verdict(&mut self, verdict: RunVerdict) {
        tracing::debug!(check = %verdict.check, run = %verdict.run, outcome = %verdict.outcome, "a run ended");
        if let Err(error) = self.outbox.try_send(Outbound::Verdict(Box::new(verdict))) {
            self.cx.stats.results_unsent.increment();
            tracing::warn!(%error, "the queue to the bus is full: a verdict was not published");
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
