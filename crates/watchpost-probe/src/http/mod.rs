//! The `http` check type: one request on a fresh connection, or as many as redirects ask for.
//!
//! `hop` is what is asked, `exchange` asks it, `answer` reads and keeps what comes back within bounds.

mod answer;
mod cookies;
mod decode;
pub(crate) mod exchange;
mod facts;
pub(crate) mod failure;
mod fetch;
pub(crate) mod hop;
mod http1;
mod http2;
pub(crate) mod proxy;
mod stream;

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use url::Url;
use watchpost_model::{
    CheckType, HttpSettings, HttpVersion, Outcome, ProbeSettings, ProxyUrl, Reason, ReasonCode, Task,
};
use watchpost_policy::Purpose;

use self::answer::Unread;
pub(crate) use self::cookies::Cookies;
use self::exchange::{Response, Way};
pub(crate) use self::facts::HttpFacts;
pub(crate) use self::fetch::{Fetcher, Stream as FetchStream};
use self::hop::Hop;
use crate::assertions::{Answer, Findings, conclude_with};
use crate::context::ProbeContext;
use crate::recorder::{Recorder, Stage};
use crate::secret::Secrets;
use crate::{BoxFuture, Probe, Verdict, secrets};

/// How much of the buffer for bodies a probe keeps between checks.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// Executes `http` checks.
#[derive(Debug)]
pub(crate) struct HttpProbe {
    context: ProbeContext,
    body: Vec<u8>,
}

impl HttpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context, body: Vec::new() }
    }

    async fn check(&mut self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Http(settings) = &*task.probe else {
            return crate::failure::bad_task();
        };
        self.forget();
        let (check_type, address) = (CheckType::Http, task.endpoint.address);
        let asked = Asked { check_type, settings, address, host: None, secrets: &Secrets::default() };
        let verdict = match self.request(asked, &mut Cookies::default(), recorder).await {
            Ok(answered) => self.judge(task, answered, recorder).await,
            Err(verdict) => return verdict,
        };
        self.forget();
        verdict
    }

    /// Makes room for another body. A check that was dropped at its deadline has left one.
    pub(crate) fn forget(&mut self) {
        self.body.clear();
        self.body.shrink_to(BUFFER_BYTES_KEPT);
    }

    pub(crate) fn context(&self) -> &ProbeContext {
        &self.context
    }

    /// The body that was read last.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends the request, follows redirects as far as asked, and returns the head of the answer. `cookies` go with each
    /// request that they are for, and take up those that redirects set.
    pub(crate) async fn request(
        &self,
        asked: Asked<'_>,
        cookies: &mut Cookies,
        recorder: &Recorder,
    ) -> Result<Answered, Verdict> {
        let settings = asked.settings;
        let error = |code, message| Err(Verdict::error(Reason::new(code, message)));
        let body = match &settings.body {
            Some(body) => Some(Bytes::from(self.context.files.payload(body).await?.into_owned())),
            None => None,
        };
        let first = match Hop::first(settings, body) {
            Ok(first) => first,
            Err(why) => {
                return error(ReasonCode::InvalidTarget, format!("no request can be made of the settings: {why}"));
            }
        };
        let first = first.hiding(&self.context.redaction, asked.secrets).with_cookies(cookies);
        let mut redirected: Option<Hop> = None;
        let mut redirects = Vec::new();
        loop {
            let hop = redirected.as_ref().unwrap_or(&first);
            // A redirect within the host that is checked must not leave the instance that is checked.
            let endpoint =
                asked.address.and_then(|address| hop.at_instance(asked.host.unwrap_or(first.url()), address));
            let response = self.send(hop, asked, endpoint, recorder).await?;
            let status = response.head.status;
            let whom = || failure::peer(hop, &recorder.position());
            let head_bytes = answer::head_bytes(&response.head);
            if head_bytes > answer::HEAD_BYTES_MAX {
                // How much hyper takes depends on how it arrives.
                let max = answer::HEAD_BYTES_MAX;
                let message = format!(
                    "the answer of {} is not valid HTTP: its head has {head_bytes} bytes, more than {max}",
                    whom()
                );
                return error(ReasonCode::ProtocolError, message);
            }
            if status == StatusCode::SWITCHING_PROTOCOLS && !hop.asks_for_upgrade() {
                recorder.http(answer::head(&response.head, &redirects, hop.secrets()));
                let message =
                    format!("{} switched to another protocol (status 101), which the check did not ask for", whom());
                return error(ReasonCode::ProtocolError, message);
            }
            if settings.max_redirects == 0 || !hop::is_redirect(status) {
                let (hop, unpacks) = (redirected.unwrap_or(first), settings.decompress);
                return Ok(Answered { response, hop, redirects, unpacks });
            }
            let followed = redirects.len();
            let next = hop.follow(status, response.head.headers.get(LOCATION));
            recorder.http(answer::head(&response.head, &redirects, hop.secrets()));
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
            recorder.amend_http(|http| http.redirects.clone_from(&redirects));
            recorder.judge_redirect(next.url()).map_err(secrets::not_allowed)?;
            cookies.take(hop.url(), &response.head.headers);
            redirected = Some(next.with_cookies(cookies));
        }
    }

    /// Sends one request and waits for the head of its answer.
    async fn send(
        &self,
        hop: &Hop,
        asked: Asked<'_>,
        endpoint: Option<SocketAddr>,
        recorder: &Recorder,
    ) -> Result<Response, Verdict> {
        let settings = asked.settings;
        recorder.hop(hop.shown_url());
        let handshake = match hop.is_tls() {
            true => {
                let protocols = exchange::protocols(settings.version);
                Some(self.context.tls.prepare(hop.host_plain(), &settings.tls, protocols).await?)
            }
            false => None,
        };
        let to = hop.destination(endpoint, settings, asked.check_type, Purpose::Target);
        let network = &self.context.network;
        let proxy = settings.proxy.as_ref().map(ProxyUrl::parts);
        let way = match &proxy {
            None => Way::direct(network.connect(to, recorder).await?),
            Some(proxy) => {
                let tunnels = settings.version == Some(HttpVersion::Http2);
                proxy::connect(network, proxy, hop, to, tunnels, recorder).await?
            }
        };
        let answered = exchange::send(hop, settings.version, way, handshake, recorder).await;
        answered.map_err(|broken| failure::of_request(&broken, hop, recorder))
    }

    /// Reads the body and holds the answer against what is expected.
    async fn judge(&mut self, task: &Task, mut answered: Answered, recorder: &Recorder) -> Verdict {
        let truncated = match self.read(&mut answered, recorder).await {
            Ok(truncated) => truncated,
            Err(verdict) => return verdict,
        };
        let seen = answered.seen(&self.body, truncated);
        let findings = Findings::of_http(&task.expect, seen, &self.context.patterns);
        let facts = answered.facts(&self.body, truncated);
        let secrets = answered.hop.secrets();
        let redact = |path: &str, text: &str| Some(secrets.shown(path, text));
        let verdict = conclude_with(&self.context, task, recorder, findings, &facts, &redact);
        self.record_body(recorder, truncated, (verdict.outcome != Outcome::Pass).then_some(secrets));
        answered.close();
        verdict
    }

    /// Reads the body, and tells whether it goes on beyond what is read.
    pub(crate) async fn read(&mut self, answered: &mut Answered, recorder: &Recorder) -> Result<bool, Verdict> {
        let Answered { response, hop, redirects, unpacks } = answered;
        recorder.enter(Stage::Receive);
        recorder.http(answer::head(&response.head, redirects, hop.secrets()));
        match answer::read_body(response, *unpacks, &mut self.body, recorder).await {
            Ok(truncated) => {
                recorder.leave();
                Ok(truncated)
            }
            Err(unread) => {
                let verdict = match unread {
                    Unread::Exchange(broken) => failure::of_request(&broken, hop, recorder),
                    Unread::Packed(fault) => failure::of_unpacking(fault, hop, recorder),
                };
                self.record_body(recorder, false, Some(hop.secrets()));
                Err(verdict)
            }
        }
    }

    /// Records an answer that was read, with an excerpt of its body unless the check `passed`.
    pub(crate) fn record(&self, answered: &Answered, truncated: bool, passed: bool, recorder: &Recorder) {
        let Answered { response, hop, redirects, .. } = answered;
        recorder.http(answer::head(&response.head, redirects, hop.secrets()));
        self.record_body(recorder, truncated, (!passed).then(|| hop.secrets()));
    }

    /// Records what is known of the body, with an excerpt if it is said what that must not show.
    fn record_body(&self, recorder: &Recorder, truncated: bool, hidden: Option<&Secrets>) {
        let sha256 = answer::sha256(&self.body);
        let excerpt = hidden.and_then(|secrets| answer::excerpt(&self.body, secrets, self.context.excerpt_bytes));
        recorder.amend_http(|http| {
            http.body_bytes = self.body.len() as u64;
            http.body_truncated = truncated;
            http.body_sha256 = sha256;
            http.body_excerpt = excerpt;
        });
    }
}

/// What is asked for, with all that its redirects lead to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The type of the check that asks.
    pub(crate) check_type: CheckType,
    pub(crate) settings: &'a HttpSettings,
    /// Where the host that is checked is to be reached, if that is decided already.
    pub(crate) address: Option<SocketAddr>,
    /// A URL of the host that is checked, where that is not the one of the settings.
    pub(crate) host: Option<&'a Url>,
    /// What results do not show, beside what the settings tell.
    pub(crate) secrets: &'a Secrets,
}

/// An answer whose head is here, with how it was come by.
#[derive(Debug)]
pub(crate) struct Answered {
    response: Response,
    hop: Hop,
    redirects: Vec<String>,
    /// Whether a body that comes packed is unpacked.
    unpacks: bool,
}

impl Answered {
    /// The URL that answered.
    pub(crate) fn url(&self) -> &Url {
        self.hop.url()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.response.head.headers
    }

    /// What results do not show.
    pub(crate) fn secrets(&self) -> &Secrets {
        self.hop.secrets()
    }

    /// Has these hidden as well.
    pub(crate) fn hide(&mut self, secrets: &Secrets) {
        self.hop.hide(secrets);
    }

    /// What assertions look at.
    pub(crate) fn seen<'a>(&'a self, body: &'a [u8], truncated: bool) -> Answer<'a> {
        let head = &self.response.head;
        let status = head.status.as_u16();
        Answer { status, headers: &head.headers, body, truncated, secrets: self.hop.secrets() }
    }

    /// What expressions may ask for.
    pub(crate) fn facts<'a>(&'a self, body: &'a [u8], truncated: bool) -> HttpFacts<'a> {
        HttpFacts::new(&self.response.head, body, truncated, &self.redirects)
    }

    /// Takes leave of the peer.
    pub(crate) fn close(self) {
        if self.hop.is_tls() {
            self.response.close();
        }
    }
}

impl Probe for HttpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}
