//! What a check points at, and the endpoints that it resolves to.

mod host_port;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::host_port::HostPort;
pub(crate) use self::host_port::validate_host;
use crate::Invalid;
use crate::targets::{Labels, SourceReport};

/// The most addresses in a static list.
pub const ADDRESSES_MAX: usize = 10_000;
/// The longest name of an endpoint, in bytes.
const ENDPOINT_BYTES_MAX: usize = 512;

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
