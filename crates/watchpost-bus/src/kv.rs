//! A bucket of keys and values with revisions: where checks are kept.

use bytes::Bytes;

use crate::{BoxFuture, BusError};

/// One bucket. Over NATS it is a JetStream key-value bucket, which others can read and write with any client.
///
/// Every change has a revision, which counts up over the whole bucket. A key that was deleted keeps the revision of its
/// deletion, so that a deletion can be told from a key that was never there.
pub trait KeyValue: Send + Sync + 'static {
    /// Makes the bucket unless it is there, with `limits`. One that is there stays as it is.
    ///
    /// # Errors
    /// [`KvError::Unsupported`], [`KvError::Forbidden`], [`KvError::Bus`].
    fn ensure(&self, limits: KvLimits) -> BoxFuture<'_, Result<KvIdentity, KvError>>;

    /// Which bucket it is, and how far it has come.
    ///
    /// # Errors
    /// [`KvError::NoBucket`], and those of [`KeyValue::ensure`].
    fn identity(&self) -> BoxFuture<'_, Result<KvIdentity, KvError>>;

    /// The present entry of `key`, which may be its deletion; `None` where it was never there.
    ///
    /// # Errors
    /// As for [`KeyValue::identity`], and [`KvError::Key`].
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>>;

    /// Writes `key`, and returns the new revision. With `expected`, only if its last revision is that one; 0 stands
    /// for a key that was never there or is deleted.
    ///
    /// # Errors
    /// As for [`KeyValue::get`], [`KvError::Conflict`], and [`KvError::Full`].
    fn put<'a>(&'a self, key: &'a str, value: Bytes, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>>;

    /// Deletes `key`, also one that was never there, and returns the revision of its deletion.
    ///
    /// # Errors
    /// As for [`KeyValue::put`].
    fn delete<'a>(&'a self, key: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>>;

    /// The present entries of all keys that match one of `filters` (`*` and `>` as in subjects), then
    /// [`KvUpdate::Current`], then every change as it comes.
    ///
    /// # Errors
    /// As for [`KeyValue::identity`], and [`KvError::Key`].
    fn watch<'a>(&'a self, filters: &'a [String]) -> BoxFuture<'a, Result<KvWatch, KvError>>;
}

/// Which bucket one talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvIdentity {
    /// When it was made, in µs since the Unix epoch: another bucket of the same name has another time.
    pub created_us: i64,
    /// Its last revision.
    pub revision: u64,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// Its key.
    pub key: String,
    /// The revision at which it was written or deleted.
    pub revision: u64,
    /// The value; `None` where it was deleted.
    pub value: Option<Bytes>,
}

/// What a watch yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvUpdate {
    /// An entry that is there, or a change.
    Entry(KvEntry),
    /// All entries that were there when the watch began have been yielded. Comes once.
    Current,
}

/// How large a bucket may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLimits {
    /// All values and their history together, in bytes.
    pub bytes_max: u64,
    /// One value, in bytes.
    pub value_bytes_max: u32,
    /// How many revisions of each key are kept, 1 to 64.
    pub history: u8,
}

/// The updates of one watch, in the order of their revisions. Dropping it ends the watch.
pub struct KvWatch {
    updates: std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<KvUpdate, KvError>> + Send>>,
}

impl KvWatch {
    /// A watch that yields these, for an implementation of [`KeyValue`].
    pub fn new(updates: impl futures_util::Stream<Item = Result<KvUpdate, KvError>> + Send + 'static) -> Self {
        Self { updates: Box::pin(updates) }
    }

    /// The next update; `None` once the watch has ended. After an error nothing more can be relied on: what was
    /// missed is found by another watch.
    ///
    /// # Cancel safety
    /// Cancel safe: no update is lost.
    pub async fn next(&mut self) -> Option<Result<KvUpdate, KvError>> {
        futures_util::StreamExt::next(&mut self.updates).await
    }
}

impl std::fmt::Debug for KvWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvWatch").finish_non_exhaustive()
    }
}

/// What could not be done with a bucket.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The bus could not carry it.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// There is no such bucket.
    #[error("there is no bucket `{bucket}` on the bus")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The bus has no buckets.
    #[error("the bus server has no JetStream, which keeps buckets: start it with JetStream enabled")]
    Unsupported,
    /// We may not.
    #[error("the bus server does not let us {what}: check the permissions of our user")]
    Forbidden {
        /// What was tried.
        what: String,
    },
    /// The key is not one.
    #[error("`{key}` is not a key: expected tokens of A-Z a-z 0-9 _ - with dots between")]
    Key {
        /// What was given.
        key: String,
    },
    /// No bucket can be called so.
    #[error("`{bucket}` is not the name of a bucket: expected 1 to 256 of the characters A-Z a-z 0-9 _ -")]
    Name {
        /// What was given.
        bucket: String,
    },
    /// Somebody else was first.
    #[error("`{key}` is not at revision {expected} any more")]
    Conflict {
        /// Which key.
        key: String,
        /// What was expected.
        expected: u64,
    },
    /// The bucket takes no more.
    #[error("the bucket `{bucket}` does not take `{key}`: {detail}")]
    Full {
        /// Its name.
        bucket: String,
        /// What was to be written.
        key: String,
        /// What the server said.
        detail: String,
    },
    /// The server answered something that we do not know.
    #[error("the bucket `{bucket}` could not {what}: {detail}")]
    Failed {
        /// Its name.
        bucket: String,
        /// What was tried.
        what: String,
        /// What the server said.
        detail: String,
    },
}

/// The longest key and the longest name of a bucket, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Whether a bucket can be called so.
pub(crate) fn validate_bucket(bucket: &str) -> Result<(), KvError> {
    let is_ok = (1..=NAME_BYTES_MAX).contains(&bucket.len()) && bucket.bytes().all(is_name_byte);
    if is_ok { Ok(()) } else { Err(KvError::Name { bucket: bucket.chars().take(80).collect() }) }
}

/// Whether something can be kept under `key`.
pub(crate) fn validate_key(key: &str) -> Result<(), KvError> {
    validate(key, |token, _| token.bytes().all(is_name_byte))
}

/// Whether `filter` can be watched: a key in which `*` may stand for one token, and `>` at the end for all that follow.
pub(crate) fn validate_filter(filter: &str) -> Result<(), KvError> {
    validate(filter, |token, is_last| match token {
        "*" => true,
        ">" => is_last,
        _ => token.bytes().all(is_name_byte),
    })
}

fn validate(key: &str, token_ok: impl Fn(&str, bool) -> bool) -> Result<(), KvError> {
    let mut tokens = key.split('.').peekable();
    let mut is_ok = key.len() <= NAME_BYTES_MAX;
    while let Some(token) = tokens.next() {
        is_ok &= !token.is_empty() && token_ok(token, tokens.peek().is_none());
    }
    if is_ok { Ok(()) } else { Err(KvError::Key { key: key.chars().take(80).collect() }) }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
