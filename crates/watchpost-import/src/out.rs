//! What is written: values in the order in which people would write them, as YAML and JSON.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value as Json};

/// What stands for a variable of the environment while a check is validated: a valid host, port, number or text.
const SAMPLE: &str = "1";

/// A value of a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    Bool(bool),
    Number(Number),
    /// A text that means what it says.
    Text(String),
    /// A text with `${NAME}` that the environment is to fill in; `$${` stands for `${`.
    Environment(String),
    List(Vec<Out>),
    Map(Fields),
}

/// The entries of a map, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(pub(crate) Vec<(String, Out)>);

impl Fields {
    /// Sets `key`, in place of what it was before.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Out>) {
        let value = value.into();
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Sets `key` where there is a value.
    pub(crate) fn set_some(&mut self, key: &str, value: Option<impl Into<Out>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets `key` unless the map is empty.
    pub(crate) fn set_map(&mut self, key: &str, value: Fields) {
        if !value.0.is_empty() {
            self.set(key, Out::Map(value));
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Out> {
        self.0.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Fields> for Out {
    fn from(fields: Fields) -> Self {
        Self::Map(fields)
    }
}

impl From<&str> for Out {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Out {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Out {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<u64> for Out {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl<T: Into<Out>> From<Vec<T>> for Out {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

/// One value as it is, several as a list, as most settings take them.
pub(crate) fn one_or_many(mut list: Vec<Out>) -> Out {
    match (list.len(), list.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            list.extend(last);
            Out::List(list)
        }
    }
}

impl Out {
    /// The value as the model reads it once the environment is filled in.
    pub(crate) fn validated(&self) -> Json {
        match self {
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Number(number) => Json::Number(number.clone()),
            Self::Text(text) => Json::String(text.clone()),
            Self::Environment(text) => Json::String(filled(text)),
            Self::List(list) => Json::Array(list.iter().map(Self::validated).collect()),
            Self::Map(Fields(entries)) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.validated())).collect())
            }
        }
    }
}

impl Out {
    /// Whether the environment is to fill in anything.
    pub(crate) fn reads_environment(&self) -> bool {
        match self {
            Self::Environment(_) => true,
            Self::List(list) => list.iter().any(Self::reads_environment),
            Self::Map(Fields(entries)) => entries.iter().any(|(_, value)| value.reads_environment()),
            Self::Bool(_) | Self::Number(_) | Self::Text(_) => false,
        }
    }
}

/// The text with a sample in place of each variable.
fn filled(text: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            done.push_str(&rest[..at]);
            done.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        done.push_str(&rest[..at]);
        done.push_str(SAMPLE);
        rest = rest[at..].split_once('}').map_or("", |(_, after)| after);
    }
    done + rest
}

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) | Self::Environment(text) => serializer.serialize_str(text),
            Self::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|value| seq.serialize_element(value))?;
                seq.end()
            }
            Self::Map(Fields(entries)) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}
