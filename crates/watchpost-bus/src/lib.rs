//! The bus: one trait, with NATS and an in-process implementation behind it.
//!
//! It owns how messages travel. It knows nothing of checks: payloads are bytes and subjects are text.
//! It is the only crate that uses `async-nats`.
//!
//! Both implementations pass one contract test suite (`tests/tests/bus.rs`), so that everything
//! that runs on one machine without a broker behaves as it will on NATS.
//!
//! Invariants:
//! - Every queue is bounded. A subscriber that falls behind loses messages, newest first, and each
//!   loss is counted in [`BusStats::dropped_slow_consumer`] and logged. Publishing never waits for a subscriber.
//! - No call waits for ever: each has a deadline, or fails at once.
//! - Messages of one publisher on one subject reach each subscriber in order.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), watchpost_bus::BusError> {
//! use std::time::Duration;
//! use watchpost_bus::{Bus, BusError, InProcessBus, Outgoing, request};
//!
//! let bus = InProcessBus::new();
//! let asked = request(&bus, Outgoing::new("weather.today", ""), Duration::from_secs(1)).await;
//! assert!(matches!(asked, Err(BusError::NoResponders { .. })));
//! # Ok(())
//! # }
//! ```

mod counters;
mod fallback;
mod in_process;
mod kv;
mod message;
mod nats;
mod refusals;
mod request;
mod streams;
mod subject;

use std::sync::Arc;
use std::time::Duration;

pub use fallback::LocalFallbackBus;
pub use in_process::InProcessBus;
pub use kv::{KeyValue, KvEntry, KvError, KvIdentity, KvLimits, KvUpdate, KvWatch};
pub use message::{Headers, Message, Outgoing, Status};
pub use nats::{ClientFiles, NatsBus, NatsCredentials, NatsOptions, NatsSecret, StoredMessages, without_secrets};
pub use refusals::Refusals;
pub use request::{Replies, request, request_many};
pub use streams::{ReadFrom, StoredMessage, StreamError, StreamReport, StreamSettings};
pub use subject::{SubjectError, is_inbox, is_of_another_account, subject_matches, validate_filter, validate_subject};

/// A future in a box, so that [`Bus`] can be used as `dyn Bus`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The largest payload that a bus carries, in bytes: the default `max_payload` of nats-server.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What every bus can do.
///
/// Requests are in [`request`] and [`request_many`], which are made of these.
pub trait Bus: Send + Sync + 'static {
    /// Hands a message over for delivery. It has left this process once [`Bus::flush`] returns.
    ///
    /// Where it carries a reply subject and nobody listens to its subject, a message with
    /// [`Status::NoResponders`] and no payload arrives on the reply subject, if this same bus
    /// handle is subscribed to it.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] while there is no connection (the message is not kept for later),
    /// [`BusError::Full`] when the outgoing queue stays full, [`BusError::TooLarge`],
    /// [`BusError::Subject`], [`BusError::Header`], or [`BusError::Closed`] after [`Bus::drain`].
    ///
    /// # Cancel safety
    /// A dropped future may or may not have handed the message over.
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>>;

    /// Every message on subjects that match `filter` (`*` for one token, `>` for all that follow).
    /// With a `queue` group, each message goes to one member of that group.
    ///
    /// The subscription is in force on the server once this returns, and ends when the
    /// [`Subscription`] is dropped.
    ///
    /// # Errors
    /// As for [`Bus::publish`], and [`BusError::Forbidden`].
    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>>;

    /// Waits until everything published before has left this process.
    ///
    /// # Errors
    /// [`BusError::Deadline`] when it takes longer than `limit`, [`BusError::Unavailable`].
    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>>;

    /// Ends all subscriptions (each still yields what it had received), flushes, and closes. Calls
    /// after it fail with [`BusError::Closed`].
    ///
    /// # Errors
    /// As for [`Bus::flush`]; the bus is closed all the same.
    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>>;

    /// A subject that nobody else uses, for answers.
    fn new_inbox(&self) -> String;

    /// What the bus refuses to carry from now on, where it tells so beside the message: a publish that is not
    /// permitted counts as handed over. [`request`] looks at it.
    fn refusals(&self) -> Refusals {
        Refusals::none()
    }

    /// The bucket of this name, whether it is there or not. It is reached by the connection of the moment.
    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue>;

    /// Whether messages can be handed over at this moment.
    fn is_connected(&self) -> bool;

    /// What has happened so far.
    fn stats(&self) -> BusStats;
}

/// A bus that its users share.
pub type SharedBus = Arc<dyn Bus>;

/// The messages of one subscription, in a bounded queue. Dropping it unsubscribes.
pub struct Subscription {
    // Before `messages`, so that the bus lets go of it before the queue is gone.
    unsubscribe: Option<Unsubscribe>,
    messages: BoxStream,
}

type BoxStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = Message> + Send>>;

/// Ends a subscription, when called and as well when dropped.
type Unsubscribe = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

impl Subscription {
    /// A subscription that yields what `messages` receives, for an implementation of [`Bus`]. `unsubscribe` is
    /// called once, when the subscription is ended or dropped; `messages` is to end after it.
    pub fn new(
        mut messages: tokio::sync::mpsc::Receiver<Message>,
        unsubscribe: impl FnOnce() -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        let messages = futures_util::stream::poll_fn(move |context| messages.poll_recv(context));
        Self { unsubscribe: Some(Box::new(unsubscribe)), messages: Box::pin(messages) }
    }

    /// The next message; `None` once the subscription has ended, or the bus is drained or closed, and
    /// everything received was yielded.
    ///
    /// # Cancel safety
    /// Cancel safe: no message is lost.
    pub async fn next(&mut self) -> Option<Message> {
        futures_util::StreamExt::next(&mut self.messages).await
    }

    /// The messages of both, in one.
    pub(crate) fn and(self, other: Self) -> Self {
        let (both, messages) = ([self.unsubscribe, other.unsubscribe], [self.messages, other.messages]);
        Self {
            unsubscribe: Some(Box::new(move || {
                let ends = both.into_iter().flatten().map(|unsubscribe| unsubscribe());
                let ended = futures_util::future::join_all(ends);
                Box::pin(async move { drop(ended.await) })
            })),
            messages: Box::pin(futures_util::stream::select_all(messages)),
        }
    }

    /// Ends the subscription but keeps what it has received: [`Subscription::next`] yields that, then `None`.
    /// Over NATS a message that the server sends at this very moment may be lost. Returns within two
    /// seconds, whatever the server does.
    ///
    /// # Cancel safety
    /// The subscription ends as well when the future is dropped after it was first polled.
    pub async fn unsubscribe(&mut self) {
        if let Some(unsubscribe) = self.unsubscribe.take() {
            unsubscribe().await;
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Counts since the bus was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusStats {
    /// Messages handed over.
    pub published: u64,
    /// Messages that subscriptions took in.
    pub received: u64,
    /// Messages that a subscription lost since its queue was full.
    pub dropped_slow_consumer: u64,
    /// Publishes that were refused: no connection, a full outgoing queue, or too large.
    pub refused: u64,
    /// Messages and subscriptions that the server did not permit.
    pub forbidden: u64,
    /// Times that the connection was made again after it had been lost.
    pub reconnects: u64,
    /// Messages that wait until the connection is back, where a [`LocalFallbackBus`] keeps them.
    pub kept: u64,
    /// Messages that were kept and dropped, since too much waited.
    pub kept_dropped: u64,
}

/// What a bus could not do. A check that failed is never an error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no connection to the bus.
    #[error("there is no connection to the bus {at}")]
    Unavailable {
        /// Where the bus is.
        at: String,
    },
    /// What was said of the bus cannot be used.
    #[error("the settings of the bus {at} cannot be used: {detail}")]
    Settings {
        /// Where the bus is said to be.
        at: String,
        /// What is wrong, and what was expected.
        detail: String,
    },
    /// The first connection could not be made.
    #[error("could not connect to the bus {at}: {detail}")]
    Connect {
        /// Where the bus is.
        at: String,
        /// What the attempt ran into, and what to do.
        detail: String,
    },
    /// The outgoing queue stayed full.
    #[error("the outgoing queue of the bus is full: {subject} was not sent")]
    Full {
        /// Where the message was to go.
        subject: String,
    },
    /// The payload exceeds what the bus carries.
    #[error("a message of {bytes} bytes for {subject} exceeds the {bytes_max} bytes that the bus carries")]
    TooLarge {
        /// Where the message was to go.
        subject: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The subject is not one.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A header is not one that every bus carries unchanged.
    #[error(
        "the header `{name}` cannot be sent: a name is visible ASCII without `:`, a value has no line breaks and no \
         whitespace around it"
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// It took longer than permitted.
    #[error("{what} took longer than {limit:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The server does not permit it.
    #[error("the bus server does not let us {what}: check the permissions of our user")]
    Forbidden {
        /// What was tried, for example `publish to a.b`.
        what: String,
    },
    /// Nobody listens to the subject of a request.
    #[error("nobody listens on {subject}")]
    NoResponders {
        /// The subject.
        subject: String,
    },
    /// The bus was drained or closed.
    #[error("the bus is closed")]
    Closed,
}
