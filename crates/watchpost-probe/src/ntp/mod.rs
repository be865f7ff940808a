//! The `ntp` check type: what time a server has, and how far that is from this machine's.

mod packet;

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use watchpost_model::{NtpEvidence, NtpSettings, Offset, ProbeSettings, Reason, ReasonCode, Task, TypeEvidence};

use self::packet::{Answer, Unfit};
use crate::assertions::{Findings, conclude};
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::network::datagram::Datagrams;
use crate::recorder::{Recorder, Stage};
use crate::{BoxFuture, Probe, Verdict, failure};

/// As much as is read of a datagram, in bytes. What follows the answer proper are extensions.
const READ_BYTES_MAX: usize = 2048;

/// Executes `ntp` checks.
#[derive(Debug)]
pub(crate) struct NtpProbe {
    context: ProbeContext,
}

/// An answer, and when it came.
#[derive(Debug)]
struct Answered {
    answer: Answer,
    /// When the question was sent, by this machine's clock.
    asked: SystemTime,
    /// How long after that the answer was there.
    took: Duration,
    /// How many datagrams were no answer.
    ignored: u32,
}

impl NtpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Ntp(settings) = &*task.probe else {
            return failure::bad_task();
        };
        let Some(server) = task.probe.host_port() else { return failure::bad_task() };
        recorder.hop(server.to_string());
        let to = Destination::of(task, &server, &settings.route);
        let datagrams = match self.context.network.datagrams(to, recorder).await {
            Ok(datagrams) => datagrams,
            Err(verdict) => return verdict,
        };
        let whom = to.whom(Some(datagrams.peer()));
        let answered = match exchange(&datagrams, &whom, recorder).await {
            Ok(answered) => answered,
            Err(verdict) => return verdict,
        };
        recorder.leave();
        let evidence = answered.evidence();
        answered.record(&evidence, recorder);
        let mut findings = Findings::default();
        judge(&evidence, answered.answer.kiss(), settings, &whom, &mut findings);
        conclude(&self.context, task, recorder, findings, || serde_json::to_value(&evidence).unwrap_or_default())
    }
}

impl Probe for NtpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// Asks, and waits for the answer.
async fn exchange(datagrams: &Datagrams, whom: &str, recorder: &Recorder) -> Result<Answered, Verdict> {
    let secret = RandomState::new().hash_one(whom);
    recorder.awaits(ReasonCode::NoReply, format!("no answer from {whom}"));
    recorder.enter(Stage::Send);
    let broken = |error| failure::of_datagrams(&error, whom, &recorder.position());
    // The clock that is compared is this machine's, whatever other clocks the program has.
    #[expect(clippy::disallowed_methods, reason = "the system's clock is what the server's is held against")]
    let (asked, started) = (SystemTime::now(), Instant::now());
    datagrams.send(&packet::question(secret)).await.map_err(broken)?;
    recorder.enter(Stage::FirstByte);
    let mut buffer = [0; READ_BYTES_MAX];
    let mut ignored = 0_u32;
    loop {
        let length = datagrams.receive(&mut buffer).await.map_err(broken)?;
        // By the clock that nobody sets, in case somebody sets the other one meanwhile.
        let took = started.elapsed();
        match packet::answer(buffer.get(..length).unwrap_or_default(), secret) {
            Ok(answer) => return Ok(Answered { answer, asked, took, ignored }),
            Err(Unfit::Malformed(why)) => {
                let message = format!("the answer of {whom} cannot be used: {why}");
                return Err(Verdict::error(Reason::new(ReasonCode::ProtocolError, message)));
            }
            Err(Unfit::Stranger(why)) => {
                ignored = ignored.saturating_add(1);
                let absence =
                    format!("no answer from {whom}, but {ignored} other datagrams (the last is none since {why})");
                recorder.awaits(ReasonCode::NoReply, absence);
            }
        }
    }
}

impl Answered {
    fn evidence(&self) -> NtpEvidence {
        let answer = &self.answer;
        let knows_time = answer.kiss().is_none() && !answer.is_unsynchronised();
        let times = knows_time.then(|| answer.offset_and_delay_ms(self.asked, self.took));
        NtpEvidence {
            version: answer.version,
            stratum: answer.stratum,
            leap: answer.leap_word().to_owned(),
            reference_id: answer.reference(),
            offset_ms: times.map(|(offset, _)| offset),
            delay_ms: times.map(|(_, delay)| delay),
            root_delay_ms: answer.root_delay_ms,
            root_dispersion_ms: answer.root_dispersion_ms,
            ignored: self.ignored,
        }
    }

    fn record(&self, evidence: &NtpEvidence, recorder: &Recorder) {
        recorder.of_type(TypeEvidence::Ntp(evidence.clone()));
        recorder.metric("ntp_stratum", evidence.stratum.into());
        if let (Some(offset), Some(delay)) = (evidence.offset_ms, evidence.delay_ms) {
            recorder.metric("ntp_offset_ms", offset);
            recorder.metric("ntp_delay_ms", delay);
            recorder.metric("ntp_root_delay_ms", evidence.root_delay_ms);
            recorder.metric("ntp_root_dispersion_ms", evidence.root_dispersion_ms);
        }
    }
}

fn judge(evidence: &NtpEvidence, kiss: Option<String>, settings: &NtpSettings, whom: &str, findings: &mut Findings) {
    let actual = kiss.clone().unwrap_or_else(|| "none".to_owned());
    findings.note(ReasonCode::NtpKiss, "no kiss-o'-death".to_owned(), kiss.is_none(), actual, |code| {
        format!("{whom} does not want to tell the time: it sent the kiss-o'-death {code}")
    });
    if kiss.is_some() {
        return;
    }
    let stratum = evidence.stratum;
    let knows_time = evidence.offset_ms.is_some();
    let actual = format!("stratum {stratum}, leap {}", evidence.leap);
    findings.note(ReasonCode::NtpUnsynchronised, "synchronised".to_owned(), knows_time, actual, |actual| {
        format!("{whom} does not know the time: it is not synchronised ({actual})")
    });
    if let Some(max) = settings.max_stratum {
        let expr = format!("stratum <= {max}");
        findings.note(ReasonCode::AssertionFailed, expr, stratum <= max, stratum.to_string(), |actual| {
            format!("the stratum of {whom} is {actual}, expected at most {max}")
        });
    }
    if let (Some(max), Some(offset)) = (settings.max_offset, evidence.offset_ms) {
        within(max, offset, whom, findings);
    }
}

fn within(max: Offset, offset_ms: f64, whom: &str, findings: &mut Findings) {
    let passed = offset_ms.abs() <= max.get().as_secs_f64() * 1e3;
    let actual = format!("{offset_ms:+.3} ms");
    findings.note(ReasonCode::NtpOffset, format!("|offset| <= {max}"), passed, actual, |_| {
        let side = if offset_ms < 0.0 { "behind" } else { "ahead of" };
        format!("the clock of {whom} is {:.3} ms {side} this machine's, expected at most {max}", offset_ms.abs())
    });
}
