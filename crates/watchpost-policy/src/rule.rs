//! The rules of a policy as they are written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use watchpost_model::CheckType;

use crate::dial::Purpose;
use crate::host::HostPattern;
use crate::network::Network;
use crate::{PolicyError, text};

/// The most entries of each list of a rule.
pub(crate) const ENTRIES_MAX: usize = 1_000;

/// One rule: a name, and either what it allows or what it denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How refusals and explanations call it.
    pub name: RuleName,
    /// What it allows. Exactly one of `allow` and `deny` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Matcher>,
    /// What it denies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Matcher>,
}

/// What a rule is about. Everything that is given must hold; what is left out holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Matcher {
    /// Check types: 1 to 1 000.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub types: Option<Vec<CheckType>>,
    /// Networks that hold the address to connect to.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub networks: Option<Vec<Network>>,
    /// Ports, and ranges of them such as `8000-8999`. What has no port, as an echo request, is never among them.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub ports: Option<Vec<Ports>>,
    /// Names that the check, or a redirect, gives: `api.corp.example`, or `*.corp.example` for all below it. A check that
    /// gives an address is never among them.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub hosts: Option<Vec<HostPattern>>,
    /// Methods of HTTP requests. What is no HTTP request is never among them.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub methods: Option<Vec<MethodName>>,
    /// What the connection is for: `target`, `redirect`, `proxy`, `name_server` or `source`.
    #[serde(deserialize_with = "text::some::<_, _, ENTRIES_MAX>", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_000))]
    pub purposes: Option<Vec<Purpose>>,
}

/// The name of a rule: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleName(Box<str>);

impl RuleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleName {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        match !given.is_empty() && given.len() <= 64 && given.bytes().all(permitted) {
            true => Ok(Self(given.into())),
            false => Err(PolicyError::new(format!(
                "`{}` is not the name of a rule: expected 1 to 64 letters, digits, `-`, `_` and `.`",
                watchpost_model::shorten(given, 80)
            ))),
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text::by_text!(RuleName, "the name of a rule", 256, "^[A-Za-z0-9_.-]{1,64}$");

/// The method of an HTTP request, in any case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MethodName(Box<str>);

impl MethodName {
    pub(crate) fn is(&self, method: &str) -> bool {
        self.0.eq_ignore_ascii_case(method)
    }
}

impl FromStr for MethodName {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        match !given.is_empty() && given.len() <= 64 && given.bytes().all(permitted) {
            true => Ok(Self(given.to_ascii_uppercase().into())),
            false => Err(PolicyError::new(format!(
                "`{}` is not a method: expected for example `GET`",
                watchpost_model::shorten(given, 40)
            ))),
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text::by_text!(MethodName, "a method such as GET", 256, "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$");

/// A port, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    pub(crate) fn contain(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn between(first: u64, last: u64) -> Option<Self> {
        let port = |given| u16::try_from(given).ok().filter(|port| *port > 0);
        let ports = Self { first: port(first)?, last: port(last)? };
        (ports.first <= ports.last).then_some(ports)
    }
}

impl FromStr for Ports {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u64>().ok(),
            false => None,
        };
        let (first, last) = given.split_once('-').unwrap_or((given, given));
        number(first.trim()).zip(number(last.trim())).and_then(|(first, last)| Self::between(first, last)).ok_or_else(
            || {
                let shown = watchpost_model::shorten(given, 40);
                PolicyError::new(format!(
                    "`{shown}` is not a port: expected a number from 1 to 65535, or a range such as `8000-8999`"
                ))
            },
        )
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.first == self.last {
            true => serializer.serialize_u16(self.first),
            false => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrRange;

        impl serde::de::Visitor<'_> for NumberOrRange {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, or a range such as 8000-8999")
            }

            fn visit_u64<E: serde::de::Error>(self, port: u64) -> Result<Ports, E> {
                Ports::between(port, port)
                    .ok_or_else(|| E::custom(format_args!("port {port} is out of range: expected 1 to 65535")))
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<Ports, E> {
                self.visit_u64(u64::try_from(port).unwrap_or_default())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(NumberOrRange)
    }
}

impl schemars::JsonSchema for Ports {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a port, or a range such as 8000-8999",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": "^ *[0-9]{1,5} *(- *[0-9]{1,5} *)?$" },
            ],
        })
    }
}
