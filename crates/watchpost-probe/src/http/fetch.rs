//! Requests that are no checks: what they fetch is for Watchpost itself.

use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use watchpost_model::{CheckType, HttpSettings, HttpVersion, Reason, ReasonCode};
use watchpost_policy::Purpose;

use super::decode::Decoder;
use super::exchange::{self, Response, Way};
use super::failure;
use super::hop::{self, Hop};
use crate::Verdict;
use crate::context::ProbeContext;
use crate::recorder::{Recorder, Stage};
use crate::secret::Secrets;

/// Every server of such things speaks it.
const VERSION: Option<HttpVersion> = Some(HttpVersion::Http11);

/// Fetches what URLs lead to, by the same connections and TLS as checks. Redirects are followed as far as
/// the settings say.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    context: ProbeContext,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// An answer whose body comes bit by bit.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) status: u16,
    response: Response,
    hop: Hop,
    recorder: Recorder,
}

impl Fetcher {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    /// Fetches an answer of at most `bytes_max` bytes, unpacked, within `limit`.
    ///
    /// # Errors
    /// Why there is no such answer.
    pub(crate) async fn fetch(
        &self,
        settings: &HttpSettings,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Fetched, Reason> {
        let recorder = Recorder::within(limit);
        let fetching = async {
            // Chunks may be small, and each has its length in front of it.
            let mut stream = self.begin(settings, bytes_max.saturating_mul(4), &recorder).await?;
            let mut decoder = Decoder::of(&stream.response.head.headers);
            let (mut body, mut arrived) = (Vec::new(), 0);
            while let Some(chunk) = stream.chunk().await? {
                arrived += chunk.len();
                let unpacked = decoder.decode(&chunk, &mut body, bytes_max);
                unpacked.map_err(|fault| of(failure::of_unpacking(fault, &stream.hop, &recorder)))?;
                if body.len() > bytes_max || arrived > bytes_max {
                    let message = format!("the answer of {} has more than {bytes_max} bytes", stream.hop.host());
                    return Err(Reason::new(ReasonCode::ProtocolError, message));
                }
            }
            decoder.end().map_err(|fault| of(failure::of_unpacking(fault, &stream.hop, &recorder)))?;
            Ok(Fetched { status: stream.status, body })
        };
        tokio::time::timeout(limit, fetching).await.unwrap_or_else(|_| Err(recorder.timeout_reason(limit)))
    }

    /// Begins to fetch an answer that may have no end: its head must be there within `limit`.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn stream(&self, settings: &HttpSettings, limit: Duration) -> Result<Stream, Reason> {
        let recorder = Recorder::within(limit);
        let begun = tokio::time::timeout(limit, self.begin(settings, usize::MAX, &recorder)).await;
        begun.unwrap_or_else(|_| Err(recorder.timeout_reason(limit)))
    }

    async fn begin(&self, settings: &HttpSettings, bytes: usize, recorder: &Recorder) -> Result<Stream, Reason> {
        let mut hop = Hop::first(settings, None).map_err(|why| {
            Reason::new(ReasonCode::InvalidTarget, format!("no request can be made of the settings: {why}"))
        })?;
        // A query may hold a token, which a redirect may repeat.
        let url = hop.url().clone();
        let queried: Vec<_> = url.query_pairs().map(|(_, value)| value).collect();
        hop.hide(&Secrets::of_values(queried.iter().map(|value| &**value)));
        let mut followed = 0;
        loop {
            let response = self.send(settings, &hop, bytes, recorder).await?;
            let status = response.head.status;
            if settings.max_redirects == 0 || !hop::is_redirect(status) {
                recorder.enter(Stage::Receive);
                return Ok(Stream { status: status.as_u16(), response, hop, recorder: recorder.clone() });
            }
            if followed == settings.max_redirects {
                let message = format!(
                    "status {status} of {} would be redirect {}, allowed are {followed}",
                    hop.host(),
                    u16::from(followed) + 1
                );
                return Err(Reason::new(ReasonCode::TooManyRedirects, message));
            }
            hop = hop.follow(status, response.head.headers.get(LOCATION)).map_err(|why| {
                Reason::new(ReasonCode::BadRedirect, format!("the redirect {status} of {} {why}", hop.host()))
            })?;
            response.close();
            followed += 1;
        }
    }

    /// Sends one request and waits for the head of its answer.
    async fn send(
        &self,
        settings: &HttpSettings,
        hop: &Hop,
        bytes: usize,
        recorder: &Recorder,
    ) -> Result<Response, Reason> {
        recorder.hop(hop.shown_url());
        let handshake = match hop.is_tls() {
            true => Some(
                self.context
                    .tls
                    .prepare(hop.host_plain(), &settings.tls, exchange::protocols(VERSION))
                    .await
                    .map_err(of)?,
            ),
            false => None,
        };
        let to = hop.destination(None, settings, CheckType::Http, Purpose::Source);
        let connection = self.context.network.connect(to, recorder).await.map_err(of)?;
        let way = Way { bytes_max: bytes, ..Way::direct(connection) };
        let answered = exchange::send(hop, VERSION, way, handshake, recorder).await;
        answered.map_err(|broken| of(failure::of_request(&broken, hop, recorder)))
    }
}

impl Stream {
    /// The next bit of the body; `None` at its end.
    ///
    /// # Errors
    /// Why it cannot be read.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Reason> {
        let chunk = self.response.chunk().await;
        chunk.map_err(|broken| of(failure::of_request(&broken, &self.hop, &self.recorder)))
    }
}

fn of(verdict: Verdict) -> Reason {
    verdict.reason.unwrap_or_else(|| Reason::new(ReasonCode::ProtocolError, "no reason was given"))
}
