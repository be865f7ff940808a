//! Assertions about a place in a JSON answer.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::expect::Pattern;
use crate::text::text_type;

/// The most brackets and parentheses in a path. The parser recurses at each, and aborts the process at
/// some thousands.
const BRACKETS_MAX: usize = 32;

text_type!(
    /// A place in a JSON document, or several: a JSONPath query (RFC 9535).
    JsonPath,
    "the JSON path",
    256,
    |text| {
        bounded(text)?;
        match serde_json_path::JsonPath::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!(
                "`{}` is not a JSON path: {} (at character {}); expected for example `$.items[0].state`",
                crate::shorten(text, 80),
                error.message(),
                error.position() + 1
            )),
        }
    }
);

/// Refuses what is dear to parse, or to find in a document that was made for it: each `..` goes through
/// everything below each node, and a `$` within a filter through the whole document for each entry.
fn bounded(text: &str) -> Result<(), String> {
    let (mut brackets, mut descents, mut roots) = (0, 0, 0);
    let mut quote = None;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'[' | b'(') => brackets += 1,
            (None, b'$') => roots += 1,
            (None, b'.') if bytes.peek() == Some(&b'.') => descents += 1,
            _ => {}
        }
    }
    if brackets > BRACKETS_MAX {
        return Err(format!("the JSON path has more than {BRACKETS_MAX} brackets: expected a simpler one"));
    }
    if descents > 1 {
        return Err("the JSON path has `..` more than once: expected a path that names what lies between".into());
    }
    if roots > 1 {
        return Err("the JSON path has `$` within a filter: expected `@`, the entry that the filter looks at".into());
    }
    Ok(())
}

/// The path in the form that finds nodes.
pub fn compile_json_path(path: &JsonPath) -> serde_json_path::JsonPath {
    // Invariant: the parser accepted this very text when the value was made.
    #[expect(clippy::expect_used, reason = "valid by construction")]
    serde_json_path::JsonPath::parse(path.as_str()).expect("a JsonPath parses")
}

/// What must be at a place in a JSON answer. Where a path leads to several places, one of them suffices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonExpect {
    /// Whether there is anything.
    Present(bool),
    /// A text, a number, `true`, `false` or `null`.
    Equals(Json),
    /// A regular expression that the value matches: a text itself, anything else as it is written in JSON.
    Matches(Pattern),
}

impl Serialize for JsonExpect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Present(present) => serializer.collect_map([("present", present)]),
            // As a type of its own, so that it may be a template.
            Self::Equals(Json::String(text)) => serializer.serialize_newtype_struct("JsonText", text),
            Self::Equals(value) => value.serialize(serializer),
            Self::Matches(pattern) => serializer.collect_map([("matches", pattern)]),
        }
    }
}

impl<'de> Deserialize<'de> for JsonExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl<'de> Visitor<'de> for Scalar {
            type Value = JsonExpect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, number, true, false, null, `{present: …}` or `{matches: …}`")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<JsonExpect, E> {
                Ok(JsonExpect::Equals(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<JsonExpect, E> {
                Ok(JsonExpect::Equals(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<JsonExpect, E> {
                Ok(JsonExpect::Equals(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<JsonExpect, E> {
                let number = serde_json::Number::from_f64(value);
                number.map(|n| JsonExpect::Equals(n.into())).ok_or_else(|| E::custom("JSON has no such number"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JsonExpect, E> {
                match text.len() {
                    0..=4096 => Ok(JsonExpect::Equals(text.into())),
                    n => Err(E::custom(format_args!("the text has {n} bytes: expected at most 4096"))),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<JsonExpect, E> {
                Ok(JsonExpect::Equals(Json::Null))
            }

            fn visit_none<E: Error>(self) -> Result<JsonExpect, E> {
                Ok(JsonExpect::Equals(Json::Null))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonExpect, A::Error> {
                let expect = match map.next_key::<Key>()? {
                    Some(Key::Present) => JsonExpect::Present(map.next_value()?),
                    Some(Key::Matches) => JsonExpect::Matches(map.next_value()?),
                    None => return Err(A::Error::custom("expected `present` or `matches`")),
                };
                match map.next_key::<Key>()? {
                    None => Ok(expect),
                    Some(_) => Err(A::Error::custom("expected either `present` or `matches`")),
                }
            }
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Key {
            Present,
            Matches,
        }

        deserializer.deserialize_any(Scalar)
    }
}

impl schemars::JsonSchema for JsonExpect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonExpect".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = generator.subschema_for::<Pattern>();
        let only = |key: &str, value| {
            serde_json::json!({
                "type": "object", "properties": { key: value }, "required": [key], "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "What must be at the place: a value, or whether there is anything, or what it matches.",
            "anyOf": [
                { "type": ["string", "number", "boolean", "null"] },
                only("present", serde_json::json!({ "type": "boolean" })),
                only("matches", serde_json::json!(pattern)),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_of_json_are_values_or_say_what_they_are() {
        for text in [r#""ok""#, "1", "-1", "1.5", "true", "null", r#"{"present":false}"#, r#"{"matches":"^a"}"#] {
            let read: JsonExpect = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            let packed = rmp_serde::to_vec_named(&read).unwrap();
            assert_eq!(rmp_serde::from_slice::<JsonExpect>(&packed).unwrap(), read, "{text}");
        }
        for bad in ["[]", "{}", r#"{"is":1}"#, r#"{"present":true,"matches":"a"}"#, r#"{"matches":"("}"#] {
            assert!(serde_json::from_str::<JsonExpect>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_bounded_and_say_where_they_are_wrong() {
        assert!("$.items[?@.state == 'up'].name".parse::<JsonPath>().is_ok());
        let told = "$.a[".parse::<JsonPath>().unwrap_err().to_string();
        assert!(told.contains("is not a JSON path") && told.contains("at character"), "{told}");
        assert!("$..a[?@.b == '$..$..']".parse::<JsonPath>().is_ok());
        for dear in ["$..a..b", "$[?$.a == @.b]"] {
            assert!(dear.parse::<JsonPath>().is_err(), "{dear}");
        }
        assert!(format!("$[?{}@.a{}]", "(".repeat(100), ")".repeat(100)).parse::<JsonPath>().is_err());
    }
}
