//! What each verb does, but for those that are answered with more than one message.

use std::sync::Arc;

use watchpost_bus::{Message, PAYLOAD_BYTES_MAX};
use watchpost_model::{
    AskLast, AskStatus, Check, CheckDocument, CheckId, DeleteCheck, Drain, Drained, ErrorCode, ErrorReply, GetCheck,
    LastResults, ListChecks, Message as ModelMessage, PauseCheck, PoolResized, PutCheck, RequestId, ResizePool,
    RunnerId, SetLogLevel, TaskResult, V1, Verb, encode, header,
};

use super::ControlContext;
use super::answer::{Answer, error, format_of, read};
use super::denials;
use super::once::Answered;
use crate::store::StoreHandle;
use crate::{AgentError, CheckerHandle, PoolSettings};

/// How many bytes the results of one answer have together, as they were sent. In JSON they take more.
const LAST_BYTES_MAX: usize = PAYLOAD_BYTES_MAX / 2;

/// Does what `verb` says.
pub(super) async fn carry_out(cx: &Arc<ControlContext>, verb: Verb, message: &Message) -> Answered {
    match verb {
        Verb::CheckPut => {
            change(cx, verb, message, |put: PutCheck| async move {
                let check = Check::try_from(CheckDocument::clone(&put.check)).ok();
                let mut stored = store(cx)?.put(put).await?;
                stored.denied = denials::of_one(cx, check).await;
                if let Some(report) = &mut stored.report {
                    report.denied.clone_from(&stored.denied);
                }
                Ok(stored)
            })
            .await
        }
        Verb::CheckDelete => {
            change(cx, verb, message, |delete: DeleteCheck| async move { store(cx)?.delete(delete).await }).await
        }
        Verb::CheckPause => {
            change(cx, verb, message, |pause: PauseCheck| async move { store(cx)?.pause(pause, true).await }).await
        }
        Verb::CheckResume => {
            change(cx, verb, message, |pause: PauseCheck| async move { store(cx)?.pause(pause, false).await }).await
        }
        Verb::CheckGet => {
            let mut shown = store(cx)?.get(read::<GetCheck>(message, format_of(message))?).await?;
            let check = shown.document.as_deref().and_then(|document| Check::try_from(document.clone()).ok());
            shown.report.denied = denials::of_one(cx, check).await;
            Ok(Some(shown.into()))
        }
        Verb::CheckList => {
            let list = read::<ListChecks>(message, format_of(message))?;
            let (mut list, written) = store(cx)?.list_with_checks(list).await?;
            denials::fill(cx, &mut list, &written).await;
            Ok(Some(list.into()))
        }
        Verb::PolicyTest => denials::test(cx, read(message, format_of(message))?),
        Verb::ResultLast => last(cx, read::<AskLast>(message, format_of(message))?.check).await,
        Verb::BastionStatus => status(cx, read(message, format_of(message))?).await,
        Verb::BastionDrain => drain(cx, verb, message, true).await,
        Verb::BastionUndrain => drain(cx, verb, message, false).await,
        Verb::PoolResize => resize(cx, message).await,
        Verb::BastionLogLevel => log_level(cx, message).await,
        // Each has a way of its own.
        Verb::CheckTest | Verb::TaskHold | Verb::TaskCancel => Ok(None),
    }
}

/// A request that changes something, which is carried out once.
pub(super) trait Change: ModelMessage {
    /// What its sender calls it.
    fn request(&self) -> Option<&RequestId>;

    /// The Runner whose process alone is meant.
    fn runner(&self) -> Option<&RunnerId> {
        None
    }
}

macro_rules! changes {
    ($($type:ident $($runner:ident)?,)*) => {
        $(impl Change for $type {
            fn request(&self) -> Option<&RequestId> {
                self.request.as_ref()
            }

            $(fn runner(&self) -> Option<&RunnerId> {
                self.$runner.as_ref()
            })?
        })*
    };
}

changes! {
    PutCheck,
    DeleteCheck,
    PauseCheck,
    Drain runner,
    ResizePool runner,
    SetLogLevel runner,
}

impl Change for watchpost_model::TestCheck {
    fn request(&self) -> Option<&RequestId> {
        self.request.as_ref()
    }
}

/// What the sender of a request calls it: in the request, or in the header by which JetStream tells duplicates.
pub(super) fn name_of(message: &Message, change: &impl Change) -> Result<Option<RequestId>, ErrorReply> {
    if let Some(request) = change.request() {
        return Ok(Some(request.clone()));
    }
    let named = message.headers.get(header::MSG_ID).map(str::parse).transpose();
    named.map_err(|invalid| error(ErrorCode::BadPayload, format!("header `{}`: {invalid}", header::MSG_ID)))
}

/// Reads a request that changes something, and carries it out once.
async fn change<C: Change, A: Into<Answer>, F: Future<Output = Result<A, ErrorReply>>>(
    cx: &ControlContext,
    verb: Verb,
    message: &Message,
    carry_out: impl FnOnce(C) -> F,
) -> Answered {
    let change: C = read(message, format_of(message))?;
    if change.runner().is_some_and(|meant| !cx.looked.is_runner(meant)) {
        return Ok(None);
    }
    let name = name_of(message, &change)?;
    // What it says, however it was written.
    let content = name.as_ref().map(|_| encode(&change, watchpost_model::Format::MsgPack));
    let answer = async { Ok(Some(carry_out(change).await?.into())) };
    match name.zip(content) {
        Some((name, content)) => cx.once.run(cx.looked.clock.tick(), (verb, name), &content, answer).await,
        None => answer.await,
    }
}

pub(super) fn unavailable(gone: AgentError) -> ErrorReply {
    error(ErrorCode::Unavailable, gone.to_string())
}

fn store(cx: &ControlContext) -> Result<&StoreHandle, ErrorReply> {
    cx.looked.store().ok_or_else(|| error(ErrorCode::Unavailable, "this process has no store of checks"))
}

pub(super) fn checker(cx: &ControlContext) -> Result<&CheckerHandle, ErrorReply> {
    cx.looked.checker().ok_or_else(|| error(ErrorCode::Unavailable, "this process has no Checker"))
}

/// That there is no such check.
pub(super) fn unknown_check(check: &CheckId) -> ErrorReply {
    let told = format!("no check is called `{check}` here: `check.list` says which there are");
    ErrorReply { field: Some("check".to_owned()), ..error(ErrorCode::UnknownCheck, told) }
}

async fn last(cx: &ControlContext, check: CheckId) -> Answered {
    let known = checker(cx)?.family(vec![check.clone()]).await.map_err(unavailable)?;
    if known.is_empty() {
        return Err(unknown_check(&check));
    }
    let (results, verdict) = cx.looked.lasts.of(&check, LAST_BYTES_MAX);
    let mut last = LastResults { v: V1, check, results, verdict: verdict.map(Box::new) };
    // In JSON they may be that much longer that the oldest do not fit.
    let fits = |results: &[TaskResult]| {
        let written = |result| encode::<TaskResult>(result, watchpost_model::Format::Json).len();
        results.iter().map(written).sum::<usize>() < PAYLOAD_BYTES_MAX - LAST_BYTES_MAX / 8
    };
    while !fits(&last.results) {
        last.results.pop();
    }
    Ok(Some(last.into()))
}

async fn status(cx: &ControlContext, ask: AskStatus) -> Answered {
    if ask.runner.is_some_and(|meant| !cx.looked.is_runner(&meant)) {
        return Ok(None);
    }
    let status = cx.looked.status().await.map_err(unavailable)?;
    let lag = cx.looked.stats.lag.look();
    Ok(Some(crate::heartbeat::heartbeat(&cx.looked, &status, lag).await.into()))
}

async fn drain(cx: &ControlContext, verb: Verb, message: &Message, draining: bool) -> Answered {
    change(cx, verb, message, |_: Drain| async move {
        // One at a time: the last word is the one that holds.
        let _alone = cx.draining.lock().await;
        cx.looked.drain(draining).await.map_err(unavailable)?;
        let outstanding = cx.looked.outstanding().await.map_err(unavailable)? as u64;
        let (bastion, runner) = cx.looked.names();
        Ok(Drained { v: V1, bastion, runner, draining: cx.looked.is_draining(), outstanding })
    })
    .await
}

async fn resize(cx: &ControlContext, message: &Message) -> Answered {
    change(cx, Verb::PoolResize, message, |resize: ResizePool| async move {
        let ResizePool { check_type, size, per_check, .. } = resize;
        let none = || {
            let told = format!("this Runner has no workers for {check_type} checks");
            ErrorReply { field: Some("type".to_owned()), ..error(ErrorCode::Refused, told) }
        };
        let runner = cx.looked.runner().ok_or_else(none)?;
        let wanted = PoolSettings {
            size: size as usize,
            per_check_max: per_check.map(|per_check| per_check as usize),
            ..cx.looked.settings.pool(check_type)
        };
        let pool = runner.resize_one(check_type, wanted).await.map_err(unavailable)?.ok_or_else(none)?;
        let settings = &cx.looked.settings;
        Ok(PoolResized {
            v: V1,
            bastion: settings.bastion.clone(),
            runner: settings.runner.clone(),
            pool: crate::heartbeat::pool_report(&pool),
        })
    })
    .await
}

async fn log_level(cx: &ControlContext, message: &Message) -> Answered {
    change(cx, Verb::BastionLogLevel, message, |set: SetLogLevel| async move { super::log::set(cx, set) }).await
}
