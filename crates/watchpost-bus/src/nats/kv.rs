//! Buckets over NATS: key-value buckets of JetStream, as every client of NATS knows them.
//!
//! The bucket `B` is the stream `KV_B` over `$KV.B.>`. The few calls that are needed are made by hand: each uses the
//! client of the moment, is told at once what the server does not permit, and a watch ends when it may have missed
//! something.

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::jetstream::{Doing, NAME_IN_USE, NO_MESSAGE, WRONG_LAST_SEQUENCE};
use super::kv_watch::{Follower, watch};
use super::link::Link;
use crate::kv::{validate_bucket, validate_filter, validate_key};
use crate::{BoxFuture, KeyValue, KvEntry, KvError, KvIdentity, KvLimits, KvWatch};

/// What a message has besides its value: the limit of a bucket counts it.
const HEADERS_BYTES_MAX: u32 = 512;

/// One bucket.
pub(super) struct NatsKeyValue {
    pub(super) shared: Arc<Shared>,
    pub(super) bucket: String,
}

#[derive(Debug, Deserialize)]
struct StreamInfo {
    created: jiff::Timestamp,
    state: StreamState,
}

#[derive(Debug, Deserialize)]
struct StreamState {
    last_seq: u64,
}

#[derive(Debug, Deserialize)]
struct Ack {
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct Stored {
    message: StoredMessage,
}

#[derive(Debug, Deserialize)]
struct StoredMessage {
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl NatsKeyValue {
    pub(super) fn new(shared: Arc<Shared>, bucket: &str) -> Self {
        Self { shared, bucket: bucket.to_owned() }
    }

    pub(super) fn stream(&self) -> String {
        format!("KV_{}", self.bucket)
    }

    /// What stands before the keys.
    pub(super) fn prefix(&self) -> String {
        format!("$KV.{}.", self.bucket)
    }

    pub(super) fn no_bucket(&self) -> KvError {
        KvError::NoBucket { bucket: self.bucket.clone() }
    }

    pub(super) async fn info(&self, link: &Link) -> Result<KvIdentity, KvError> {
        const DOING: Doing = Doing::Look;
        let subject = format!("$JS.API.STREAM.INFO.{}", self.stream());
        let info: StreamInfo = self
            .call(link, DOING, subject, serde_json::Value::Null)
            .await?
            .map_err(|code| self.unexpected(DOING, code))?;
        Ok(KvIdentity { created_us: info.created.as_microsecond(), revision: info.state.last_seq })
    }

    async fn make(&self, limits: KvLimits) -> Result<KvIdentity, KvError> {
        let link = self.link()?;
        match self.info(&link).await {
            Err(KvError::NoBucket { .. }) => {}
            found => return found,
        }
        const DOING: Doing = Doing::Make;
        let config = json!({
            "name": self.stream(),
            "subjects": [format!("{}>", self.prefix())],
            "description": "Checks of Watchpost",
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_msgs": -1,
            "max_consumers": -1,
            "max_age": 0,
            "max_bytes": limits.bytes_max,
            "max_msg_size": limits.value_bytes_max.saturating_add(HEADERS_BYTES_MAX),
            "max_msgs_per_subject": limits.history.clamp(1, 64),
            "num_replicas": 1,
            "allow_rollup_hdrs": true,
            "deny_delete": true,
            "allow_direct": true,
        });
        let subject = format!("$JS.API.STREAM.CREATE.{}", self.stream());
        match self.call::<StreamInfo>(&link, DOING, subject, config).await? {
            Ok(info) => Ok(KvIdentity { created_us: info.created.as_microsecond(), revision: info.state.last_seq }),
            // Somebody else was first.
            Err(NAME_IN_USE) => self.info(&link).await,
            Err(code) => Err(self.unexpected(DOING, code)),
        }
    }

    fn link(&self) -> Result<Arc<Link>, KvError> {
        validate_bucket(&self.bucket)?;
        Ok(self.shared.connected_link()?)
    }

    async fn read_entry(&self, key: &str) -> Result<Option<KvEntry>, KvError> {
        const DOING: Doing = Doing::Read;
        validate_key(key)?;
        let link = self.link()?;
        let subject = format!("$JS.API.STREAM.MSG.GET.{}", self.stream());
        let question = json!({ "last_by_subj": format!("{}{key}", self.prefix()) });
        let stored: Stored = match self.call(&link, DOING, subject, question).await? {
            Ok(stored) => stored,
            Err(NO_MESSAGE) => return Ok(None),
            Err(code) => return Err(self.unexpected(DOING, code)),
        };
        let StoredMessage { seq, hdrs, data } = stored.message;
        let decoded = |text: String| {
            BASE64.decode(text.as_bytes()).map_err(|e| self.failed(DOING, format!("an entry cannot be read: {e}")))
        };
        let headers = decoded(hdrs)?;
        let value = if is_deletion_in(&headers) { None } else { Some(Bytes::from(decoded(data)?)) };
        Ok(Some(KvEntry { key: key.to_owned(), revision: seq, value }))
    }

    /// Writes an entry or, without a value, a deletion.
    async fn write(&self, key: &str, value: Option<Bytes>, expected: Option<u64>) -> Result<u64, KvError> {
        validate_key(key)?;
        let doing = if value.is_some() { Doing::Write } else { Doing::Delete };
        match expected {
            // A deletion counts as nothing, and has a revision all the same.
            Some(0) => match self.publish(key, value.clone(), Some(0), doing).await? {
                Some(revision) => Ok(revision),
                None => match self.read_entry(key).await? {
                    Some(KvEntry { revision, value: None, .. }) => {
                        self.publish(key, value, Some(revision), doing).await?.ok_or_else(|| conflict(key, 0))
                    }
                    _ => Err(conflict(key, 0)),
                },
            },
            expected => self
                .publish(key, value, expected, doing)
                .await?
                .ok_or_else(|| conflict(key, expected.unwrap_or_default())),
        }
    }

    /// `None` where another revision is there than was expected.
    async fn publish(
        &self,
        key: &str,
        value: Option<Bytes>,
        expected: Option<u64>,
        doing: Doing,
    ) -> Result<Option<u64>, KvError> {
        let link = self.link()?;
        let mut headers = HeaderMap::new();
        if let Some(expected) = expected {
            headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string().as_str());
        }
        if value.is_none() {
            headers.insert("KV-Operation", "DEL");
        }
        let subject = format!("{}{key}", self.prefix());
        let Some(answer) = self.ask(&link, doing, subject, headers, value.unwrap_or_default()).await? else {
            // Nobody keeps what is written: either the bucket is missing or all of JetStream.
            self.info(&link).await?;
            return Err(self.shared.unavailable().into());
        };
        match self.read::<Ack>(doing, &answer.payload) {
            Ok(Ok(ack)) => Ok(Some(ack.seq)),
            Ok(Err(WRONG_LAST_SEQUENCE)) => Ok(None),
            Ok(Err(code)) => Err(self.unexpected(doing, code)),
            Err(KvError::Full { bucket, detail, .. }) => Err(KvError::Full { bucket, key: key.to_owned(), detail }),
            Err(error) => Err(error),
        }
    }
}

impl KeyValue for NatsKeyValue {
    fn ensure(&self, limits: KvLimits) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(self.make(limits))
    }

    fn identity(&self) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(async move { self.info(&*self.link()?).await })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(self.read_entry(key))
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(self.write(key, Some(value), expected))
    }

    fn delete<'a>(&'a self, key: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(self.write(key, None, expected))
    }

    fn watch<'a>(&'a self, filters: &'a [String]) -> BoxFuture<'a, Result<KvWatch, KvError>> {
        Box::pin(async move {
            filters.iter().try_for_each(|filter| validate_filter(filter))?;
            let link = self.link()?;
            let mut followers = Vec::new();
            for filter in filters {
                followers.push(Follower::start(self, Arc::clone(&self.shared), Arc::clone(&link), filter).await?);
            }
            Ok(watch(followers))
        })
    }
}

fn conflict(key: &str, expected: u64) -> KvError {
    KvError::Conflict { key: key.to_owned(), expected }
}

/// Whether an entry with these headers says that its key is gone: somebody deleted or purged it, or the server did.
pub(super) fn is_deletion<'a>(mut headers: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    headers.any(|(name, value)| {
        (name == "KV-Operation" && matches!(value, "DEL" | "PURGE")) || name == "Nats-Marker-Reason"
    })
}

/// The same, of headers as they are stored.
fn is_deletion_in(headers: &[u8]) -> bool {
    let text = String::from_utf8_lossy(headers);
    is_deletion(text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_known_by_its_headers() {
        for (headers, is) in [
            ("NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", true),
            ("NATS/1.0\r\nNats-Rollup: sub\r\nKV-Operation: PURGE\r\n\r\n", true),
            ("NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n", true),
            ("NATS/1.0\r\nKV-Operation: PUT\r\n\r\n", false),
            ("NATS/1.0\r\nX: KV-Operation: DEL\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(is_deletion_in(headers.as_bytes()), is, "{headers}");
        }
    }
}
