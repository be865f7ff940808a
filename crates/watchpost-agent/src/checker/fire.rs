//! From a check that is due to its run.

use std::sync::Arc;

use watchpost_model::{Check, CheckId, Outcome, Overlap, Reason, ReasonCode, RunId};

use super::run::Fired;
use super::{Checker, FIRE_BATCH};
use crate::clock::timestamp_us;

/// A run counts as still going while more than this part of the interval is left of its time. Less is
/// left where the timeout is as long as the interval and the run was fired some ms late; and nothing runs
/// any more once its deadline has passed, even if nobody has said yet how it ended.
const GOING_TOLERANCE: u32 = 10;

impl Checker {
    /// Everything that is due, however much it is.
    pub(super) fn fire_all_due(&mut self) {
        let now_us = self.cx.clock.now().as_microsecond();
        while self.may_fire() && self.schedule.next_due_us().is_some_and(|due_us| due_us <= now_us) {
            self.fire_due();
        }
    }

    pub(super) fn fire_due(&mut self) {
        if !self.may_fire() {
            return self.let_pass();
        }
        for _ in 0..FIRE_BATCH {
            let now = self.cx.clock.now();
            let Some(due) = self.schedule.pop_due(now.as_microsecond()) else { return };
            let (check, skipped) = (Arc::clone(due.value), due.skipped);
            let lag_us = now.as_microsecond().saturating_sub(due.scheduled_at_us);
            self.cx.stats.lag.note(u64::try_from(lag_us).unwrap_or(0));
            let scheduled_at = timestamp_us(due.scheduled_at_us);
            let deadline = self.cx.clock.tick().after(check.timeout().get());
            let fired = Fired {
                run: RunId::derive(&self.cx.settings.bastion, check.id(), scheduled_at),
                check,
                parent: None,
                scheduled_at,
                deadline,
                answer_by: deadline.after(self.cx.settings.answer_grace),
                config_generation: self.generation,
                request: None,
            };
            if skipped > 0 {
                self.report_skipped(&fired, skipped);
            }
            self.cx.stats.runs.increment();
            self.fire(fired);
            self.work_off();
        }
    }

    /// Whether runs may be fired by themselves.
    pub(super) fn may_fire(&self) -> bool {
        self.stopping.is_none() && !self.draining
    }

    /// While it drains, slots pass as if there were none: what nobody wanted is not missed.
    fn let_pass(&mut self) {
        if self.draining && self.stopping.is_none() {
            let now_us = self.cx.clock.now().as_microsecond();
            while self.schedule.pop_due(now_us).is_some() {}
        }
    }

    /// Fires nothing any more, or again. What was begun goes on either way.
    pub(super) fn drain(&mut self, draining: bool) {
        if draining == self.draining {
            return;
        }
        if draining {
            // A slot that has come by now is still kept.
            self.fire_all_due();
        } else {
            self.let_pass();
        }
        self.draining = draining;
        tracing::info!(draining, checks = self.checks.len(), outstanding = self.ledger.len(), "the Checker was told to drain or to go on");
        if !draining {
            self.tell_all_news();
        }
    }

    /// Begins a scheduled run, unless the one before it is still going.
    fn fire(&mut self, fired: Fired) {
        let id = fired.check.id();
        let Some(entry) = self.checks.get_mut(id) else { return };
        let now = self.cx.clock.tick();
        if let Some(before) = entry.going.and_then(|run| self.runs.get(&run))
            && before.fired.deadline.since(now) > fired.check.interval().get() / GOING_TOLERANCE
            && fired.check.overlap() == Overlap::Skip
        {
            let message = "the previous run of the check is still going; `overlap: allow` would run both";
            return self.settle_whole_run(&fired, Outcome::Missed, Reason::new(ReasonCode::StillRunning, message));
        }
        entry.going = Some(fired.run);
        self.begin_run(fired);
    }

    /// A scheduled run ended.
    pub(super) fn no_longer_going(&mut self, fired: &Fired) {
        if let Some(entry) = self.checks.get_mut(fired.check.id())
            && entry.going == Some(fired.run)
        {
            entry.going = None;
        }
    }

    /// A check of the configuration by its name.
    pub(super) fn check(&self, id: &CheckId) -> Option<Arc<Check>> {
        self.checks.get(id).map(|entry| Arc::clone(&entry.check))
    }
}
