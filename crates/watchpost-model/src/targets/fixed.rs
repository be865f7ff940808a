//! Targets that the check itself lists.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::found::{FoundTarget, TARGETS_MAX};
use super::labels::Labels;
use crate::target::HostPort;

/// One target of a static list: `host:port`, or with labels `{address: host:port, labels: {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StaticTarget {
    /// Where it is.
    pub address: HostPort,
    /// What is known of it.
    pub labels: Labels,
}

impl StaticTarget {
    pub(super) fn found(&self) -> FoundTarget {
        let labels = self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        FoundTarget::new(&self.address.to_string(), labels)
    }
}

/// [`StaticTarget`] with its labels.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labelled {
    address: HostPort,
    #[serde(default)]
    labels: Labels,
}

impl Serialize for StaticTarget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.labels.is_empty() {
            return self.address.serialize(serializer);
        }
        Labelled { address: self.address.clone(), labels: self.labels.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StaticTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;

        impl<'de> Visitor<'de> for TextOrMap {
            type Value = StaticTarget;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("host:port, or a target with `address` and `labels`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StaticTarget, E> {
                let address = text.parse().map_err(E::custom)?;
                Ok(StaticTarget { address, labels: Labels::default() })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StaticTarget, A::Error> {
                let Labelled { address, labels } =
                    Labelled::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(StaticTarget { address, labels })
            }
        }

        deserializer.deserialize_any(TextOrMap)
    }
}

impl schemars::JsonSchema for StaticTarget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StaticTarget".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (address, labels) = (generator.subschema_for::<HostPort>(), generator.subschema_for::<Labels>());
        schemars::json_schema!({
            "description": "host:port, or with labels",
            "anyOf": [
                address,
                {
                    "type": "object",
                    "properties": { "address": address, "labels": labels },
                    "required": ["address"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<StaticTarget>>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<StaticTarget>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of targets")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(target) = seq.next_element()? {
                list.push(target);
                if list.len() > TARGETS_MAX {
                    return Err(A::Error::custom(format_args!(
                        "the list of targets is too long: expected at most {TARGETS_MAX}"
                    )));
                }
            }
            match list.is_empty() {
                true => Err(A::Error::custom("the list of targets is empty: nothing would be checked")),
                false => Ok(list),
            }
        }
    }

    deserializer.deserialize_seq(List).map(Some)
}
