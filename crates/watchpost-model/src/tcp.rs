//! Settings of the `tcp` check type.

use serde::{Deserialize, Serialize};

use crate::expect::Pattern;
use crate::network::RouteSettings;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

text_type!(
    /// Text to send over a connection, at most 4 KiB.
    Sent,
    "the text to send",
    4096,
    |_| Ok(())
);

/// What a `tcp` check does: connect, then optionally send, then optionally wait for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// Text to send once connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Sent>,
    /// A regular expression that what the peer sends must match; at most 64 KiB are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl TcpSettings {
    /// Connects to `address` and does no more.
    pub fn connect(address: HostPort) -> Self {
        Self { address, send: None, expect: None, route: RouteSettings::default() }
    }
}

impl TypeSettings for TcpSettings {
    const EXPECTS: &'static [&'static str] = &[];

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        self.address.to_string()
    }
}
