//! What is known of the bastion's checks, and what of it is in force: the file's, then those of each group in turn.
//!
//! A plain state machine: it is told what was read and says what is to be done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use watchpost_model::{BastionGroup, Check, CheckEventKind, CheckId, Refusal, RefusalCode};

use super::entry::{Entry, Key, Written};
use crate::checker::Change;
use crate::trust::Trust;

/// The most checks of the store that a bastion looks at, and how many bytes they may take as they are written.
pub(super) const CHECKS_MAX: usize = 50_000;
pub(super) const BYTES_MAX: u64 = 256 * 1024 * 1024;

const TOO_MANY: &str = "the bastion takes at most 50000 checks of 256 MiB together from its store, and has as many";

/// Everything that is known.
#[derive(Default)]
pub(super) struct Book {
    /// The bastion's groups, which rank in this order.
    pub(super) groups: Vec<BastionGroup>,
    pub(super) file: BTreeMap<CheckId, Arc<Check>>,
    pub(super) shelves: BTreeMap<Key, Shelf>,
    pub(super) in_force: BTreeMap<CheckId, InForce>,
    bytes: u64,
    /// Keys that were turned away since there is no room for more; as many as there may be checks.
    pub(super) turned_away: HashSet<Key>,
    /// Whose checks are run, where not everybody's are.
    pub(super) trust: Option<Arc<Trust>>,
    /// What is to be told besides what the next judgement finds.
    pub(super) untold: Vec<News>,
}

/// What is known of one key.
#[derive(Debug)]
pub(super) struct Shelf {
    /// What was last seen to be written there.
    pub(super) latest: Written,
    /// The last revision that was in force, where it is not `latest`.
    pub(super) fallback: Option<Written>,
    /// The store has lost it.
    pub(super) orphaned: bool,
    /// Why `latest` is not in force.
    pub(super) refusal: Option<Refusal>,
    /// Which revision is in force.
    pub(super) running: Option<u64>,
    /// The signature of what is in force is older than it should be.
    pub(super) is_old: bool,
    pub(super) told: Told,
}

/// What was last told of a key.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(super) struct Told {
    pub(super) running: Option<u64>,
    pub(super) refused: Option<(u64, RefusalCode)>,
    pub(super) orphaned: bool,
    pub(super) is_old: bool,
}

/// What an earlier process left of a key.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) latest: Written,
    pub(super) fallback: Option<Written>,
    pub(super) running: Option<u64>,
    pub(super) orphaned: bool,
}

/// A check in force, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) check: Arc<Check>,
    /// Its key and revision; `None` for one from the file.
    pub(super) from: Option<(Key, u64)>,
}

/// Something to tell others of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    pub(super) kind: CheckEventKind,
    pub(super) check: CheckId,
    pub(super) group: Option<BastionGroup>,
    pub(super) revision: Option<u64>,
    pub(super) refusal: Option<Refusal>,
}

/// What is to be done after the book was changed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// `None` where nothing that is in force changes.
    pub(super) change: Option<Change>,
    pub(super) news: Vec<News>,
}

impl Book {
    /// An empty book of a bastion of these groups, its own first.
    pub(super) fn new(groups: Vec<BastionGroup>, trust: Option<Arc<Trust>>) -> Self {
        Self { groups, trust, ..Self::default() }
    }

    pub(super) fn groups(&self) -> &[BastionGroup] {
        &self.groups
    }

    pub(super) fn set_file(&mut self, checks: impl IntoIterator<Item = Check>) {
        let before = std::mem::take(&mut self.file);
        for check in checks {
            // One that is the same stays the very same.
            let same = before.get(check.id()).filter(|old| ***old == check).map(Arc::clone);
            self.file.insert(check.id().clone(), same.unwrap_or_else(|| Arc::new(check)));
        }
    }

    /// What an earlier process had.
    pub(super) fn restore(&mut self, key: Key, kept: Kept) {
        let Kept { mut latest, mut fallback, running, orphaned } = kept;
        if !self.groups.contains(&key.group) || !self.has_room(&key, &latest) {
            return;
        }
        self.admit(&key, &mut latest);
        if let (Some(trust), Some(written)) = (&self.trust, &mut fallback)
            && let Ok(check) = &written.check
            && let Err(refusal) = trust.verify(&key.group, check)
        {
            // Later revisions were seen: they are why this one is a fallback.
            written.check = Err(refusal);
        }
        self.bytes += latest.value.len() as u64;
        let shelf = Shelf { latest, fallback, orphaned, refusal: None, running, is_old: false, told: Told::default() };
        self.shelves.insert(key, shelf);
    }

    /// What a later process is to know.
    pub(super) fn kept(&self) -> Vec<(Key, Kept)> {
        let kept = |shelf: &Shelf| Kept {
            latest: shelf.latest.clone(),
            fallback: shelf.fallback.clone(),
            running: shelf.running,
            orphaned: shelf.orphaned,
        };
        self.shelves.iter().map(|(key, shelf)| (key.clone(), kept(shelf))).collect()
    }

    /// Everything that is in the bucket. What is in force and not in it is orphaned. What was `written` since it began
    /// to be read, under which revision, is newer than what was read before that.
    pub(super) fn take_snapshot(&mut self, entries: BTreeMap<Key, Entry>, written: &HashMap<Key, u64>) {
        let is_missing = |key: &&Key| !entries.contains_key(*key) && !written.contains_key(*key);
        let missing: Vec<Key> = self.shelves.keys().filter(is_missing).cloned().collect();
        for key in missing {
            self.lose(&key);
        }
        self.turned_away.retain(|key| entries.contains_key(key));
        for (key, (revision, value)) in entries {
            if written.get(&key).is_none_or(|written| *written <= revision) {
                self.take(key, revision, value);
            }
        }
    }

    /// A key that was written or deleted.
    pub(super) fn take(&mut self, key: Key, revision: u64, value: Option<Bytes>) {
        if !self.groups.contains(&key.group) {
            return;
        }
        let Some(value) = value else {
            if let Some(trust) = &self.trust {
                trust.note_deleted(&key.group, &key.check);
            }
            return self.remove(&key);
        };
        if let Some(shelf) = self.shelves.get_mut(&key) {
            shelf.orphaned = false;
            if shelf.latest.revision == revision && shelf.latest.value == value {
                return;
            }
        }
        // A copy: what is kept must not keep the buffer alive in which it arrived.
        let mut written = Written::read(&key, revision, Bytes::copy_from_slice(&value));
        if !self.has_room(&key, &written) {
            // What runs of it runs on.
            return self.turn_away(key, revision);
        }
        self.admit(&key, &mut written);
        self.turned_away.remove(&key);
        self.bytes += written.value.len() as u64;
        let Some(shelf) = self.shelves.get_mut(&key) else {
            let shelf = Shelf {
                latest: written,
                fallback: None,
                orphaned: false,
                refusal: None,
                running: None,
                is_old: false,
                told: Told::default(),
            };
            self.shelves.insert(key, shelf);
            return;
        };
        // The same check under another revision stays the very same.
        if let (Ok(new), Ok(old)) = (&mut written.check, &shelf.latest.check)
            && **new == **old
        {
            *new = Arc::clone(old);
        }
        self.bytes -= shelf.latest.value.len() as u64;
        let before = std::mem::replace(&mut shelf.latest, written);
        if shelf.running == Some(before.revision) {
            shelf.fallback = Some(before);
        }
    }

    /// Turns down what is not signed as it should be, where it should.
    fn admit(&self, key: &Key, written: &mut Written) {
        if let (Some(trust), Ok(check)) = (&self.trust, &written.check)
            && let Err(refusal) = trust.admit(&key.group, check)
        {
            written.check = Err(refusal);
        }
    }

    /// Whether there is room for what is written there, in place of what there is.
    fn has_room(&self, key: &Key, written: &Written) -> bool {
        let before = self.shelves.get(key).map(|shelf| shelf.latest.value.len() as u64);
        let bytes = self.bytes - before.unwrap_or_default() + written.value.len() as u64;
        bytes <= BYTES_MAX && (before.is_some() || self.shelves.len() < CHECKS_MAX)
    }

    fn turn_away(&mut self, key: Key, revision: u64) {
        if self.turned_away.len() >= CHECKS_MAX || !self.turned_away.insert(key.clone()) {
            return;
        }
        self.untold.push(News {
            kind: CheckEventKind::CheckRefused,
            check: key.check,
            group: Some(key.group),
            revision: Some(revision),
            refusal: Some(Refusal::new(RefusalCode::TooMany, TOO_MANY)),
        });
    }

    fn remove(&mut self, key: &Key) {
        self.turned_away.remove(key);
        let Some(shelf) = self.shelves.remove(key) else { return };
        self.bytes -= shelf.latest.value.len() as u64;
        if shelf.told != Told::default() {
            self.untold.push(News {
                kind: CheckEventKind::CheckRemoved,
                check: key.check.clone(),
                group: Some(key.group.clone()),
                revision: Some(shelf.latest.revision),
                refusal: None,
            });
        }
    }

    /// The store has neither the key nor its deletion.
    fn lose(&mut self, key: &Key) {
        let Some(shelf) = self.shelves.get_mut(key) else { return };
        match shelf.running {
            // Nobody would miss it.
            None => self.remove(key),
            Some(running) => {
                shelf.orphaned = true;
                if running != shelf.latest.revision
                    && let Some(fallback) = shelf.fallback.take()
                {
                    self.bytes = self.bytes - shelf.latest.value.len() as u64 + fallback.value.len() as u64;
                    shelf.latest = fallback;
                }
            }
        }
    }
}
