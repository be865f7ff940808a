//! The `udp` check type: a datagram, and optionally its answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::bytes::Regex;
use tokio::time::Instant;
use watchpost_model::{
    DATAGRAM_SENT_BYTES_MAX, DialogueEvidence, Pattern, Payload, ProbeSettings, ReasonCode, Side, Task, TypeEvidence,
    UdpSettings,
};

use crate::assertions::{Findings, conclude, excerpt, slashed};
use crate::context::ProbeContext;
use crate::files::{self, Files};
use crate::network::Destination;
use crate::network::datagram::{DATAGRAM_BYTES_MAX, Datagrams};
use crate::recorder::{Recorder, Spent, Stage};
use crate::transcript::Transcript;
use crate::{BoxFuture, Probe, Verdict, failure};

/// How much of what a group captured is kept.
const SHOWN_BYTES_MAX: usize = 2 * 1024;

/// Executes `udp` checks.
#[derive(Debug)]
pub(crate) struct UdpProbe {
    context: ProbeContext,
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    /// The datagram that matched, or else the last one.
    last: Option<Vec<u8>>,
    /// How many came in all.
    count: u32,
    matched: bool,
    captures: BTreeMap<String, String>,
}

impl UdpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Udp(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let payload = match payload(settings, &self.context.files).await {
            Ok(payload) => payload,
            Err(verdict) => return verdict,
        };
        let datagrams = match self.context.network.datagrams(to, recorder).await {
            Ok(datagrams) => datagrams,
            Err(verdict) => return verdict,
        };
        let whom = to.whom(Some(datagrams.peer()));
        recorder.awaits(ReasonCode::NoReply, format!("no answer from {whom}"));
        let compiled = settings.expect.as_ref().map(|pattern| self.context.patterns.compiled(pattern));
        let answer = match exchange(&datagrams, &payload, settings, compiled.as_deref(), recorder).await {
            Ok(answer) => answer,
            Err(error) => return failure::of_datagrams(&error, &whom, &recorder.position()),
        };
        recorder.leave();
        let mut findings = Findings::default();
        if let Some(pattern) = &settings.expect {
            answer.judge(pattern, settings, &whom, &mut findings);
        }
        let verdict = conclude(&self.context, task, recorder, findings, || answer.facts());
        if verdict.reason.is_none() {
            recorder.transcript(Transcript::forget);
        }
        let captures = answer.captures;
        recorder.of_type(TypeEvidence::Dialogue(DialogueEvidence { captures, ..DialogueEvidence::default() }));
        verdict
    }
}

impl Probe for UdpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// What the datagram carries.
///
/// # Errors
/// The verdict on a file that is of no use.
async fn payload<'a>(settings: &'a UdpSettings, files: &Files) -> Result<Cow<'a, [u8]>, Verdict> {
    let Some(send) = &settings.send else { return Ok(Cow::Borrowed(&[])) };
    let bytes = files.payload(send).await?;
    match send {
        // The model sees to the length of what is no file.
        Payload::File(file) if bytes.len() > DATAGRAM_SENT_BYTES_MAX => {
            let why = format!("has {} bytes: a datagram carries at most {DATAGRAM_SENT_BYTES_MAX}", bytes.len());
            Err(files::unusable(file, &why))
        }
        _ => Ok(bytes),
    }
}

/// Sends, and listens until there is nothing left to wait for. Where an answer is expected, only the check's
/// deadline ends the wait for the first one.
async fn exchange(
    datagrams: &Datagrams,
    payload: &[u8],
    settings: &UdpSettings,
    expected: Option<&Regex>,
    recorder: &Recorder,
) -> std::io::Result<Answer> {
    recorder.of_type(TypeEvidence::Dialogue(DialogueEvidence::default()));
    recorder.enter(Stage::Send);
    recorder.transcript(|transcript| transcript.said(Side::Check, payload));
    datagrams.send(payload).await?;
    recorder.enter(Stage::FirstByte);
    let mut answer = Answer::default();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut until = expected.is_none().then(|| Instant::now() + settings.wait());
    loop {
        let receiving = datagrams.receive(&mut buffer);
        let length = match until {
            None => receiving.await?,
            Some(until) => match tokio::time::timeout_at(until, receiving).await {
                Ok(received) => received?,
                Err(_) => return Ok(answer),
            },
        };
        if answer.count == 0 {
            recorder.enter(Stage::Receive);
            until.get_or_insert_with(|| Instant::now() + settings.wait());
        }
        recorder.received(length as u64);
        let datagram = buffer.get(..length).unwrap_or_default();
        recorder.transcript(|transcript| transcript.said(Side::Peer, datagram));
        answer.take(datagram, expected);
        // Whoever answers at all is there, where no more is asked.
        if answer.matched || expected.is_none() {
            return Ok(answer);
        }
    }
}

impl Answer {
    fn take(&mut self, datagram: &[u8], expected: Option<&Regex>) {
        self.count = self.count.saturating_add(1);
        self.last = Some(datagram.to_vec());
        let Some(expected) = expected else { return };
        let Some(found) = expected.captures(datagram) else { return };
        self.matched = true;
        let text = |bytes: &[u8]| String::from_utf8_lossy(cut(bytes)).into_owned();
        let named = expected.capture_names().flatten();
        self.captures = named.filter_map(|name| Some((name.to_owned(), text(found.name(name)?.as_bytes())))).collect();
    }

    fn judge(&self, pattern: &Pattern, settings: &UdpSettings, whom: &str, findings: &mut Findings) {
        let actual = match &self.last {
            None => "nothing".to_owned(),
            Some(datagram) => format!("{} bytes: {}", datagram.len(), excerpt(datagram)),
        };
        let expr = format!("answer matches {}", slashed(pattern.as_str()));
        findings.note(ReasonCode::AssertionFailed, expr, self.matched, actual, |actual| {
            let others = match self.count {
                0 | 1 => String::new(),
                count => format!(" and {} others before", count - 1),
            };
            format!(
                "{whom} sent {actual}{others}, and nothing that matches {} within {}",
                slashed(pattern.as_str()),
                Spent(settings.wait())
            )
        });
    }

    /// What expressions can ask for.
    fn facts(&self) -> serde_json::Value {
        serde_json::json!({
            "answered": self.last.is_some(),
            "received": self.last.as_deref().map(|datagram| String::from_utf8_lossy(datagram)),
            "received_bytes": self.last.as_ref().map_or(0, Vec::len),
            "captures": self.captures,
        })
    }
}

/// As much of `bytes` as is shown.
fn cut(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes)
}
