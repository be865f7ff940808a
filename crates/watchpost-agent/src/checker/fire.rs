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
    /// Everything that is due by now, however much it is, and returns when that was, in µs: no slot up to then is
    /// still to come.
    pub(super) fn fire_all_due(&mut self) -> i64 {
        let now_us = self.cx.clock.now().as_microsecond();
        while self.fire_next(now_us) {}
        now_us
    }

    pub(super) fn fire_due(&mut self) {
        self.let_pass();
        for _ in 0..FIRE_BATCH {
            if !self.fire_next(self.cx.clock.now().as_microsecond()) {
                return;
            }
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
        tracing::info!(
            draining,
            checks = self.checks.len(),
            outstanding = self.ledger.len(),
            "the Checker was told to drain or to go on"
        );
        if !draining {
            self.tell_all_news();
        }
    }

    /// The next check that is due at `now_us`, and says whether there was one.
    fn fire_next(&mut self, now_us: i64) -> bool {
        if !self.may_fire() {
            return false;
        }
        let Some(due) = self.schedule.pop_due(now_us) else { return false };
        let (check, skipped, scheduled_at) = (Arc::clone(due.value), due.skipped, timestamp_us(due.scheduled_at_us));
        if self.is_idle(&check) {
            return true;
        }
        let lag_us = now_us.saturating_sub(scheduled_at.as_microsecond());
        self.cx.stats.lag.note(u64::try_from(lag_us).unwrap_or(0));
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
        true
    }

    /// Whether a group leaves it out: it is paused, or a group of which nothing is left.
    pub(super) fn is_idle(&self, check: &Check) -> bool {
        // Groups nest a few levels at most, and most often the first member says it.
        let is_out = |id: &CheckId| self.checks.get(id).is_some_and(|entry| self.is_idle(&entry.check));
        check.is_paused() || check.group().is_some_and(|members| members.iter().all(is_out))
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
