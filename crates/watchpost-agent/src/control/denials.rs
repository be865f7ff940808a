//! What the policies of Runners will deny of checks, told before they run.
//!
//! A Runner in the same process is asked at once, others over the bus. Whoever does not answer in time is left out: when
//! the check runs, its result says the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use watchpost_bus::{Headers, Outgoing, request_many};
use watchpost_core::Tick;
use watchpost_model::{
    Check, CheckDenied, CheckDocument, CheckId, CheckList, Denial, ErrorCode, ErrorReply, Format, PolicyTested,
    RunnerId, TestPolicy, V1, Verb, decode, encode, header,
};

use super::ControlContext;
use super::answer::error;
use super::once::Answered;
use crate::heartbeat::policy_report;

/// How long Runners are waited for, all in all, and after one has answered.
const WHOLE: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_millis(200);
/// For how long it is believed that there are no more Runners than those that have answered, and that there are none.
const KNOWN_FOR: Duration = Duration::from_secs(10);
const NONE_FOR: Duration = Duration::from_secs(2);
/// How many bytes of checks are asked about at a time.
const ASKED_BYTES_MAX: usize = 256 * 1024;
/// How many bytes the sentences of one answer have together. Beyond it there are only the rules.
const SENTENCES_BYTES_MAX: usize = 192 * 1024;

/// Which Runners there are, as far as they have answered.
#[derive(Default)]
pub(super) struct Runners(Mutex<Option<(Tick, BTreeSet<RunnerId>)>>);

impl Runners {
    fn known(&self, now: Tick) -> Option<BTreeSet<RunnerId>> {
        let known = self.0.lock();
        let (at, runners) = known.as_ref()?;
        let limit = if runners.is_empty() { NONE_FOR } else { KNOWN_FOR };
        (now.since(*at) < limit).then(|| runners.clone())
    }

    /// These have answered.
    fn have_answered(&self, now: Tick, before: Option<&BTreeSet<RunnerId>>, runners: BTreeSet<RunnerId>) {
        // What is known is believed from when it was found out.
        if before != Some(&runners) {
            *self.0.lock() = Some((now, runners));
        }
    }
}

/// Answers what the policy of this process's Runner denies.
pub(super) fn test(cx: &ControlContext, test: TestPolicy) -> Answered {
    let Some(runner) = runner(cx) else { return Ok(None) };
    if test.runner.is_some_and(|meant| meant != runner) {
        return Ok(None);
    }
    let mut denied = Vec::new();
    for (i, document) in test.checks.into_iter().enumerate() {
        let id = document.id.clone();
        let check = Check::try_from(document).map_err(|invalid| ErrorReply {
            field: Some(format!("checks[{i}]")),
            ..error(ErrorCode::BadPayload, format!("check `{id}`: {invalid}"))
        })?;
        let of_check = judged(cx, &runner, &check).into_iter();
        denied.extend(of_check.map(|Denial { rule, message, .. }| CheckDenied { check: id.clone(), rule, message }));
    }
    bound(denied.iter_mut().map(|denied| (&denied.rule, &mut denied.message)));
    let bastion = cx.looked.settings.bastion.clone();
    let policy = policy_report(cx.looked.guard.standing());
    Ok(Some(PolicyTested { v: V1, bastion, runner, policy, denied }.into()))
}

/// What Runners will deny of a check, if there is one.
pub(super) async fn of_one(cx: &ControlContext, check: Option<Check>) -> Vec<Denial> {
    let Some(check) = check.map(Arc::new) else { return Vec::new() };
    of(cx, &[&check]).await.pop().unwrap_or_default()
}

/// Tells of each check of a list what Runners will deny of it.
pub(super) async fn fill(cx: &ControlContext, list: &mut CheckList, written: &[Option<Arc<Check>>]) {
    let (mut reports, checks): (Vec<_>, Vec<_>) =
        list.checks.iter_mut().zip(written).filter_map(|(report, check)| Some((report, check.as_ref()?))).unzip();
    for (report, denied) in reports.iter_mut().zip(of(cx, &checks).await) {
        report.denied = denied;
    }
    let denied = reports.into_iter().flat_map(|report| report.denied.iter_mut());
    bound(denied.map(|denial| (&denial.rule, &mut denial.message)));
}

/// What Runners will deny of each of these checks.
async fn of(cx: &ControlContext, checks: &[&Arc<Check>]) -> Vec<Vec<Denial>> {
    if let Some(runner) = runner(cx) {
        return checks.iter().map(|check| judged(cx, &runner, check)).collect();
    }
    let mut all = vec![Vec::new(); checks.len()];
    let until = Instant::now() + WHOLE;
    let mut rest = checks.iter().enumerate().peekable();
    while rest.peek().is_some() {
        let mut asked = Vec::new();
        let (mut places, mut bytes) = (HashMap::new(), 0);
        // An id may be there several times: in the file, and in several groups. Then the next question has the other.
        while let Some((i, check)) = rest.next_if(|(_, check)| {
            bytes < ASKED_BYTES_MAX && asked.len() < TestPolicy::CHECKS_MAX && !places.contains_key(check.id())
        }) {
            let document = CheckDocument::from(Check::clone(check));
            bytes += encode(&document, Format::MsgPack).len();
            places.insert(document.id.clone(), i);
            asked.push(document);
        }
        let Some(answers) = ask(cx, asked, until).await else { break };
        for (check, denial) in answers {
            let of_check = places.get(&check).and_then(|i| all.get_mut(*i));
            if let Some(of_check) = of_check.filter(|of_check| of_check.len() < Denial::OF_A_CHECK_MAX) {
                of_check.push(denial);
            }
        }
    }
    all
}

/// Asks every Runner; `None` where none answers.
async fn ask(cx: &ControlContext, checks: Vec<CheckDocument>, until: Instant) -> Option<Vec<(CheckId, Denial)>> {
    let now = cx.looked.clock.tick();
    let known = cx.runners.known(now);
    let test = TestPolicy { v: V1, runner: None, checks };
    let headers = Headers::new()
        .with(header::CONTENT_TYPE, Format::MsgPack.content_type())
        .with(header::SENDER, format!("the Checker of {}", cx.looked.settings.bastion));
    let question =
        Outgoing::new(cx.subjects.control(Verb::PolicyTest), encode(&test, Format::MsgPack)).headers(headers);
    let limit = until.saturating_duration_since(Instant::now());
    let mut replies = match request_many(&*cx.looked.bus, question, limit).await {
        Ok(replies) => replies,
        Err(error) => {
            tracing::debug!(%error, "no Runner could be asked what its policy denies");
            return None;
        }
    };
    let (mut answered, mut denied) = (BTreeSet::new(), Vec::new());
    while known.as_ref().is_none_or(|known| !known.is_subset(&answered)) {
        let wait = if answered.is_empty() { until } else { until.min(Instant::now() + QUIET) };
        let message = match timeout_at(wait, replies.next()).await {
            Ok(Ok(Some(message))) => message,
            // Where nobody listens the bus says so, but the Checker itself listens to every verb.
            Ok(Ok(None) | Err(_)) | Err(_) => break,
        };
        let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
        match decode::<PolicyTested>(&message.payload, format) {
            Ok(PolicyTested { runner, denied: of_runner, .. }) => {
                let denial =
                    |CheckDenied { check, rule, message }| (check, Denial::new(runner.clone(), &rule, &message));
                denied.extend(of_runner.into_iter().map(denial));
                answered.insert(runner);
            }
            Err(error) => tracing::debug!(%error, "a Runner does not say what its policy denies"),
        }
    }
    let is_answered = !answered.is_empty();
    cx.runners.have_answered(now, known.as_ref(), answered);
    is_answered.then_some(denied)
}

/// The Runner of this process.
fn runner(cx: &ControlContext) -> Option<RunnerId> {
    cx.looked.runner().map(|_| cx.looked.settings.runner.clone())
}

fn judged(cx: &ControlContext, runner: &RunnerId, check: &Check) -> Vec<Denial> {
    let guard = &cx.looked.guard;
    let denied = guard.policy().judge_check(check, &guard.own());
    let denied = denied.into_iter().take(Denial::OF_A_CHECK_MAX);
    denied.map(|denied| Denial::new(runner.clone(), &denied.rule, &denied.message)).collect()
}

/// Lets sentences go where there are so many that an answer could not be sent.
fn bound<'a>(denials: impl Iterator<Item = (&'a String, &'a mut String)>) {
    let mut bytes = 0;
    for (rule, message) in denials {
        bytes += message.len();
        if bytes > SENTENCES_BYTES_MAX {
            *message = format!("denied by `{rule}`: `check.get` tells more");
        }
    }
}
