//! Another set of checks, while the present one runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use watchpost_core::phase;
use watchpost_model::{CancelCause, Check, CheckId, ProbeBody};

use super::run::Ending;
use super::{Checker, ChecksChanged, Configured, member};

/// What differs between the checks in force and those that are to be.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// New ones, and those that take the place of others of their id.
    pub(crate) set: Vec<Arc<Check>>,
    /// Those that are to go.
    pub(crate) removed: Vec<CheckId>,
    /// The generation is to be greater than this one, which an earlier process came to.
    pub(crate) generation_before: u64,
}

impl Checker {
    /// What it takes to get from the checks in force to these.
    pub(super) fn difference(&self, checks: Vec<Check>) -> Change {
        let kept: BTreeSet<&CheckId> = checks.iter().map(Check::id).collect();
        let removed = self.checks.keys().filter(|id| !kept.contains(id)).cloned().collect();
        let is_new = |check: &Check| self.checks.get(check.id()).is_none_or(|entry| *entry.check != *check);
        let set = checks.into_iter().filter(is_new).map(Arc::new).collect();
        Change { set, removed, generation_before: 0 }
    }

    /// Changes the set of checks. It costs as much as is changed, however many others there are; what they are
    /// keeps its timer. One that differs gets a new timer in place of the old, and what still runs of the old one
    /// is cancelled.
    pub(super) fn change_checks(&mut self, change: Change) -> ChecksChanged {
        // Invariant: slots up to this moment have been fired by the old timers, later ones are fired by the new.
        let now_us = self.fire_all_due();
        let Change { set, removed, generation_before } = change;
        self.generation = self.generation.max(generation_before) + 1;
        let before = self.checks.len();
        let mut changed = ChecksChanged { config_generation: self.generation, ..ChecksChanged::default() };
        let mut over = BTreeSet::new();
        let mut touched = BTreeSet::new();
        for id in removed {
            if let Some(old) = self.checks.remove(&id) {
                old.slot.map(|slot| self.schedule.remove(slot));
                changed.removed += 1;
                over.insert(id);
            }
        }
        for check in set {
            let id = check.id().clone();
            let old = self.checks.remove(&id);
            match &old {
                Some(_) => {
                    changed.replaced += 1;
                    over.insert(id.clone());
                }
                None => changed.added += 1,
            }
            let going = old.as_ref().and_then(|old| old.going);
            old.and_then(|old| old.slot).map(|slot| self.schedule.remove(slot));
            let interval = check.interval().get();
            let slot = check
                .has_timer()
                .then(|| self.schedule.insert(now_us, interval, phase(id.as_str(), interval), Arc::clone(&check)));
            let targets = check.probe().and_then(ProbeBody::targets);
            let source = targets.map(|targets| self.cx.discovery.source(targets));
            touched.insert(id.clone());
            self.checks.insert(id, Configured { check, slot, going, _source: source, aims: None });
        }
        changed.unchanged = before - changed.removed - changed.replaced;
        if !over.is_empty() {
            let ending = Ending::new(CancelCause::CheckChanged, member::CHANGED);
            // Whoever asked for a run by itself named what to run.
            self.cancel_runs(&ending, |run| run.fired.request.is_none() && over.contains(run.fired.check.id()));
        }
        self.follow_jobs(touched.iter().chain(&over));
        self.cx.lasts.forget(over.iter().filter(|id| !self.checks.contains_key(*id)));
        changed
    }
}
