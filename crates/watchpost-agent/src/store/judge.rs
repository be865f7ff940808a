//! Which of the checks that are known come into force, why the others do not, and what that changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchpost_model::{BastionGroup, Check, CheckEventKind, CheckId, Refusal, RefusalCode};

use super::book::{Book, InForce, News, Outcome, Shelf, Told};
use super::entry::Key;
use super::fit::{Candidate, Fitted, Place, fit};
use crate::checker::Change;

/// Where a candidate comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    File,
    Latest(&'a Key),
    Fallback(&'a Key),
}

/// Everything that could stand under the ids there are.
#[derive(Default)]
struct Table<'a> {
    places: Vec<Place<'a>>,
    /// Of each place, where its candidates come from.
    sources: Vec<Vec<Source<'a>>>,
    by_id: BTreeMap<&'a CheckId, usize>,
}

/// A check that is looked at as if it were written under a key.
type Instead<'a> = Option<(&'a Key, &'a Arc<Check>)>;

impl Book {
    /// Brings into force what is to be. In `silence` nothing is told of it.
    pub(super) fn judge(&mut self, silence: bool) -> Outcome {
        let table = self.table(None);
        let fitted = fit(&table.places);
        let mut next = BTreeMap::new();
        for (place, (sources, fitted)) in table.places.iter().zip(table.sources.iter().zip(&fitted)) {
            if let Some(chosen) = fitted.chosen
                && let Some(in_force) = self.in_force_by(place.id, sources[chosen])
            {
                next.insert(place.id.clone(), in_force);
            }
        }
        let verdicts: Vec<_> = self
            .shelves
            .iter()
            .map(|(key, shelf)| {
                let at = table.by_id[&key.check];
                self.verdict(key, shelf, &table.sources[at], &fitted[at])
            })
            .collect();
        let mut news = std::mem::take(&mut self.untold);
        let old_before = self.trust.as_ref().and_then(|trust| trust.old_before());
        for ((key, shelf), (running, refusal)) in self.shelves.iter_mut().zip(verdicts) {
            if running == Some(shelf.latest.revision) {
                shelf.fallback = None;
            }
            let is_another = shelf.running != running || shelf.told == Told::default();
            (shelf.running, shelf.refusal) = (running, refusal);
            let in_force = shelf.running().and_then(|written| written.check.as_ref().ok());
            let signed_at = in_force.and_then(|check| check.signature()).map(|signature| signature.at);
            if let (true, Some(trust), Some(check)) = (is_another, &self.trust, in_force) {
                trust.note_in_force(check);
            }
            shelf.is_old = signed_at.zip(old_before).is_some_and(|(at, before)| at < before);
            shelf.tell(key, &mut news);
        }
        let change = self.bring_into_force(next, &mut news);
        if silence {
            news.clear();
        }
        Outcome { change, news }
    }

    /// Why a check would not come into force if it were written under `key`.
    pub(super) fn refusal_of(&self, key: &Key, check: &Arc<Check>) -> Option<Refusal> {
        // What is no group hangs on nothing but who else has its id: the thousands of others need no look.
        if check.group().is_none() && self.comes_first(key) {
            return None;
        }
        let table = self.table(Some((key, check)));
        let at = *table.by_id.get(&key.check)?;
        let fitted = fit(&table.places).into_iter().nth(at)?;
        let own = table.sources[at].iter().position(|source| *source == Source::Latest(key));
        match (own, fitted.chosen) {
            (Some(own), Some(chosen)) if own == chosen => None,
            (Some(own), _) if let Some(fault) = fitted.faults.get(own) => {
                Some(Refusal::new(RefusalCode::DoesNotFit, fault))
            }
            (_, chosen) => Some(duplicate(chosen.map(|chosen| table.sources[at][chosen]))),
        }
    }

    /// Whether nothing outranks what is written under `key`.
    fn comes_first(&self, key: &Key) -> bool {
        let has =
            |group: &BastionGroup| self.shelves.contains_key(&Key { group: group.clone(), check: key.check.clone() });
        let mut before = self.groups.iter().take_while(|group| **group != key.group);
        !self.file.contains_key(&key.check) && !before.any(has)
    }

    fn table<'a>(&'a self, instead: Instead<'a>) -> Table<'a> {
        let mut table = Table::default();
        for (id, check) in &self.file {
            table.add(id, check, true, Source::File);
        }
        let mut shelves = self.shelves.iter().peekable();
        let mut of_one = Vec::new();
        while let Some((key, shelf)) = shelves.next() {
            of_one.push((key, Some(shelf)));
            if shelves.peek().is_none_or(|(next, _)| next.check != key.check) {
                self.add_all(&mut table, &mut of_one, instead);
            }
        }
        // One that is not there yet stands behind whatever is, and is put in its place there.
        if let Some((key, _)) = instead.filter(|(key, _)| !self.shelves.contains_key(key)) {
            let same = self.shelves.iter().filter(|(other, _)| other.check == key.check);
            of_one.extend(same.map(|(key, shelf)| (key, Some(shelf))));
            of_one.push((key, None));
            table.clear(&key.check, self.file.contains_key(&key.check));
            self.add_all(&mut table, &mut of_one, instead);
        }
        table
    }

    /// Adds what could stand under one id, in the order of the groups.
    fn add_all<'a>(
        &'a self,
        table: &mut Table<'a>,
        of_one: &mut Vec<(&'a Key, Option<&'a Shelf>)>,
        instead: Instead<'a>,
    ) {
        of_one.sort_by_key(|(key, _)| self.rank(&key.group));
        for (key, shelf) in of_one.drain(..) {
            // The file outranks the store.
            if self.file.contains_key(&key.check) {
                continue;
            }
            table.place(&key.check);
            let is_running = |revision| shelf.is_some_and(|shelf| shelf.running == Some(revision));
            match (instead.filter(|(other, _)| *other == key), shelf) {
                (Some((_, check)), shelf) => {
                    table.add(&key.check, check, false, Source::Latest(key));
                    let running = shelf.and_then(Shelf::running);
                    if let Some(Ok(check)) = running.map(|written| &written.check) {
                        table.add(&key.check, check, true, Source::Fallback(key));
                    }
                }
                (None, Some(Shelf { latest, fallback, .. })) => {
                    if let Ok(check) = &latest.check {
                        table.add(&key.check, check, is_running(latest.revision), Source::Latest(key));
                    }
                    if let Some(fallback) = fallback
                        && let Ok(check) = &fallback.check
                    {
                        table.add(&key.check, check, is_running(fallback.revision), Source::Fallback(key));
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn rank(&self, group: &BastionGroup) -> usize {
        self.groups.iter().position(|known| known == group).unwrap_or(usize::MAX)
    }

    fn in_force_by(&self, id: &CheckId, source: Source<'_>) -> Option<InForce> {
        let (key, written) = match source {
            Source::File => return Some(InForce { check: Arc::clone(self.file.get(id)?), from: None }),
            Source::Latest(key) => (key, &self.shelves.get(key)?.latest),
            Source::Fallback(key) => (key, self.shelves.get(key)?.fallback.as_ref()?),
        };
        let check = Arc::clone(written.check.as_ref().ok()?);
        Some(InForce { check, from: Some((key.clone(), written.revision)) })
    }

    /// Which revision of a key is in force, and why its latest is not.
    fn verdict(
        &self,
        key: &Key,
        shelf: &Shelf,
        sources: &[Source<'_>],
        fitted: &Fitted,
    ) -> (Option<u64>, Option<Refusal>) {
        let winner = fitted.chosen.map(|chosen| sources[chosen]);
        let running = match winner {
            Some(Source::Latest(winner)) if winner == key => return (Some(shelf.latest.revision), None),
            Some(Source::Fallback(winner)) if winner == key => shelf.fallback.as_ref().map(|written| written.revision),
            _ => None,
        };
        let refusal = match &shelf.latest.check {
            Err(refusal) => refusal.clone(),
            Ok(_) => {
                let own = sources.iter().position(|source| *source == Source::Latest(key));
                match own.and_then(|own| fitted.faults.get(own)) {
                    Some(fault) => Refusal::new(RefusalCode::DoesNotFit, fault),
                    None => duplicate(winner),
                }
            }
        };
        (running, Some(refusal))
    }

    fn bring_into_force(&mut self, mut next: BTreeMap<CheckId, InForce>, news: &mut Vec<News>) -> Option<Change> {
        let mut change = Change::default();
        for (id, in_force) in &mut next {
            let before = self.in_force.get(id);
            match before {
                Some(before) if Arc::ptr_eq(&before.check, &in_force.check) => {}
                // The same, written again: it keeps its timer.
                Some(before) if before.check == in_force.check => in_force.check = Arc::clone(&before.check),
                _ => change.set.push(Arc::clone(&in_force.check)),
            }
            let is_same =
                before.is_some_and(|before| before.from.is_none() && Arc::ptr_eq(&before.check, &in_force.check));
            if in_force.from.is_none() && !is_same {
                news.push(News::of_file(CheckEventKind::CheckApplied, id));
            }
        }
        for (id, before) in &self.in_force {
            let after = next.get(id);
            if after.is_none() {
                change.removed.push(id.clone());
            }
            if before.from.is_none() && after.is_none_or(|after| after.from.is_some()) {
                news.push(News::of_file(CheckEventKind::CheckRemoved, id));
            }
        }
        self.in_force = next;
        (!change.set.is_empty() || !change.removed.is_empty()).then_some(change)
    }
}

impl<'a> Table<'a> {
    fn place(&mut self, id: &'a CheckId) -> usize {
        *self.by_id.entry(id).or_insert_with(|| {
            self.places.push(Place { id, candidates: Vec::new() });
            self.sources.push(Vec::new());
            self.places.len() - 1
        })
    }

    fn add(&mut self, id: &'a CheckId, check: &'a Check, in_force: bool, source: Source<'a>) {
        let at = self.place(id);
        self.places[at].candidates.push(Candidate { check, in_force });
        self.sources[at].push(source);
    }

    /// Takes out what could stand under an id, unless that is the file's.
    fn clear(&mut self, id: &CheckId, is_of_file: bool) {
        if let (false, Some(&at)) = (is_of_file, self.by_id.get(id)) {
            self.places[at].candidates.clear();
            self.sources[at].clear();
        }
    }
}

impl Shelf {
    /// What is in force of it.
    pub(super) fn running(&self) -> Option<&super::entry::Written> {
        let revision = self.running?;
        [Some(&self.latest), self.fallback.as_ref()].into_iter().flatten().find(|written| written.revision == revision)
    }

    /// What is new of it since it was last told of.
    fn tell(&mut self, key: &Key, news: &mut Vec<News>) {
        let refused = self.refusal.as_ref().map(|refusal| (self.latest.revision, refusal.code));
        let now = Told { running: self.running, refused, orphaned: self.orphaned, is_old: self.is_old };
        if now == self.told {
            return;
        }
        let told = std::mem::replace(&mut self.told, now);
        let mut add = |kind, revision, refusal| {
            let (check, group) = (key.check.clone(), Some(key.group.clone()));
            news.push(News { kind, check, group, revision: Some(revision), refusal });
        };
        if let Some(running) = self.running
            && (told.running != self.running || (told.orphaned && !self.orphaned))
        {
            add(CheckEventKind::CheckApplied, running, None);
        }
        if self.refusal.is_some() && told.refused != refused {
            add(CheckEventKind::CheckRefused, self.latest.revision, self.refusal.clone());
        }
        if let (Some(running), true, false) = (self.running, self.is_old, told.is_old) {
            add(CheckEventKind::CheckSignatureOld, running, None);
        }
        if self.orphaned && !told.orphaned {
            add(CheckEventKind::CheckOrphaned, self.running.unwrap_or(self.latest.revision), None);
        }
    }
}

impl News {
    fn of_file(kind: CheckEventKind, check: &CheckId) -> Self {
        Self { kind, check: check.clone(), group: None, revision: None, refusal: None }
    }
}

fn duplicate(winner: Option<Source<'_>>) -> Refusal {
    let message = match winner {
        None | Some(Source::File) => "the bastion's own file has a check of that id, and comes first".to_owned(),
        Some(Source::Latest(key) | Source::Fallback(key)) => {
            format!("the bastion group `{}` has a check of that id, and comes first", key.group)
        }
    };
    Refusal::new(RefusalCode::Duplicate, &message)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
