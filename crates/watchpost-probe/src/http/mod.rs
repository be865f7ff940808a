//! The `http` check type: one request on a fresh connection, or as many as redirects ask for.
//!
//! reqwest does the work, through one client for each probe whose hooks are told where to connect
//! and tell when each phase begins; see `hooks`.

mod answer;
mod certificate;
mod failure;
mod hooks;
mod hop;
mod roots;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::LOCATION;
use watchpost_model::{HttpSettings, ProbeSettings, Reason, ReasonCode, Task};

use self::hooks::{Current, Slot};
use self::hop::{Destination, Hop};
pub use self::roots::TlsRoots;
use crate::assertions::{Answer, Findings};
use crate::patterns::Patterns;
use crate::recorder::{Recorder, Stage};
use crate::resolver::Resolver;
use crate::{BoxFuture, Probe, Verdict};

/// How much of the buffer for bodies a probe keeps between checks.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// Executes `http` checks.
#[derive(Debug)]
pub(crate) struct HttpProbe {
    resolver: Resolver,
    roots: TlsRoots,
    patterns: Patterns,
    slot: Arc<Slot>,
    /// Built for the first check: a client for each would cost more than the check.
    client: Option<reqwest::Client>,
    body: Vec<u8>,
}

impl HttpProbe {
    pub(crate) fn new(resolver: Resolver, roots: TlsRoots, patterns: Patterns) -> Self {
        Self { resolver, roots, patterns, slot: Arc::default(), client: None, body: Vec::new() }
    }

    async fn check(&mut self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Http(settings) = &*task.probe else {
            return Verdict::error(Reason::new(ReasonCode::BadTask, "a task for another type of check"));
        };
        let (response, hop, redirects) = match self.request(task, settings, recorder).await {
            Ok(answered) => answered,
            Err(verdict) => return verdict,
        };
        let verdict = self.judge(task, response, &hop, &redirects, recorder).await;
        self.body.clear();
        self.body.shrink_to(BUFFER_BYTES_KEPT);
        verdict
    }

    /// Sends the request, follows redirects as far as asked, and returns the head of the answer.
    async fn request(
        &mut self,
        task: &Task,
        settings: &HttpSettings,
        recorder: &Recorder,
    ) -> Result<(reqwest::Response, Hop, Vec<String>), Verdict> {
        let error = |code, message| Err(Verdict::error(Reason::new(code, message)));
        let first = match Hop::first(settings) {
            Ok(first) => first,
            Err(why) => {
                return error(ReasonCode::InvalidTarget, format!("no request can be made of the settings: {why}"));
            }
        };
        let mut redirected: Option<Hop> = None;
        let mut redirects = Vec::new();
        loop {
            let hop = redirected.as_ref().unwrap_or(&first);
            // A redirect back to the place that is checked must not leave the endpoint that is checked.
            let endpoint = task.endpoint.address.filter(|_| hop.same_place(&first));
            let response = self.send(hop, endpoint, recorder).await?;
            let status = response.status();
            if settings.max_redirects == 0 || !hop::is_redirect(status) {
                return Ok((response, redirected.unwrap_or(first), redirects));
            }
            let followed = redirects.len();
            let next = hop.follow(status, response.headers().get(LOCATION));
            recorder.http(answer::head(&response, &redirects));
            if followed >= usize::from(settings.max_redirects) {
                return error(
                    ReasonCode::TooManyRedirects,
                    format!(
                        "status {status} of {} would be redirect {}, allowed are {followed}",
                        hop.shown_url(),
                        followed + 1
                    ),
                );
            }
            let next = match next {
                Ok(next) => next,
                Err(why) => {
                    return error(
                        ReasonCode::BadRedirect,
                        format!("the redirect {status} of {} {why}", hop.shown_url()),
                    );
                }
            };
            redirects.push(next.shown_url());
            redirected = Some(next);
            recorder.amend_http(|http| http.redirects.clone_from(&redirects));
            recorder.next_hop();
        }
    }

    /// Sends one request and waits for the head of its answer.
    async fn send(
        &mut self,
        hop: &Hop,
        endpoint: Option<SocketAddr>,
        recorder: &Recorder,
    ) -> Result<reqwest::Response, Verdict> {
        let client = self.client(hop.is_tls())?;
        let addresses = match (endpoint, hop.destination()) {
            (Some(address), _) | (None, Destination::Address(address)) => vec![address],
            (None, Destination::Name(name, port)) => {
                recorder.enter(Stage::Dns);
                let found = self.resolver.lookup(name).await.map_err(|e| Verdict::error(e.reason()))?;
                found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
            }
        };
        // The resolver never returns nothing.
        let Some(preferred) = addresses.first().copied() else {
            return Err(Verdict::error(Reason::new(
                ReasonCode::DnsNoAddress,
                format!("{} has no address", hop.host()),
            )));
        };
        recorder.connected_to(preferred);
        let occupied = self.slot.occupy(Current { recorder: recorder.clone(), addresses });
        let response = client.execute(hop.request(preferred)).await;
        drop(occupied);
        response.map_err(|error| failure::of_request(&error, hop, recorder))
    }

    /// The client. Clones of a client are one client.
    fn client(&mut self, for_tls: bool) -> Result<reqwest::Client, Verdict> {
        if for_tls {
            // Reading the system's roots takes time that must not count as the target's handshake.
            self.roots.verifier();
        }
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = hooks::client(&self.roots, &self.slot).map_err(|why| {
            Verdict::error(Reason::new(ReasonCode::ConnectError, format!("no HTTP client can be made: {why}")))
        })?;
        Ok(self.client.insert(client).clone())
    }

    /// Reads the body and holds the answer against what is expected.
    async fn judge(
        &mut self,
        task: &Task,
        mut response: reqwest::Response,
        hop: &Hop,
        redirects: &[String],
        recorder: &Recorder,
    ) -> Verdict {
        recorder.enter(Stage::Receive);
        recorder.http(answer::head(&response, redirects));
        let truncated = match answer::read_body(&mut response, &mut self.body, recorder).await {
            Ok(truncated) => truncated,
            Err(error) => {
                let verdict = failure::of_request(&error, hop, recorder);
                self.record_body(recorder, false, true);
                return verdict;
            }
        };
        recorder.leave();
        let seen =
            Answer { status: response.status().as_u16(), headers: response.headers(), body: &self.body, truncated };
        let findings = Findings::of_http(&task.expect, seen, recorder.elapsed(), &self.patterns);
        let reason = findings.reason();
        recorder.assertions(findings.reports);
        self.record_body(recorder, truncated, reason.is_some());
        reason.map_or_else(Verdict::pass, Verdict::fail)
    }

    fn record_body(&self, recorder: &Recorder, truncated: bool, with_excerpt: bool) {
        let sha256 = answer::sha256(&self.body);
        let excerpt = if with_excerpt { answer::excerpt(&self.body) } else { None };
        recorder.amend_http(|http| {
            http.body_bytes = self.body.len() as u64;
            http.body_truncated = truncated;
            http.body_sha256 = sha256;
            http.body_excerpt = excerpt;
        });
    }
}

impl Probe for HttpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}
