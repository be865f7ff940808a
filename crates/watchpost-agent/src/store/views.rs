//! How the checks stand, for those who ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use watchpost_model::{
    Check, CheckDocument, CheckId, CheckReport, CheckShown, CheckSource, SignedReport, Standing, V1,
};

use super::book::{Book, Shelf};
use super::entry::Key;

/// How many of the store's checks there are of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) running: u64,
    pub(super) paused: u64,
    pub(super) refused: u64,
    pub(super) orphaned: u64,
    pub(super) signatures_old: u64,
}

impl Book {
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { refused: self.turned_away.len() as u64, ..Counts::default() };
        for shelf in self.shelves.values() {
            if let Some(Ok(check)) = shelf.running().map(|written| &written.check) {
                counts.running += 1;
                counts.paused += u64::from(self.is_paused(check));
            }
            counts.refused += u64::from(shelf.refusal.is_some());
            counts.orphaned += u64::from(shelf.orphaned);
            counts.signatures_old += u64::from(shelf.is_old);
        }
        counts
    }

    /// How what is written under a key stands.
    pub(super) fn report(&self, key: &Key) -> Option<CheckReport> {
        self.shelves.get(key).map(|shelf| self.report_on(key, shelf))
    }

    /// How everything of one id stands: the file's, then that of each key.
    pub(super) fn reports(&self, id: &CheckId) -> Vec<CheckReport> {
        let of_file = self.file.get(id).map(|check| CheckReport {
            check: id.clone(),
            source: CheckSource::File,
            group: None,
            revision: None,
            standing: if self.is_paused(check) { Standing::Paused } else { Standing::Running },
            refusal: None,
            running_revision: None,
            signed: None,
            denied: Vec::new(),
        });
        let of_store = self.keys_of(id).into_iter().filter_map(|key| self.report(&key));
        of_file.into_iter().chain(of_store).collect()
    }

    /// What each of those that [`Book::reports`] tells of says, if that can be read.
    pub(super) fn written(&self, id: &CheckId) -> Vec<Option<Arc<Check>>> {
        let of_file = self.file.get(id).map(|check| Some(Arc::clone(check)));
        let of_store = self.keys_of(id).into_iter().filter_map(|key| self.shelves.get(&key));
        let of_store = of_store.map(|shelf| shelf.latest.check.as_ref().ok().map(Arc::clone));
        of_file.into_iter().chain(of_store).collect()
    }

    /// The ids after `after`, in their order.
    pub(super) fn ids_after<'a>(&'a self, after: Option<&'a CheckId>) -> impl Iterator<Item = &'a CheckId> {
        let ids: BTreeSet<&CheckId> = self.file.keys().chain(self.shelves.keys().map(|key| &key.check)).collect();
        ids.into_iter().filter(move |id| after.is_none_or(|after| *id > after))
    }

    /// The check of an id that is in force; where none is, the one that would be first.
    pub(super) fn shown(&self, id: &CheckId) -> Option<CheckShown> {
        let shown =
            |report, document: Option<CheckDocument>| CheckShown { v: V1, report, document: document.map(Box::new) };
        if let Some(check) = self.file.get(id) {
            let report = self.reports(id).into_iter().next()?;
            return Some(shown(report, Some(CheckDocument::from(Check::clone(check)))));
        }
        let in_force = self.in_force.get(id).and_then(|in_force| in_force.from.clone());
        let key = in_force.map(|(key, _)| key).or_else(|| self.keys_of(id).into_iter().next())?;
        let shelf = self.shelves.get(&key)?;
        Some(shown(self.report_on(&key, shelf), shelf.latest.document()))
    }

    /// The keys of an id, in the order of the groups.
    fn keys_of(&self, id: &CheckId) -> Vec<Key> {
        let keys = self.groups.iter().map(|group| Key { check: id.clone(), group: group.clone() });
        keys.filter(|key| self.shelves.contains_key(key)).collect()
    }

    fn report_on(&self, key: &Key, shelf: &Shelf) -> CheckReport {
        let running = shelf.running();
        let is_paused = || running.and_then(|written| written.check.as_ref().ok()).is_some_and(|c| self.is_paused(c));
        let standing = match &shelf.refusal {
            _ if shelf.orphaned => Standing::Orphaned,
            Some(_) => Standing::Refused,
            None if is_paused() => Standing::Paused,
            None => Standing::Running,
        };
        CheckReport {
            check: key.check.clone(),
            source: CheckSource::Store,
            group: Some(key.group.clone()),
            revision: Some(shelf.latest.revision),
            standing,
            refusal: shelf.refusal.clone(),
            running_revision: shelf.running.filter(|running| *running != shelf.latest.revision),
            signed: self.trust.as_ref().and_then(|_| signed(running?.check.as_ref().ok()?, shelf.is_old)),
            denied: Vec::new(),
        }
    }

    /// Whether it is paused, or a group of which nothing is left to run.
    pub(super) fn is_paused(&self, check: &Check) -> bool {
        let is_out = |id: &CheckId| self.in_force.get(id).is_some_and(|in_force| self.is_paused(&in_force.check));
        check.is_paused() || check.group().is_some_and(|members| members.iter().all(is_out))
    }
}

fn signed(check: &Check, old: bool) -> Option<SignedReport> {
    let signature = check.signature()?;
    Some(SignedReport { by: signature.by.clone(), revision: signature.revision, at: signature.at, old })
}
