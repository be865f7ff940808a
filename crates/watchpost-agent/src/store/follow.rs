//! Following the bucket: all of it, then each change, and from time to time all of it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use watchpost_bus::{BusError, KeyValue, KvEntry, KvError, KvIdentity, KvUpdate, KvWatch};

use super::book::{BYTES_MAX, CHECKS_MAX};
use super::entry::{Entry, Key};

/// How long changes are gathered that come together.
const GATHER: Duration = Duration::from_millis(20);
const GATHERED_MAX: usize = 4096;
/// How often all of it is read again, and repaired what was missed.
const AGAIN_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long the bucket may be silent while all of it is read.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How soon it is tried again after something failed; doubled each time in a row.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(4);

/// What is heard of the bucket.
#[derive(Debug)]
pub(super) enum Fed {
    /// It begins to be read.
    Begun,
    /// All that is in it.
    Snapshot { identity: KvIdentity, entries: BTreeMap<Key, Entry> },
    /// Changes, in their order.
    Changes(Vec<(Key, Entry)>),
    /// It cannot be read at present.
    Failed(KvError),
}

/// Tells `to` of the keys of `bucket` that match `filters`, until nobody listens any more.
pub(super) async fn follow(kv: Arc<dyn KeyValue>, bucket: String, filters: Vec<String>, to: mpsc::Sender<Fed>) {
    let mut failures = 0;
    while !to.is_closed() {
        match session(&*kv, &bucket, &filters, &to, &mut failures).await {
            Ok(()) => {}
            Err(error) => {
                if to.send(Fed::Failed(error)).await.is_err() {
                    return;
                }
                let most = RETRY_FIRST.saturating_mul(1 << failures.min(8)).min(RETRY_MAX);
                failures += 1;
                tokio::time::sleep(jittered(most)).await;
            }
        }
    }
}

/// Returns without an error when it is time to begin anew, or nobody listens any more.
async fn session(
    kv: &dyn KeyValue,
    bucket: &str,
    filters: &[String],
    to: &mpsc::Sender<Fed>,
    failures: &mut u32,
) -> Result<(), KvError> {
    let again_at = Instant::now() + jittered(AGAIN_EVERY);
    if to.send(Fed::Begun).await.is_err() {
        return Ok(());
    }
    let identity = kv.identity().await?;
    let mut watch = kv.watch(filters).await?;
    let entries = read_all(&mut watch, bucket).await?;
    if to.send(Fed::Snapshot { identity, entries }).await.is_err() {
        return Ok(());
    }
    *failures = 0;
    loop {
        let first = tokio::select! {
            first = timeout_at(again_at, watch.next()) => first,
            () = to.closed() => return Ok(()),
        };
        let Ok(first) = first else { return Ok(()) };
        let mut changes = Vec::new();
        let mut over = add(&mut changes, first);
        let until = Instant::now() + GATHER;
        while over.is_none() && changes.len() < GATHERED_MAX {
            match timeout_at(until, watch.next()).await {
                Ok(next) => over = add(&mut changes, next),
                Err(_) => break,
            }
        }
        if !changes.is_empty() && to.send(Fed::Changes(changes)).await.is_err() {
            return Ok(());
        }
        if let Some(error) = over {
            return Err(error);
        }
    }
}

/// Notes an update, or says why there will be no more.
fn add(changes: &mut Vec<(Key, Entry)>, update: Option<Result<KvUpdate, KvError>>) -> Option<KvError> {
    match update {
        Some(Ok(KvUpdate::Entry(KvEntry { key, revision, value }))) => match Key::parse(&key) {
            Some(key) => changes.push((key, (revision, value))),
            None => tracing::warn!(key, "a key of the bucket of checks is not that of a check: it is left alone"),
        },
        Some(Ok(KvUpdate::Current)) => {}
        Some(Err(error)) => return Some(error),
        None => return Some(KvError::Bus(BusError::Closed)),
    }
    None
}

async fn read_all(watch: &mut KvWatch, bucket: &str) -> Result<BTreeMap<Key, Entry>, KvError> {
    let mut entries = BTreeMap::new();
    let (mut bytes, mut others) = (0, 0_u64);
    loop {
        let silent = || BusError::Deadline { what: "reading the bucket of checks", limit: SILENCE_MAX };
        match timeout(SILENCE_MAX, watch.next()).await.map_err(|_| silent())? {
            Some(Ok(KvUpdate::Entry(KvEntry { key, revision, value }))) => {
                let Some(parsed) = Key::parse(&key) else {
                    others += 1;
                    continue;
                };
                bytes += value.as_ref().map_or(0, |value| value.len() as u64);
                entries.insert(parsed, (revision, value));
                if entries.len() > 4 * CHECKS_MAX || bytes > 2 * BYTES_MAX {
                    let detail = format!(
                        "it holds more than {} keys or {} MiB for this bastion: expected far less",
                        4 * CHECKS_MAX,
                        (2 * BYTES_MAX) >> 20
                    );
                    return Err(KvError::Failed { bucket: bucket.to_owned(), what: "be read".to_owned(), detail });
                }
            }
            Some(Ok(KvUpdate::Current)) => break,
            Some(Err(error)) => return Err(error),
            None => return Err(KvError::Bus(BusError::Closed)),
        }
    }
    if others > 0 {
        tracing::warn!(keys = others, "keys of the bucket of checks are not those of checks: they are left alone");
    }
    Ok(entries)
}

/// Three quarters of it to all of it, so that many bastions do not ask at the same moment.
fn jittered(most: Duration) -> Duration {
    use std::hash::BuildHasher;
    // A hasher with a random seed is all the randomness that this needs.
    let random = std::collections::hash_map::RandomState::new().hash_one(0) % 1_000;
    most * 3 / 4 + most / 4 * u32::try_from(random).unwrap_or_default() / 1_000
}
