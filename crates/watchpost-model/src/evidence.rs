//! What a check saw on its way to an outcome, for whoever wants to know why.

mod dns;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use self::dns::{DnsEvidence, DnsRecord};

/// One hop of a check: the only one, or one of a chain of redirects or steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HopReport {
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
    /// Of a program that was run.
    Exec(ExecEvidence),
    /// Of a name server.
    Dns(DnsEvidence),
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

/// What a program that was run did and said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExecEvidence {
    /// The code with which it ended; absent where a signal ended it, or nothing has yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, for example `SIGSEGV`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The first line that it printed, up to the performance data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The beginning of what else it printed; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_excerpt: Option<String>,
    /// The beginning of what it printed to stderr; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_excerpt: Option<String>,
    /// How many bytes it printed to stdout.
    pub stdout_bytes: u64,
    /// How many bytes it printed to stderr.
    pub stderr_bytes: u64,
    /// Whether it printed more than is looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whether something that it left running, in a process group of its own, still held its output open
    /// when it had ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_held_open: bool,
    /// Its performance data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perfdata: Vec<PerfDatum>,
    /// How many pieces of performance data were passed over: they could not be read, or were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub perfdata_passed_over: u32,
}

/// One piece of performance data, in base units: seconds, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PerfDatum {
    /// What was measured.
    pub label: String,
    /// The value; absent where the program could not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The unit: `seconds`, `bytes`, `percent`, `total` of what only counts up, or as the program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The range beyond which the program warns, as it wrote it, in the unit that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The range beyond which it is critical, as it wrote it, in the unit that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<String>,
    /// The least value there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
