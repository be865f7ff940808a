//! The `ssh` check type: hears how a server introduces itself, and has it prove that it has its host key.

mod exchange;
mod host_key;
mod packet;

use watchpost_model::{
    OneOrMany, ProbeSettings, ReasonCode, SshEvidence, SshKeyType, SshSettings, Task, TypeEvidence, shorten,
};

use self::exchange::{Banners, disconnect, host_key};
use crate::assertions::{Findings, conclude, slashed};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::wire::{Conversation, Wire};
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 128 * 1024;
/// The longest line before keys are exchanged. An introduction may have 255 (RFC 4253, section 4.2).
const LINE_BYTES_MAX: usize = 1024;
/// The most lines before the introduction.
const LINES_MAX: usize = 50;
const BANNER: &str = concat!("SSH-2.0-Watchpost_", env!("CARGO_PKG_VERSION"));

/// Executes `ssh` checks.
#[derive(Debug)]
pub(crate) struct SshProbe {
    context: ProbeContext,
}

impl SshProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Ssh(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let (evidence, talk) = match self.ask(to, settings, recorder).await {
            Ok(answered) => answered,
            Err(broken) => return broken.verdict(to, to.host, recorder),
        };
        let mut findings = Findings::default();
        if let Some(pattern) = &settings.expect {
            let passed = self.context.patterns.compiled(pattern).is_match(evidence.banner.as_bytes());
            let wanted = slashed(pattern.as_str());
            let code = ReasonCode::AssertionFailed;
            findings.note(code, format!("banner matches {wanted}"), passed, evidence.banner.clone(), |actual| {
                format!("the server introduces itself as {actual}, expected that it matches {wanted}")
            });
        }
        findings.fingerprint(settings, &evidence);
        let verdict =
            conclude(&self.context, task, recorder, findings, || serde_json::to_value(&evidence).unwrap_or_default());
        talk.goodbye(&disconnect());
        verdict
    }

    async fn ask(
        &self,
        to: Destination<'_>,
        settings: &SshSettings,
        recorder: &Recorder,
    ) -> Result<(SshEvidence, Conversation), Broken> {
        let wire = Wire::open(&self.context, to, None, READ_BYTES_MAX, recorder).await?;
        let mut talk = Conversation::new(wire);
        talk.say(format!("{BANNER}\r\n").as_bytes()).await;
        let banner = introduction(&mut talk).await?;
        let mut evidence = introduced(&banner)?;
        recorder.of_type(TypeEvidence::Ssh(evidence.clone()));
        if settings.banner_only {
            return Ok((evidence, talk));
        }
        let banners = Banners { ours: BANNER, theirs: &banner };
        let key_types = if settings.key_types.is_empty() { &SshKeyType::ALL[..] } else { &settings.key_types };
        let shown = host_key(&mut talk, &banners, key_types).await?;
        evidence.key_exchange = Some(shown.key_exchange.to_owned());
        evidence.key_type = Some(shown.host_key.key_type);
        evidence.fingerprint = Some(shown.host_key.fingerprint);
        recorder.of_type(TypeEvidence::Ssh(evidence.clone()));
        Ok((evidence, talk))
    }
}

impl Probe for SshProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// The server's introduction. It may say other things before that.
async fn introduction(talk: &mut Conversation) -> Result<Vec<u8>, Broken> {
    let mut said: Option<String> = None;
    for _ in 0..LINES_MAX {
        let line = match talk.line(LINE_BYTES_MAX).await {
            Ok(line) => line,
            // What it said, and did not introduce itself, is why it left.
            Err(error) => return Err(said.map_or(Broken::Io(error), |said| left(&said))),
        };
        let line = line.ok_or_else(|| {
            Broken::garbage(format!("does not speak SSH: it sent a line of more than {LINE_BYTES_MAX} bytes"))
        })?;
        if line.starts_with(b"SSH-") {
            return Ok(line.to_vec());
        }
        said.get_or_insert_with(|| shorten(&String::from_utf8_lossy(&line), 60).into_owned());
    }
    let said = said.unwrap_or_default();
    Err(Broken::garbage(format!("does not speak SSH: it said \"{said}\" and {LINES_MAX} lines in all")))
}

/// The verdict on a server that says this and closes. OpenSSH has one sentence of that kind.
fn left(said: &str) -> Broken {
    let what = format!("said \"{said}\" and closed the connection");
    match said.contains("MaxStartups") {
        true => Broken::Refused(ReasonCode::NotReady, format!("takes no more clients: it {what}")),
        false => Broken::Unanswered(ReasonCode::ConnectionClosed, what),
    }
}

/// The parts of `SSH-2.0-OpenSSH_9.2p1 Debian-2`.
fn introduced(banner: &[u8]) -> Result<SshEvidence, Broken> {
    let banner = shorten(&String::from_utf8_lossy(banner), 255).into_owned();
    let mut parts = banner.splitn(3, '-').skip(1);
    let protocol = parts.next().unwrap_or_default().to_owned();
    let software = parts.next().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
    // 1.99 stands for a server that speaks the first version as well.
    if !matches!(protocol.as_str(), "2.0" | "1.99") {
        return Err(Broken::garbage(format!(
            "speaks another version of SSH than 2.0: it introduces itself as {banner}"
        )));
    }
    Ok(SshEvidence { banner, protocol, software, ..SshEvidence::default() })
}

impl Findings {
    /// Whether the host key is one of those that are expected.
    fn fingerprint(&mut self, settings: &SshSettings, evidence: &SshEvidence) {
        let OneOrMany(expected) = &settings.fingerprint;
        let Some(fingerprint) = evidence.fingerprint.as_ref().filter(|_| !expected.is_empty()) else { return };
        let wanted: Vec<_> = expected.iter().map(|fingerprint| fingerprint.as_str()).collect();
        let passed = wanted.contains(&fingerprint.as_str());
        let wanted = shorten(&wanted.join(" or "), 120).into_owned();
        let actual = format!("{fingerprint} ({})", evidence.key_type.as_deref().unwrap_or_default());
        self.note(ReasonCode::HostKeyMismatch, format!("fingerprint is {wanted}"), passed, actual, |actual| {
            format!("the host key is {actual}, expected {wanted}")
        });
    }
}
