//! Beats that come over the bus, decoded and answered off the actor's thread.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use watchpost_bus::{Headers, Message, Outgoing, Subscription};
use watchpost_model::{Beat, BeatTaken, CheckId, ErrorCode, ErrorReply, Format, V1, decode, encode, header};

use super::beats::BeatRefused;
use super::{CheckerContext, Event};
use crate::replies;

/// Takes beats one after the other, each until the Checker has answered: so it is never sent more than one.
pub(super) async fn take_beats(
    cx: Arc<CheckerContext>,
    mut beats: Subscription,
    checker: mpsc::WeakSender<Event>,
    mut gone: oneshot::Receiver<()>,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = beats.next() => next,
            // Whoever would hear the next one is not there any more.
            _ = &mut gone => None,
        };
        let Some(message) = next else { return };
        if replies::may_answer(&cx.stats, &*cx.clock, &message).is_err() {
            continue;
        }
        let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
        let answer = match read(&cx, &message, format) {
            Ok((check, beat)) => deliver(&checker, check, beat)
                .await
                .map_err(|BeatRefused { code, message }| ErrorReply { v: V1, code, message, field: None }),
            Err(reply) => Err(reply),
        };
        if let Err(refusal) = &answer {
            tracing::debug!(subject = message.subject, code = %refusal.code, reason = refusal.message, "a beat was refused");
        }
        if let Some(to) = message.reply {
            reply(&cx, to, format, answer).await;
        }
    }
}

fn read(cx: &CheckerContext, message: &Message, format: Format) -> Result<(CheckId, Beat), ErrorReply> {
    let refused = |error: watchpost_model::DecodeError| {
        cx.stats.payloads_refused.increment();
        error.to_reply()
    };
    let bad_name = |told: String| {
        cx.stats.payloads_refused.increment();
        ErrorReply { v: V1, code: ErrorCode::BadPayload, message: told, field: None }
    };
    let name = cx.subjects.check_of_beat(&message.subject).unwrap_or_default();
    let check = name.parse::<CheckId>().map_err(|e| bad_name(e.to_string()))?;
    if message.payload.is_empty() {
        return Ok((check, Beat::default()));
    }
    Ok((check, decode::<Beat>(&message.payload, format).map_err(refused)?))
}

async fn deliver(checker: &mpsc::WeakSender<Event>, check: CheckId, beat: Beat) -> Result<BeatTaken, BeatRefused> {
    let gone =
        || BeatRefused { code: ErrorCode::Unavailable, message: "the Checker takes no beats any more".to_owned() };
    let checker = checker.upgrade().ok_or_else(gone)?;
    let (answer, answered) = oneshot::channel();
    checker.send(Event::Beat { check, beat: Box::new(beat), answer }).await.map_err(|_| gone())?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}

async fn reply(cx: &CheckerContext, to: String, format: Format, answer: Result<BeatTaken, ErrorReply>) {
    let headers = Headers::new().with(header::CONTENT_TYPE, format.content_type());
    let (payload, headers) = match &answer {
        Ok(taken) => (encode(taken, format), headers),
        Err(refusal) => (encode(refusal, format), headers.with(header::ERROR, refusal.code.to_string())),
    };
    if let Err(error) = cx.bus.publish(Outgoing::new(to, payload).headers(headers)).await {
        tracing::debug!(%error, "the answer to a beat was not sent");
    }
}
