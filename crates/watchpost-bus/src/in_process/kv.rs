//! Buckets within this process, gone with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::stream::unfold;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::Shared;
use crate::kv::{validate_bucket, validate_filter, validate_key};
use crate::{
    BoxFuture, BusError, KeyValue, KvEntry, KvError, KvIdentity, KvLimits, KvUpdate, KvWatch, subject_matches,
};

/// The buckets of one bus.
#[derive(Debug, Default)]
pub(super) struct Buckets(Mutex<BTreeMap<String, Arc<Bucket>>>);

#[derive(Debug)]
struct Bucket {
    created_us: i64,
    limits: KvLimits,
    entries: Mutex<Entries>,
    /// The last revision, for those who wait for the next one.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    revision: u64,
    by_key: BTreeMap<String, (u64, Option<Bytes>)>,
    /// The keys in the order of their last changes.
    by_revision: BTreeMap<u64, String>,
    bytes: u64,
}

/// A handle to one bucket.
pub(super) struct LocalKeyValue {
    /// It does not keep the bus alive.
    bus: Weak<Shared>,
    bucket: String,
}

impl LocalKeyValue {
    pub(super) fn new(bus: &Arc<Shared>, bucket: &str) -> Self {
        Self { bus: Arc::downgrade(bus), bucket: bucket.to_owned() }
    }

    fn open(&self) -> Result<Arc<Shared>, KvError> {
        validate_bucket(&self.bucket)?;
        let open = self.bus.upgrade().filter(|bus| !bus.table.read().is_closed());
        open.ok_or_else(|| BusError::Closed.into())
    }

    fn bucket(&self) -> Result<Arc<Bucket>, KvError> {
        let found = self.open()?.buckets.0.lock().get(&self.bucket).cloned();
        found.ok_or_else(|| KvError::NoBucket { bucket: self.bucket.clone() })
    }

    fn write(&self, key: &str, value: Option<Bytes>, expected: Option<u64>) -> Result<u64, KvError> {
        validate_key(key)?;
        let bucket = self.bucket()?;
        let mut entries = bucket.entries.lock();
        let present = entries.by_key.get(key);
        if let Some(expected) = expected {
            let is_there = match present {
                None => expected == 0,
                Some((revision, value)) => *revision == expected || (expected == 0 && value.is_none()),
            };
            if !is_there {
                return Err(KvError::Conflict { key: key.to_owned(), expected });
            }
        }
        let size = |value: Option<&Bytes>| (key.len() + value.map_or(0, Bytes::len)) as u64;
        let (was, is) = (present.map_or(0, |(_, value)| size(value.as_ref())), size(value.as_ref()));
        let full = |detail: String| KvError::Full { bucket: self.bucket.clone(), key: key.to_owned(), detail };
        let KvLimits { bytes_max, value_bytes_max, .. } = bucket.limits;
        if value.as_ref().is_some_and(|value| value.len() > value_bytes_max as usize) {
            return Err(full(format!("a value may have {value_bytes_max} bytes")));
        }
        if entries.bytes - was + is > bytes_max {
            return Err(full(format!("all values together may have {bytes_max} bytes")));
        }
        entries.bytes = entries.bytes - was + is;
        entries.revision += 1;
        let revision = entries.revision;
        if let Some((before, _)) = entries.by_key.insert(key.to_owned(), (revision, value)) {
            entries.by_revision.remove(&before);
        }
        entries.by_revision.insert(revision, key.to_owned());
        drop(entries);
        bucket.changed.send_replace(revision);
        Ok(revision)
    }
}

impl Bucket {
    fn identity(&self) -> KvIdentity {
        KvIdentity { created_us: self.created_us, revision: self.entries.lock().revision }
    }

    /// The first change after `seen` of a key that one of `filters` takes in.
    fn after(&self, seen: u64, filters: &[String]) -> Option<KvEntry> {
        let entries = self.entries.lock();
        let mut later = entries.by_revision.range(seen + 1..);
        let (revision, key) = later.find(|(_, key)| filters.iter().any(|filter| subject_matches(filter, key)))?;
        let (_, value) = entries.by_key.get(key)?;
        Some(KvEntry { key: key.clone(), revision: *revision, value: value.clone() })
    }
}

/// What a server would say. Nothing is timed by it.
#[expect(clippy::disallowed_methods, reason = "it tells one bucket from another of the same name, as a server does")]
fn made_at_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

impl KeyValue for LocalKeyValue {
    fn ensure(&self, limits: KvLimits) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(async move {
            let bus = self.open()?;
            let made = || {
                Arc::new(Bucket {
                    created_us: made_at_us(),
                    limits,
                    entries: Mutex::default(),
                    changed: watch::Sender::new(0),
                })
            };
            let mut buckets = bus.buckets.0.lock();
            Ok(buckets.entry(self.bucket.clone()).or_insert_with(made).identity())
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(async move { Ok(self.bucket()?.identity()) })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(async move {
            validate_key(key)?;
            let bucket = self.bucket()?;
            let entries = bucket.entries.lock();
            let entry = entries.by_key.get(key);
            Ok(entry.map(|(revision, value)| KvEntry {
                key: key.to_owned(),
                revision: *revision,
                value: value.clone(),
            }))
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move { self.write(key, Some(value), expected) })
    }

    fn delete<'a>(&'a self, key: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move { self.write(key, None, expected) })
    }

    fn watch<'a>(&'a self, filters: &'a [String]) -> BoxFuture<'a, Result<KvWatch, KvError>> {
        Box::pin(async move {
            filters.iter().try_for_each(|filter| validate_filter(filter))?;
            let bucket = self.bucket()?;
            let changed = bucket.changed.subscribe();
            let begun_at = bucket.identity().revision;
            let follower = Follower { bucket, changed, filters: filters.to_vec(), seen: 0, begun_at: Some(begun_at) };
            Ok(KvWatch::new(unfold(follower, |mut follower| async move {
                let update = follower.next().await?;
                Some((Ok(update), follower))
            })))
        })
    }
}

/// One watch. It has no queue: one that falls behind sees only the last of several changes of a key.
struct Follower {
    bucket: Arc<Bucket>,
    changed: watch::Receiver<u64>,
    filters: Vec<String>,
    /// The last revision that was yielded.
    seen: u64,
    /// The last revision when it began, until everything up to it was yielded.
    begun_at: Option<u64>,
}

impl Follower {
    async fn next(&mut self) -> Option<KvUpdate> {
        loop {
            self.changed.borrow_and_update();
            let next = self.bucket.after(self.seen, &self.filters);
            if let Some(begun_at) = self.begun_at
                && next.as_ref().is_none_or(|entry| entry.revision > begun_at)
            {
                self.begun_at = None;
                return Some(KvUpdate::Current);
            }
            if let Some(entry) = next {
                self.seen = entry.revision;
                return Some(KvUpdate::Entry(entry));
            }
            self.changed.changed().await.ok()?;
        }
    }
}
