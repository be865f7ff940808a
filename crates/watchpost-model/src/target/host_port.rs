//! A host and a port, as one text.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Invalid;

/// The longest text of a host and a port, in bytes: a template may be longer than what it stands for.
const HOST_PORT_BYTES_MAX: usize = 512;
/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// A host, by name or address, and a port where the protocol has ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Box<str>,
    port: u16,
    /// The text with its places, where it is a template: `host` and `port` are samples then.
    template: Option<Box<str>>,
}

impl HostPort {
    /// Takes a host that another parser has validated already.
    pub(crate) fn trusted(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, template: None }
    }

    /// The host and port of `address`.
    pub fn at(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string().into(), port: address.port(), template: None }
    }

    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 where the protocol has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(template) = &self.template {
            return f.write_str(template);
        }
        match self.port {
            0 => f.write_str(&self.host),
            port if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

impl std::str::FromStr for HostPort {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !crate::template::is_template(text) {
            return Self::concrete(text);
        }
        let concrete = |text: &str| Self::concrete(text).map(drop).map_err(|e| e.to_string());
        crate::template::accept("HostPort", text, concrete).map_err(Invalid::new)?;
        let sampled = crate::template::sampled("HostPort", text, |text| Self::concrete(text).is_ok());
        Ok(Self { template: Some(text.into()), ..Self::concrete(&sampled)? })
    }
}

impl HostPort {
    fn concrete(text: &str) -> Result<Self, Invalid> {
        let wrong = |why: &str| {
            Invalid::new(format!(
                "`{}` is not host:port ({why}): expected for example `db.example:5432` or `[::1]:22`",
                crate::shorten(text, 80)
            ))
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
        let port: u16 = port.parse().map_err(|_| wrong("the port is not a number from 1 to 65535"))?;
        if port == 0 {
            return Err(wrong("port 0"));
        }
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => {
                v6.parse::<Ipv6Addr>().map_err(|_| wrong("not an IPv6 address in the brackets"))?;
                v6
            }
            None if host.contains(':') => return Err(wrong("an IPv6 address wants brackets")),
            None => host,
        };
        validate_host(host).map_err(wrong)?;
        Ok(Self::trusted(host, port))
    }
}

pub(crate) fn validate_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("no host");
    }
    if host.len() > HOST_BYTES_MAX {
        return Err("the host is longer than 253 bytes");
    }
    let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if !host.bytes().all(permitted) {
        return Err("the host has characters that no host name has");
    }
    Ok(())
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("HostPort", &self.to_string())
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "host:port", HOST_PORT_BYTES_MAX)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for HostPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostPort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "host:port, for example db.example:5432 or [::1]:22" })
    }
}
