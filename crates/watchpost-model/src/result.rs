//! The message that reports a task's outcome, with timings and evidence.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::codec::Message;
use crate::evidence::{HopReport, TypeEvidence};
use crate::id::{BastionId, CheckId, RunId, RunnerId, TaskId};
use crate::message::V1;
use crate::outcome::{Outcome, Reason};
use crate::probe::CheckType;
use crate::target::Endpoint;
use crate::targets::{Labels, SourceReport};

/// How one task ended. There is exactly one for each task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskResult {
    /// The protocol version, 1.
    pub v: V1,
    /// The task that ended.
    pub task: TaskId,
    /// The check that it ran.
    pub check: CheckId,
    /// The firing that it belongs to.
    pub run: RunId,
    /// The bastion that ran it.
    pub bastion: BastionId,
    /// The Runner that reports; absent where the Checker settled the task itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerId>,
    /// The type of check; absent where no check could be made of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_type: Option<CheckType>,
    /// What was checked.
    pub target: TargetReport,
    /// When the run was due.
    #[schemars(with = "String")]
    pub scheduled_at: Timestamp,
    /// When a worker began; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When the outcome was known.
    #[schemars(with = "String")]
    pub finished_at: Timestamp,
    /// How long the task waited for a worker, in µs.
    pub queue_wait_us: u64,
    /// Counts the tries of this run against this endpoint, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// How long each phase took, in µs.
    #[serde(default)]
    pub phases_us: PhasesUs,
    /// The hops that the check went through, each with its phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<HopReport>,
    /// What was expected and what was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<AssertionReport>,
    /// Evidence of an `http` check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpEvidence>,
    /// Evidence of a TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsEvidence>,
    /// Evidence of the check's type, where that is not `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<TypeEvidence>,
    /// Numbers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The generation of the configuration that the check came from.
    #[serde(default)]
    pub config_generation: u64,
}

impl Message for TaskResult {
    const NAME: &'static str = "result";
    const BYTES_MAX: usize = 512 * 1024;
}

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TargetReport {
    /// The target as configured: a URL, or host and port.
    pub name: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The address that was connected to, where it got that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
    /// What the source of the target says of it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// How the source of the target stands, unless it is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<SourceReport>>,
}

impl TargetReport {
    /// The endpoint of a target that is called `name`.
    pub fn new(name: String, endpoint: &Endpoint) -> Self {
        let Endpoint { name: endpoint, address, labels, source } = endpoint.clone();
        Self { name, endpoint, address, labels, source }
    }
}

/// How long each phase took, in µs. A phase that was not reached or does not apply is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PhasesUs {
    /// Resolving the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<u64>,
    /// Connecting by TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<u64>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<u64>,
    /// Sending the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<u64>,
    /// From the connection being ready to the first byte of the answer; includes `send` where that
    /// is not measured by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
    /// Reading the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<u64>,
    /// Running a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// From the worker's start to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// One assertion and what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssertionReport {
    /// What was expected.
    pub expr: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was seen.
    pub actual: String,
}

/// What an HTTP server answered; of several hops the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HttpEvidence {
    /// The status code.
    pub status: u16,
    /// The protocol version, for example `HTTP/1.1`.
    pub version: String,
    /// The answer's headers, by name in lower case; bounded in number and size, secrets left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How much of the body was read, in bytes, after decompression.
    pub body_bytes: u64,
    /// Whether the body went on beyond what a check reads.
    #[serde(default)]
    pub body_truncated: bool,
    /// SHA-256 of what was read of the body, in hexadecimal; absent where nothing was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// The beginning of the body; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_excerpt: Option<String>,
    /// Where redirects led, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<String>,
}

/// What a TLS handshake showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TlsEvidence {
    /// The protocol version, for example `TLSv1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cipher suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<String>,
    /// The protocol of the application that was agreed on by ALPN, for example `h2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// Whether the server's certificate is valid, for the host and by somebody who is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What is wrong with the server's certificate, where the check takes it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// Whether the server's certificate names itself as its issuer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_signed: bool,
    /// Whether the server asked for a certificate of the client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_certificate_asked: bool,
    /// When the server's certificate begins to be valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub not_before: Option<Timestamp>,
    /// When the server's certificate expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub not_after: Option<Timestamp>,
    /// The server certificate's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The server certificate's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The server certificate's serial number, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The kind of the server's key: `RSA`, `EC P-256`, `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// The size of the server's key, in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_bits: Option<u32>,
    /// By which algorithm the server's certificate is signed, for example `ecdsa-with-SHA256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<String>,
    /// SHA-256 of the server's certificate, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The names that the server's certificate is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
    /// The subjects of the certificates that the server sent, its own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The certificates that the server sent beside its own, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intermediates: Vec<IssuerReport>,
}

/// A certificate that a server sent beside its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IssuerReport {
    /// Whom it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub not_after: Option<Timestamp>,
}
