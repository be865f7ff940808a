//! The bus over NATS.

mod credentials;
mod echo;
mod failure;
mod history;
mod jetstream;
mod keep;
mod kv;
mod kv_watch;
mod link;
mod options;
mod pump;
mod refused;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::traits::Publisher;
use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, HeaderName, HeaderValue, PublishErrorKind, Subscriber};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::counters::Losses;
use crate::subject::validate_queue;
use crate::{
    BoxFuture, Bus, BusError, BusStats, Headers, KeyValue, Outgoing, PAYLOAD_BYTES_MAX, Refusals, Subscription,
    validate_filter,
};
pub use credentials::{NatsCredentials, NatsSecret};
pub use history::StoredMessages;
use keep::keep;
use kv::NatsKeyValue;
use link::{Link, Watcher};
use options::Servers;
pub use options::{ClientFiles, NatsOptions, without_secrets};
use pump::Pump;

/// A connection to NATS that is kept up for as long as the bus lives.
///
/// Dropping it closes the connection, without a flush; [`Bus::drain`] loses nothing.
#[derive(Debug)]
pub struct NatsBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: NatsOptions,
    at: String,
    watcher: Arc<Watcher>,
    state: watch::Sender<State>,
    /// Connections of clients that have ended.
    connects_before: AtomicU64,
    /// What every inbox of this bus begins with; random, so that nobody else has it.
    inbox: String,
    inbox_numbers: AtomicU64,
    /// Whether there has been no connection at all so far.
    is_first: AtomicBool,
}

#[derive(Debug, Clone)]
enum State {
    Open(Arc<Link>),
    /// The client ended by itself; another is being made.
    Lost,
    Closed,
}

impl State {
    fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

impl NatsBus {
    /// Connects for the first time. Later the connection is made anew whenever it is lost.
    ///
    /// # Errors
    /// [`BusError::Settings`] where the options cannot be used; [`BusError::Connect`] says what the attempt ran into.
    pub async fn connect(options: NatsOptions) -> Result<Self, BusError> {
        let at = Servers::parse(&options.servers)?.shown;
        let watcher = Arc::new(Watcher::default());
        let link = Arc::new(Link::open(&options, &watcher).await?);
        tracing::info!(bus = at, version = link.client.server_info().version, "connected to the bus");
        let shared = Arc::new(Shared {
            options,
            at,
            watcher,
            inbox: link.client.new_inbox(),
            inbox_numbers: AtomicU64::new(0),
            connects_before: AtomicU64::new(0),
            state: watch::Sender::new(State::Open(link)),
            is_first: AtomicBool::new(false),
        });
        tokio::spawn(keep(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// A bus that goes on trying to connect, for somebody who can do without it for a while. Subscriptions that are
    /// made before there is a connection come into force with the first one; anything else fails until then.
    ///
    /// # Errors
    /// [`BusError::Settings`] where the options cannot be used.
    pub fn connect_in_background(options: NatsOptions) -> Result<Self, BusError> {
        let at = Servers::parse(&options.servers)?.shown;
        options.validate_inbox_prefix().map_err(|detail| BusError::Settings { at: at.clone(), detail })?;
        // Nobody else may have it: a hasher with a random seed is all the randomness that this needs.
        let random = [RandomState::new(), RandomState::new()].map(|state| format!("{:016x}", state.hash_one(0)));
        let inbox = format!("{}.{}", options.inbox_prefix, random.concat());
        let shared = Arc::new(Shared {
            options,
            at,
            watcher: Arc::default(),
            inbox,
            inbox_numbers: AtomicU64::new(0),
            connects_before: AtomicU64::new(0),
            state: watch::Sender::new(State::Lost),
            is_first: AtomicBool::new(true),
        });
        tokio::spawn(keep(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    async fn hand_over(&self, message: Outgoing) -> Result<(), BusError> {
        let link = self.shared.connected_link()?;
        // The server may carry more, but what one bus carries every bus must.
        message.validate(link.client.max_payload().min(PAYLOAD_BYTES_MAX))?;
        let Outgoing { subject, reply, headers, payload } = message;
        let outbound = OutboundMessage {
            subject: subject.as_str().into(),
            reply: reply.as_deref().map(Into::into),
            payload,
            headers: header_map(&headers)?,
        };
        match timeout(self.shared.options.publish_limit, link.client.publish_message(outbound)).await {
            Ok(Ok(())) => Ok(()),
            // A reconnect may have brought us to a server that carries less.
            Ok(Err(e)) if e.kind() == PublishErrorKind::MaxPayloadExceeded => {
                let bytes_max = link.client.max_payload();
                Err(BusError::TooLarge { subject, bytes: bytes_max.saturating_add(1), bytes_max })
            }
            Ok(Err(_)) => Err(self.shared.unavailable()),
            Err(_) if !link.is_connected() => Err(self.shared.unavailable()),
            Err(_) => Err(BusError::Full { subject }),
        }
    }

    async fn join(&self, filter: &str, queue: Option<&str>) -> Result<Subscription, BusError> {
        validate_filter(filter)?;
        queue.map(validate_queue).transpose()?;
        let shared = &self.shared;
        let subscriber = match shared.connected_link() {
            Ok(link) => Some(shared.subscribe(&link, filter, queue).await?),
            Err(BusError::Unavailable { .. }) if shared.is_first.load(Ordering::Relaxed) => None,
            Err(error) => return Err(error),
        };
        let (messages, queued) = mpsc::channel(shared.options.subscription_capacity.max(1));
        let pump = Pump {
            shared: Arc::clone(shared),
            filter: filter.into(),
            queue: queue.map(Into::into),
            messages,
            losses: Losses::default(),
        };
        let (stop, stopped) = oneshot::channel::<oneshot::Sender<()>>();
        tokio::spawn(pump.run(subscriber, stopped));
        Ok(Subscription::new(queued, move || {
            Box::pin(async move {
                let (done, is_done) = oneshot::channel();
                // Both fail only where the pump has ended, which is what is wanted.
                if stop.send(done).is_ok() {
                    is_done.await.ok();
                }
            })
        }))
    }

    async fn round_trip(&self, limit: Duration) -> Result<(), BusError> {
        let link = self.shared.connected_link()?;
        let trip = async { link.echo.round_trip(&link.client).await.map_err(|_| self.shared.unavailable()) };
        match within(limit, "a round trip to the bus server", trip).await {
            Err(BusError::Deadline { .. }) if !link.is_connected() => Err(self.shared.unavailable()),
            result => result,
        }
    }

    async fn close(&self, limit: Duration) -> Result<(), BusError> {
        let link = self.shared.connected_link();
        if self.shared.watcher.is_closing.swap(true, Ordering::Relaxed) {
            return Err(BusError::Closed);
        }
        let end = async {
            let link = link?;
            // The library's drain may close with messages still unwritten, so these go first.
            link.echo.round_trip(&link.client).await.map_err(|_| self.shared.unavailable())?;
            link.client.drain().await.map_err(|_| self.shared.unavailable())?;
            link.echo.ended().await;
            Ok(())
        };
        let result = within(limit, "draining the bus", end).await;
        self.shared.close();
        result
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    async fn subscribe(&self, link: &Link, filter: &str, queue: Option<&str>) -> Result<Subscriber, BusError> {
        let mut refusals = self.watcher.refusals.listen();
        let make = async {
            let subscriber = pump::subscribe(link, filter, queue).await.ok_or_else(|| self.unavailable())?;
            link.echo.round_trip(&link.client).await.map_err(|_| self.unavailable())?;
            // A refusal came before the echo, but by way of a task of the library's; it has had its turn after another.
            link.echo.round_trip(&link.client).await.map_err(|_| self.unavailable())?;
            if refusals.has_subscription(filter) {
                return Err(BusError::Forbidden { what: format!("subscribe to {filter}") });
            }
            Ok(subscriber)
        };
        within(self.options.connect_limit, "the server's confirmation of a subscription", make).await
    }

    fn close(&self) {
        self.watcher.is_closing.store(true, Ordering::Relaxed);
        let before = self.state.send_replace(State::Closed);
        if let State::Open(link) = before {
            self.connects_before.fetch_add(link.connects(), Ordering::Relaxed);
        }
    }

    fn connected_link(&self) -> Result<Arc<Link>, BusError> {
        if self.watcher.is_closing.load(Ordering::Relaxed) {
            return Err(BusError::Closed);
        }
        match &*self.state.borrow() {
            State::Open(link) if link.is_connected() => Ok(Arc::clone(link)),
            State::Open(_) | State::Lost => Err(self.unavailable()),
            State::Closed => Err(BusError::Closed),
        }
    }

    fn unavailable(&self) -> BusError {
        BusError::Unavailable { at: self.at.clone() }
    }

    fn reconnects(&self) -> u64 {
        let now = match &*self.state.borrow() {
            State::Open(link) => link.connects(),
            State::Lost | State::Closed => 0,
        };
        (self.connects_before.load(Ordering::Relaxed) + now).saturating_sub(1)
    }
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    timeout(limit, work).await.unwrap_or(Err(BusError::Deadline { what, limit }))
}

fn header_map(headers: &Headers) -> Result<Option<HeaderMap>, BusError> {
    if headers.is_empty() {
        return Ok(None);
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        // Both were validated; the library's infallible conversions would panic if that were ever wrong.
        let wrong = || BusError::Header { name: name.to_owned() };
        let value: HeaderValue = value.parse().map_err(|_| wrong())?;
        map.append(name.parse::<HeaderName>().map_err(|_| wrong())?, value);
    }
    Ok(Some(map))
}

impl Bus for NatsBus {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let counters = &self.shared.watcher.counters;
            let result = self.hand_over(message).await;
            match &result {
                Ok(()) => counters.published(),
                Err(BusError::Unavailable { .. } | BusError::Full { .. } | BusError::TooLarge { .. }) => {
                    counters.refused()
                }
                Err(_) => {}
            }
            result
        })
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(self.join(filter, queue))
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(self.round_trip(limit))
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(self.close(limit))
    }

    fn refusals(&self) -> Refusals {
        self.shared.watcher.refusals.listen()
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue> {
        Arc::new(NatsKeyValue::new(Arc::clone(&self.shared), bucket))
    }

    fn new_inbox(&self) -> String {
        let number = self.shared.inbox_numbers.fetch_add(1, Ordering::Relaxed);
        format!("{}.{number}", self.shared.inbox)
    }

    fn is_connected(&self) -> bool {
        self.shared.connected_link().is_ok()
    }

    fn stats(&self) -> BusStats {
        self.shared.watcher.counters.snapshot(self.shared.reconnects())
    }
}
