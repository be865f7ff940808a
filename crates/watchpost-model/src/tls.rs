//! Settings of the `tls` check type.

use serde::{Deserialize, Deserializer, Serialize};

use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

/// The most protocols that one check may offer by ALPN.
const ALPN_MAX: usize = 16;

text_type!(
    /// A protocol's name for ALPN (RFC 7301), for example `h2`.
    AlpnProtocol,
    "the name of a protocol for ALPN",
    255,
    |text| match text {
        "" => Err("the name of a protocol for ALPN is empty: expected for example `h2` or `http/1.1`".into()),
        _ => Ok(()),
    }
);

/// What a `tls` check does: connect, shake hands, and look at what the server shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsCheckSettings {
    /// Where to connect: `host:port`. The certificate must be for this host, unless `tls.server_name` names another.
    pub address: HostPort,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
    /// The protocols to offer by ALPN, best first; at most 16. The server must agree on one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "alpn")]
    #[schemars(length(max = 16))]
    pub alpn: Vec<AlpnProtocol>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl TlsCheckSettings {
    /// Shakes hands with `address`.
    pub fn handshake(address: HostPort) -> Self {
        Self { address, tls: TlsSettings::default(), alpn: Vec::new(), route: RouteSettings::default() }
    }
}

impl TypeSettings for TlsCheckSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        self.address.to_string()
    }

    fn verifies_host(&self) -> bool {
        self.tls.verifies_target()
    }
}

fn alpn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AlpnProtocol>, D::Error> {
    crate::text::list(deserializer, "protocols for ALPN", ALPN_MAX)
}
