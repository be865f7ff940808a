//! From the bus to the Dispatcher: tasks are read, judged and admitted off the actors' thread.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, oneshot, watch};
use watchpost_bus::{Headers, Message, Outgoing, Subscription};
use watchpost_core::Tick;
use watchpost_model::{
    CancelTasks, CheckType, ErrorCode, ErrorReply, Format, ReasonCode, TIMEOUT_MAX, Task, V1, decode, encode, header,
};

use super::RunnerContext;
use super::dispatcher::{Address, Event};
use super::report;

/// How many messages are read at most before what was accepted goes to the Dispatcher: each message
/// to an actor has its price, and the first task waits until the last one is read.
const BATCH_MAX: usize = 32;

/// Takes the tasks of one type.
pub(super) struct Intake {
    pub(super) cx: Arc<RunnerContext>,
    pub(super) check_type: CheckType,
    /// Bounds how many tasks of the type are accepted and not yet reported.
    pub(super) permits: Arc<Semaphore>,
    pub(super) dispatcher: Address,
}

/// A task that was accepted, on its way to a worker.
pub(super) struct Job {
    pub(super) task: Task,
    /// When it must be over, and until when its outcome is waited for, on this process's own clock:
    /// translated once, so that a time of day that is set later lengthens neither.
    pub(super) deadline: Tick,
    pub(super) answer_by: Tick,
    /// Where its result goes.
    pub(super) reply: String,
    pub(super) admission: super::admission::Admission,
}

/// What a message turned out to be.
enum Read {
    Accepted(Job),
    /// The answer to whoever sent it, if there is somebody to answer.
    Refused(Option<Outgoing>),
}

impl Intake {
    pub(super) async fn take_tasks(self, mut tasks: Subscription, mut stopped: watch::Receiver<bool>) {
        while let Some(first) = next_until_stopped(&mut tasks, &mut stopped).await {
            let (mut jobs, mut refusals) = (Vec::new(), Vec::new());
            let mut sort = |message| match self.read(message) {
                Read::Accepted(job) => jobs.push(job),
                Read::Refused(answer) => refusals.extend(answer),
            };
            sort(first);
            for _ in 1..BATCH_MAX {
                let Some(Some(next)) = tasks.next().now_or_never() else { break };
                sort(next);
            }
            // What is to be run first: answering bad payloads may take as long as the bus likes.
            if !jobs.is_empty()
                && let Err(error) = self.dispatcher.send(Event::Run(jobs)).await
            {
                tracing::error!(check_type = %self.check_type, %error, "the Dispatcher is gone; this is a defect of Watchpost");
            }
            for answer in refusals {
                if let Err(error) = self.cx.bus.publish(answer).await {
                    tracing::warn!(%error, "a refusal could not be sent");
                }
            }
        }
        tracing::debug!(check_type = %self.check_type, "takes no more tasks");
    }

    fn read(&self, message: Message) -> Read {
        let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
        let task = match decode::<Task>(&message.payload, format) {
            Ok(task) if task.check_type() == self.check_type => task,
            Ok(task) => {
                let told = format!("a {} task came on the subject of {} tasks", task.check_type(), self.check_type);
                return Read::Refused(self.refuse(&message, format, bad_payload(told)));
            }
            Err(error) => return Read::Refused(self.refuse(&message, format, error.to_reply())),
        };
        // Without a reply subject the result goes where those of scheduled tasks go.
        let reply = message.reply.unwrap_or_else(|| self.cx.subjects.result(&task.check));
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            // So many results wait to be sent that the bus must be the one that is slow. Sending the
            // refusal from here slows the intake down, which is what is wanted.
            self.cx.stats.shed(&ReasonCode::Overloaded);
            let message = "too many tasks are accepted and not yet reported: the bus takes results too slowly";
            return Read::Refused(Some(report::refusal(&self.cx, &task, reply, message)));
        };
        let clock = &self.cx.clock;
        // No check may take longer, so whoever sends a later deadline is wrong, or has a wrong clock.
        let latest = clock.tick().after(TIMEOUT_MAX);
        let deadline = clock.tick_at(task.deadline).min(latest);
        let answer_by = clock.tick_at(task.answer_by).min(latest.after(TIMEOUT_MAX));
        let admission = self.cx.admissions.admit(&task, permit);
        Read::Accepted(Job { task, deadline, answer_by, reply, admission })
    }

    /// The answer to a payload that is not a task of this type. Nothing else changes.
    fn refuse(&self, message: &Message, format: Format, reply: ErrorReply) -> Option<Outgoing> {
        self.cx.stats.payloads_refused.increment();
        tracing::warn!(subject = message.subject, code = %reply.code, reason = reply.message, "a payload was refused");
        let to = message.reply.clone()?;
        let mut headers = Headers::new()
            .with(header::CONTENT_TYPE, format.content_type())
            .with(header::ERROR, reply.code.to_string());
        // Not under the name that JetStream drops duplicates by: the task's one result is yet to come.
        if let Some(id) = message.headers.get(header::MSG_ID) {
            headers = headers.with(header::TASK, id);
        }
        Some(Outgoing::new(to, encode(&reply, format)).headers(headers))
    }
}

/// The next message; after the stop, those that had arrived by then. The stop is looked at first,
/// or a busy subscription would never see it.
async fn next_until_stopped(messages: &mut Subscription, stopped: &mut watch::Receiver<bool>) -> Option<Message> {
    tokio::select! {
        biased;
        () = told(stopped) => {
            messages.unsubscribe().await;
            messages.next().await
        }
        next = messages.next() => next,
    }
}

/// Waits for the stop. A Runner that is gone stops its intakes as well.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stopped| *stopped).await;
}

fn bad_payload(message: String) -> ErrorReply {
    ErrorReply { v: V1, code: ErrorCode::BadPayload, message, field: None }
}

/// Hands each request to cancel to every Dispatcher, for as long as the Runner is there; each cancels what it holds.
pub(super) async fn take_cancels(
    cx: Arc<RunnerContext>,
    mut cancels: Subscription,
    dispatchers: Vec<Address>,
    mut gone: oneshot::Receiver<()>,
) {
    loop {
        let message = tokio::select! {
            biased;
            message = cancels.next() => message,
            _ = &mut gone => None,
        };
        let Some(message) = message else { return };
        let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
        let cancel = match decode::<CancelTasks>(&message.payload, format) {
            Ok(cancel) => Arc::new(cancel),
            Err(error) => {
                cx.stats.payloads_refused.increment();
                tracing::warn!(subject = message.subject, %error, "a request to cancel was dropped");
                continue;
            }
        };
        for dispatcher in &dispatchers {
            if let Err(error) = dispatcher.send(Event::Cancel(Arc::clone(&cancel))).await {
                tracing::error!(%error, "the Dispatcher is gone; this is a defect of Watchpost");
            }
        }
    }
}
