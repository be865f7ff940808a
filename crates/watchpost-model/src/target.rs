//! What a check points at, and the endpoints that it resolves to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Invalid;
use crate::targets::{Labels, SourceReport};

/// The most addresses in a static list.
pub const ADDRESSES_MAX: usize = 10_000;
/// The longest name of an endpoint, in bytes.
const ENDPOINT_BYTES_MAX: usize = 512;
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

/// An address from a static list: with a port of its own, or with the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndpointAddress {
    ip: IpAddr,
    port: Option<u16>,
}

impl EndpointAddress {
    /// The address to connect to for a target on `target_port`.
    pub fn resolve(self, target_port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(target_port))
    }
}

impl std::str::FromStr for EndpointAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: None });
        }
        // A scope (`%2`) names an interface of one machine, and would be lost on the way to another.
        let scoped = |address: &SocketAddr| matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 && !scoped(&address) => {
                Ok(Self { ip: address.ip(), port: Some(address.port()) })
            }
            _ => Err(Invalid::new(format!(
                "`{}` is not an address: expected for example `10.0.0.1`, `10.0.0.1:8080` or `[fd00::1]:8080`",
                crate::shorten(text, 60)
            ))),
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl Serialize for EndpointAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EndpointAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "an address such as 10.0.0.1 or 10.0.0.1:8080", 64)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// An address as people read it: without a port where the protocol has none, which is then 0.
pub fn shown_address(address: SocketAddr) -> String {
    if address.port() == 0 { address.ip().to_string() } else { address.to_string() }
}

/// Which endpoints a target resolves to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Addresses {
    /// One endpoint: the Runner resolves the name when it checks, and the `dns` phase is measured.
    #[default]
    Any,
    /// One endpoint for each A and AAAA address of the name; the Checker resolves it at each run.
    All,
    /// One endpoint for each of these; the name is not resolved. At most 10 000.
    List(Vec<EndpointAddress>),
}

impl Addresses {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Any
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("any"),
            Self::All => serializer.serialize_str("all"),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrList;

        impl<'de> Visitor<'de> for WordOrList {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`any`, `all` or a list of addresses")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Addresses, E> {
                match word {
                    "any" => Ok(Addresses::Any),
                    "all" => Ok(Addresses::All),
                    other => Err(E::custom(format_args!(
                        "`{}` is not a choice of addresses: expected `any`, `all` or a list of addresses",
                        crate::shorten(other, 40)
                    ))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Addresses, A::Error> {
                let mut list: Vec<EndpointAddress> = Vec::new();
                while let Some(address) = seq.next_element()? {
                    list.push(address);
                    if list.len() > ADDRESSES_MAX {
                        return Err(A::Error::custom(format_args!(
                            "the list of addresses is too long: expected at most {ADDRESSES_MAX}"
                        )));
                    }
                }
                if list.is_empty() {
                    return Err(A::Error::custom("the list of addresses is empty: nothing would be checked"));
                }
                Ok(Addresses::List(list))
            }
        }

        deserializer.deserialize_any(WordOrList)
    }
}

impl schemars::JsonSchema for Addresses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "any: one task, the name is resolved when checking. all: one task for each A/AAAA address. A list: one task for each.",
            "anyOf": [
                { "enum": ["any", "all"] },
                { "type": "array", "minItems": 1, "maxItems": ADDRESSES_MAX, "items": { "type": "string" } },
            ],
        })
    }
}

/// What a check points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How results call it.
    pub name: String,
    /// The name or address, and port, that the check's settings name; `None` where they name none.
    pub host_port: Option<HostPort>,
    /// Which of its addresses are checked.
    pub addresses: Addresses,
}

impl Target {
    /// The endpoints that are known without asking anybody; `None` when a name must be resolved first.
    pub fn static_endpoints(&self) -> Option<Vec<Endpoint>> {
        let Some(host_port) = &self.host_port else { return Some(vec![Endpoint::named(&self.name)]) };
        match (&self.addresses, host_port.ip()) {
            (Addresses::List(list), _) => {
                let port = host_port.port();
                Some(list.iter().map(|address| Endpoint::at(address.resolve(port))).collect())
            }
            (_, Some(ip)) => Some(vec![Endpoint::at(SocketAddr::new(ip, host_port.port()))]),
            (Addresses::Any, None) => Some(vec![Endpoint::unresolved(host_port)]),
            (Addresses::All, None) => None,
        }
    }

    /// How the target as a whole is called where it stands for its endpoints.
    pub fn endpoint_name(&self) -> String {
        self.host_port.as_ref().map_or_else(|| Endpoint::named(&self.name).name, HostPort::to_string)
    }
}

/// One address that is checked by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Endpoint {
    /// How it is called in results; part of the task's id.
    #[serde(deserialize_with = "endpoint_name")]
    pub name: String,
    /// Where to connect. Absent when the Runner is to resolve the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub address: Option<SocketAddr>,
    /// What the source of the target says of it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// How the source of the target stands, unless it is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<SourceReport>>,
}

impl Endpoint {
    /// The endpoint at a known address, named by it.
    pub fn at(address: SocketAddr) -> Self {
        Self { address: Some(address), ..Self::named(&shown_address(address)) }
    }

    /// The endpoint that the Runner resolves.
    pub fn unresolved(host_port: &HostPort) -> Self {
        Self::named(&host_port.to_string())
    }

    /// The endpoint that has no address.
    pub fn named(name: &str) -> Self {
        let end = name.floor_char_boundary(ENDPOINT_BYTES_MAX);
        let name = name.get(..end).unwrap_or_default().to_owned();
        Self { name, address: None, labels: Labels::default(), source: None }
    }
}

fn endpoint_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    crate::text::deserialize(deserializer, "the endpoint's name", ENDPOINT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_reads_names_and_addresses() {
        for (text, host, port) in [("a:1", "a", 1), ("[::1]:22", "::1", 22), ("10.0.0.1:65535", "10.0.0.1", 65535)] {
            let parsed: HostPort = text.parse().unwrap();
            assert_eq!((parsed.host(), parsed.port(), parsed.to_string().as_str()), (host, port, text));
        }
        for bad in ["", "a", "a:", ":1", "a:0", "a:65536", "::1:22", "[::1]", "[a]:1", "a b:1", "a/b:1", "ä:1"] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }

    fn target(host_port: &str, addresses: Addresses) -> Target {
        Target { name: host_port.to_owned(), host_port: Some(host_port.parse().unwrap()), addresses }
    }

    #[test]
    fn a_list_gives_each_endpoint_its_address_and_the_targets_port() {
        let list = serde_json::from_str(r#"["10.0.0.1", "10.0.0.2:81", "[fd00::1]:82", "fd00::2"]"#).unwrap();
        let names: Vec<_> = target("svc:80", list).static_endpoints().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["10.0.0.1:80", "10.0.0.2:81", "[fd00::1]:82", "[fd00::2]:80"]);
    }

    #[test]
    fn only_all_addresses_of_a_name_wait_for_a_resolver() {
        assert!(target("svc:80", Addresses::All).static_endpoints().is_none());
        assert_eq!(target("svc:80", Addresses::Any).static_endpoints().unwrap()[0].address, None);
        assert_eq!(target("10.0.0.1:80", Addresses::All).static_endpoints().unwrap().len(), 1);
    }

    #[test]
    fn an_empty_list_and_what_is_no_address_are_refused() {
        for bad in ["[]", r#"["[fe80::1%2]:80"]"#, r#""some""#, r#"["10.0.0.1:0"]"#, r#"["host"]"#] {
            assert!(serde_json::from_str::<Addresses>(bad).is_err(), "{bad}");
        }
    }
}
