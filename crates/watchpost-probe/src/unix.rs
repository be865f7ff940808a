//! The `unix` check type: connect to a socket in the file system, and hold a dialogue over it.

use watchpost_model::{ProbeSettings, Task};

use crate::assertions::conclude;
use crate::context::ProbeContext;
use crate::dialogue::Script;
use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict, failure};

/// Executes `unix` checks.
#[derive(Debug)]
pub(crate) struct UnixProbe {
    context: ProbeContext,
}

impl UnixProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Result<Verdict, Verdict> {
        let ProbeSettings::Unix(settings) = &*task.probe else {
            return Err(failure::bad_task());
        };
        recorder.hop(settings.path.to_string());
        let script = Script {
            send: settings.send.as_ref(),
            expect: settings.expect.as_ref(),
            steps: &settings.steps,
            tls: settings.tls.as_ref(),
        };
        // The model sees to it that the settings name whom the certificate must be for.
        let handshake = script.prepare("localhost", &self.context).await?;
        let stream = self.context.network.connect_unix(&settings.path, recorder).await?;
        let whom = format!("the socket {}", settings.path);
        let mut played = script.play(stream, whom, handshake, &self.context, recorder).await?;
        let findings = std::mem::take(&mut played.findings);
        Ok(conclude(&self.context, task, recorder, findings, || played.facts(recorder)))
    }
}

impl Probe for UnixProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async { self.check(task, recorder).await.unwrap_or_else(|verdict| verdict) })
    }
}
