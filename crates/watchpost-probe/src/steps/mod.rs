//! The `steps` check type: HTTP requests one after another, with values carried from one to the next.
//!
//! Each step is what an `http` check is, on a connection of its own. `capture` finds values in answers, `flow` is what
//! later steps know of earlier ones.

mod capture;
mod flow;

use watchpost_model::{
    CheckType, FlowStep, Outcome, ProbeSettings, Reason, ReasonCode, StepsSettings, Task, Unfillable,
};

use self::capture::Source;
use self::flow::Flow;
use crate::assertions::{Findings, conclude_with, settle};
use crate::context::ProbeContext;
use crate::http::{Answered, Asked, HttpProbe};
use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict};

/// Executes `steps` checks.
#[derive(Debug)]
pub(crate) struct StepsProbe {
    http: HttpProbe,
}

/// An answer that was read and held against what its step expects.
struct Judged {
    answered: Answered,
    /// Whether the body goes on beyond what was read.
    truncated: bool,
    findings: Findings,
}

impl StepsProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { http: HttpProbe::new(context) }
    }

    async fn check(&mut self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Steps(settings) = &*task.probe else {
            return crate::failure::bad_task();
        };
        let mut flow = Flow::new(settings, recorder);
        let mut verdict = self.play(task, settings, &mut flow, recorder).await;
        self.http.forget();
        if let Some(reason) = &mut verdict.reason {
            reason.message = flow.secrets.hide_in(std::mem::take(&mut reason.message));
        }
        verdict
    }

    /// Goes through the steps until one does not come out as expected.
    async fn play(&mut self, task: &Task, settings: &StepsSettings, flow: &mut Flow, recorder: &Recorder) -> Verdict {
        let last = settings.steps().len() - 1;
        for (i, step) in settings.steps().iter().enumerate() {
            let label = settings.label(i);
            flow.begin(&label, recorder);
            let judged = match self.step(task, step, flow, recorder).await {
                Ok(judged) => judged,
                Err(mut verdict) => {
                    if let Some(reason) = &mut verdict.reason {
                        reason.message.insert_str(0, &format!("{label}: "));
                    }
                    return verdict;
                }
            };
            let Judged { answered, truncated, findings } = judged;
            let verdict = match flow.end(&label, findings, recorder) {
                false => Some(settle(recorder, std::mem::take(&mut flow.findings))),
                true if i == last => Some(self.conclude(task, flow, &answered, truncated, recorder)),
                true => None,
            };
            if let Some(verdict) = verdict {
                self.http.record(&answered, truncated, verdict.outcome == Outcome::Pass, recorder);
                answered.close();
                return verdict;
            }
            answered.close();
        }
        // Invariant: there is a last step, after which the loop has returned.
        crate::failure::bad_task()
    }

    /// Sends the request of one step, reads its answer, and holds it against what is expected of it.
    async fn step(
        &mut self,
        task: &Task,
        step: &FlowStep,
        flow: &mut Flow,
        recorder: &Recorder,
    ) -> Result<Judged, Verdict> {
        self.http.forget();
        let (settings, expect) = step.filled(&flow.captured).map_err(unfillable)?;
        let (check_type, address) = (CheckType::Steps, task.endpoint.address);
        let asked = Asked { check_type, settings: &settings, address, host: Some(&flow.host), secrets: &flow.secrets };
        let mut answered = self.http.request(asked, &mut flow.cookies, recorder).await?;
        let read = self.http.read(&mut answered, recorder).await;
        flow.secrets.join(answered.secrets());
        let truncated = read?;
        flow.cookies.take(answered.url(), answered.headers());

        let (context, body) = (self.http.context(), self.http.body());
        let source = Source::new(answered.headers(), (body, truncated), &flow.cookies, &context.patterns);
        let found = Flow::found(step, &source);
        // What is captured is known before anything is reported, so that no report shows it.
        let captures = flow.capture(step, found, recorder);
        answered.hide(&flow.secrets);
        let mut findings = Findings::of_http(&expect, answered.seen(body, truncated), &context.patterns);
        findings.extend(captures);
        let facts = flow.facts(answered.facts(body, truncated));
        let redact = |path: &str, text: &str| Some(flow.redact(path, text, answered.secrets()));
        findings.hold(context, task, &expect, recorder, &facts, &redact);
        findings.latency(expect.max_latency, flow.took(recorder));
        Ok(Judged { answered, truncated, findings })
    }

    /// Holds the flow as a whole, and its last answer, against what is expected of them.
    fn conclude(
        &self,
        task: &Task,
        flow: &mut Flow,
        answered: &Answered,
        truncated: bool,
        recorder: &Recorder,
    ) -> Verdict {
        let findings = std::mem::take(&mut flow.findings);
        let facts = flow.facts(answered.facts(self.http.body(), truncated));
        let redact = |path: &str, text: &str| Some(flow.redact(path, text, answered.secrets()));
        conclude_with(self.http.context(), task, recorder, findings, &facts, &redact)
    }
}

/// The verdict on a step whose request cannot be made of what was captured. The model validates everything else.
fn unfillable(unfillable: Unfillable) -> Verdict {
    let names: Vec<_> = unfillable.names.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("no request can be made with what was captured as {}: {}", names.join(", "), unfillable.why);
    Verdict::error(Reason::new(ReasonCode::InvalidTarget, message))
}

impl Probe for StepsProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}
