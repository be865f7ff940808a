//! The `grpc` check type: asks a server for the health of a service, by `grpc.health.v1`.

mod call;
mod message;

use bytes::Bytes;
use http::{HeaderMap, Request};
use watchpost_model::{GrpcEvidence, GrpcSettings, ProbeSettings, Reason, ReasonCode, Task, TypeEvidence, shorten};

use self::call::Answer;
use self::message::{decoded, serving_status, status_name};
use crate::assertions::{Findings, conclude};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::secret::Secrets;
use crate::wire::Wire;
use crate::{BoxFuture, Probe, Verdict, failure};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 256 * 1024;
const ALPN: &[&[u8]] = &[b"h2"];
const PATH: &str = "/grpc.health.v1.Health/Check";

/// Executes `grpc` checks.
#[derive(Debug)]
pub(crate) struct GrpcProbe {
    context: ProbeContext,
}

impl GrpcProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Grpc(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(task.probe.target_name());
        let to = Destination::of(task, &settings.address, &settings.route).by_method("POST");
        match self.ask(to, settings, recorder).await {
            Ok(evidence) => {
                recorder.of_type(TypeEvidence::Grpc(evidence.clone()));
                let mut findings = Findings::default();
                findings.health(&evidence, settings, &to.whom(recorder.position().address));
                conclude(&self.context, task, recorder, findings, || {
                    serde_json::json!({
                        "serving_status": evidence.serving_status,
                        "grpc_status": evidence.grpc_status,
                        "grpc_message": evidence.grpc_message.as_deref().unwrap_or_default(),
                    })
                })
            }
            Err(broken) => {
                let host = settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
                broken.verdict(to, host.map_or(to.host, |name| name.as_str()), recorder)
            }
        }
    }

    async fn ask(
        &self,
        to: Destination<'_>,
        settings: &GrpcSettings,
        recorder: &Recorder,
    ) -> Result<GrpcEvidence, Broken> {
        let request = request(settings).map_err(|error| {
            let message = format!("no call can be made to {}: {error}", settings.address);
            Broken::Judged(Verdict::error(Reason::new(ReasonCode::InvalidTarget, message)))
        })?;
        let tls = settings.tls.as_ref().map(|tls| (tls, ALPN));
        let wire = Wire::open(&self.context, to, tls, READ_BYTES_MAX, recorder).await?;
        // The server does not know that this call is the only one, so it is we who close.
        wire.end_by_reset();
        let service = settings.service.as_ref().map_or("", |service| service.as_str());
        let answer = call::call(wire, request, Bytes::from(message::request(service)), recorder).await?;
        let sent = settings.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        read(&answer, &Secrets::of_headers(sent, None), recorder)
    }
}

impl Probe for GrpcProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

fn request(settings: &GrpcSettings) -> Result<Request<()>, http::Error> {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let mut request = Request::post(format!("{scheme}://{}{PATH}", settings.address))
        .version(http::Version::HTTP_2)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("user-agent", concat!("watchpost/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &settings.metadata {
        request = request.header(name.as_str(), value.as_str());
    }
    request.body(())
}

/// What the answer tells. Where the server is no gRPC server, that is noted, and an error.
fn read(answer: &Answer, secrets: &Secrets, recorder: &Recorder) -> Result<GrpcEvidence, Broken> {
    let http_status = answer.status.as_u16();
    let mut evidence = GrpcEvidence { http_status, ..GrpcEvidence::default() };
    // A call that fails at once has its status where others have their headers.
    let trailers = answer.trailers.as_ref().filter(|trailers| trailers.contains_key("grpc-status"));
    let ending = trailers.unwrap_or(&answer.headers);
    let Some(status) = text(ending, "grpc-status") else {
        recorder.of_type(TypeEvidence::Grpc(evidence));
        let kind = text(&answer.headers, "content-type").unwrap_or_default();
        return Err(Broken::garbage(if kind.starts_with("application/grpc") {
            "ended the call without telling its status".to_owned()
        } else {
            format!("is no gRPC server: it answered with the HTTP status {http_status} and the content type `{kind}`")
        }));
    };
    let number =
        status.parse().map_err(|_| Broken::garbage(format!("told the status `{status}`, which is no number")))?;
    evidence.grpc_status = Some(number);
    evidence.grpc_message = ending.get("grpc-message").map(|message| secrets.hide_in(decoded(message.as_bytes())));
    if number == 0 {
        let told = serving_status(&answer.message);
        evidence.serving_status =
            Some(told.map_err(|why| Broken::garbage(format!("sent a health that {why}")))?.to_owned());
    }
    Ok(evidence)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    Some(shorten(&value, 100).into_owned())
}

impl Findings {
    /// Whether the service is healthy, as `whom` tells it.
    fn health(&mut self, evidence: &GrpcEvidence, settings: &GrpcSettings, whom: &str) {
        let service = match &settings.service {
            Some(service) => format!("the service `{}`", shorten(service.as_str(), 100)),
            None => "the server".to_owned(),
        };
        let status = evidence.grpc_status.unwrap_or_default();
        let (code, actual) = match &evidence.serving_status {
            Some(serving) => {
                let is_known = !matches!(serving.as_str(), "SERVICE_UNKNOWN" | "UNKNOWN");
                (if is_known { ReasonCode::NotServing } else { ReasonCode::ServiceUnknown }, serving.clone())
            }
            None => (code_of(status), status_name(status)),
        };
        let passed = evidence.serving_status.as_deref() == Some("SERVING");
        let said = evidence.grpc_message.as_deref().filter(|message| !message.is_empty());
        let said = said.map(|message| format!(" (\"{message}\")")).unwrap_or_default();
        self.note(code.clone(), format!("{service} is SERVING"), passed, actual, |actual| match code {
            ReasonCode::NotServing => format!("{whom} says that {service} is {actual}"),
            ReasonCode::ServiceUnknown if status == 0 => {
                format!("{whom} does not know the health of {service}: it says {actual}")
            }
            ReasonCode::ServiceUnknown => {
                format!("{whom} does not know {service}: it answered the call with {actual}{said}")
            }
            ReasonCode::NotImplemented => {
                format!("{whom} does not offer grpc.health.v1: it answered the call with {actual}{said}")
            }
            _ => format!("{whom} answered the call with {actual}{said}"),
        });
    }
}

/// The reason that the call's status stands for.
fn code_of(status: u32) -> ReasonCode {
    match status {
        5 => ReasonCode::ServiceUnknown,
        7 | 16 => ReasonCode::AuthFailed,
        12 => ReasonCode::NotImplemented,
        8 | 14 => ReasonCode::NotReady,
        _ => ReasonCode::GrpcStatus,
    }
}
