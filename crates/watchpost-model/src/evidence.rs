//! What a check saw on its way to an outcome, for whoever wants to know why.

mod databases;
mod datagrams;
mod dns;
mod exec;
mod heartbeat;
mod mail;
mod services;
mod steps;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use self::databases::{MysqlEvidence, PostgresEvidence, RedisEvidence};
pub use self::datagrams::{IcmpEvidence, NtpEvidence, RoundTrips};
pub use self::dns::{DnsEvidence, DnsRecord};
pub use self::exec::{ExecEvidence, PerfDatum};
pub use self::heartbeat::HeartbeatEvidence;
pub use self::mail::MailEvidence;
pub use self::services::{GrpcEvidence, SshEvidence, WebsocketEvidence};
pub use self::steps::{StepReport, StepsEvidence};

/// One hop of a check: the only one, or one of a chain of redirects or steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HopReport {
    /// The step of a flow that it belongs to: its number, and its name where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What it asked for: a URL, or host and port.
    pub target: String,
    /// The addresses that the name resolved to, in the order in which they are tried; empty where no
    /// name had to be resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub resolved: Vec<IpAddr>,
    /// The address that was connected to; where none was, the one that was tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
    /// The status code that an HTTP server answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Its phases, in the order of their beginning.
    #[serde(default)]
    pub spans: Vec<PhaseSpan>,
}

/// When a phase of a hop began, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PhaseSpan {
    /// The phase.
    pub phase: Phase,
    /// When it began, in µs after the task's `started_at`.
    pub start_us: u64,
    /// How long it took, in µs.
    pub took_us: u64,
}

/// A phase of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Resolving the name.
    Dns,
    /// Connecting by TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for the first byte of the answer.
    FirstByte,
    /// Reading the answer.
    Receive,
    /// Running a program.
    Run,
}

impl Phase {
    /// The word on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::FirstByte => "first_byte",
            Self::Receive => "receive",
            Self::Run => "run",
        }
    }
}

/// What an answer of a type other than `http` was made of: `{"dialogue": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeEvidence {
    /// Of an exchange of texts.
    Dialogue(DialogueEvidence),
    /// Of a name server.
    Dns(DnsEvidence),
    /// Of echo requests.
    Icmp(IcmpEvidence),
    /// Of a gRPC server.
    Grpc(GrpcEvidence),
    /// Of a WebSocket server.
    Websocket(WebsocketEvidence),
    /// Of an SSH server.
    Ssh(SshEvidence),
    /// Of a mail server.
    Mail(MailEvidence),
    /// Of a Redis server.
    Redis(RedisEvidence),
    /// Of a PostgreSQL server.
    Postgres(PostgresEvidence),
    /// Of a MySQL or MariaDB server.
    Mysql(MysqlEvidence),
    /// Of a time server.
    Ntp(NtpEvidence),
    /// Of a program that was run.
    Exec(ExecEvidence),
    /// Of a job that reports in by itself.
    Heartbeat(HeartbeatEvidence),
    /// Of a flow of requests.
    Steps(StepsEvidence),
}

/// What was said in an exchange of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DialogueEvidence {
    /// How many bytes the check sent.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub sent_bytes: u64,
    /// How many bytes the peer sent.
    pub received_bytes: u64,
    /// How many steps came to a good end, where the check has steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_done: Option<u32>,
    /// What groups captured, by name; secrets left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// Who said what; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transcript: Vec<Turn>,
    /// The beginning of what the peer sent; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_excerpt: Option<String>,
}

/// What one side said before the other did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Turn {
    /// Who said it.
    pub by: Side,
    /// Where in the dialogue, for example `step 2` or `EHLO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How many bytes it had.
    pub bytes: u64,
    /// Its beginning, without secrets.
    pub excerpt: String,
}

/// One of those who take part in a dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The check.
    Check,
    /// Its target.
    Peer,
}

fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}
