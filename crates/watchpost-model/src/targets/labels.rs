//! What a source says of a target besides its address.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The most labels of one target.
pub const LABELS_MAX: usize = 64;
/// The longest name of a label, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 128;
/// The longest value of a label, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 2048;
/// The most that all labels of one target take together, in bytes.
pub const LABELS_BYTES_MAX: usize = 8 * 1024;
/// How the labels begin that a source adds of its own accord.
const META: &str = "__meta_";

/// The labels of a target, by name. Clones share them: every result of a target carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Labels(Arc<BTreeMap<Box<str>, Box<str>>>);

/// As with Prometheus: a letter or `_`, then letters, digits and `_`.
pub(crate) fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Labels {
    /// Keeps `labels` within their bounds. Labels `__meta_…` that are beyond them are left out, since a source
    /// adds these whether or not anybody wants them.
    ///
    /// # Errors
    /// Names another label that is beyond them, or has a name that no label has.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut kept = BTreeMap::new();
        let mut meta = Vec::new();
        let mut bytes = 0;
        for (name, value) in labels {
            let fault = fault_of(&name, &value);
            match (name.starts_with(META), fault) {
                (true, None) => meta.push((name, value)),
                (true, Some(_)) => {}
                (false, Some(fault)) => return Err(fault),
                (false, None) => {
                    bytes += name.len() + value.len();
                    kept.insert(name.into(), value.into());
                }
            }
        }
        if kept.len() > LABELS_MAX || bytes > LABELS_BYTES_MAX {
            return Err(format!(
                "it has {} labels of {bytes} bytes: expected at most {LABELS_MAX} of {LABELS_BYTES_MAX} bytes together",
                kept.len()
            ));
        }
        // In an order that does not depend on the source's, so that it is always the same ones that are left out.
        meta.sort();
        for (name, value) in meta {
            bytes += name.len() + value.len();
            if kept.len() >= LABELS_MAX || bytes > LABELS_BYTES_MAX {
                break;
            }
            kept.insert(name.into(), value.into());
        }
        Ok(Self(Arc::new(kept)))
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Every label, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same with the values that `change` makes of them; `None` leaves one as it is. One that gets too large by
    /// that is left out.
    pub fn changed(&self, change: impl Fn(&str) -> Option<String>) -> Self {
        let (mut kept, mut changed) = (Vec::new(), Vec::new());
        for (name, value) in self.iter() {
            match change(value) {
                None => kept.push((name.to_owned(), value.to_owned())),
                Some(value) => changed.push((name.to_owned(), value)),
            }
        }
        if changed.is_empty() {
            return self.clone();
        }
        let all = kept.iter().chain(&changed).cloned();
        Self::new(all).or_else(|_| Self::new(kept)).unwrap_or_default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn fault_of(name: &str, value: &str) -> Option<String> {
    if name.len() > LABEL_NAME_BYTES_MAX || !is_label_name(name) {
        return Some(format!(
            "`{}` is not a label's name: expected at most {LABEL_NAME_BYTES_MAX} of A-Z a-z 0-9 _, no digit first",
            crate::shorten(name, 60)
        ));
    }
    (value.len() > LABEL_VALUE_BYTES_MAX)
        .then(|| format!("the label `{name}` has {} bytes: expected at most {LABEL_VALUE_BYTES_MAX}", value.len()))
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut labels = Vec::new();
                while let Some(label) = map.next_entry::<String, String>()? {
                    labels.push(label);
                    if labels.len() > LABELS_MAX {
                        return Err(A::Error::custom(format_args!("more than {LABELS_MAX} labels: expected fewer")));
                    }
                }
                Labels::new(labels).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

impl schemars::JsonSchema for Labels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Labels by name, for example {\"env\": \"prod\"}",
            "type": "object",
            "maxProperties": LABELS_MAX,
            "additionalProperties": { "type": "string", "maxLength": LABEL_VALUE_BYTES_MAX },
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": LABEL_NAME_BYTES_MAX },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, usize)]) -> Result<Labels, String> {
        Labels::new(all.iter().map(|(name, bytes)| ((*name).to_owned(), "v".repeat(*bytes))))
    }

    #[test]
    fn labels_beyond_their_bounds_are_named_and_those_of_the_source_left_out() {
        assert!(labels(&[("env", 1), ("_a9", 0)]).is_ok());
        for (bad, told) in [
            (&[("", 1)][..], "`` is not a label's name"),
            (&[("9a", 1)], "`9a` is not"),
            (&[("a-b", 1)], "`a-b` is not"),
            (&[("big", LABEL_VALUE_BYTES_MAX + 1)], "`big` has 2049 bytes"),
            (&[("a", 2048), ("b", 2048), ("c", 2048), ("d", 2048)], "4 labels of 8196 bytes"),
        ] {
            assert!(labels(bad).unwrap_err().contains(told), "{bad:?}");
        }
        let many = (0..=LABELS_MAX).map(|i| (format!("l{i}"), String::new()));
        assert!(Labels::new(many).unwrap_err().contains("65 labels"));

        let kept = labels(&[("__meta_big", 5000), ("__meta_a", 2000), ("__meta_b", 2000), ("a", 2000), ("b", 2000)]);
        let kept = kept.unwrap();
        assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["__meta_a", "__meta_b", "a", "b"]);
        let metas = (0..100).map(|i| (format!("__meta_{i:03}"), String::new()));
        assert_eq!(Labels::new(metas).unwrap().iter().count(), LABELS_MAX);
    }
}
