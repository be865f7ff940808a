//! Questions to JetStream, and its answers.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::kv::NatsKeyValue;
use super::link::Link;
use crate::{BusError, KvError, PAYLOAD_BYTES_MAX};

/// How long the server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

// Error codes of JetStream (its `errors.json`).
const NO_STREAM: u32 = 10_059;
pub(super) const NAME_IN_USE: u32 = 10_058;
pub(super) const NO_MESSAGE: u32 = 10_037;
pub(super) const WRONG_LAST_SEQUENCE: u32 = 10_071;
const NOT_ENABLED: [u32; 2] = [10_039, 10_076];
/// Too few resources, too little storage, too large a message, too many bytes.
const FULL: [u32; 4] = [10_023, 10_047, 10_054, 10_077];

/// What is tried with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Look,
    Make,
    Follow,
    Read,
    Write,
    Delete,
}

impl Doing {
    /// As in "does not let us … the bucket".
    fn active(self) -> &'static str {
        match self {
            Self::Look => "look at",
            Self::Make => "make",
            Self::Follow => "follow",
            Self::Read => "read from",
            Self::Write => "write to",
            Self::Delete => "delete from",
        }
    }

    /// As in "the bucket could not …".
    fn passive(self) -> &'static str {
        match self {
            Self::Look => "be looked at",
            Self::Make => "be made",
            Self::Follow => "be followed",
            Self::Read => "be read",
            Self::Write => "be written to",
            Self::Delete => "be deleted from",
        }
    }
}

/// What the server said no with.
#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// An answer that is either an error or something else.
#[derive(Debug, Deserialize)]
struct Faulty {
    error: Option<Fault>,
}

impl NatsKeyValue {
    pub(super) fn failed(&self, doing: Doing, detail: impl Into<String>) -> KvError {
        KvError::Failed { bucket: self.bucket.clone(), what: doing.passive().to_owned(), detail: detail.into() }
    }

    pub(super) fn unexpected(&self, doing: Doing, code: u32) -> KvError {
        self.failed(doing, format!("the server answered with the error {code} of JetStream"))
    }

    /// Asks the server something; `None` where nobody there answers such a question.
    pub(super) async fn ask(
        &self,
        link: &Link,
        doing: Doing,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Option<Message>, KvError> {
        let bytes_max = link.client.max_payload().min(PAYLOAD_BYTES_MAX);
        let bytes = payload.len();
        if bytes > bytes_max {
            return Err(BusError::TooLarge { subject, bytes, bytes_max }.into());
        }
        let mut refusals = self.shared.watcher.refusals.listen();
        let mut request = Request::new().payload(payload).timeout(Some(ANSWER_LIMIT));
        if !headers.is_empty() {
            request = request.headers(headers);
        }
        let answer = tokio::select! {
            biased;
            answer = link.client.send_request(subject.clone(), request) => answer,
            () = refusals.of_publish(&subject) => {
                return Err(KvError::Forbidden { what: format!("{} the bucket `{}` ({subject})", doing.active(), self.bucket) });
            }
        };
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.kind() {
                RequestErrorKind::NoResponders => Ok(None),
                RequestErrorKind::MaxPayloadExceeded => {
                    Err(BusError::TooLarge { subject, bytes, bytes_max: link.client.max_payload() }.into())
                }
                RequestErrorKind::TimedOut if link.is_connected() => {
                    Err(BusError::Deadline { what: "the answer of the bus server about a bucket", limit: ANSWER_LIMIT }
                        .into())
                }
                _ => Err(self.shared.unavailable().into()),
            },
        }
    }

    /// Asks JetStream something in JSON.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        link: &Link,
        doing: Doing,
        subject: String,
        question: serde_json::Value,
    ) -> Result<Result<T, u32>, KvError> {
        let payload = if question.is_null() { Bytes::new() } else { Bytes::from(question.to_string()) };
        match self.ask(link, doing, subject, HeaderMap::new(), payload).await? {
            Some(answer) => self.read(doing, &answer.payload),
            None => Err(KvError::Unsupported),
        }
    }

    /// Reads an answer; the inner error is a code that its caller may know what to do with.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: Doing, payload: &[u8]) -> Result<Result<T, u32>, KvError> {
        let unreadable = |e: serde_json::Error| self.failed(doing, format!("the server's answer cannot be read: {e}"));
        let Faulty { error } = serde_json::from_slice(payload).map_err(unreadable)?;
        let Some(fault) = error else {
            return serde_json::from_slice(payload).map(Ok).map_err(unreadable);
        };
        match fault.err_code {
            NO_STREAM => Err(self.no_bucket()),
            code if NOT_ENABLED.contains(&code) => Err(KvError::Unsupported),
            code @ (NO_MESSAGE | WRONG_LAST_SEQUENCE | NAME_IN_USE) => Ok(Err(code)),
            _ => Err(self.refused(doing, &fault)),
        }
    }

    fn refused(&self, doing: Doing, fault: &Fault) -> KvError {
        let detail: String = fault.description.chars().take(300).collect();
        if FULL.contains(&fault.err_code) && matches!(doing, Doing::Write | Doing::Delete) {
            // Whoever wrote knows the key.
            return KvError::Full { bucket: self.bucket.clone(), key: String::new(), detail };
        }
        self.failed(doing, detail)
    }
}
