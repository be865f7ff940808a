//! `watchpost checks test`: runs a check on a bastion, and prints what comes of it as it comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use watchpost_bus::{Outgoing, Status, Subscription};
use watchpost_model::{
    BastionGroup, BastionId, CheckId, CheckShown, GetCheck, TestCheck, TestCutOff, TestEnd, TestReport, TestReportKind,
    V1, Verb,
};
use watchpost_trust::Signer;

use super::sign;
use crate::cli::{OutputFormat, TestArgs};
use crate::config::WrittenCheck;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Heard, Lead, Printer};
use crate::remote::{Remote, Unanswered, told};
use crate::signals::StopSignals;

/// How long nothing may come: a bastion says each second that a test goes on.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long the end of a test that was cancelled is waited for, and stdout to take the last rows.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);
/// How much may wait to be printed.
const PRINT_QUEUE: usize = 1024;

/// Runs a check.
pub async fn run(
    remote: &Arc<Remote>,
    args: TestArgs,
    signer: Option<Signer>,
    mut written: Vec<WrittenCheck>,
) -> Result<Exit, Failure> {
    let document = match (&args.file, written.len()) {
        (None, _) => None,
        (Some(_), 1) => Some(Box::new(written.remove(0).document)),
        (Some(file), n) => {
            return Err(Failure::usage(format!("{} has {n} checks: expected exactly one to test", file.display())));
        }
    };
    let mut signals =
        StopSignals::listen().map_err(|e| Failure::usage(format!("signals cannot be listened for: {e}")))?;
    let bastion = tokio::select! {
        bastion = place(remote, &args) => bastion?,
        _ = signals.next() => return Ok(Exit::NotPassed),
    };
    let document = match (document, signer) {
        (Some(document), Some(signer)) => {
            let (group, at) = (args.group.clone().unwrap_or_else(|| BastionGroup::from(&bastion)), remote.now());
            let signed = signer.sign(*document, &group, sign::revision_at(at), at);
            Some(Box::new(signed.map_err(|e| Failure::usage(e.to_string()))?))
        }
        (document, _) => document,
    };
    let question = TestCheck {
        v: V1,
        request: None,
        check: args.id.clone(),
        document,
        limit_ms: args
            .timeout
            .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(TestCheck::LIMIT_MS_MIN)),
        max_endpoints: args.max_endpoints,
    };
    let inbox = remote.bus.new_inbox();
    let mut reports = remote.bus.subscribe(&inbox, None).await?;
    let begun = std::time::Instant::now();
    remote.bus.publish(remote.question(&bastion, Verb::CheckTest, &question).reply_to(inbox.as_str())).await?;

    let format = match args.output {
        OutputFormat::Table => Format::Rows,
        OutputFormat::Json => Format::Array,
        OutputFormat::Ndjson => Format::Lines,
    };
    let printer = Printer { format, quiet: args.quiet, lead: Lead::default(), verbose: args.verbose, progress: true };
    let (rows, queue) = mpsc::channel(PRINT_QUEUE);
    let printed =
        printer.start(queue).map_err(|e| Failure::stuck(format!("the printing thread cannot be started: {e}")))?;
    let (cancel_at, cancel_to) = watch::channel(None);
    let ended = {
        let mut hearing = std::pin::pin!(hear(&mut reports, &bastion, rows, cancel_at));
        tokio::select! {
            ended = &mut hearing => ended,
            signal = signals.next() => {
                tracing::warn!("{signal}: the test is cancelled");
                let reply: Option<String> = cancel_to.borrow().clone();
                if let Some(reply) = reply {
                    remote.bus.publish(Outgoing::new(reply, "")).await?;
                }
                // Where it has not begun yet, the bastion notices that nobody listens.
                timeout(CANCEL_LIMIT, hearing).await.unwrap_or(Ok(None))
            }
        }
    };
    let tally = match timeout(CANCEL_LIMIT, printed).await {
        Ok(Ok(Ok(tally))) => tally,
        Ok(Ok(Err(e))) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::NotPassed),
        Ok(Ok(Err(e))) => return Err(Failure::stuck(format!("stdout: {e}"))),
        Ok(Err(_)) => return Err(Failure::stuck("the printing thread panicked")),
        Err(_) => return Err(Failure::stuck("stdout does not take the results")),
    };
    let end = ended?;
    if args.output == OutputFormat::Table {
        summarise(&format!("{tally} in {:.2} s on {bastion}", begun.elapsed().as_secs_f64()));
    }
    match end {
        Some(TestEnd { cut_off: Some(why), message, .. }) => {
            let told = message.unwrap_or_else(|| "it was cut off".to_owned());
            match why {
                TestCutOff::Cancelled => Ok(Exit::NotPassed),
                _ => Err(Failure::of(Exit::NotPassed, told)),
            }
        }
        Some(TestEnd { passed: true, .. }) => Ok(Exit::Ok),
        _ => Ok(Exit::NotPassed),
    }
}

#[expect(clippy::print_stderr, reason = "the summary is for people")]
fn summarise(text: &str) {
    eprintln!("{text}");
}

/// Hears reports until the end; the first one says where the test can be cancelled.
async fn hear(
    reports: &mut Subscription,
    bastion: &BastionId,
    rows: mpsc::Sender<Heard>,
    cancel_at: watch::Sender<Option<String>>,
) -> Result<Option<TestEnd>, Failure> {
    let unanswered = |error: Unanswered| error.failure(bastion, Verb::CheckTest);
    let mut expected = 0;
    loop {
        let Ok(message) = timeout(SILENCE_MAX, reports.next()).await else {
            return Err(unanswered(Unanswered::Silent(SILENCE_MAX)));
        };
        let message = message.ok_or_else(|| unanswered(Unanswered::Bus(watchpost_bus::BusError::Closed)))?;
        if message.status == Some(Status::NoResponders) {
            return Err(unanswered(Unanswered::Offline));
        }
        let report: TestReport = told(&message).map_err(unanswered)?;
        if message.reply.is_some() {
            cancel_at.send_replace(message.reply);
        }
        if report.seq > expected {
            tracing::warn!("{} reports of the test were lost on their way", report.seq - expected);
        }
        expected = report.seq + 1;
        let heard = match report.kind {
            TestReportKind::Result => report.result.map(Heard::Result),
            TestReportKind::Verdict => report.verdict.map(Heard::Verdict),
            TestReportKind::Begun | TestReportKind::Going => None,
            TestReportKind::End => {
                let passed = report.end.as_ref().is_some_and(|end| end.passed);
                // Nobody reads any more: how it ended is told all the same.
                rows.send(Heard::Over { passed }).await.ok();
                return Ok(report.end);
            }
        };
        if let Some(heard) = heard
            && rows.send(heard).await.is_err()
        {
            return Ok(None);
        }
    }
}

/// Where to run it: where it was said, or the only bastion that can.
async fn place(remote: &Arc<Remote>, args: &TestArgs) -> Result<BastionId, Failure> {
    if let Some(bastion) = &args.bastion {
        return Ok(bastion.clone());
    }
    let seen = remote.bastions().await?.bastions;
    let online: Vec<BastionId> =
        seen.into_iter().filter(|bastion| bastion.checker().is_some()).map(|bastion| bastion.id).collect();
    let mut able = Vec::new();
    for bastion in &online {
        let knows = match &args.id {
            Some(check) => knows(remote, bastion, check).await?,
            None => true,
        };
        if knows {
            able.push(bastion.to_string());
        }
    }
    match (able.as_slice(), &args.id) {
        ([one], _) => one.parse().map_err(|e| Failure::usage(format!("{e}"))),
        ([], _) if online.is_empty() => Err(Failure::of(
            Exit::BusUnreachable,
            "no bastion is online: `watchpost bastions list` shows which there are",
        )),
        ([], Some(check)) => Err(Failure::of(
            Exit::NotPassed,
            format!("none of the {} bastions that are online has a check `{check}`", online.len()),
        )),
        _ => Err(Failure::usage(format!("{} could run it: say which with --bastion", able.join(", ")))),
    }
}

async fn knows(remote: &Remote, bastion: &BastionId, check: &CheckId) -> Result<bool, Failure> {
    let question = GetCheck { v: V1, check: check.clone() };
    match remote.ask::<_, CheckShown>(bastion, Verb::CheckGet, &question).await {
        Ok(_) => Ok(true),
        Err(Unanswered::Bus(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}
