//! The `postgres` check type: asks whether a server accepts connections, logs in, runs a query.

mod refusal;
mod session;

use std::time::Instant;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use watchpost_model::{PostgresSettings, ProbeSettings, ReasonCode, Task, TlsMode, TypeEvidence};

use self::session::Session;
use crate::assertions::{Findings, conclude};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::value::Answer;
use crate::wire::{Conversation, Wire};
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Executes `postgres` checks.
#[derive(Debug)]
pub(crate) struct PostgresProbe {
    context: ProbeContext,
}

impl PostgresProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Postgres(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let (session, answer) = match self.ask(to, settings, recorder).await {
            Ok(answered) => answered,
            Err(broken) => {
                let host = settings.tls.server_name.as_ref();
                return broken.verdict(to, host.map_or(to.host, |name| name.as_str()), recorder);
            }
        };
        let mut findings = Findings::default();
        let (expect, patterns) = (settings.expect.as_ref(), &self.context.patterns);
        let number = Answer::judge(answer.as_ref(), expect, &mut findings, patterns, recorder);
        let verdict = conclude(&self.context, task, recorder, findings, || {
            serde_json::json!({
                "value": answer.as_ref().and_then(Answer::text),
                "number": number,
                "rows": answer.as_ref().map(|answer| answer.rows),
                "version": session.evidence.version,
                "standby": session.evidence.standby,
            })
        });
        session.close();
        verdict
    }

    /// The session, and what the query answered, where there is one.
    async fn ask<'a>(
        &self,
        to: Destination<'_>,
        settings: &'a PostgresSettings,
        recorder: &Recorder,
    ) -> Result<(Session<'a>, Option<Answer>), Broken> {
        let (wire, is_tls) = self.connect(to, settings, recorder).await?;
        let mut session = Session::new(wire, settings, is_tls);
        let answer = run(&mut session, settings, recorder).await;
        recorder.of_type(TypeEvidence::Postgres(session.evidence.clone()));
        match answer {
            Ok(answer) => Ok((session, answer)),
            Err(broken) => {
                if matches!(broken, Broken::Refused(..)) {
                    session.close();
                }
                Err(broken)
            }
        }
    }

    /// Connects, and upgrades the connection to TLS as the check asks for it.
    async fn connect(
        &self,
        to: Destination<'_>,
        settings: &PostgresSettings,
        recorder: &Recorder,
    ) -> Result<(Wire, bool), Broken> {
        let tls = settings.tls_mode.settings(&settings.tls);
        let handshake = match &tls {
            Some(tls) => Some(self.context.tls.prepare(to.host, tls, &[]).await.map_err(Broken::Judged)?),
            None => None,
        };
        let wire = Wire::open(&self.context, to, None, READ_BYTES_MAX, recorder).await?;
        let Some(handshake) = handshake else { return Ok((wire, false)) };
        let mut talk = Conversation::new(wire);
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        talk.say(&request).await;
        let answer = talk.exact(1).await?;
        recorder.leave();
        let (wire, rest) = talk.into_parts();
        // What came in the clear after the answer could be anybody's, and must not count as said by TLS.
        if !rest.is_empty() {
            return Err(Broken::garbage("said more than whether it speaks TLS, before it did"));
        }
        match answer.as_ref() {
            b"S" => Ok((wire.secured(handshake).await?, true)),
            b"N" if settings.tls_mode == TlsMode::Prefer => Ok((wire, false)),
            b"N" => {
                let what = "does not offer TLS, which the check requires";
                Err(Broken::Unanswered(ReasonCode::TlsNotOffered, what.to_owned()))
            }
            _ => Err(Broken::garbage(
                "does not speak the protocol of PostgreSQL: it did not answer whether it speaks TLS",
            )),
        }
    }
}

impl Probe for PostgresProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

async fn run(
    session: &mut Session<'_>,
    settings: &PostgresSettings,
    recorder: &Recorder,
) -> Result<Option<Answer>, Broken> {
    session.open().await?;
    if settings.user.is_none() {
        return Ok(None);
    }
    let asked = Instant::now();
    // A query of no statement at all: it goes through the server, and needs no right.
    session.query("").await?;
    recorder.metric("ping_ms", asked.elapsed().as_secs_f64() * 1_000.0);
    let Some(query) = &settings.query else { return Ok(None) };
    let asked = Instant::now();
    let answer = session.query(query.as_str()).await?;
    recorder.metric("query_ms", asked.elapsed().as_secs_f64() * 1_000.0);
    session.evidence.rows = Some(answer.rows);
    Ok(Some(answer))
}
