//! The `tcp` check type: connect, then optionally send, then optionally wait for an answer.

use std::io;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Pattern, ProbeSettings, Task, TcpSettings};

use crate::assertions::{Findings, conclude};
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::patterns::Patterns;
use crate::recorder::{Recorder, Stage};
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most of an answer that is read.
const READ_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once.
const READ_BYTES_AT_ONCE: usize = 4 * 1024;
/// How long a peer that has said much may pause before what it said is looked at.
const QUIET: Duration = Duration::from_millis(20);

/// Executes `tcp` checks.
#[derive(Debug)]
pub(crate) struct TcpProbe {
    context: ProbeContext,
}

impl TcpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Tcp(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination {
            host: settings.address.host(),
            port: settings.address.port(),
            endpoint: task.endpoint.address,
            route: &settings.route,
        };
        let mut stream = match self.context.network.connect(to, recorder).await {
            Ok(stream) => stream,
            Err(verdict) => return verdict,
        };
        let mut findings = Findings::default();
        if let Err(error) = exchange(&mut stream, settings, recorder, &self.context.patterns, &mut findings).await {
            let position = recorder.position();
            return failure::of_io(&error, &to.whom(position.address), &position);
        }
        conclude(&self.context, task, recorder, findings, || serde_json::json!({}))
    }
}

impl Probe for TcpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// Decides how the connection will end. A reset leaves nothing behind on either side, while an
/// orderly close by us leaves a TIME_WAIT of a minute for each check, which at many checks a second
/// uses up the local ports. But a reset may destroy what was sent before the peer has read it, so
/// what is sent without waiting for an answer ends in an orderly way.
fn prepare(stream: &TcpStream, settings: &TcpSettings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if settings.send.is_none() || settings.expect.is_some() {
        stream.set_zero_linger()?;
    }
    Ok(())
}

async fn exchange(
    stream: &mut TcpStream,
    settings: &TcpSettings,
    recorder: &Recorder,
    patterns: &Patterns,
    findings: &mut Findings,
) -> io::Result<()> {
    prepare(stream, settings)?;
    if let Some(send) = &settings.send {
        recorder.enter(Stage::Send);
        stream.write_all(send.as_str().as_bytes()).await?;
    }
    if let Some(pattern) = &settings.expect {
        recorder.enter(Stage::FirstByte);
        expect(stream, pattern, &patterns.compiled(pattern), recorder, findings).await?;
    }
    Ok(())
}

/// Reads until what was read matches, the peer closes, or the cap is reached.
async fn expect(
    stream: &mut TcpStream,
    pattern: &Pattern,
    compiled: &Regex,
    recorder: &Recorder,
    findings: &mut Findings,
) -> io::Result<()> {
    let mut answer = Answer { compiled, bytes: Vec::with_capacity(READ_BYTES_AT_ONCE), tried: 0 };
    let (found, told) = loop {
        let first = answer.bytes.is_empty();
        let read = if answer.is_due() {
            if answer.matches() {
                break (true, String::new());
            }
            answer.read_from(stream).await?
        } else {
            // Something has not been looked at yet, so a pause is a reason to do so.
            match tokio::time::timeout(QUIET, answer.read_from(stream)).await {
                Ok(read) => read?,
                Err(_) if answer.matches() => break (true, String::new()),
                Err(_) => continue,
            }
        };
        match read {
            Read::Some if first => recorder.enter(Stage::Receive),
            Read::Some => {}
            Read::End => break (answer.matches(), "the peer closed the connection".to_owned()),
            Read::Full => {
                let told = format!("the peer sent {READ_BYTES_MAX} bytes, the most that is read,");
                break (answer.matches(), told);
            }
        }
        recorder.received(answer.bytes.len() as u64);
    };
    findings.tcp_answer(pattern, &answer.bytes, found, &told);
    Ok(())
}

/// What was read so far. The pattern is tried on all of it. To keep the work in proportion to what
/// is read, even when that arrives byte by byte, a long answer is tried only once it has grown by an
/// eighth, or when the peer pauses.
struct Answer<'a> {
    compiled: &'a Regex,
    bytes: Vec<u8>,
    /// How much there was when the pattern was last tried.
    tried: usize,
}

/// What an attempt to read brought.
enum Read {
    Some,
    End,
    Full,
}

impl Answer<'_> {
    /// Whether nothing is new, or enough is to try the pattern again.
    fn is_due(&self) -> bool {
        let new = self.bytes.len() - self.tried;
        new == 0 || self.bytes.len() <= READ_BYTES_AT_ONCE || new >= self.tried / 8
    }

    fn matches(&mut self) -> bool {
        let new = self.bytes.len() > self.tried;
        self.tried = self.bytes.len();
        new && self.compiled.is_match(&self.bytes)
    }

    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    async fn read_from(&mut self, stream: &mut TcpStream) -> io::Result<Read> {
        let room = READ_BYTES_MAX - self.bytes.len();
        if room == 0 {
            return Ok(Read::Full);
        }
        let at_once = READ_BYTES_AT_ONCE.min(room);
        self.bytes.reserve(at_once);
        let read = stream.take(at_once as u64).read_buf(&mut self.bytes).await?;
        Ok(if read == 0 { Read::End } else { Read::Some })
    }
}
