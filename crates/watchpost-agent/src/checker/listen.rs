//! What comes back from the bus, decoded off the actor's thread.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use watchpost_bus::{Message, Status, Subscription};
use watchpost_model::{ErrorReply, Format, TaskResult, decode, header};

use super::publish::tell;
use super::settle::Answer;
use super::{CheckerContext, Event};

/// How many answers go to the actor in one message at most.
const ANSWERS_MAX: usize = 256;

pub(super) async fn hand_over_answers(
    cx: Arc<CheckerContext>,
    mut results: Subscription,
    checker: mpsc::WeakSender<Event>,
    mut gone: oneshot::Receiver<()>,
) {
    loop {
        let first = tokio::select! {
            biased;
            first = results.next() => first,
            // Whoever would hear the next one is not there any more.
            _ = &mut gone => None,
        };
        let Some(first) = first else { return };
        let mut answers: Vec<Answer> = read(&cx, &first).into_iter().collect();
        while answers.len() < ANSWERS_MAX
            && let Some(Some(next)) = results.next().now_or_never()
        {
            answers.extend(read(&cx, &next));
        }
        if !answers.is_empty() {
            tell(&checker, Event::Answers(answers)).await;
        }
    }
}

fn read(cx: &CheckerContext, message: &Message) -> Option<Answer> {
    if message.status == Some(Status::NoResponders) {
        let check = cx.subjects.check_of_result(&message.subject)?.parse().ok()?;
        return Some(Answer::NoRunner(check));
    }
    let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
    if message.headers.get(header::ERROR).is_some() {
        let Some(task) = message.headers.get(header::TASK).and_then(|id| id.parse().ok()) else {
            cx.stats.payloads_refused.increment();
            tracing::warn!(subject = message.subject, "an error reply names no task and was dropped");
            return None;
        };
        let reply = decode::<ErrorReply>(&message.payload, format).map_err(|e| refuse(cx, message, &e)).ok()?;
        return Some(Answer::Refused { task, reply });
    }
    let result = decode::<TaskResult>(&message.payload, format).map_err(|e| refuse(cx, message, &e)).ok()?;
    // What this Checker reported itself comes back to it too, and was settled then.
    result.runner.is_some().then(|| {
        // Copied: what came from the bus may be a small part of what was read from its connection at once.
        let payload = Box::from(&*message.payload);
        Answer::Result { result: Box::new(result), payload, format }
    })
}

fn refuse(cx: &CheckerContext, message: &Message, error: &watchpost_model::DecodeError) {
    cx.stats.payloads_refused.increment();
    tracing::warn!(subject = message.subject, %error, "a message on a result subject was dropped");
}
