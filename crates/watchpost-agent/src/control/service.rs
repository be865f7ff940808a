//! From a request on the bus to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use watchpost_bus::{BoxFuture, BusError, Message, Subscription};
use watchpost_model::{AnsweredBy, ErrorCode, ErrorReply, Verb};

use super::ControlContext;
use super::answer::{Answer, error, format_of, send_answer};
use super::asked::write_down;
use super::once::Answered;
use crate::agent::Looked;
use crate::replies;

/// How soon a subscription that the bus did not take is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The same where the server does not permit it. It may later, when our user has been given the right to.
const AGAIN_AFTER_FORBIDDEN: Duration = Duration::from_secs(60);
/// How long anything but a test may take. Each step of it has a limit of its own, below this.
const LIMIT: Duration = Duration::from_secs(30);

/// The verbs that a process answers.
pub(super) fn verbs_of(looked: &Looked) -> Vec<Verb> {
    let answers = |verb: &Verb| match verb.answered_by() {
        AnsweredBy::Checker => looked.checker().is_some(),
        AnsweredBy::Runners => looked.runner().is_some(),
        AnsweredBy::Everyone => true,
    };
    Verb::ALL.into_iter().filter(answers).collect()
}

/// What is subscribed to.
pub(super) fn filters(cx: &ControlContext) -> Vec<String> {
    if cx.looked.checker().is_some() {
        return vec![cx.subjects.controls()];
    }
    // A Runner hears requests to cancel where it can act on them before its next task.
    let own = cx.verbs.iter().filter(|verb| **verb != Verb::TaskCancel);
    own.map(|verb| cx.subjects.control(*verb)).collect()
}

/// Subscribes, if the bus takes it now.
pub(super) async fn subscribe(cx: &ControlContext, filter: &str) -> Option<Subscription> {
    match cx.looked.bus.subscribe(filter, None).await {
        Ok(subscription) => Some(subscription),
        Err(error) => {
            cx.looked.trouble("requests over the bus are not heard", &error);
            tracing::warn!(subject = filter, %error, "requests over the bus are not heard yet");
            None
        }
    }
}

/// The subscription, as soon as the bus takes it; `None` when the process stops first.
pub(super) async fn subscribed(
    cx: &ControlContext,
    filter: &str,
    mut subscription: Option<Subscription>,
) -> Option<Subscription> {
    let mut stopping = cx.stopping.subscribe();
    let mut again_after = AGAIN_AFTER;
    while subscription.is_none() {
        let stop = stopping.wait_for(|stopping| *stopping);
        // An error would mean that nobody can stop it any more.
        if tokio::time::timeout(again_after, stop).await.is_ok() {
            return None;
        }
        let subscribed = cx.looked.bus.subscribe(filter, None).await;
        let is_forbidden = matches!(subscribed, Err(BusError::Forbidden { .. }));
        again_after = if is_forbidden { AGAIN_AFTER_FORBIDDEN } else { AGAIN_AFTER };
        subscription = subscribed.ok();
        if subscription.is_some() {
            tracing::info!(subject = filter, "requests over the bus are heard");
        }
    }
    subscription
}

/// Serves requests until the process stops or the bus is closed, and then those in hand to their end.
pub(super) async fn serve(cx: Arc<ControlContext>, filter: String, subscription: Option<Subscription>) {
    let Some(mut requests) = subscribed(&cx, &filter, subscription).await else { return };
    let mut stopping = cx.stopping.subscribe();
    let mut in_hand = JoinSet::new();
    loop {
        let message = tokio::select! {
            biased;
            Some(_) = in_hand.join_next(), if !in_hand.is_empty() => continue,
            _ = stopping.wait_for(|stopping| *stopping) => break,
            message = requests.next() => message,
        };
        let Some(message) = message else { break };
        take(&cx, message, &mut in_hand).await;
    }
    requests.unsubscribe().await;
    while in_hand.join_next().await.is_some() {}
}

/// Begins to carry out a request, unless it can be answered at once.
async fn take(cx: &Arc<ControlContext>, message: Message, in_hand: &mut JoinSet<()>) {
    if let Err(refused) = replies::may_answer(&cx.looked.stats, &*cx.looked.clock, &message) {
        let verb = cx.subjects.verb_of_control(&message.subject).unwrap_or_default();
        return write_down(&cx.looked.audit, verb, &message, Some(&refused));
    }
    let format = format_of(&message);
    let verb = match cx.subjects.verb_of_control(&message.subject).unwrap_or_default().parse::<Verb>() {
        // What is for others is theirs to answer.
        Ok(verb) if !cx.verbs.contains(&verb) || verb == Verb::TaskCancel => return,
        Ok(verb) => verb,
        Err(unknown) => {
            let verb = cx.subjects.verb_of_control(&message.subject).unwrap_or_default().to_owned();
            return refuse(cx, &verb, message, &error(ErrorCode::UnknownVerb, unknown.to_string())).await;
        }
    };
    let Ok(permit) = Arc::clone(&cx.in_hand).try_acquire_owned() else {
        let reply = error(ErrorCode::TooOften, "so many requests are in hand that this one was not taken: try again");
        cx.tally.note(verb, Duration::ZERO, Some(&reply));
        return refuse(cx, verb.as_str(), message, &reply).await;
    };
    let cx = Arc::clone(cx);
    in_hand.spawn(async move {
        let begun = cx.looked.clock.tick();
        let answered = AssertUnwindSafe(carry_out(&cx, verb, &message)).catch_unwind().await;
        let answered = answered.unwrap_or_else(|_| {
            cx.looked.trouble("a request panicked", &verb);
            Err(error(ErrorCode::Unavailable, "carrying it out panicked, which is a defect of Watchpost"))
        });
        let refused = answered.as_ref().err();
        if let Some(ErrorReply {
            code: ErrorCode::BadPayload | ErrorCode::TooLarge | ErrorCode::UnknownVersion, ..
        }) = refused
        {
            cx.looked.stats.payloads_refused.increment();
        }
        // What is not for this process is not counted as if it were.
        if !matches!(answered, Ok(Said::Nothing)) {
            cx.tally.note(verb, cx.looked.clock.tick().since(begun), refused);
            write_down(&cx.looked.audit, verb.as_str(), &message, refused);
        }
        answer(&cx, message.reply, format, answered).await;
        drop(permit);
    });
}

/// Answers what is not carried out.
async fn refuse(cx: &ControlContext, verb: &str, message: Message, reply: &ErrorReply) {
    write_down(&cx.looked.audit, verb, &message, Some(reply));
    cx.looked.stats.payloads_refused.increment();
    tracing::debug!(subject = message.subject, code = %reply.code, reason = reply.message, "a request was refused");
    let format = format_of(&message);
    if let Some(to) = message.reply {
        send_answer(&*cx.looked.bus, to, format, Err(reply), None).await;
    }
}

/// What is to be said of a request.
pub(super) enum Said {
    /// This.
    Answer(Answer),
    /// All is said.
    Everything,
    /// It is not for this process.
    Nothing,
}

fn carry_out<'a>(
    cx: &'a Arc<ControlContext>,
    verb: Verb,
    message: &'a Message,
) -> BoxFuture<'a, Result<Said, ErrorReply>> {
    Box::pin(async move {
        match verb {
            Verb::CheckTest => super::test::test(cx, message).await.map(|()| Said::Everything),
            Verb::TaskHold => super::hold::hold(cx, message).await.map(|()| Said::Everything),
            verb => {
                let answered: Answered = match tokio::time::timeout(LIMIT, super::verbs::carry_out(cx, verb, message))
                    .await
                {
                    Ok(answered) => answered,
                    Err(_) => {
                        let told = format!("it took longer than {LIMIT:?}; whether it was carried out is not known");
                        Err(error(ErrorCode::Unavailable, told))
                    }
                };
                answered.map(|answer| answer.map_or(Said::Nothing, Said::Answer))
            }
        }
    })
}

async fn answer(
    cx: &ControlContext,
    to: Option<String>,
    format: watchpost_model::Format,
    said: Result<Said, ErrorReply>,
) {
    let Some(to) = to else { return };
    let bus = &*cx.looked.bus;
    match &said {
        Ok(Said::Answer(answer)) => send_answer(bus, to, format, Ok(answer.encode(format)), None).await,
        Ok(Said::Everything | Said::Nothing) => {}
        Err(reply) => send_answer(bus, to, format, Err(reply), None).await,
    }
}
