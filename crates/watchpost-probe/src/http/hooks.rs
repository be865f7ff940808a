//! The one client of a probe, and the hooks through which it hears where to connect and tells when
//! each phase begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Extensions;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::roots::TlsRoots;
use super::tls;
use crate::recorder::{Recorder, Stage};

/// How checks call themselves, unless their headers say otherwise.
const USER_AGENT: &str = concat!("watchpost/", env!("CARGO_PKG_VERSION"));

/// What the hooks know of the request that is under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Option<Current>>);

/// The request that is under way.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) recorder: Recorder,
    /// Where to connect, in order of preference.
    pub(crate) addresses: Vec<SocketAddr>,
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

    fn addresses(&self) -> Vec<SocketAddr> {
        self.0.lock().as_ref().map(|current| current.addresses.clone()).unwrap_or_default()
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

/// Builds the client. Everything that reqwest would do of its own accord, and that would make one
/// check differ from another, is off: reuse of connections, proxies of the environment, redirects,
/// retries, referers.
///
/// # Errors
/// When reqwest or rustls refuse the configuration, which would be a defect.
pub(crate) fn client(roots: &TlsRoots, slot: &Arc<Slot>) -> Result<reqwest::Client, String> {
    let tls = tls::client_config(roots, slot).map_err(|e| e.to_string())?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(GivenAddresses(Arc::clone(slot)))
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
        .tcp_user_timeout(None)
        .build()
        .map_err(|e| e.to_string())
}

/// Answers every question for a name with the addresses of the slot.
struct GivenAddresses(Arc<Slot>);

impl reqwest::dns::Resolve for GivenAddresses {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(self.0.addresses().into_iter());
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
    S::Response: Connection,
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
        connecting.inspect(move |result| connected(&slot, result.as_ref().ok())).boxed()
    }
}

/// Notes that the connection is ready, and to which of several addresses it goes.
fn connected(slot: &Slot, connection: Option<&impl Connection>) {
    let Some(connection) = connection else { return };
    slot.with(|current| {
        current.recorder.enter(Stage::FirstByte);
        if current.addresses.len() > 1 {
            let mut extensions = Extensions::new();
            connection.connected().get_extras(&mut extensions);
            if let Some(info) = extensions.get::<HttpInfo>() {
                current.recorder.connected_to(info.remote_addr());
            }
        }
    });
}
