//! Values, and how a caller provides them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A value of an expression.
#[derive(Clone)]
pub enum Value<'v> {
    /// `null`, which only JSON has.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// A text.
    String(Cow<'v, str>),
    /// A list.
    List(Items<'v>),
    /// Values by names that are known only at run time.
    Map(&'v dyn Entries),
    /// The fields of a record.
    Record(&'v dyn Values),
    /// JSON of any kind. A number in it that is no `i64` is a [`Value::Double`].
    Json(&'v serde_json::Value),
}

/// The entries of a list. (A `Cow` would not let a list be taken for one that lives shorter.)
#[derive(Debug, Clone)]
pub enum Items<'v> {
    /// Entries that somebody else keeps.
    Borrowed(&'v [Value<'v>]),
    /// Entries that were made for this list.
    Owned(Vec<Value<'v>>),
}

impl<'v> std::ops::Deref for Items<'v> {
    type Target = [Value<'v>];

    fn deref(&self) -> &[Value<'v>] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Owned(entries) => entries,
        }
    }
}

/// Provides the variables of an [`Environment`](crate::Environment), or the fields of a record.
pub trait Values {
    /// The value of `name`, `None` where it is absent. Asked only when an evaluation comes to it,
    /// and maybe several times: what is dear to make (`body.json`) should be made once and kept.
    ///
    /// It must have the type that was declared. If it has not, an evaluation ends in an error,
    /// as with [`Type::Dyn`](crate::Type::Dyn).
    fn get(&self, name: &str) -> Option<Value<'_>>;
}

/// Provides the values of a [`Type::Map`](crate::Type::Map).
pub trait Entries {
    /// The value of `key`. How keys are compared (headers: without regard to case) is its matter.
    fn get(&self, key: &str) -> Option<Value<'_>>;

    /// How many entries there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys, each once, in an order that is the same each time.
    fn keys(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_>;
}

impl<K: Ord + std::borrow::Borrow<str>, T: AsRef<str>> Entries for BTreeMap<K, T> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        BTreeMap::get(self, key).map(|value| value.as_ref().into())
    }

    fn len(&self) -> usize {
        BTreeMap::len(self)
    }

    fn keys(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(BTreeMap::keys(self).map(|key| Cow::Borrowed(key.borrow())))
    }
}

impl<'v> Value<'v> {
    /// The same value, borrowed from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::String(text) => Value::String(Cow::Borrowed(text)),
            Self::List(entries) => Value::List(Items::Borrowed(entries)),
            Self::Map(entries) => Value::Map(*entries),
            Self::Record(fields) => Value::Record(*fields),
            Self::Json(json) => Value::of_json(json),
        }
    }

    /// Scalars of JSON as values of their own; lists and objects stay what they are.
    pub(crate) fn of_json(json: &'v serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::String(Cow::Borrowed(text)),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Self::Json(json),
        }
    }

    /// A value as it comes from a caller, made into what evaluation knows.
    pub(crate) fn normal(self) -> Self {
        match self {
            Self::Json(json) => Self::of_json(json),
            other => other,
        }
    }

    /// What messages call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Double(_) => "a double",
            Self::String(_) => "a string",
            Self::List(_) | Self::Json(serde_json::Value::Array(_)) => "a list",
            Self::Map(_) | Self::Record(_) | Self::Json(_) => "an object",
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::String(text) => text.fmt(f),
            Self::List(entries) => entries.fmt(f),
            Self::Map(entries) => {
                let keys: Vec<Cow<'_, str>> = entries.keys().collect();
                f.debug_map().entries(keys.iter().map(|key| (key, entries.get(key)))).finish()
            }
            Self::Record(_) => f.write_str("a record"),
            Self::Json(json) => json.fmt(f),
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! from_whole {
    ($($whole:ty)*) => {$(
        impl From<$whole> for Value<'_> {
            fn from(value: $whole) -> Self {
                Self::Int(value.into())
            }
        }
    )*};
}

from_whole!(i64 i32 u32 u16);

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }
}

impl<'v> From<Vec<Value<'v>>> for Value<'v> {
    fn from(entries: Vec<Value<'v>>) -> Self {
        Self::List(Items::Owned(entries))
    }
}

impl<'v> From<&'v serde_json::Value> for Value<'v> {
    fn from(json: &'v serde_json::Value) -> Self {
        Self::of_json(json)
    }
}

/// Variables or fields whose values are all known beforehand, by name.
///
/// ```
/// use watchpost_expr::{Bindings, Value, Values};
///
/// let tls = Bindings::new().with("days_left", 3);
/// let values = Bindings::new().with("status", 503).with("tls", Value::Record(&tls));
/// assert!(matches!(values.get("status"), Some(Value::Int(503))));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Bindings<'v>(Vec<(&'static str, Value<'v>)>);

impl<'v> Bindings<'v> {
    /// No values at all.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With one more value; of two with the same name the first counts.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value<'v>>) -> Self {
        self.0.push((name, value.into()));
        self
    }
}

impl Values for Bindings<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.borrowed())
    }
}
