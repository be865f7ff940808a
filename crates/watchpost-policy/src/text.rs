//! Values that are written as one text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};

/// Reads what is written as a text of at most `bytes_max` bytes; `what` names it in errors.
pub(crate) fn parse<'de, T, D>(deserializer: D, what: &'static str, bytes_max: usize) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T> {
        what: &'static str,
        bytes_max: usize,
        of: PhantomData<T>,
    }

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.what)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            if text.len() > self.bytes_max {
                let (what, len, max) = (self.what, text.len(), self.bytes_max);
                return Err(E::custom(format_args!("expected {what}: this has {len} bytes, and may have {max}")));
            }
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text { what, bytes_max, of: PhantomData })
}

/// Reads a list of 1 to `MAX` entries: an empty one would say nothing, and look as if it did.
pub(crate) fn some<'de, T, D, const MAX: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: Deserializer<'de>,
{
    match list::<T, D, MAX>(deserializer)? {
        list if list.is_empty() => Err(D::Error::custom("the list is empty: expected an entry, or no such list")),
        list => Ok(Some(list)),
    }
}

/// Reads a list of at most `MAX` entries.
pub(crate) fn list<'de, T, D, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: serde::Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::custom(format_args!("the list is too long: expected at most {MAX} entries")));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

/// Makes a type that has `FromStr` and `Display` one that is written as that text.
macro_rules! by_text {
    ($name:ident, $what:literal, $bytes_max:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parse(deserializer, $what, $bytes_max)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $what, "pattern": $pattern })
            }
        }
    };
}
pub(crate) use by_text;
