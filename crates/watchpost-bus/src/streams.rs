//! Streams: what the bus keeps of what passes over it.

use std::time::Duration;

use crate::{BusError, Message};

/// How a stream is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// Messages on subjects that match one of these are kept.
    pub subjects: Vec<String>,
    /// How long a message is kept.
    pub age_max: Duration,
    /// How many bytes are kept; beyond it the oldest are dropped.
    pub bytes_max: u64,
    /// How many messages of one subject are kept; as many as fit where absent.
    pub per_subject_max: Option<u64>,
}

/// How a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// How it was made. Bounds that it does not have are told as the largest number.
    pub settings: StreamSettings,
    /// How many messages it holds.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
    /// When the first of them was stored, in µs since the Unix epoch; absent where it is empty.
    pub first_us: Option<i64>,
    /// The number of its last message, which counts up; 0 where there never was one.
    pub last_sequence: u64,
}

/// From where on a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// Everything.
    Beginning,
    /// What was stored at this time or later, in µs since the Unix epoch.
    Time(i64),
    /// The last message of each subject.
    LastOfEach,
}

/// A message that a stream kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message; it has no reply subject.
    pub message: Message,
    /// Its number in the stream.
    pub sequence: u64,
    /// When it was stored, in µs since the Unix epoch, by the server's clock.
    pub stored_us: i64,
}

/// What could not be done with a stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The bus could not carry it.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// There is no such stream.
    #[error("there is no stream `{stream}` on the bus")]
    NoStream {
        /// Its name.
        stream: String,
    },
    /// The bus keeps nothing.
    #[error("the bus server has no JetStream, which keeps streams: start it with JetStream enabled")]
    Unsupported,
    /// We may not.
    #[error("the bus server does not let us {what}: check the permissions of our user")]
    Forbidden {
        /// What was tried.
        what: String,
    },
    /// The server did not answer in time.
    #[error("the bus server did not answer within {limit:?} when asked to {what}")]
    NoAnswer {
        /// What was asked.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The server refused, or answered something that we do not know.
    #[error("the bus server could not {what}: {detail}")]
    Failed {
        /// What was tried.
        what: String,
        /// What the server said.
        detail: String,
    },
}
