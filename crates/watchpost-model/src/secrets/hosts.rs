//! Where a secret may be sent.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Invalid;
use crate::target::validate_host;

/// Hosts to which a secret may be sent: `vault.example`, `*.example`, `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`, each
/// perhaps with a port behind it: `vault.example:8200`, `[fd00::1]:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// This name, in lower case and without a dot at its end.
    Name(String),
    /// The names below this one: `.example`.
    Below(String),
    /// The addresses whose first bits are these.
    Network(IpAddr, u8),
}

/// What a check may do, beyond sending a bound secret over verified TLS to one of its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretAllowance {
    /// Send it without TLS, to the host itself or through a proxy.
    Plain,
    /// Take any certificate: `tls.insecure`, or `tls_mode: prefer`.
    Unverified,
    /// Trust certificate authorities of the check's own: `tls.ca_file`.
    OwnAuthority,
    /// Hold the certificate against another name: `tls.server_name`.
    ServerName,
    /// Connect to addresses that are given with the check, or that the Checker resolved, in place of the host's own.
    Address,
}

impl SecretAllowance {
    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Unverified => "unverified",
            Self::OwnAuthority => "own_authority",
            Self::ServerName => "server_name",
            Self::Address => "address",
        }
    }
}

impl HostRule {
    /// Whether `host` at `port` is one of them: a name as a name, an address as an address. No name is resolved.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|wanted| wanted != port) {
            return false;
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match (&self.hosts, host.parse::<IpAddr>()) {
            (Hosts::Network(network, bits), Ok(address)) => shares(*network, address.to_canonical(), *bits),
            (Hosts::Name(name), Err(_)) => *name == plain(host),
            (Hosts::Below(suffix), Err(_)) => plain(host).strip_suffix(suffix).is_some_and(|rest| !rest.is_empty()),
            _ => false,
        }
    }
}

/// A name without the dot at its end, in lower case.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether the first `bits` of two addresses are the same.
fn shares(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let (network, address, all) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    (network ^ address).checked_shr(all - u32::from(bits)).unwrap_or(0) == 0
}

impl std::str::FromStr for HostRule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(format!(
                "`{}` is no host that a secret may be sent to: expected for example `vault.example`, `*.example`, \
                 `10.0.0.0/8` or `vault.example:8200`",
                crate::shorten(text, 80)
            ))
        };
        let (hosts, port) = match text.rsplit_once(':') {
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => {
                let port: u16 = port.parse().map_err(|_| wrong())?;
                (host, Some(port).filter(|port| *port != 0).ok_or_else(wrong).map(Some)?)
            }
            _ => (text, None),
        };
        let bare = hosts.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(hosts);
        let hosts = Hosts::parse(bare).ok_or_else(wrong)?;
        Ok(Self { hosts, port })
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        let bits_of = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
        if let Some((network, bits)) = text.split_once('/') {
            let (network, bits): (IpAddr, u8) = (network.parse().ok()?, bits.parse().ok()?);
            return (bits <= bits_of(&network)).then_some(Self::Network(network, bits));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Network(address, bits_of(&address)));
        }
        let (name, is_below) = text.strip_prefix("*.").map_or((text, false), |suffix| (suffix, true));
        validate_host(name).ok().filter(|()| !name.contains(':') && name.parse::<IpAddr>().is_err())?;
        let name = plain(name);
        Some(if is_below { Self::Below(format!(".{name}")) } else { Self::Name(name) })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.hosts, self.port) {
            (Hosts::Name(name), _) => f.write_str(name)?,
            (Hosts::Below(suffix), _) => write!(f, "*{suffix}")?,
            (Hosts::Network(address, bits), port) => {
                let is_single = usize::from(*bits) == if address.is_ipv4() { 32 } else { 128 };
                match (is_single, port.is_some() && address.is_ipv6()) {
                    (true, true) => write!(f, "[{address}]")?,
                    (true, false) => write!(f, "{address}")?,
                    (false, true) => write!(f, "[{address}/{bits}]")?,
                    (false, false) => write!(f, "{address}/{bits}")?,
                }
            }
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for HostRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "a host that a secret may be sent to", 269)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for HostRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 269,
            "description": "a host that a secret may be sent to: a name, `*.name`, an address or a network, perhaps with a port",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_permits_its_hosts_and_no_others() {
        for (rule, permitted, refused) in [
            (
                "Vault.example",
                &["vault.example:1", "VAULT.example.:443"][..],
                &["x.vault.example:1", "vault.example.evil:1", "10.0.0.1:1"][..],
            ),
            ("*.example", &["a.example:1", "a.b.example:1"], &["example:1", "badexample:1", ".example:1"]),
            ("vault.example:8200", &["vault.example:8200"], &["vault.example:443"]),
            ("10.0.0.0/8", &["10.255.0.1:1"], &["11.0.0.1:1", "a10.0.0.1:1", "167772161:1"]),
            ("10.0.0.7:443", &["10.0.0.7:443"], &["10.0.0.7:80", "10.0.0.8:443"]),
            ("fd00::/8", &["[fd12::1]:1"], &["[fe80::1]:1", "10.0.0.1:1"]),
            ("[fd00::1]:443", &["[fd00::1]:443"], &["[fd00::1]:80", "[fd00::2]:443"]),
            ("10.0.0.7", &["[::ffff:10.0.0.7]:1"], &["[::ffff:10.0.0.8]:1"]),
            ("0.0.0.0/0", &["1.2.3.4:1"], &["[::1]:1", "a:1"]),
        ] {
            let parsed: HostRule = rule.parse().unwrap();
            let permits = |whom: &&str| {
                let (host, port) = whom.rsplit_once(':').unwrap();
                parsed.permits(host, port.parse().unwrap())
            };
            assert!(permitted.iter().all(&permits), "{rule}");
            assert!(!refused.iter().any(permits), "{rule}");
            assert_eq!(parsed.to_string().parse::<HostRule>().unwrap(), parsed, "{rule}");
        }
        for bad in ["", "*", "*.", "a b", "10.0.0.0/33", "a:0", "a:x", "https://a", "a/b", "*.10.0.0.1"] {
            assert!(bad.parse::<HostRule>().is_err(), "{bad}");
        }
    }
}
