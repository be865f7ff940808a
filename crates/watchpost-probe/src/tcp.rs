//! The `tcp` check type: connect, then optionally send, then optionally wait for an answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Pattern, ProbeSettings, Reason, ReasonCode, Task, TcpSettings};

use crate::assertions::Findings;
use crate::patterns::Patterns;
use crate::recorder::{Recorder, Stage};
use crate::resolver::Resolver;
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
    resolver: Resolver,
    patterns: Patterns,
}

impl TcpProbe {
    pub(crate) fn new(resolver: Resolver, patterns: Patterns) -> Self {
        Self { resolver, patterns }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Tcp(settings) = &*task.probe else {
            return failure::bad_task();
        };
        let mut stream = match self.connect(task, settings, recorder).await {
            Ok(stream) => stream,
            Err(verdict) => return verdict,
        };
        let mut findings = Findings::default();
        if let Err(error) = exchange(&mut stream, settings, recorder, &self.patterns, &mut findings).await {
            let position = recorder.position();
            return failure::of_io(&error, &peer(settings, &position.address), &position);
        }
        recorder.leave();
        findings.latency(task.expect.max_latency, recorder.elapsed());
        let reason = findings.reason();
        recorder.assertions(findings.reports);
        reason.map_or_else(Verdict::pass, Verdict::fail)
    }

    /// Connects to the endpoint, or to the first address of the name that accepts.
    async fn connect(&self, task: &Task, settings: &TcpSettings, recorder: &Recorder) -> Result<TcpStream, Verdict> {
        let addresses = match task.endpoint.address {
            Some(address) => vec![address],
            None => {
                recorder.enter(Stage::Dns);
                let found = self.resolver.lookup(settings.address.host()).await;
                let found = found.map_err(|e| e.verdict())?;
                found.into_iter().map(|ip| SocketAddr::new(ip, settings.address.port())).collect()
            }
        };
        recorder.enter(Stage::Connect);
        let preferred = addresses.first().copied();
        let mut first_failure = None;
        for address in addresses {
            recorder.connected_to(address);
            match TcpStream::connect(address).await.and_then(|stream| prepare(stream, settings)) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let position = recorder.position();
                    let verdict = || failure::of_io(&error, &peer(settings, &position.address), &position);
                    // The first is reported: it concerns the address that clients prefer.
                    first_failure.get_or_insert_with(verdict);
                }
            }
        }
        if let Some(preferred) = preferred {
            recorder.connected_to(preferred);
        }
        Err(first_failure.unwrap_or_else(|| {
            Verdict::error(Reason::new(ReasonCode::DnsNoAddress, format!("{} has no address", settings.address)))
        }))
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
fn prepare(stream: TcpStream, settings: &TcpSettings) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    if settings.send.is_none() || settings.expect.is_some() {
        stream.set_zero_linger()?;
    }
    Ok(stream)
}

/// The peer as sentences call it: the address, and the name where that is another.
fn peer(settings: &TcpSettings, address: &Option<SocketAddr>) -> String {
    match address {
        Some(address) if settings.address.ip().is_none() => format!("{address} ({})", settings.address.host()),
        Some(address) => address.to_string(),
        None => settings.address.to_string(),
    }
}

async fn exchange(
    stream: &mut TcpStream,
    settings: &TcpSettings,
    recorder: &Recorder,
    patterns: &Patterns,
    findings: &mut Findings,
) -> io::Result<()> {
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
