//! The Checker's way out to the bus: one task that encodes and publishes in order, so that the
//! actor never waits for the bus.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use watchpost_bus::{BusError, Headers, Outgoing};
use watchpost_model::{CancelTasks, Format, Reason, ReasonCode, RunVerdict, Task, TaskResult, encode, header};

use super::{Checker, CheckerContext, Event};

/// How many messages may wait to be published. A task beyond that is `missed`/`overloaded`.
pub(super) const OUTBOX_MAX: usize = 65_536;
/// How many of them are kept for what is not a task, so that what becomes of tasks can still be told.
const NOT_TASKS: usize = OUTBOX_MAX / 4;

/// Something to publish.
pub(super) enum Outbound {
    Task(Box<Task>),
    /// With `keep` it is one of the last results of its check; a verdict as well.
    Result {
        result: Box<TaskResult>,
        keep: bool,
    },
    Verdict {
        verdict: Box<RunVerdict>,
        keep: bool,
    },
    Cancel(CancelTasks),
    /// Asks to be told once everything before it has left the process.
    Flush {
        limit: std::time::Duration,
        done: oneshot::Sender<bool>,
    },
}

impl Checker {
    /// How many messages wait to be published.
    pub(super) fn unpublished(&self) -> usize {
        OUTBOX_MAX - self.outbox.capacity()
    }

    /// Whether the queue to the bus takes another task.
    pub(super) fn has_room_for_tasks(&self) -> bool {
        self.outbox.capacity() > NOT_TASKS
    }
}

/// Headers of a message about one task.
pub(crate) fn task_headers(task: watchpost_model::TaskId) -> Headers {
    Headers::new().with(header::MSG_ID, task.to_string()).with(header::CONTENT_TYPE, Format::MsgPack.content_type())
}

pub(super) async fn publish_all(
    cx: Arc<CheckerContext>,
    mut outbound: mpsc::Receiver<Outbound>,
    checker: mpsc::WeakSender<Event>,
) {
    while let Some(next) = outbound.recv().await {
        match next {
            Outbound::Task(task) => publish_task(&cx, *task, &checker).await,
            Outbound::Result { result, keep } => {
                let payload = encode(&*result, Format::MsgPack);
                if keep {
                    let kept = payload.clone().into_boxed_slice();
                    cx.lasts.note(&result.check, &result.target.endpoint, kept, Format::MsgPack);
                }
                let message =
                    Outgoing::new(cx.subjects.result(&result.check), payload).headers(task_headers(result.task));
                if let Err(error) = cx.bus.publish(message).await {
                    cx.stats.results_unsent.increment();
                    cx.stats.troubles.note(cx.clock.now(), "a result was not published", &error);
                    tracing::warn!(task = %result.task, check = %result.check, outcome = %result.outcome, %error, "a result was not published");
                }
            }
            Outbound::Verdict { verdict, keep } => {
                let payload = encode(&*verdict, Format::MsgPack);
                if keep {
                    cx.lasts.note_verdict(&verdict.check, payload.clone().into_boxed_slice(), Format::MsgPack);
                }
                let headers = Headers::new()
                    .with(header::MSG_ID, verdict.run.to_string())
                    .with(header::CONTENT_TYPE, Format::MsgPack.content_type());
                let message = Outgoing::new(cx.subjects.verdict(&verdict.check), payload).headers(headers);
                if let Err(error) = cx.bus.publish(message).await {
                    cx.stats.results_unsent.increment();
                    cx.stats.troubles.note(cx.clock.now(), "a verdict was not published", &error);
                    tracing::warn!(run = %verdict.run, check = %verdict.check, %error, "a verdict was not published");
                }
            }
            Outbound::Cancel(cancel) => {
                let headers = Headers::new().with(header::CONTENT_TYPE, Format::MsgPack.content_type());
                let message =
                    Outgoing::new(cx.subjects.task_cancel(), encode(&cancel, Format::MsgPack)).headers(headers);
                if let Err(error) = cx.bus.publish(message).await {
                    tracing::warn!(%error, "tasks could not be cancelled; they end by their deadline");
                }
            }
            Outbound::Flush { limit, done } => {
                let flushed = cx.bus.flush(limit).await;
                if let Err(error) = &flushed {
                    tracing::warn!(%error, "the bus could not be flushed");
                }
                // Whoever asked may have given up: then nobody wants to know.
                let _gone = done.send(flushed.is_ok());
            }
        }
    }
}

async fn publish_task(cx: &CheckerContext, task: Task, checker: &mpsc::WeakSender<Event>) {
    let Err(reason) = try_publish(cx, &task).await else { return };
    tell(checker, Event::Unpublished { task: task.task, reason }).await;
}

async fn try_publish(cx: &CheckerContext, task: &Task) -> Result<(), Reason> {
    if task.deadline <= cx.clock.now() {
        let message = "its deadline passed while it waited to be sent: the bus takes tasks too slowly";
        return Err(Reason::new(ReasonCode::NotPublished, message));
    }
    let payload = Bytes::from(encode(task, Format::MsgPack));
    let message = Outgoing::new(cx.subjects.task(task.check_type()), payload)
        .reply_to(cx.subjects.result(&task.check))
        .headers(task_headers(task.task));
    // Whoever holds this wants no task to be on its way.
    let _open = cx.gate.lock().await;
    let Err(error) = cx.bus.publish(message).await else {
        cx.stats.tasks_published.increment();
        return Ok(());
    };
    let code = match error {
        BusError::Unavailable { .. } | BusError::Closed => ReasonCode::BusUnavailable,
        _ => ReasonCode::NotPublished,
    };
    cx.stats.troubles.note(cx.clock.now(), "a task was not sent", &error);
    Err(Reason::new(code, format!("the task was not sent: {error}")))
}

/// Tells the Checker. One that is gone has reported its tasks as abandoned.
pub(super) async fn tell(checker: &mpsc::WeakSender<Event>, event: Event) {
    let Some(checker) = checker.upgrade() else { return };
    let _gone = checker.send(event).await;
}
