//! Bounded strings on their way in: each says what it is for when it is missing or too long.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};

/// Reads a string of at most `bytes_max` bytes; `what` names it in errors.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    bytes_max: usize,
) -> Result<String, D::Error> {
    struct Bounded {
        what: &'static str,
        bytes_max: usize,
    }

    impl Visitor<'_> for Bounded {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.what)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            if text.len() > self.bytes_max {
                return Err(E::custom(format_args!(
                    "{} has {} bytes: expected at most {}",
                    self.what,
                    text.len(),
                    self.bytes_max
                )));
            }
            Ok(text.to_owned())
        }
    }

    deserializer.deserialize_str(Bounded { what, bytes_max })
}

/// Reads a list of at most `len_max` entries; `what` names them in errors.
pub(crate) fn list<'de, T: serde::Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    len_max: usize,
) -> Result<Vec<T>, D::Error> {
    struct BoundedList<T> {
        what: &'static str,
        len_max: usize,
        of: PhantomData<T>,
    }

    impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for BoundedList<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of {}", self.what)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element()? {
                if list.len() == self.len_max {
                    return Err(A::Error::custom(format_args!(
                        "the list of {} is too long: expected at most {}",
                        self.what, self.len_max
                    )));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(BoundedList { what, len_max, of: PhantomData })
}

/// Reads a number of bytes: `4096`, `64KiB`, `256MiB`, `1GiB`, `1TiB`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1u64 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// At most `chars_max` characters of `text`, with an ellipsis where it was cut and control
/// characters made visible: for messages that quote what somebody sent.
pub fn shorten(text: &str, chars_max: usize) -> Cow<'_, str> {
    let fits = text.chars().nth(chars_max).is_none();
    if fits && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut short: String = text
        .chars()
        .take(chars_max)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if !fits {
        short.push('…');
    }
    Cow::Owned(short)
}

/// A string type that is valid by construction: `$check` tells why a text is not one. If the type is listed in
/// [`Context::of`](crate::template), it may be a template too, whose places are filled in before anybody uses it.
///
/// With `zeroized` before it, a text is overwritten when it is dropped: those that may have held a secret.
macro_rules! text_type {
    (zeroized $(#[$doc:meta])* $type:ident, $($rule:tt)*) => {
        $crate::text::text_type!($(#[$doc])* $type, $($rule)*);

        impl Drop for $type {
            fn drop(&mut self) {
                zeroize::Zeroize::zeroize(&mut self.0);
            }
        }
    };
    ($(#[$doc:meta])* $type:ident, $what:literal, $bytes_max:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                if text.len() > $bytes_max {
                    return Err($crate::Invalid::new(format!(
                        "{} has {} bytes: expected at most {}",
                        $what, text.len(), $bytes_max
                    )));
                }
                let check: fn(&str) -> Result<(), String> = $check;
                $crate::template::accept(stringify!($type), text, check).map_err($crate::Invalid::new)?;
                Ok(Self(text.into()))
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // As a newtype, which no format shows: so texts of a type are told from others.
                serializer.serialize_newtype_struct(stringify!($type), &*self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = $crate::text::deserialize(deserializer, $what, $bytes_max)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "maxLength": $bytes_max, "description": $what })
            }
        }
    };
}

pub(crate) use text_type;
