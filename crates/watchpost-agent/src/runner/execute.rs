//! One task, one worker, until one outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use watchpost_model::{Outcome, Reason, ReasonCode};
use watchpost_probe::{Recorder, Verdict};
use watchpost_trust::Aimed;

use super::RunnerContext;
use super::dispatcher::{Address, Event, Finished};
use super::intake::Job;
use super::report::Report;
use super::worker::Worker;

/// Starts the work. Task and worker are moved in: nothing else holds them, so nothing can be
/// mixed up or used twice (O4).
pub(super) struct Execute {
    pub(super) job: Job,
    pub(super) worker: Worker,
    /// How long the task waited for the worker.
    pub(super) waited: Duration,
    /// Yields the reason when somebody wants it to stop.
    pub(super) cancelled: oneshot::Receiver<Reason>,
}

/// Executes a task on the runtime's threads and sends task's report and worker home together,
/// however it ends.
pub(super) async fn execute(cx: Arc<RunnerContext>, message: Execute, home: Address) {
    let Execute { job, mut worker, waited, cancelled } = message;
    let started_at = cx.clock.now();
    // The deadline only shrinks: this is what waiting has left of it.
    let limit = job.deadline.since(cx.clock.tick());
    let recorder = Recorder::within(limit);
    let attempt = attempt(&cx, &mut worker, &job, &recorder, limit, waited, cancelled);
    let (verdict, broken) = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(verdict) => (verdict, false),
        Err(panic) => {
            cx.stats.panics.increment();
            // It may quote what the probe was about to send.
            let panic = recorder.hidden(panic_message(&*panic));
            let message = format!("the probe panicked: {panic}");
            cx.stats.troubles.note(cx.clock.now(), "a probe panicked", &panic);
            (Verdict::error(Reason::new(ReasonCode::Panicked, message)), true)
        }
    };
    let task = job.task.task;
    // Whatever becomes of the report, the worker must come home.
    let make = || {
        let labels = recorder.hidden_in_labels(&job.task.endpoint.labels);
        Report::tried(&cx, job, started_at, waited, verdict, labels, recorder.finish())
    };
    let report = std::panic::catch_unwind(AssertUnwindSafe(make)).ok();
    if home.send(Event::Finished(Finished { task, worker, broken, report })).await.is_err() {
        // The message is gone, and with it the report: its admission has counted and told that.
        tracing::error!(%task, "the Dispatcher is gone; this is a defect of Watchpost");
    }
}

async fn attempt(
    cx: &RunnerContext,
    worker: &mut Worker,
    job: &Job,
    recorder: &Recorder,
    limit: Duration,
    waited: Duration,
    cancelled: oneshot::Receiver<Reason>,
) -> Verdict {
    let run = async {
        if let (Some(trust), Aimed::IfResolved { host, ip }) = (&cx.trust, &job.aimed)
            && let Err(reason) = trust.judge_address(&job.task, host, *ip, limit).await
        {
            cx.stats.shed(&reason.code);
            return Verdict { outcome: Outcome::Cancelled, reason: Some(reason) };
        }
        worker.probe().run(&job.task, recorder).await
    };
    tokio::select! {
        biased;
        Ok(reason) = cancelled => Verdict { outcome: Outcome::Cancelled, reason: Some(reason) },
        ended = tokio::time::timeout(limit, run) => ended.unwrap_or_else(|_| timed_out(recorder, limit, waited)),
    }
}

/// The deadline came first. Where the probe had not got to the target, that is our fault and not the target's.
fn timed_out(recorder: &Recorder, limit: Duration, waited: Duration) -> Verdict {
    let mut reason = recorder.timeout_reason(limit);
    if waited > limit {
        reason.message = format!("{} (it had waited {waited:.1?} for a worker before)", reason.message);
    }
    let outcome = match reason.code {
        ReasonCode::DeadlinePassed | ReasonCode::PolicyDenied => Outcome::Cancelled,
        _ => Outcome::Timeout,
    };
    Verdict { outcome, reason: Some(reason) }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "(no message)",
    };
    watchpost_model::shorten(text, 500).into_owned()
}
