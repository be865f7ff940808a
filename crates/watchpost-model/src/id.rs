//! Identifiers. Names are `[A-Za-z0-9_-]{1,64}`, so that each fits into one NATS subject token, one
//! KV key segment and one file name without escaping.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Timestamp;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a string is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {what}: expected 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 _ -", crate::shorten(.given, 80))]
pub struct NameError {
    what: &'static str,
    given: String,
}

fn validate_name(what: &'static str, given: &str) -> Result<(), NameError> {
    let permitted = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let length_ok = (1..=NAME_BYTES_MAX).contains(&given.len());
    if length_ok && given.bytes().all(permitted) {
        return Ok(());
    }
    Err(NameError { what, given: given.to_owned() })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(given: &str) -> Result<Self, NameError> {
                validate_name($what, given)?;
                Ok(Self(Arc::from(given)))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let given = crate::text::deserialize(deserializer, $what, NAME_BYTES_MAX)?;
                given.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!("A ", $what, ": 1 to 64 of `A-Z a-z 0-9 _ -`."),
                    "pattern": "^[A-Za-z0-9_-]{1,64}$",
                })
            }
        }
    };
}

name!(
    /// The name of a check, unique within its bastion.
    CheckId,
    "check id"
);
name!(
    /// The identity of a deployed agent: a Checker and its Runners.
    BastionId,
    "bastion id"
);
name!(
    /// Bastions that run the same checks. Each bastion's own id is one, of itself alone.
    BastionGroup,
    "bastion group"
);
name!(
    /// One Runner process of a bastion.
    RunnerId,
    "runner id"
);

impl From<&BastionId> for BastionGroup {
    fn from(bastion: &BastionId) -> Self {
        Self(Arc::clone(&bastion.0))
    }
}

/// One run of a check against one endpoint.
///
/// A UUIDv5 (RFC 9562, section 5.5) of check, endpoint, scheduled time and attempt in a namespace
/// that belongs to the bastion. Who sees the same task twice sees the same id, and two bastions
/// that run the same check at the same time never share one (docs/adr/0002-task-ids.md).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct TaskId(#[schemars(with = "String")] Uuid);

/// One firing of a check: all its tasks share it. A UUIDv5 of check and scheduled time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct RunId(#[schemars(with = "String")] Uuid);

/// One life of a process: another after each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct InstanceId(#[schemars(with = "String")] Uuid);

impl InstanceId {
    /// The life that whoever starts the process calls so.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// The root of the UUIDv5 namespaces. Drawn once at random; never to be changed, since ids made by
/// different versions of Watchpost must agree.
const ROOT: Uuid = Uuid::from_u128(0x6f0e_35a1_7c7b_4e0e_9b52_5d2c_41a8_90b7);

/// The root of the runs of groups' members, so that none of them is ever a scheduled run's id. As fixed as [`ROOT`].
const MEMBERS: Uuid = Uuid::from_u128(0x3413_9c3f_8bca_4ff7_bef1_786f_ebe9_f764);

impl RunId {
    /// The run of `check` on `bastion` that was scheduled at `scheduled_at` (µs are significant).
    pub fn derive(bastion: &BastionId, check: &CheckId, scheduled_at: Timestamp) -> Self {
        let mut name = Vec::with_capacity(160);
        push_part(&mut name, bastion.as_str().as_bytes());
        push_part(&mut name, check.as_str().as_bytes());
        push_part(&mut name, &scheduled_at.as_microsecond().to_be_bytes());
        Self(Uuid::new_v5(&ROOT, &name))
    }

    /// The run of `check` as a member of a group whose run is `parent`.
    pub fn derive_member(parent: Self, check: &CheckId) -> Self {
        let mut name = Vec::with_capacity(96);
        push_part(&mut name, parent.0.as_bytes());
        push_part(&mut name, check.as_str().as_bytes());
        Self(Uuid::new_v5(&MEMBERS, &name))
    }
}

impl TaskId {
    /// The task of `run` against the endpoint named `endpoint`, for the `attempt`th time (from 1).
    pub fn derive(run: RunId, endpoint: &str, attempt: u32) -> Self {
        let mut name = Vec::with_capacity(64);
        push_part(&mut name, endpoint.as_bytes());
        push_part(&mut name, &attempt.to_be_bytes());
        Self(Uuid::new_v5(&run.0, &name))
    }

    /// The id as a UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }

    /// An id that was seen elsewhere, for example in a `Nats-Msg-Id` header.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// Appends a part with its length in front, so that no two lists of parts make the same bytes.
fn push_part(name: &mut Vec<u8>, part: &[u8]) {
    name.extend_from_slice(&(part.len() as u64).to_be_bytes());
    name.extend_from_slice(part);
}

macro_rules! shown_as_uuid {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(given: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(given).map(Self)
            }
        }
    };
}

shown_as_uuid!(TaskId);
shown_as_uuid!(RunId);
shown_as_uuid!(InstanceId);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bastion: &str, check: &str, at_us: i64) -> RunId {
        RunId::derive(&bastion.parse().unwrap(), &check.parse().unwrap(), Timestamp::from_microsecond(at_us).unwrap())
    }

    #[test]
    fn a_name_is_one_to_64_harmless_characters() {
        for good in ["a", "A-b_9", &"x".repeat(64)] {
            assert!(good.parse::<CheckId>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a b", "ä", "*", ">", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<CheckId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn task_ids_are_the_same_everywhere_and_forever() {
        let task = TaskId::derive(run("b", "c", 1_000_000), "10.0.0.1:80", 1);
        assert_eq!(task, TaskId::derive(run("b", "c", 1_000_000), "10.0.0.1:80", 1));
        assert_eq!(task.as_uuid().get_version_num(), 5);
        // A change here breaks everybody who stored ids: see the comment on ROOT.
        assert_eq!(task.to_string(), "a291e387-34c7-5f65-bf6b-174d502d93c9");
    }

    #[test]
    fn members_have_runs_of_their_own_in_every_group() {
        let member = |parent, check: &str| RunId::derive_member(parent, &check.parse().unwrap());
        let (one, other) = (run("b", "g", 1), run("b", "g", 2));
        let ids = [one, other, run("b", "c", 1), member(one, "c"), member(one, "d"), member(other, "c")];
        let inner = [member(member(one, "c"), "d"), member(member(one, "d"), "c")];
        let all: std::collections::HashSet<_> = ids.iter().chain(&inner).collect();
        assert_eq!(all.len(), ids.len() + inner.len());
        // Stored ids depend on it: see the comment on ROOT.
        assert_eq!(member(one, "c").to_string(), "4e8f4a04-152b-512b-8223-451226ab0ed7");
    }

    #[test]
    fn task_ids_differ_in_every_part() {
        let base = run("b", "c", 1);
        let ids = [
            TaskId::derive(base, "e", 1),
            TaskId::derive(base, "e", 2),
            TaskId::derive(base, "f", 1),
            TaskId::derive(run("b", "c", 2), "e", 1),
            TaskId::derive(run("b", "d", 1), "e", 1),
            TaskId::derive(run("a", "c", 1), "e", 1),
            TaskId::derive(run("bc", "x", 1), "e", 1),
            TaskId::derive(run("b", "cx", 1), "e", 1),
        ];
        for (i, a) in ids.iter().enumerate() {
            for b in &ids[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
