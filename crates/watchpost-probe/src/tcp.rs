//! The `tcp` check type: connect, then optionally send, then optionally wait for an answer; or go through the steps of
//! a dialogue.

use watchpost_model::{ProbeSettings, Task};

use crate::assertions::conclude;
use crate::context::ProbeContext;
use crate::dialogue::Script;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict, failure};

/// Executes `tcp` checks.
#[derive(Debug)]
pub(crate) struct TcpProbe {
    context: ProbeContext,
}

impl TcpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Result<Verdict, Verdict> {
        let ProbeSettings::Tcp(settings) = &*task.probe else {
            return Err(failure::bad_task());
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let script = Script {
            send: settings.send.as_ref(),
            expect: settings.expect.as_ref(),
            steps: &settings.steps,
            tls: settings.tls.as_ref(),
        };
        let handshake = script.prepare(to.host, &self.context).await?;
        let stream = self.context.network.connect(to, recorder).await?;
        let whom = to.whom(recorder.position().address);
        let ready = stream.set_nodelay(true).and_then(|()| match script.may_reset() {
            true => stream.set_zero_linger(),
            false => Ok(()),
        });
        ready.map_err(|error| failure::of_io(&error, &whom, &recorder.position()))?;
        let mut played = script.play(stream, whom, handshake, &self.context, recorder).await?;
        let findings = std::mem::take(&mut played.findings);
        Ok(conclude(&self.context, task, recorder, findings, || played.facts(recorder)))
    }
}

impl Probe for TcpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async { self.check(task, recorder).await.unwrap_or_else(|verdict| verdict) })
    }
}
