//! Settings of the `ntp` check type.

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::network::RouteSettings;
use crate::probe::TypeSettings;
use crate::server::ServerAddress;
use crate::target::HostPort;
use crate::time::Offset;

const PORT: u16 = 123;
/// The stratum of a server that has no source of time (RFC 5905, section 7.3).
const STRATUM_UNSYNCHRONISED: u8 = 16;

/// What an `ntp` check does: ask a server for the time, and compare it with this machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NtpSettings {
    /// The server to ask: `host` or `host:port`; the port is 123 if left out.
    pub server: ServerAddress,
    /// How far the server's clock may be from this machine's, either way, at most `24h`; as far as it likes
    /// if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_offset: Option<Offset>,
    /// How many steps the server may be away from a reference clock: 1 to 15; 15 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub max_stratum: Option<u8>,
    /// By which way the server is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl NtpSettings {
    /// Asks `server`, and expects only that it knows the time.
    pub fn ask(server: ServerAddress) -> Self {
        Self { server, max_offset: None, max_stratum: None, route: RouteSettings::default() }
    }
}

/// What expressions may ask of a time server's answer.
const VARIABLES: &[Field] = &[
    Field::new("stratum", Type::Int, "how many steps the server is away from a reference clock"),
    Field::new("leap", Type::String, "`none`, `insert`, `delete` or `unsynchronised`"),
    Field::new("reference_id", Type::String, "where the server has its time from"),
    Field::new("version", Type::Int, "the version of the protocol"),
    Field::new("offset_ms", Type::Double, "how far the server's clock is ahead of this machine's, in ms"),
    Field::new("delay_ms", Type::Double, "how long question and answer were under way, in ms"),
    Field::new("root_delay_ms", Type::Double, "how long they are from the server to the reference clock, in ms"),
    Field::new("root_dispersion_ms", Type::Double, "how far the server may be off the reference clock, in ms"),
];

impl TypeSettings for NtpSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.server.or_port(PORT))
    }

    fn target_name(&self) -> String {
        self.server.or_port(PORT).to_string()
    }

    fn validate(&self) -> Result<(), String> {
        match self.max_stratum {
            Some(stratum @ (0 | STRATUM_UNSYNCHRONISED..)) => {
                Err(format!("`ntp.max_stratum` is {stratum}: expected 1 to 15"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_all_that_is_needed() {
        let least: NtpSettings = serde_json::from_str(r#"{"server": "ntp.example"}"#).unwrap();
        assert_eq!(least, NtpSettings::ask("ntp.example".parse().unwrap()));
        assert_eq!(least.target_name(), "ntp.example:123");
        for stratum in [0, 16] {
            let settings = NtpSettings { max_stratum: Some(stratum), ..least.clone() };
            assert!(settings.validate().unwrap_err().contains("1 to 15"));
        }
    }
}
