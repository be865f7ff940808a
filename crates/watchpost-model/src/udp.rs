//! Settings of the `udp` check type.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::expect::Pattern;
use crate::network::RouteSettings;
use crate::payload::Payload;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::time::Wait;

/// The most that a datagram carries by IPv4, in bytes.
pub const DATAGRAM_SENT_BYTES_MAX: usize = 65_507;

/// What a `udp` check does: send a datagram, then wait for an answer, or for word that nobody is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpSettings {
    /// Where to send: `host:port`.
    pub address: HostPort,
    /// What to send, at most 65507 bytes; if left out, the datagram is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Payload>,
    /// A regular expression that a datagram which comes back must match. If left out, none need come
    /// back, and the check passes unless the network says that what was sent could not be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// How long to listen, at most `1m`; `1s` if left out. Without `expect`: for word that nobody is there.
    /// With it: for another datagram, after one that does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl UdpSettings {
    /// Sends an empty datagram to `address`, and expects that nobody refuses it.
    pub fn send(address: HostPort) -> Self {
        Self { address, send: None, expect: None, wait: None, route: RouteSettings::default() }
    }

    /// How long to listen.
    pub fn wait(&self) -> Duration {
        self.wait.map_or(Wait::DEFAULT, Wait::get)
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("answered", Type::Bool, "whether anything came back"),
    Field::new("received", Type::String, "what came back: the datagram that matched, or else the last one")
        .absent_because("nothing came back"),
    Field::new("received_bytes", Type::Int, "its size, in bytes"),
    Field::new("captures", Type::Map(&Type::String), "what the groups of `expect` that have names captured"),
];

impl TypeSettings for UdpSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        self.address.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        let bytes = self.send.as_ref().and_then(|send| send.bytes().ok()).map_or(0, |bytes| bytes.len());
        match bytes {
            0..=DATAGRAM_SENT_BYTES_MAX => Ok(()),
            more => Err(format!("`udp.send` has {more} bytes: a datagram carries at most {DATAGRAM_SENT_BYTES_MAX}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_fits_into_a_datagram() {
        let validated = |length: usize| {
            let json = serde_json::json!({"address": "a:1", "send": "x".repeat(length)});
            serde_json::from_value::<UdpSettings>(json).unwrap().validate()
        };
        validated(DATAGRAM_SENT_BYTES_MAX).unwrap();
        assert!(validated(DATAGRAM_SENT_BYTES_MAX + 1).unwrap_err().contains("has 65508 bytes"));
    }
}
