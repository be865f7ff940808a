//! What a name server answered.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a name server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DnsEvidence {
    /// The address of the server; absent where it came to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub server: Option<SocketAddr>,
    /// Whether the check names no server, and the first one was asked that names are resolved with.
    #[serde(default)]
    pub system_server: bool,
    /// How the answer came: `udp`, `tcp`, `tls` or `https`.
    pub transport: String,
    /// Whether an answer by UDP was cut short, so that TCP was asked as well.
    #[serde(default)]
    pub tcp_fallback: bool,
    /// The question, such as `A example.com.`
    pub question: String,
    /// How the server calls its answer, such as `nxdomain`; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcode: Option<String>,
    /// The flags that are set, of `aa`, `tc`, `rd`, `ra`, `ad` and `cd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// The records that answer the question; the first 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<DnsRecord>,
    /// How many there are.
    #[serde(default)]
    pub answer_count: u32,
    /// The records that say who knows better; the first 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authority: Vec<DnsRecord>,
    /// How many there are.
    #[serde(default)]
    pub authority_count: u32,
    /// How many records came along, without that of EDNS.
    #[serde(default)]
    pub additional_count: u32,
    /// The size of the answer, in bytes.
    #[serde(default)]
    pub response_bytes: u32,
    /// How many messages were not the answer to this question, and were ignored.
    #[serde(default)]
    pub ignored: u32,
}

/// A record of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DnsRecord {
    /// Whose it is.
    pub name: String,
    /// Its type, such as `A`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Its data as a zone file has it, cut off where it is long.
    pub data: String,
}
