//! From the bus to the Dispatcher: tasks are read, judged and admitted off the actors' thread.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, oneshot, watch};
use watchpost_audit::AuditEvent;
use watchpost_bus::{BusError, Headers, Message, Outgoing, Subscription};
use watchpost_core::Tick;
use watchpost_model::{
    CancelTasks, CheckType, ErrorCode, ErrorReply, Format, Reason, ReasonCode, Subjects, TIMEOUT_MAX, Task,
    TasksCancelled, V1, Verb, decode, encode, header,
};
use watchpost_trust::Aimed;

use super::dispatcher::{Address, Event};
use super::report;
use super::{Intakes, RunnerContext};
use crate::control::{format_of, send_answer, write_down};
use crate::replies;

/// How many messages are read at most before what was accepted goes to the Dispatcher: each message
/// to an actor has its price, and the first task waits until the last one is read.
const BATCH_MAX: usize = 32;
/// How soon it is tried again to come back to the bus.
const JOIN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Takes the tasks of one type.
pub(super) struct Intake {
    pub(super) cx: Arc<RunnerContext>,
    pub(super) check_type: CheckType,
    /// Bounds how many tasks of the type are accepted and not yet reported.
    pub(super) permits: Arc<Semaphore>,
    pub(super) dispatcher: Address,
    /// How many intakes are subscribed.
    pub(super) listening: Arc<watch::Sender<usize>>,
}

/// A task that was accepted, on its way to a worker.
pub(super) struct Job {
    pub(super) task: Task,
    /// Whether a name must resolve to the task's address here before it is run.
    pub(super) aimed: Aimed,
    /// When it must be over, and until when its outcome is waited for, on this process's own clock:
    /// translated once, so that a time of day that is set later lengthens neither.
    pub(super) deadline: Tick,
    pub(super) answer_by: Tick,
    /// Where its result goes.
    pub(super) reply: String,
    pub(super) admission: super::admission::Admission,
}

/// What a message turned out to be.
#[expect(clippy::large_enum_variant, reason = "nearly every one is a job, which goes into its batch at once")]
enum Read {
    Accepted(Job),
    /// The answer to whoever sent it, if there is somebody to answer.
    Refused(Option<Outgoing>),
}

impl Intake {
    /// Until it is told to stop, or the bus is closed.
    pub(super) async fn take_tasks(self, tasks: Subscription, mut wanted: watch::Receiver<Intakes>) {
        let mut tasks = Some(tasks);
        while let Some(joined) = tasks {
            let left = self.take_while_wanted(joined, &mut wanted).await;
            self.listening.send_modify(|listening| *listening -= 1);
            tasks = if left { self.join_again(&mut wanted).await } else { None };
        }
        tracing::debug!(check_type = %self.check_type, "takes no more tasks");
    }

    /// Waits until tasks are wanted again, and subscribes to them; `None` when it is to end.
    async fn join_again(&self, wanted: &mut watch::Receiver<Intakes>) -> Option<Subscription> {
        let subject = self.cx.subjects.task(self.check_type);
        loop {
            let now = wanted.wait_for(|wanted| *wanted != Intakes::Rest).await.map_or(Intakes::Stop, |wanted| *wanted);
            if now == Intakes::Stop {
                return None;
            }
            match self.cx.bus.subscribe(&subject, Some(Subjects::RUNNERS)).await {
                Ok(tasks) => {
                    self.listening.send_modify(|listening| *listening += 1);
                    return Some(tasks);
                }
                Err(BusError::Closed) => return None,
                Err(error) => {
                    tracing::debug!(subject, %error, "could not come back to the tasks of a type; trying again");
                    // Told otherwise meanwhile, it looks at once.
                    let _told = tokio::time::timeout(JOIN_AGAIN_AFTER, wanted.changed()).await;
                }
            }
        }
    }

    /// Says whether it has left since it was told to; otherwise the bus has ended the subscription.
    async fn take_while_wanted(&self, mut tasks: Subscription, wanted: &mut watch::Receiver<Intakes>) -> bool {
        let mut left = false;
        while let Some(first) = next_while_wanted(&mut tasks, wanted, &mut left).await {
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
        left
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
        let reply = match message.reply {
            None => self.cx.subjects.result(&task.check),
            Some(reply) if replies::may_take_result(&self.cx.subjects, &task.check, &reply) => reply,
            Some(reply) => {
                let refused = replies::refused(&self.cx.stats, &*self.cx.clock, &message.subject, &reply);
                self.cx.audit.record(AuditEvent::TaskRefused {
                    check: task.check,
                    task: task.task,
                    code: refused.code.to_string(),
                    why: refused.message,
                });
                return Read::Refused(None);
            }
        };
        let aimed = match self.cx.trust.as_ref().map(|trust| trust.judge_task(&task)).transpose() {
            Ok(aimed) => aimed.unwrap_or(Aimed::There),
            Err(reason) => {
                self.cx.stats.shed(&reason.code);
                return Read::Refused(Some(report::refusal(&self.cx, &task, reply, reason)));
            }
        };
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            // So many results wait to be sent that the bus must be the one that is slow. Sending the
            // refusal from here slows the intake down, which is what is wanted.
            self.cx.stats.shed(&ReasonCode::Overloaded);
            let message = "too many tasks are accepted and not yet reported: the bus takes results too slowly";
            let reason = Reason::new(ReasonCode::Overloaded, message);
            return Read::Refused(Some(report::refusal(&self.cx, &task, reply, reason)));
        };
        let clock = &self.cx.clock;
        // No check may take longer, so whoever sends a later deadline is wrong, or has a wrong clock.
        let latest = clock.tick().after(TIMEOUT_MAX);
        let deadline = clock.tick_at(task.deadline).min(latest);
        let answer_by = clock.tick_at(task.answer_by).min(latest.after(TIMEOUT_MAX));
        let admission = self.cx.admissions.admit(&task, permit);
        Read::Accepted(Job { task, aimed, deadline, answer_by, reply, admission })
    }

    /// The answer to a payload that is not a task of this type. Nothing else changes.
    fn refuse(&self, message: &Message, format: Format, reply: ErrorReply) -> Option<Outgoing> {
        self.cx.stats.payloads_refused.increment();
        tracing::warn!(subject = message.subject, code = %reply.code, reason = reply.message, "a payload was refused");
        let to = message.reply.clone()?;
        if !replies::may_take_refusal(&self.cx.subjects, &to) {
            replies::refused(&self.cx.stats, &*self.cx.clock, &message.subject, &to);
            return None;
        }
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

/// The next message; once tasks are not wanted any more, those that had arrived by then. That is looked at first,
/// or a busy subscription would never see it.
async fn next_while_wanted(
    messages: &mut Subscription,
    wanted: &mut watch::Receiver<Intakes>,
    left: &mut bool,
) -> Option<Message> {
    if !*left {
        tokio::select! {
            biased;
            () = told(wanted) => *left = true,
            next = messages.next() => return next,
        }
        messages.unsubscribe().await;
    }
    messages.next().await
}

/// Waits until tasks are not wanted any more. A Runner that is gone wants none.
async fn told(wanted: &mut watch::Receiver<Intakes>) {
    let _gone = wanted.wait_for(|wanted| *wanted != Intakes::Take).await;
}

fn bad_payload(message: String) -> ErrorReply {
    ErrorReply { v: V1, code: ErrorCode::BadPayload, message, field: None }
}

/// Hands each request to cancel to every Dispatcher, for as long as the Runner is there; each cancels what it holds,
/// and whoever wants an answer hears how much that was.
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
        if let Err(refused) = replies::may_answer(&cx.stats, &*cx.clock, &message) {
            write_down(&cx.audit, Verb::TaskCancel.as_str(), &message, Some(&refused));
            continue;
        }
        let begun = cx.clock.tick();
        let format = format_of(&message);
        let answer = match decode::<CancelTasks>(&message.payload, format) {
            Ok(cancel) => Ok(cancel_at(&dispatchers, Arc::new(cancel)).await),
            Err(error) => {
                cx.stats.payloads_refused.increment();
                tracing::warn!(subject = message.subject, %error, "a request to cancel was dropped");
                Err(error.to_reply())
            }
        };
        let answer =
            answer.map(|tasks| TasksCancelled { v: V1, runner: cx.settings.runner.clone(), tasks: tasks as u64 });
        write_down(&cx.audit, Verb::TaskCancel.as_str(), &message, answer.as_ref().err());
        cx.tally.note(Verb::TaskCancel, cx.clock.tick().since(begun), answer.as_ref().err());
        if let Some(to) = message.reply {
            let answer = answer.as_ref().map(|told| encode(told, format));
            send_answer(&*cx.bus, to, format, answer, None).await;
        }
    }
}

/// How many tasks were stopped.
async fn cancel_at(dispatchers: &[Address], cancel: Arc<CancelTasks>) -> usize {
    let mut stopped = Vec::new();
    for dispatcher in dispatchers {
        let (answer, told) = oneshot::channel();
        match dispatcher.send(Event::Cancel(Arc::clone(&cancel), answer)).await {
            Ok(()) => stopped.push(told),
            Err(error) => tracing::error!(%error, "the Dispatcher is gone; this is a defect of Watchpost"),
        }
    }
    let mut tasks = 0;
    for told in stopped {
        tasks += told.await.unwrap_or(0);
    }
    tasks
}
