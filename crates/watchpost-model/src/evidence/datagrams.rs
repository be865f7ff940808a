//! What came back to datagrams.

use serde::{Deserialize, Serialize};

/// What came back to echo requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IcmpEvidence {
    /// By what kind of socket they were sent: `datagram`, which needs no privilege, or `raw`.
    pub socket: String,
    /// How many were sent.
    pub sent: u32,
    /// How many of them were answered.
    pub received: u32,
    /// How many of them were not, in percent.
    pub loss_percent: f64,
    /// How many replies came more than once.
    #[serde(default)]
    pub duplicates: u32,
    /// The times from request to reply, in ms; absent where there was no reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<RoundTrips>,
    /// What routers or the host said of requests that they did not deliver, each once; the first 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// Times from request to reply, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoundTrips {
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub avg: f64,
    /// The longest.
    pub max: f64,
    /// The standard deviation.
    pub stddev: f64,
}

/// What a time server answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NtpEvidence {
    /// The version of the protocol that it speaks.
    pub version: u8,
    /// How many steps it is away from a reference clock; 0 and 16 where it knows no time.
    pub stratum: u8,
    /// Whether a leap second is due: `none`, `insert`, `delete`; or `unsynchronised`.
    pub leap: String,
    /// Where it has its time from: an address, or the kind of a reference clock, or its kiss-o'-death.
    pub reference_id: String,
    /// How far its clock is ahead of this machine's, in ms; absent where it knows no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<f64>,
    /// How long question and answer were under way, in ms; absent where it knows no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<f64>,
    /// How long they are from the server to the reference clock and back, in ms.
    pub root_delay_ms: f64,
    /// How far the server may be off the reference clock, in ms.
    pub root_dispersion_ms: f64,
    /// How many datagrams were not the answer to this question, and were ignored.
    #[serde(default)]
    pub ignored: u32,
}
