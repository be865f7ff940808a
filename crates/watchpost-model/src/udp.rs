//! Settings of the `udp` check type.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::dialogue::{Sent, SentHex};
use crate::expect::Pattern;
use crate::network::RouteSettings;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;
use crate::time::Wait;

/// The most bytes that are sent.
const SENT_BYTES_MAX: usize = 4096;

text_type!(
    /// Bytes in base64, with padding, at most 4 KiB of them.
    SentBase64,
    "the bytes to send",
    8 * 1024,
    |text| match base64(text) {
        Some(bytes) if bytes.len() <= SENT_BYTES_MAX => Ok(()),
        Some(bytes) => Err(format!("there are {} bytes to send: expected at most {SENT_BYTES_MAX}", bytes.len())),
        None => Err(format!("`{}` is not in base64: expected for example `AP8=`", crate::shorten(text, 40))),
    }
);

impl SentBase64 {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        // Invariant: `base64` accepted this very text when the value was made.
        base64(self.as_str()).unwrap_or_default()
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64.decode(text.as_bytes()).ok()
}

/// What a `udp` check does: send a datagram, then wait for an answer, or for word that nobody is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UdpSettings {
    /// Where to send: `host:port`.
    pub address: HostPort,
    /// The text to send. Without any of the three the datagram is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Sent>,
    /// Bytes to send, in hexadecimal, in place of `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_hex: Option<SentHex>,
    /// Bytes to send, in base64, in place of `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_base64: Option<SentBase64>,
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
        let (send, send_hex, send_base64) = (None, None, None);
        Self { address, send, send_hex, send_base64, expect: None, wait: None, route: RouteSettings::default() }
    }

    /// What to send.
    pub fn payload(&self) -> Vec<u8> {
        match (&self.send, &self.send_hex, &self.send_base64) {
            (Some(text), ..) => text.as_str().as_bytes().to_vec(),
            (_, Some(hex), _) => hex.bytes(),
            (_, _, Some(base64)) => base64.bytes(),
            (None, None, None) => Vec::new(),
        }
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
        let given = [self.send.is_some(), self.send_hex.is_some(), self.send_base64.is_some()];
        match given.into_iter().filter(|given| *given).count() {
            0 | 1 => Ok(()),
            _ => Err("`udp` has more than one of `send`, `send_hex` and `send_base64`: expected one".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_a_text_or_bytes() {
        let read = |more: &str| serde_json::from_str::<UdpSettings>(&format!(r#"{{"address": "a:1"{more}}}"#));
        for (more, payload) in [
            ("", b"".as_slice()),
            (r#", "send": "ping\r\n""#, b"ping\r\n"),
            (r#", "send_hex": "00 fF""#, &[0, 255]),
            (r#", "send_base64": "AP8=""#, &[0, 255]),
        ] {
            assert_eq!(read(more).unwrap().payload(), payload, "{more}");
        }
        for bad in [r#", "send_hex": "0""#, r#", "send_base64": "AP8""#, r#", "send_base64": "A-==""#] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = data_encoding::BASE64.encode(&[0; SENT_BYTES_MAX + 1]);
        assert!(long.parse::<SentBase64>().unwrap_err().to_string().contains("4097 bytes"));
        let both = read(r#", "send": "a", "send_hex": "00""#).unwrap().validate().unwrap_err();
        assert!(both.contains("expected one"), "{both}");
    }
}
