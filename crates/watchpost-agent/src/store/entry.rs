//! One key of the store, and the check that is written under it.

use std::sync::Arc;

use bytes::Bytes;
use watchpost_model::{BastionGroup, Check, CheckDocument, CheckId, Format, Refusal, RefusalCode, decode};

/// Where a check is kept: whose it is, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    // By check first: what could stand under one id lies together.
    pub(super) check: CheckId,
    pub(super) group: BastionGroup,
}

impl Key {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (group, check) = text.split_once('.')?;
        Some(Self { check: check.parse().ok()?, group: group.parse().ok()? })
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.group, self.check)
    }
}

/// What the bucket holds under a key: its revision, and its value unless it was deleted.
pub(super) type Entry = (u64, Option<Bytes>);

/// One revision of what is written under a key.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) revision: u64,
    /// As it was written.
    pub(super) value: Bytes,
    /// What it says, or why it says nothing that can be run.
    pub(super) check: Result<Arc<Check>, Refusal>,
}

impl Written {
    pub(super) fn read(key: &Key, revision: u64, value: Bytes) -> Self {
        let check = read_check(key, &value);
        Self { revision, value, check }
    }

    /// As it was written; `None` where it cannot be read.
    pub(super) fn document(&self) -> Option<CheckDocument> {
        decode(&self.value, format_of(&self.value)).ok()
    }
}

/// A bucket keeps no word on the format of its values.
pub(super) fn format_of(value: &[u8]) -> Format {
    Format::detect(None, value)
}

fn read_check(key: &Key, value: &[u8]) -> Result<Arc<Check>, Refusal> {
    let check = decode::<Check>(value, format_of(value))
        .map_err(|error| Refusal::new(RefusalCode::Invalid, &error.to_string()))?;
    if *check.id() != key.check {
        let message =
            format!("it stands under the key `{key}` and calls itself `{}`: expected the same id", check.id());
        return Err(Refusal::new(RefusalCode::WrongKey, &message));
    }
    Ok(Arc::new(check))
}

#[cfg(test)]
mod tests {
    use watchpost_model::encode;

    use super::*;

    #[test]
    fn a_key_names_a_group_and_a_check() {
        let key = Key::parse("eu-west.web").unwrap();
        assert_eq!(
            (key.group.as_str(), key.check.as_str(), key.to_string().as_str()),
            ("eu-west", "web", "eu-west.web")
        );
        for wrong in ["", "web", "a.b.c", "a.", ".b", "a.b=c", "a b.c"] {
            assert!(Key::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_read_in_both_formats_or_refused_with_its_reason() {
        let key = Key::parse("g.web").unwrap();
        let json = br#"{"id": "web", "tcp": {"address": "a:1"}}"#;
        let written = Written::read(&key, 7, Bytes::from_static(json));
        let document = written.document().unwrap();
        let packed = Written::read(&key, 8, encode(&document, Format::MsgPack).into());
        assert_eq!(written.check, packed.check);
        assert_eq!(packed.document(), Some(document));
        for (value, code, part) in [
            (&b""[..], RefusalCode::Invalid, "check"),
            (b"{", RefusalCode::Invalid, "check"),
            (br#"{"id": "web", "gopher": {}}"#, RefusalCode::Invalid, "gopher"),
            (br#"{"v": 2, "id": "web", "tcp": {"address": "a:1"}}"#, RefusalCode::Invalid, "version 2"),
            (br#"{"id": "web"}"#, RefusalCode::Invalid, "no type"),
            (br#"{"id": "db", "tcp": {"address": "a:1"}}"#, RefusalCode::WrongKey, "calls itself `db`"),
        ] {
            let refusal = Written::read(&key, 1, Bytes::copy_from_slice(value)).check.unwrap_err();
            assert_eq!(refusal.code, code, "{refusal:?}");
            assert!(refusal.message.contains(part), "{refusal:?}");
        }
    }
}
