//! Settings of the `tcp` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::Field;

use crate::dialogue::{self, DialogueStep};
use crate::expect::Pattern;
use crate::network::{RouteSettings, TlsSettings};
use crate::payload::Payload;
use crate::probe::TypeSettings;
use crate::target::HostPort;

/// What a `tcp` check does: connect, then optionally send, then optionally wait for an answer; or go through the
/// steps of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// What to send once connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Payload>,
    /// A regular expression that what the peer sends must match; at most 64 KiB are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// A dialogue of at most 32 steps, in place of `send` and `expect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "dialogue::steps")]
    #[schemars(length(max = 32))]
    pub steps: Vec<DialogueStep>,
    /// TLS from the start: `{}`, or how it is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl TcpSettings {
    /// Connects to `address` and does no more.
    pub fn connect(address: HostPort) -> Self {
        Self { address, send: None, expect: None, steps: Vec::new(), tls: None, route: RouteSettings::default() }
    }
}

impl TypeSettings for TcpSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = dialogue::VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        self.address.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        dialogue::validate("tcp", &self.steps, self.send.is_some() || self.expect.is_some(), self.tls.is_some())
    }

    fn verifies_host(&self) -> bool {
        dialogue::verifies_target(self.tls.as_ref(), &self.steps)
    }
}
