//! What a file holds, before anybody knows what it means: values with their lines.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value as Json};
use serde_saphyr::Spanned;

/// How deep a YAML file may nest. Its reader recurses, and takes some 30 KiB of the stack for each level where nothing is
/// optimised; what people write is half as deep at most.
const DEPTH_MAX: usize = 24;

/// A value and the line in which it begins, counted from 1; 0 where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a file cannot be read as YAML or JSON.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Where, counted from 1; 0 where it is not known.
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) message: String,
}

impl Node {
    /// Reads a text that is JSON or YAML.
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start().starts_with(['{', '[']) {
            match serde_json::from_str::<Json>(text) {
                Ok(json) => return Ok(Self::from_json(json)),
                // In YAML, too, a document may begin with a bracket.
                Err(error) => {
                    return yaml(text).map_err(|_| Unreadable {
                        line: error.line() as u64,
                        column: error.column() as u64,
                        message: short(&error.to_string()),
                    });
                }
            }
        }
        yaml(text)
    }

    fn from_json(json: Json) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => Value::Number(number),
            Json::String(text) => Value::Text(text),
            Json::Array(list) => Value::List(list.into_iter().map(Self::from_json).collect()),
            Json::Object(map) => {
                Value::Map(map.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        };
        Self { line: 0, value }
    }

    /// The value of a key, where this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find_map(|(name, node)| (name == key).then_some(node))
    }

    /// Whether nothing is said: null, an empty text, list or map.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// A scalar as text: what YAML takes for a number or a truth value is often meant as a text.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, in words for people.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

fn yaml(text: &str) -> Result<Node, Unreadable> {
    // As for files of targets: enough for 16 MiB of plain configuration, and not for an alias bomb.
    let budget = serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 2_000_000, max_depth: DEPTH_MAX };
    // A text `on` or `y` is not meant as `true`.
    let options = serde_saphyr::options! { budget: budget, strict_booleans: true };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
        let message = error.to_string();
        let message = message.split_once(" at line ").map_or(message.as_str(), |(before, _)| before);
        Unreadable { line, column, message: short(message.trim_start_matches("error: ")) }
    })
}

fn short(message: &str) -> String {
    watchpost_model::shorten(message, 300).into_owned()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // JSON has neither infinities nor NaN: those stay texts.
        Ok(Number::from_f64(number).map_or_else(|| Value::Text(number.to_string()), Value::Number))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

/// A key as text: `200:` is a key as well.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node { line: 0, value: Value::deserialize(deserializer)? };
        match node.scalar() {
            Some(key) => Ok(Self(key)),
            None => Err(serde::de::Error::custom(format_args!("a key is {}: expected a text", node.kind()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_with_what_is_known_of_their_places() {
        let yaml = Node::parse("a: &a\n  b: [1, x, ~, 1.5, true, '1']\n  200: y\nc:\n  <<: *a\n  d: z\n").unwrap();
        let list = yaml.get("a").and_then(|a| a.get("b")).unwrap();
        assert_eq!(list.line, 2);
        let Value::List(list) = &list.value else { panic!("{list:?}") };
        assert_eq!(
            list.iter().map(Node::kind).collect::<Vec<_>>(),
            ["a number", "a text", "nothing", "a number", "true or false", "a text"]
        );
        assert_eq!(yaml.get("a").and_then(|a| a.get("200")).unwrap().scalar().unwrap(), "y");
        let merged = yaml.get("c").unwrap();
        assert!(merged.get("b").is_some() && merged.get("d").unwrap().line == 6, "{merged:?}");
        let json = Node::parse("{\"a\": {\"b\": \"\\ud83d\\ude00\\/\"}}").unwrap();
        assert_eq!(json.get("a").and_then(|a| a.get("b")).unwrap().scalar().unwrap(), "😀/");
        assert!(Node::parse("{a: [b, c]}").unwrap().get("a").is_some(), "a flow map of YAML");
        let error = Node::parse("a: 1\na: 2\n").unwrap_err();
        assert_eq!(error.line, 2, "{error:?}");
    }
}
