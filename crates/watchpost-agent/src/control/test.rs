//! Running a check once for somebody, who hears of each outcome as it comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use watchpost_bus::{BusError, Headers, Message, Outgoing, SharedBus, Status, Subscription};
use watchpost_model::{
    Check, CheckId, ErrorCode, ErrorReply, Format, TaskResult, TestCheck, TestCutOff, TestEnd, TestReport,
    TestReportKind, V1, Verb, encode, header, validate_set,
};

use super::ControlContext;
use super::answer::{error, format_of, read};
use super::verbs::{checker, name_of, unavailable, unknown_check};
use crate::adhoc::RunOptions;
use crate::{GroupPolicy, RUN_TASKS_MAX, RunItem, RunReport, RunRequest};

/// How often it is told that a test goes on. It is by this that a requester who is gone is noticed.
const GOING_EVERY: Duration = Duration::from_secs(1);
/// What is added to the check's own timeout where no limit was given: the way there and back.
const REPORT_RESERVE: Duration = Duration::from_secs(1);

/// What is to be run.
struct Planned {
    item: RunItem,
    check: Arc<Check>,
    /// What it is made of, if it is a group.
    family: Vec<Arc<Check>>,
}

/// Runs what was asked for. Returns when nothing more is to be said, or with what is to be said instead of anything.
pub(super) async fn test(cx: &ControlContext, message: &Message) -> Result<(), ErrorReply> {
    let format = format_of(message);
    let test: TestCheck = read(message, format)?;
    let name = name_of(message, &test)?.map(|name| (name, encode(&test, Format::MsgPack)));
    let (limit_ms, max_endpoints) = (test.limit_ms, test.max_endpoints.map(|max| max as usize));
    let to =
        message.reply.clone().ok_or_else(|| error(ErrorCode::BadPayload, "it names no subject for the results"))?;
    if cx.looked.is_draining() {
        return Err(error(ErrorCode::Unavailable, "this bastion drains: it begins nothing new"));
    }
    let busy = |_| error(ErrorCode::TooOften, "so many tests are going that this one was not begun: try again");
    let _one_of_few = cx.tests.try_acquire().map_err(busy)?;
    let Planned { item, check, family } = plan(cx, test).await?;
    if let Some((name, content)) = name
        && !cx.once.is_first(cx.looked.clock.tick(), &(Verb::CheckTest, name.clone()), &content)?
    {
        let told = format!("the test `{name}` was begun before: its results went to whoever asked then");
        return Err(error(ErrorCode::Conflict, told));
    }
    let limit = limit_ms.map_or_else(|| check.timeout().get() + REPORT_RESERVE, Duration::from_millis);
    let mut stream = Stream::open(cx, to, format, check.id().clone()).await?;
    let until = Instant::now() + limit;
    stream.send(TestReportKind::Begun, |_| {}).await;
    let mut _counted = None;
    if let Some(max) = max_endpoints {
        let counting = cx.looked.aiming.count(&check, &family, limit);
        let counted = match stream.while_going(counting).await {
            Ok(counted) => counted,
            Err(Heard::Gone) => return Ok(()),
            Err(Heard::Cancel) => return stream.end(false, Some(cancelled())).await,
        };
        if counted.endpoints > max {
            let told = format!("there are {} endpoints, and at most {max} were to be run", counted.endpoints);
            return stream.end(false, Some((TestCutOff::TooManyEndpoints, told))).await;
        }
        _counted = Some(counted);
    }
    let (cancel, is_cancelled) = oneshot::channel();
    let limit = until.saturating_duration_since(Instant::now());
    let request = RunRequest { items: vec![item], limit, policy: GroupPolicy::CollectAll };
    let options = RunOptions { endpoints_max: max_endpoints.unwrap_or(RUN_TASKS_MAX), cancelled: Some(is_cancelled) };
    match checker(cx)?.run_now_with(request, options).await {
        Ok(reports) => follow(cx, stream, reports, cancel).await,
        Err(gone) => stream.end(false, Some((TestCutOff::ShuttingDown, gone.to_string()))).await,
    }
}

/// Passes on what comes of a run, until nothing more does or nobody wants to know. The run ends when `reports` is
/// dropped before its end.
async fn follow(
    cx: &ControlContext,
    mut stream: Stream,
    mut reports: mpsc::Receiver<RunReport>,
    cancel: oneshot::Sender<()>,
) -> Result<(), ErrorReply> {
    let (mut passed, mut cut_off, mut cancel) = (false, None, Some(cancel));
    loop {
        match stream.while_going(reports.recv()).await {
            Ok(Some(RunReport::Result(result))) => stream.result(result).await,
            Ok(Some(RunReport::Verdict(verdict))) => {
                let run = verdict.run;
                stream
                    .send(TestReportKind::Verdict, |report| {
                        report.run = Some(run);
                        report.verdict = Some(verdict);
                    })
                    .await;
            }
            Ok(Some(RunReport::Over { passed: all, .. })) => passed = all,
            Ok(None) => break,
            Err(Heard::Gone) => {
                tracing::info!(check = %stream.check, "whoever asked for a test is gone: what runs of it is stopped");
                return Ok(());
            }
            Err(Heard::Cancel) => {
                if let Some(cancel) = cancel.take() {
                    cut_off = Some(cancelled());
                    // It may be over by now.
                    let _over = cancel.send(());
                }
            }
        }
    }
    if cut_off.is_none() && !passed && *cx.stopping.borrow() {
        cut_off = Some((TestCutOff::ShuttingDown, "the process stops".to_owned()));
    }
    stream.end(passed, cut_off).await
}

fn cancelled() -> (TestCutOff, String) {
    (TestCutOff::Cancelled, "whoever asked for it cancelled it".to_owned())
}

/// Finds the check, or makes it and holds it against the others as the store would. Where checks are signed, nobody runs
/// what is signed as paused: whoever asks need not be who signed.
async fn plan(cx: &ControlContext, test: TestCheck) -> Result<Planned, ErrorReply> {
    let planned = find(cx, test).await?;
    if cx.looked.trust.is_some() && planned.check.is_paused() {
        let told = format!(
            "`{}` is paused, and this bastion has `trust.signers`: test a document that is signed and not paused",
            planned.check.id()
        );
        return Err(error(ErrorCode::Refused, told));
    }
    Ok(planned)
}

async fn find(cx: &ControlContext, test: TestCheck) -> Result<Planned, ErrorReply> {
    let checker = checker(cx)?;
    if let Some(id) = test.check {
        let family = checker.family(vec![id.clone()]).await.map_err(unavailable)?;
        let check = family.first().map(Arc::clone).ok_or_else(|| unknown_check(&id))?;
        return Ok(Planned { item: RunItem::Configured(Arc::clone(&check)), check, family });
    }
    let refused = |code, told: String| ErrorReply { field: Some("document".to_owned()), ..error(code, told) };
    let document = test.document.ok_or_else(|| refused(ErrorCode::BadPayload, "there is none".to_owned()))?;
    let check = Check::try_from(*document).map_err(|bad| refused(ErrorCode::BadPayload, bad.to_string()))?;
    if let Some(Err(refusal)) = cx.looked.trust.as_ref().map(|trust| trust.judge_test(&check)) {
        return Err(refused(ErrorCode::Refused, refusal.message));
    }
    let mut family = Vec::new();
    if let Some(members) = check.group() {
        family = checker.family(members.to_vec()).await.map_err(unavailable)?;
        let others = family.iter().filter(|member| member.id() != check.id()).map(|member| Check::clone(member));
        let set: Vec<Check> = others.chain([check.clone()]).collect();
        validate_set(&set).map_err(|misfit| refused(ErrorCode::Refused, misfit.to_string()))?;
    }
    Ok(Planned { item: RunItem::Check(Box::new(check.clone())), check: Arc::new(check), family })
}

/// What whoever asked says, or the bus says of them.
enum Heard {
    Gone,
    Cancel,
}

/// What is told of one test, and what comes back.
struct Stream {
    bus: SharedBus,
    to: String,
    format: Format,
    check: CheckId,
    /// Where the bus says that nobody listens any more, and whoever asked that it is enough.
    inbox: String,
    heard: Subscription,
    seq: u64,
    results: u64,
    told_at: Instant,
}

impl Stream {
    async fn open(cx: &ControlContext, to: String, format: Format, check: CheckId) -> Result<Self, ErrorReply> {
        let bus = Arc::clone(&cx.looked.bus);
        let inbox = bus.new_inbox();
        let away = |e: BusError| error(ErrorCode::Unavailable, e.to_string());
        let heard = bus.subscribe(&inbox, None).await.map_err(away)?;
        Ok(Self { bus, to, format, check, inbox, heard, seq: 0, results: 0, told_at: Instant::now() })
    }

    /// The end of `work`, unless something is heard first. While nothing else is told, that it goes on is.
    async fn while_going<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Heard> {
        tokio::pin!(work);
        loop {
            let tell_at = self.told_at + GOING_EVERY;
            tokio::select! {
                biased;
                heard = self.heard.next() => return match heard {
                    Some(Message { status: Some(Status::NoResponders), .. }) => Err(Heard::Gone),
                    Some(_) => Err(Heard::Cancel),
                    // The bus is closed: nobody can hear more of it.
                    None => Err(Heard::Gone),
                },
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(tell_at) => self.send(TestReportKind::Going, |_| {}).await,
            }
        }
    }

    async fn result(&mut self, result: Box<TaskResult>) {
        self.results += 1;
        let run = result.run;
        self.send(TestReportKind::Result, |report| {
            report.run = Some(run);
            report.result = Some(result);
        })
        .await;
    }

    async fn end(&mut self, passed: bool, cut_off: Option<(TestCutOff, String)>) -> Result<(), ErrorReply> {
        let results = self.results;
        let (cut_off, message) = cut_off.unzip();
        self.send(TestReportKind::End, |report| {
            report.end = Some(TestEnd { passed, results, cut_off, message });
        })
        .await;
        Ok(())
    }

    /// Tells something. What the bus does not take is missing from the count.
    async fn send(&mut self, kind: TestReportKind, fill: impl FnOnce(&mut TestReport)) {
        let mut report = TestReport {
            v: V1,
            seq: self.seq,
            kind,
            check: self.check.clone(),
            run: None,
            result: None,
            verdict: None,
            end: None,
        };
        fill(&mut report);
        self.seq += 1;
        self.told_at = Instant::now();
        let mut sent = self.publish(&report).await;
        if let (Err(BusError::TooLarge { .. }), Some(result)) = (&sent, &mut report.result) {
            // The outcome and its reason are what counts.
            (result.http, result.evidence, result.tls) = (None, None, None);
            result.hops.clear();
            sent = self.publish(&report).await;
        }
        if let Err(error) = sent {
            tracing::debug!(check = %self.check, %error, "a report of a test was not sent");
        }
    }

    async fn publish(&mut self, report: &TestReport) -> Result<(), BusError> {
        let headers = Headers::new().with(header::CONTENT_TYPE, self.format.content_type());
        let message = Outgoing::new(self.to.as_str(), encode(report, self.format)).headers(headers);
        self.bus.publish(message.reply_to(self.inbox.as_str())).await
    }
}
