//! The one client of a probe, and the hooks through which it hears where to connect and tells when
//! each phase begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::roots::TlsRoots;
use super::tls;
use crate::recorder::{Recorder, Stage};

/// How checks call themselves, unless their headers say otherwise.
const USER_AGENT: &str = concat!("watchpost/", env!("CARGO_PKG_VERSION"));

/// How long a TLS connection may keep what its peer does not take. When a check is dropped, the task
/// of its connection still sends the end of the TLS session, and would wait for ever for a peer that
/// reads nothing; so the operating system ends such a connection. A peer that takes nothing for so
/// long ends a check that waits longer, too. Plain connections are just closed: they do not need
/// this, and save the system call.
const TLS_UNREAD_MAX: Duration = Duration::from_secs(10);

/// What the hooks know of the request that is under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Option<Current>>);

/// The request that is under way.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) recorder: Recorder,
    /// Where to connect. It is one address: given several, hyper would try the families one after
    /// the other and report the error of the last, which may say nothing about the target.
    pub(crate) address: SocketAddr,
}

impl Slot {
    /// Lets `f` see the request that is under way. Nothing happens where there is none: a hook that
    /// runs late, for a request that was dropped, must not write into the next one's notes.
    pub(crate) fn with(&self, f: impl FnOnce(&Current)) {
        if let Some(current) = &*self.0.lock() {
            f(current);
        }
    }

    /// Puts `current` into the slot until the guard is dropped.
    pub(crate) fn occupy(self: &Arc<Self>, current: Current) -> Occupied {
        *self.0.lock() = Some(current);
        Occupied(Arc::clone(self))
    }

    fn address(&self) -> Option<SocketAddr> {
        self.0.lock().as_ref().map(|current| current.address)
    }
}

/// Empties the slot when the request ends, however it ends.
#[derive(Debug)]
pub(crate) struct Occupied(Arc<Slot>);

impl Drop for Occupied {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

/// Builds a client, for https or for plain http. Everything that reqwest would do of its own accord, and that would make one
/// check differ from another, is off: reuse of connections, proxies of the environment, redirects,
/// retries, referers.
///
/// # Errors
/// When reqwest or rustls refuse the configuration, which would be a defect.
pub(crate) fn client(roots: &TlsRoots, slot: &Arc<Slot>, for_tls: bool) -> Result<reqwest::Client, String> {
    let tls = tls::client_config(roots, slot).map_err(|e| e.to_string())?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(GivenAddress(Arc::clone(slot)))
        .connector_layer(Stamps(Arc::clone(slot)))
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(USER_AGENT)
        // The check's deadline decides how long to wait. Not setting these saves system calls.
        .tcp_keepalive(None)
        .tcp_keepalive_interval(None)
        .tcp_keepalive_retries(None)
        .tcp_user_timeout(for_tls.then_some(TLS_UNREAD_MAX))
        .build()
        .map_err(|e| e.to_string())
}

/// Answers every question for a name with the address of the slot.
struct GivenAddress(Arc<Slot>);

impl reqwest::dns::Resolve for GivenAddress {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(self.0.address().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Wraps the connector to stamp when connecting begins and when the connection is ready for use.
#[derive(Clone)]
struct Stamps(Arc<Slot>);

impl<S> Layer<S> for Stamps {
    type Service = Stamping<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Stamping { inner, slot: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Stamping<S> {
    inner: S,
    slot: Arc<Slot>,
}

impl<S, R> Service<R> for Stamping<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.slot.with(|current| current.recorder.enter(Stage::Connect));
        let slot = Arc::clone(&self.slot);
        let connecting = self.inner.call(request);
        connecting
            .inspect(move |result| {
                if result.is_ok() {
                    slot.with(|current| current.recorder.enter(Stage::FirstByte));
                }
            })
            .boxed()
    }
}
