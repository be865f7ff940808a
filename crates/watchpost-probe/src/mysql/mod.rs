//! The `mysql` check type: logs in to a MySQL or MariaDB server, pings it, runs a query.
//!
//! The protocol is ours, as far as this takes: the client crates connect by themselves, and not by the connection
//! that policies see.

mod packet;
mod proof;
mod session;

use std::time::Instant;

use watchpost_model::{MysqlEvidence, MysqlSettings, ProbeSettings, Task, TypeEvidence};

use self::session::Session;
use crate::assertions::{Findings, conclude};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::value::Answer;
use crate::wire::Wire;
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Executes `mysql` checks.
#[derive(Debug)]
pub(crate) struct MysqlProbe {
    context: ProbeContext,
}

impl MysqlProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Mysql(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let mut evidence = MysqlEvidence::default();
        let asked = self.ask(to, settings, recorder, &mut evidence).await;
        if evidence != MysqlEvidence::default() {
            recorder.of_type(TypeEvidence::Mysql(evidence.clone()));
        }
        let (session, answer) = match asked {
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
                "version": evidence.version,
            })
        });
        session.close();
        verdict
    }

    /// The session, and what the query answered, where there is one.
    async fn ask<'a>(
        &self,
        to: Destination<'_>,
        settings: &'a MysqlSettings,
        recorder: &Recorder,
        evidence: &mut MysqlEvidence,
    ) -> Result<(Session<'a>, Option<Answer>), Broken> {
        let handshake = match &settings.tls_mode.settings(&settings.tls) {
            Some(tls) => Some(self.context.tls.prepare(to.host, tls, &[]).await.map_err(Broken::Judged)?),
            None => None,
        };
        let wire = Wire::open(&self.context, to, None, READ_BYTES_MAX, recorder).await?;
        let mut session = Session::open(wire, handshake, settings, evidence).await?;
        match run(&mut session, settings, recorder, evidence).await {
            Ok(answer) => Ok((session, answer)),
            Err(broken) => {
                if matches!(broken, Broken::Refused(..)) {
                    session.close();
                }
                Err(broken)
            }
        }
    }
}

impl Probe for MysqlProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

async fn run(
    session: &mut Session<'_>,
    settings: &MysqlSettings,
    recorder: &Recorder,
    evidence: &mut MysqlEvidence,
) -> Result<Option<Answer>, Broken> {
    let asked = Instant::now();
    session.ping(evidence).await?;
    recorder.metric("ping_ms", asked.elapsed().as_secs_f64() * 1_000.0);
    let Some(query) = &settings.query else { return Ok(None) };
    let asked = Instant::now();
    let answer = session.query(query.as_str(), evidence).await?;
    recorder.metric("query_ms", asked.elapsed().as_secs_f64() * 1_000.0);
    evidence.rows = Some(answer.rows);
    Ok(Some(answer))
}
