//! One client of the NATS library: made, watched, and kept connected.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerError};
use tokio::task::AbortHandle;

use super::echo::Echo;
use super::failure;
use super::options::{ClientFiles, NatsOptions, Servers};
use super::refused::Refused;
use crate::BusError;
use crate::counters::Counters;
use crate::refusals::{Listeners, Refusal};

/// What the client library holds for a subscription before we have taken it over. We count what our own
/// queues lose, the library what this one loses; it fills only while the runtime runs none of our tasks.
const LIBRARY_CAPACITY: usize = 65_536;

/// How often an idle connection is probed. It is given up at the third probe without an answer, so
/// that a server that vanished is noticed within 15 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);

const RECONNECT_DELAY_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(4);

/// How long a client waits to reconnect that nobody uses any more. The library cannot be told to stop trying;
/// this keeps it from knocking at the server, and when it does connect it finds itself unused and ends.
const PARKED: Duration = Duration::from_secs(24 * 3600);

/// A client and its round trips.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) echo: Arc<Echo>,
    listener: AbortHandle,
}

/// Whoever holds a subscription of the client library keeps its connection open, the listener for echoes too.
impl Drop for Link {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// What a link reports to.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    pub(super) counters: Counters,
    /// No use of the bus from now on.
    pub(super) is_closing: AtomicBool,
    /// Those who wait for what the server may refuse.
    pub(super) refusals: Listeners,
    refused: Refused,
    library_drops: AtomicU64,
}

impl Link {
    /// Connects, within the options' limit.
    pub(super) async fn open(options: &NatsOptions, watcher: &Arc<Watcher>) -> Result<Self, BusError> {
        let servers = Servers::parse(&options.servers)?;
        let error = |detail| BusError::Connect { at: servers.shown.clone(), detail };
        let limit = options.connect_limit;
        let connect = async {
            let echo = Arc::new(OnceLock::new());
            let unusable = |detail| BusError::Settings { at: servers.shown.clone(), detail };
            let settings = settings(options, &servers, watcher, &echo).map_err(unusable)?;
            let client = settings.connect(servers.addresses.clone()).await;
            let has_credentials = options.credentials.is_some() || servers.credentials.is_some();
            let client = client.map_err(|e| error(failure::describe(&e, has_credentials, limit)))?;
            let lost = |_| error("the server closed the connection at once".to_owned());
            let (started, listener) = Echo::start(&client).await.map_err(lost)?;
            // Set before the first round trip, so that no complaint about it can be missed.
            let started = Arc::clone(echo.get_or_init(|| started));
            let link = Self { client, echo: started, listener };
            link.echo.round_trip(&link.client).await.map_err(lost)?;
            Ok(link)
        };
        tokio::time::timeout(limit, connect).await.unwrap_or_else(|_| Err(error(failure::no_answer(limit))))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Times that this client has connected, the first included.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

fn settings(
    options: &NatsOptions,
    servers: &Servers,
    watcher: &Arc<Watcher>,
    echo: &Arc<OnceLock<Arc<Echo>>>,
) -> Result<ConnectOptions, String> {
    // Each server gets its share, so that one that swallows packets does not use up the whole limit.
    let share = options.connect_limit / u32::try_from(servers.addresses.len()).unwrap_or(u32::MAX).max(1);
    options.validate_inbox_prefix()?;
    let settings = match options.credentials.as_ref().or(servers.credentials.as_ref()) {
        Some(credentials) => {
            // The library would only say that something of the kind failed.
            credentials.auth(b"")?;
            ConnectOptions::with_auth_callback(credentials.clone().callback())
        }
        None => ConnectOptions::new(),
    };
    let mut settings = settings
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox_prefix)
        .connection_timeout(share.max(Duration::from_millis(500)))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(LIBRARY_CAPACITY)
        .client_capacity(options.outgoing_capacity.max(1))
        .require_tls(options.require_tls)
        .max_reconnects(None)
        .reconnect_delay_callback({
            let (watcher, echo) = (Arc::clone(watcher), Arc::clone(echo));
            // The first connection is made without delay: there is no echo before it.
            move |attempt| match echo.get() {
                None => Duration::ZERO,
                Some(_) if watcher.is_closing.load(Ordering::Relaxed) => PARKED,
                Some(_) => reconnect_delay(attempt),
            }
        })
        .event_callback({
            let (watcher, echo, at) = (Arc::clone(watcher), Arc::clone(echo), servers.shown.clone());
            let was_connected = AtomicBool::new(false);
            move |event| {
                // The log line of a first connection is written by whoever asked for it.
                if event != Event::Connected || was_connected.swap(true, Ordering::Relaxed) {
                    watcher.on_event(&event, echo.get().map(Arc::as_ref), &at);
                }
                std::future::ready(())
            }
        });
    // The library would only find out when a server asks for TLS, and then not name the file.
    let readable = |what: &str, path: &Path| match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("the {what} {} cannot be read: {e}", path.display())),
    };
    if let Some(path) = &options.tls_ca_file {
        readable("CA file", path)?;
        settings = settings.add_root_certificates(path.clone());
    }
    if let Some(ClientFiles { certificate, key }) = &options.tls_client {
        readable("certificate", certificate)?;
        readable("key of the certificate", key)?;
        settings = settings.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(settings)
}

impl Watcher {
    fn on_event(&self, event: &Event, echo: Option<&Echo>, at: &str) {
        match event {
            Event::Connected => tracing::info!(bus = at, "connected to the bus again"),
            Event::Disconnected => {
                echo.inspect(|echo| echo.disconnected());
                tracing::warn!(bus = at, "the connection to the bus is lost; trying to get it back");
            }
            Event::LameDuckMode => tracing::info!(bus = at, "the bus server is about to shut down"),
            Event::SlowConsumer(_) => self.library_dropped(at),
            Event::ServerError(error) => {
                self.server_error(error, echo, at);
            }
            // The reasons of failed attempts to reconnect come this way.
            Event::ClientError(ClientError::Other(detail)) if is_about_us(detail) => {
                tracing::warn!(bus = at, detail, "the bus server does not take our credentials; going on to try");
            }
            Event::ClientError(ClientError::Other(detail)) => {
                tracing::debug!(bus = at, detail, "could not connect to the bus");
            }
            Event::ClientError(error) => tracing::error!(bus = at, detail = %error, "the bus client failed"),
            Event::Draining | Event::Closed => tracing::debug!(bus = at, %event, "the bus closes"),
        }
    }

    fn server_error(&self, error: &ServerError, echo: Option<&Echo>, at: &str) {
        let detail = error.to_string();
        let refusal = Refusal::parse(&detail);
        let is_refusal = refusal.is_some();
        if let Some(refusal) = refusal {
            self.counters.forbidden();
            self.refusals.tell(refusal);
        }
        if echo.is_some_and(|echo| echo.forbidden(&detail)) {
            return;
        }
        if !is_refusal {
            return tracing::warn!(bus = at, detail, "the bus server reports an error");
        }
        if let Some(times) = self.refused.is_worth_telling(&detail) {
            tracing::error!(bus = at, detail, times, "the bus server forbids this; check the permissions of our user");
        }
    }

    /// One event is one message, but events are dropped in turn when many come at once: this count is
    /// a lower bound.
    fn library_dropped(&self, at: &str) {
        self.counters.dropped();
        let dropped = self.library_drops.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            tracing::warn!(bus = at, dropped, "messages are dropped: this process is too busy to take them in");
        }
    }
}

/// Whether an attempt to connect failed for who we are, which the library tells in words alone.
fn is_about_us(detail: &str) -> bool {
    [ConnectErrorKind::AuthorizationViolation, ConnectErrorKind::Authentication]
        .iter()
        .any(|kind| detail == kind.to_string())
}

/// Exponential, with a random half: many bastions lose one server at the same moment and must not
/// all come back at the same moment.
pub(super) fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let most = RECONNECT_DELAY_FIRST.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX);
    // A hasher with a random seed is all the randomness that this needs.
    let random = RandomState::new().hash_one(attempt) % 1_000;
    most / 2 + most / 2 * u32::try_from(random).unwrap_or_default() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_bound_and_differ() {
        assert!(reconnect_delay(0) <= RECONNECT_DELAY_FIRST);
        for attempt in [1, 2, 5, 8, 100, usize::MAX] {
            let delays: Vec<_> = (0..50).map(|_| reconnect_delay(attempt)).collect();
            assert!(delays.iter().all(|d| *d >= RECONNECT_DELAY_FIRST / 2 && *d <= RECONNECT_DELAY_MAX), "{delays:?}");
            assert!(delays.iter().any(|d| *d != delays[0]), "{delays:?}");
        }
        assert!(reconnect_delay(100) >= RECONNECT_DELAY_MAX / 2);
    }
}
