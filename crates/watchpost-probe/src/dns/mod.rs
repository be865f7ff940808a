//! The `dns` check type: one question to one name server.
//!
//! `message` is what is asked and answered, `exchange` carries it, `judge` holds the answer against what is
//! expected.

mod exchange;
mod https;
mod judge;
mod message;

use std::net::SocketAddr;

use watchpost_model::{
    CheckType, DnsEvidence, DnsSettings, DnsTransport, DohMethod, HostPort, ProbeSettings, Reason, ReasonCode, Task,
    TypeEvidence,
};

use self::exchange::Broken;
use self::judge::Judged;
use self::message::{Answer, Question, Unfit};
use crate::assertions::conclude;
use crate::context::ProbeContext;
use crate::network::{Destination, Errand};
use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict, failure, http, tls};

/// Executes `dns` checks.
#[derive(Debug)]
pub(crate) struct DnsProbe {
    context: ProbeContext,
}

impl DnsProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Dns(settings) = &*task.probe else {
            return failure::bad_task();
        };
        match self.ask(task, settings, recorder).await {
            Ok(verdict) | Err(verdict) => verdict,
        }
    }

    async fn ask(&self, task: &Task, settings: &DnsSettings, recorder: &Recorder) -> Result<Verdict, Verdict> {
        let question = Question::of(settings).map_err(|why| {
            let message = format!("{} cannot be asked: {why}", settings.question());
            Verdict::error(Reason::new(ReasonCode::InvalidTarget, message))
        })?;
        let (server, is_system) = self.server(settings)?;
        let endpoint = task.endpoint.address;
        // The name server of the system is the operator's choice, unless whoever made the task says where it is, or the
        // check asks it where names are not resolved: at another port there may be anything.
        let is_judged = !is_system
            || is_encrypted(settings.transport)
            || endpoint.is_some_and(|at| server.ip() != Some(at.ip()) || server.port() != at.port());
        let mut asking = Asking {
            context: &self.context,
            settings,
            question: &question,
            server: &server,
            endpoint,
            errand: is_judged.then_some(Errand::to_target(CheckType::Dns)),
            recorder,
            evidence: DnsEvidence {
                system_server: is_system,
                question: format!("{} {}", settings.record_type, question.name()),
                ..DnsEvidence::default()
            },
        };
        let answer = asking.answer().await?;
        recorder.leave();
        let asked = Destination { endpoint: None, ..asking.to() };
        let mut evidence = asking.evidence.clone();
        answer.show(&mut evidence);
        recorder.of_type(TypeEvidence::Dns(evidence.clone()));
        let whom = asked.whom(evidence.server);
        let judged = Judged::new(settings, &question, &whom, &answer);
        recorder.metric("dns_records", judged.found_count() as f64);
        recorder.metric("dns_response_bytes", answer.bytes() as f64);
        if let Some(ttl) = judged.min_ttl() {
            recorder.metric("dns_min_ttl_s", ttl.into());
        }
        let findings = judged.findings(&self.context.patterns);
        Ok(conclude(&self.context, task, recorder, findings, || {
            let mut facts = judged.facts();
            facts["transport"] = evidence.transport.into();
            facts["tcp_fallback"] = evidence.tcp_fallback.into();
            facts
        }))
    }

    /// Whom to ask, and whether that is only because the check does not say.
    fn server(&self, settings: &DnsSettings) -> Result<(HostPort, bool), Verdict> {
        let default_port = settings.transport.port();
        if let Some(server) = &settings.server {
            return Ok((server.or_port(default_port), false));
        }
        let mut first = self.context.network.first_name_server(settings.name.as_str())?;
        if is_encrypted(settings.transport) {
            // What is known of it is where it answers without TLS.
            first.set_port(default_port);
        }
        Ok((HostPort::at(first), true))
    }
}

impl Probe for DnsProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

fn is_encrypted(transport: DnsTransport) -> bool {
    matches!(transport, DnsTransport::Tls | DnsTransport::Https)
}

/// A question under way.
struct Asking<'a> {
    context: &'a ProbeContext,
    settings: &'a DnsSettings,
    question: &'a Question,
    server: &'a HostPort,
    endpoint: Option<SocketAddr>,
    errand: Option<Errand<'a>>,
    recorder: &'a Recorder,
    evidence: DnsEvidence,
}

impl Asking<'_> {
    /// The answer, by the transport that the check names; of one that did not fit into a datagram the whole.
    async fn answer(&mut self) -> Result<Answer, Verdict> {
        match self.settings.transport {
            DnsTransport::Udp => {
                let answer = self.by_udp().await?;
                if !answer.is_truncated() || !self.settings.tcp_fallback {
                    return Ok(answer);
                }
                answer.show(&mut self.evidence);
                self.evidence.tcp_fallback = true;
                self.endpoint = self.evidence.server;
                self.by_tcp().await
            }
            DnsTransport::Tcp => self.by_tcp().await,
            DnsTransport::Tls => self.by_tls().await,
            DnsTransport::Https => self.by_https().await,
        }
    }

    async fn by_udp(&mut self) -> Result<Answer, Verdict> {
        self.begin(DnsTransport::Udp);
        let datagrams = self.context.network.datagrams(self.to(), self.recorder).await?;
        self.reached(Some(datagrams.peer()));
        let (recorder, whom) = (self.recorder, self.whom());
        let absence = format!("no answer from {whom} to {}", self.settings.question());
        let evidence = &mut self.evidence;
        let answered = exchange::by_datagram(&datagrams, self.question, recorder, |why| {
            evidence.ignored = evidence.ignored.saturating_add(1);
            recorder.of_type(TypeEvidence::Dns(evidence.clone()));
            let ignored = evidence.ignored;
            recorder.awaits(
                exchange::NONE_IN_TIME,
                format!("{absence}, and {ignored} other messages (the last is none since {why})"),
            );
        });
        answered.await.map_err(|broken| match broken {
            Broken::Io(error) => failure::of_datagrams(&error, &whom, &recorder.position()),
            Broken::Unfit(unfit) => unusable(&unfit, &whom),
        })
    }

    async fn by_tcp(&mut self) -> Result<Answer, Verdict> {
        self.begin(DnsTransport::Tcp);
        let stream = self.connect().await?;
        let answered = exchange::by_stream(stream, self.question, self.recorder).await;
        answered.map_err(|broken| self.broken(broken))
    }

    async fn by_tls(&mut self) -> Result<Answer, Verdict> {
        self.begin(DnsTransport::Tls);
        // Servers need not know the protocol's name in ALPN, and some refuse whoever names one.
        let handshake = self.context.tls.prepare(self.server.host(), &self.settings.tls, &[]).await?;
        let stream = self.connect().await?;
        let stream = handshake.shake(stream, self.recorder).await.map_err(|error| self.broken(error.into()))?;
        let answered = exchange::by_stream(stream, self.question, self.recorder).await;
        answered.map_err(|broken| self.broken(broken))
    }

    async fn by_https(&mut self) -> Result<Answer, Verdict> {
        self.begin(DnsTransport::Https);
        let hop = https::request(self.settings, self.server, self.question).map_err(|why| {
            let message = format!("no request can be made of {}: {why}", self.settings.question());
            Verdict::error(Reason::new(ReasonCode::InvalidTarget, message))
        })?;
        let protocols = http::exchange::protocols(None);
        let handshake = self.context.tls.prepare(self.server.host(), &self.settings.tls, protocols).await?;
        let to = self.to().by_method(match self.settings.https.method {
            DohMethod::Get => "GET",
            DohMethod::Post => "POST",
        });
        let stream = self.context.network.connect(to, self.recorder).await?;
        self.reached(self.recorder.position().address);
        let way = http::exchange::Way::direct(stream);
        let sent = http::exchange::send(&hop, None, way, Some(handshake), self.recorder).await;
        let mut response = sent.map_err(|broken| http::failure::of_request(&broken, &hop, self.recorder))?;
        let whom = self.whom();
        let message = https::message(&mut response, &hop, &whom, self.recorder).await?;
        response.close();
        self.question.answer(&message).map_err(|unfit| unusable(&unfit, &whom))
    }

    async fn connect(&mut self) -> Result<tokio::net::TcpStream, Verdict> {
        let stream = self.context.network.connect(self.to(), self.recorder).await?;
        self.reached(self.recorder.position().address);
        // One question is asked, and nothing is left to say after its answer: a reset ends the connection
        // without keeping its port busy.
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_zero_linger());
        prepared.map_err(|error| self.broken(error.into()))?;
        Ok(stream)
    }

    /// Begins to ask by `transport`.
    fn begin(&mut self, transport: DnsTransport) {
        self.evidence.transport = transport.as_str().to_owned();
        self.recorder.hop(format!("{} @{} ({})", self.settings.question(), self.server, transport.as_str()));
        self.recorder.of_type(TypeEvidence::Dns(self.evidence.clone()));
        let absence = format!("no answer from {} to {}", self.server, self.settings.question());
        self.recorder.awaits(exchange::NONE_IN_TIME, absence);
    }

    fn reached(&mut self, address: Option<SocketAddr>) {
        self.evidence.server = address;
        self.recorder.of_type(TypeEvidence::Dns(self.evidence.clone()));
    }

    fn to(&self) -> Destination<'_> {
        let (host, port) = (self.server.host(), self.server.port());
        let server_name = self.settings.tls.server_name.as_ref().filter(|_| is_encrypted(self.settings.transport));
        let told = [server_name.map(|name| name.as_str()), None];
        Destination { host, port, endpoint: self.endpoint, route: &self.settings.route, told, errand: self.errand }
    }

    fn whom(&self) -> String {
        self.to().whom(self.evidence.server)
    }

    /// The verdict on a stream that brought no answer.
    fn broken(&self, broken: Broken) -> Verdict {
        let whom = self.whom();
        match broken {
            Broken::Io(error) => tls::failure::verdict(&error, self.server.host(), &whom, self.recorder),
            Broken::Unfit(unfit) => unusable(&unfit, &whom),
        }
    }
}

/// The verdict on what came in place of an answer.
fn unusable(unfit: &Unfit, whom: &str) -> Verdict {
    let message = match unfit {
        Unfit::Stranger(why) => format!("what {whom} sent is not an answer to the question: {why}"),
        Unfit::Malformed(why) => format!("the answer of {whom} is not a DNS message: {why}"),
    };
    Verdict::error(Reason::new(ReasonCode::ProtocolError, message))
}
