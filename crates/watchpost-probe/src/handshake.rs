//! The `tls` check type: connect, shake hands, and look at what the server shows.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use watchpost_model::{AlpnProtocol, ProbeSettings, ReasonCode, Task, TlsEvidence};

use crate::assertions::{Findings, conclude};
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict, failure, tls};

/// How long a server that asked for a certificate is given to say that it does not take what it got: under
/// TLS 1.3 it may do so only when for the client the handshake is over.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// Executes `tls` checks.
#[derive(Debug)]
pub(crate) struct TlsProbe {
    context: ProbeContext,
}

impl TlsProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Tls(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let offered: Vec<&[u8]> = settings.alpn.iter().map(|protocol| protocol.as_str().as_bytes()).collect();
        let handshake = match self.context.tls.prepare(to.host, &settings.tls, &offered).await {
            Ok(handshake) => handshake,
            Err(verdict) => return verdict,
        };
        let name = handshake.server_name();
        let stream = match self.context.network.connect(to, recorder).await {
            Ok(stream) => stream,
            Err(verdict) => return verdict,
        };
        let ended = match handshake.shake(stream, recorder).await {
            Ok(stream) => end(stream, recorder).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            let whom = to.whom(recorder.position().address);
            return tls::failure::verdict(&error, &name, &whom, recorder);
        }
        let seen = recorder.with_tls(TlsEvidence::clone).unwrap_or_default();
        let mut findings = Findings::default();
        alpn(&settings.alpn, &seen, &mut findings);
        conclude(&self.context, task, recorder, findings, || serde_json::json!({}))
    }
}

impl Probe for TlsProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// Says that this was all. Where the server asked for a certificate, its opinion on what it got is
/// waited for.
///
/// # Errors
/// Why the server refuses.
async fn end(mut stream: TlsStream<TcpStream>, recorder: &Recorder) -> io::Result<()> {
    let asked = recorder.with_tls(|tls| tls.client_certificate_asked).unwrap_or_default();
    // A server that is gone already has shaken hands all the same, unless it tells why it went.
    let said = stream.shutdown().await;
    if !asked {
        return Ok(());
    }
    match tokio::time::timeout(REFUSAL_MAX, stream.read(&mut [0])).await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        Ok(_) => Ok(()),
        Err(_) => said,
    }
}

/// Whether one of the protocols that were offered was agreed on.
fn alpn(offered: &[AlpnProtocol], seen: &TlsEvidence, findings: &mut Findings) {
    if offered.is_empty() {
        return;
    }
    let names = offered.iter().map(AlpnProtocol::as_str).collect::<Vec<_>>().join(", ");
    let actual = seen.alpn.clone().unwrap_or_else(|| "none".to_owned());
    findings.note(ReasonCode::AssertionFailed, format!("alpn in {names}"), seen.alpn.is_some(), actual, |_| {
        format!("the server agrees to no protocol by ALPN, expected {names}")
    });
}
