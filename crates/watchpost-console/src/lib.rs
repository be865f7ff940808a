//! The console: what a running agent shows over HTTP, and hears. Today that is `/healthz`, and `/beat/CHECK` for jobs
//! that report in.
//!
//! It owns the HTTP side and nothing of the agent: whoever starts it says how to ask for the health, and what to do with
//! beats.
//!
//! Invariant: nothing of the agent can be changed through it; a beat is a report like an answer of a target.

mod beat;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

pub use beat::{BeatAnswer, BeatSink};

/// How an agent is, for `/healthz`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    /// Whether it can do its work; decides between status 200 and 503.
    #[serde(skip)]
    pub healthy: bool,
    /// `ok`, or what is wrong in a word.
    pub status: &'static str,
    /// Everything else, as it is to be shown.
    #[serde(flatten)]
    pub details: serde_json::Value,
}

/// Asks an agent how it is.
pub trait HealthSource: Send + Sync + 'static {
    /// How it is now.
    fn health(&self) -> Pin<Box<dyn Future<Output = Health> + Send + '_>>;
}

/// What the console shows and tells.
pub trait Source: HealthSource + BeatSink {}

impl<T: HealthSource + BeatSink> Source for T {}

/// Why the console could not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "the console cannot listen on {address}: {source}; choose another address with --console, or turn it off with --console off"
)]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// How long the agent may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A console that listens and does not answer yet.
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
}

impl Console {
    /// Listens on `address`; port 0 chooses a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(address: SocketAddr) -> Result<Self, ListenError> {
        let error = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn serve(self, source: Arc<dyn Source>) {
        let router = Router::new().route("/healthz", get(healthz)).merge(beat::routes()).with_state(source);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!(%error, "the console ended");
        }
    }
}

async fn healthz(State(source): State<Arc<dyn Source>>) -> impl IntoResponse {
    let health = tokio::time::timeout(ANSWER_WITHIN, source.health()).await.unwrap_or_else(|_| Health {
        healthy: false,
        status: "stuck",
        details: serde_json::json!({ "detail": "the agent did not answer in time" }),
    });
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}
