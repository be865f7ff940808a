//! Targets that a Kubernetes cluster has.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::http::HttpUrl;
use crate::network::FilePath;
use crate::text::text_type;

text_type!(
    /// The name of a namespace or service.
    KubernetesName,
    "a name of Kubernetes",
    253,
    |text| {
        let permitted = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        match !text.is_empty() && text.bytes().all(permitted) {
            true => Ok(()),
            false => Err(format!(
                "`{}` is not a name of Kubernetes: expected lower-case letters, digits, `-` and `.`",
                crate::shorten(text, 80)
            )),
        }
    }
);

text_type!(
    /// A label selector, as `kubectl -l` takes it.
    KubernetesSelector,
    "the label selector",
    1024,
    |text| match text.is_empty() || !text.is_ascii() || text.contains(|c: char| c.is_control()) {
        true => Err("the label selector is empty or holds what none holds: expected for example `app=web`".into()),
        false => Ok(()),
    }
);

/// The port of a service, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KubernetesPort {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(Box<str>),
}

impl Serialize for KubernetesPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u16(*number),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for KubernetesPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl Visitor<'_> for NumberOrName {
            type Value = KubernetesPort;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number or the name of a port")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<KubernetesPort, E> {
                match u16::try_from(number) {
                    Ok(number) if number > 0 => Ok(KubernetesPort::Number(number)),
                    _ => Err(E::custom(format_args!("port {number} is out of range: expected 1 to 65535"))),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<KubernetesPort, E> {
                self.visit_u64(u64::try_from(number).unwrap_or(0))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<KubernetesPort, E> {
                let good =
                    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                match good {
                    true => Ok(KubernetesPort::Name(name.into())),
                    false => Err(E::custom(format_args!(
                        "`{}` is not the name of a port: expected for example `http`",
                        crate::shorten(name, 60)
                    ))),
                }
            }
        }

        deserializer.deserialize_any(NumberOrName)
    }
}

impl schemars::JsonSchema for KubernetesPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KubernetesPort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The number or the name of a port",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string", "maxLength": 63 }],
        })
    }
}

/// The endpoints of a service, as its EndpointSlices (`discovery.k8s.io/v1`) tell them to the Checker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesTargets {
    /// The API server. If left out, that of the cluster that the Checker runs in, with the token and the authority
    /// of its service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<HttpUrl>,
    /// The namespace.
    pub namespace: KubernetesName,
    /// The service. It or `selector` must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<KubernetesName>,
    /// Which EndpointSlices, by their labels, which they have from their service: `app=web,tier!=canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<KubernetesSelector>,
    /// Which port, by name or number; every one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<KubernetesPort>,
    /// Whether endpoints count that are not ready; `false` if left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_ready: bool,
    /// A file with the token by which the API server knows the Checker. It is read for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// A PEM file of certificate authorities to trust in place of those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
}
