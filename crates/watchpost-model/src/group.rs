//! Checks that are made of others, and how many outcomes make one verdict.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::CheckId;
use crate::text;

/// The most members that a group may have.
pub const MEMBERS_MAX: usize = 1_000;
/// The most endpoints or members of one run that may be in flight at a time.
pub const PARALLEL_MAX: usize = 10_000;
/// How many are in flight at a time where nothing else is said.
const PARALLEL_DEFAULT: usize = 256;
/// The largest quorum: no run has more endpoints that are known beforehand.
const QUORUM_MAX: u32 = 10_000;

/// A check that is made of other checks, which may be groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// The ids of its members: 1 to 1 000, each once.
    #[serde(deserialize_with = "members")]
    #[schemars(length(min = 1, max = 1_000), extend("uniqueItems" = true))]
    pub checks: Vec<CheckId>,
}

/// How the outcomes of a run's endpoints, or of a group's members, make one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRules {
    /// What one failure means for the others.
    pub policy: RunPolicy,
    /// How many must pass.
    pub verdict: VerdictRule,
    /// How many may be in flight at a time: 1 to [`PARALLEL_MAX`].
    pub parallel: usize,
}

impl Default for GroupRules {
    fn default() -> Self {
        Self { policy: RunPolicy::default(), verdict: VerdictRule::default(), parallel: PARALLEL_DEFAULT }
    }
}

/// What the failure of one endpoint or member means for the others of its run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunPolicy {
    /// Nothing: each reports its own outcome.
    #[default]
    CollectAll,
    /// The first failure cancels the others.
    FailFast,
}

/// What happens when a run is due while the previous one of the same check is still going.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new run is `missed`/`still_running`.
    #[default]
    Skip,
    /// Both run at the same time.
    Allow,
}

/// How many of a run's endpoints, or of a group's members, must pass: `all`, `any`,
/// `{quorum: N}` or `{percent: P}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VerdictRule {
    /// Every one.
    #[default]
    All,
    /// At least one.
    Any,
    /// At least so many: 1 to 10 000.
    Quorum(u32),
    /// At least so many in a hundred, rounded up: 1 to 100.
    Percent(u8),
}

impl VerdictRule {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for VerdictRule {
    /// As it stands in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Any => f.pad("any"),
            Self::Quorum(n) => write!(f, "{{quorum: {n}}}"),
            Self::Percent(n) => write!(f, "{{percent: {n}}}"),
        }
    }
}

impl Serialize for VerdictRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Any => serializer.serialize_str("any"),
            Self::Quorum(n) => serializer.collect_map([("quorum", n)]),
            Self::Percent(n) => serializer.collect_map([("percent", n)]),
        }
    }
}

impl<'de> Deserialize<'de> for VerdictRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrMap;

        impl<'de> Visitor<'de> for WordOrMap {
            type Value = VerdictRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, `any`, `{quorum: N}` or `{percent: P}`")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<VerdictRule, E> {
                match word {
                    "all" => Ok(VerdictRule::All),
                    "any" => Ok(VerdictRule::Any),
                    other => Err(unknown_rule(other)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VerdictRule, A::Error> {
                let rule = match map.next_key::<RuleWord>()? {
                    None => {
                        return Err(A::Error::custom("the verdict names no rule: expected for example `{quorum: 2}`"));
                    }
                    Some(RuleWord::Quorum) => VerdictRule::Quorum(map.next_value::<Bounded<QUORUM_MAX>>()?.0),
                    // Invariant: at most 100.
                    Some(RuleWord::Percent) => VerdictRule::Percent(map.next_value::<Bounded<100>>()?.0 as u8),
                };
                match map.next_key::<RuleWord>()? {
                    None => Ok(rule),
                    Some(_) => Err(A::Error::custom("the verdict has two rules: expected one")),
                }
            }
        }

        deserializer.deserialize_any(WordOrMap)
    }
}

fn unknown_rule<E: Error>(given: &str) -> E {
    E::custom(format_args!(
        "`{}` is not a verdict's rule: expected `all`, `any`, `{{quorum: N}}` or `{{percent: P}}`",
        crate::shorten(given, 40)
    ))
}

/// A rule that takes a number.
enum RuleWord {
    Quorum,
    Percent,
}

impl<'de> Deserialize<'de> for RuleWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match text::deserialize(deserializer, "a verdict's rule", 64)?.as_str() {
            "quorum" => Ok(Self::Quorum),
            "percent" => Ok(Self::Percent),
            other => Err(unknown_rule(other)),
        }
    }
}

/// A whole number from 1 to `MAX`.
struct Bounded<const MAX: u32>(u32);

impl<'de, const MAX: u32> Deserialize<'de> for Bounded<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = u64::deserialize(deserializer)?;
        match u32::try_from(n) {
            Ok(small) if (1..=MAX).contains(&small) => Ok(Self(small)),
            _ => Err(D::Error::custom(format_args!("{n} is out of range: expected 1 to {MAX}"))),
        }
    }
}

impl schemars::JsonSchema for VerdictRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VerdictRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let number = |word: &str, max: u32| {
            serde_json::json!({
                "type": "object",
                "properties": { word: { "type": "integer", "minimum": 1, "maximum": max } },
                "required": [word],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "description": "How many must pass: all, any, a number, or a percentage.",
            "anyOf": [{ "enum": ["all", "any"] }, number("quorum", QUORUM_MAX), number("percent", 100)],
        })
    }
}

/// Reads how many may be in flight at a time.
pub(crate) fn parallel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let n = u64::deserialize(deserializer)?;
    match usize::try_from(n) {
        Ok(small) if (1..=PARALLEL_MAX).contains(&small) => Ok(small),
        _ => Err(D::Error::custom(format_args!("parallel {n} is out of range: expected 1 to {PARALLEL_MAX}"))),
    }
}

pub(crate) fn parallel_default() -> usize {
    PARALLEL_DEFAULT
}

fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CheckId>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<CheckId>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of check ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let (mut members, mut seen) = (Vec::new(), HashSet::new());
            while let Some(member) = seq.next_element::<CheckId>()? {
                if members.len() == MEMBERS_MAX {
                    return Err(A::Error::custom(format_args!(
                        "the group has too many members: expected at most {MEMBERS_MAX}"
                    )));
                }
                if !seen.insert(member.clone()) {
                    return Err(A::Error::custom(format_args!("the group names `{member}` twice: expected each once")));
                }
                members.push(member);
            }
            if members.is_empty() {
                return Err(A::Error::custom("the group has no members: nothing would be checked"));
            }
            Ok(members)
        }
    }

    deserializer.deserialize_seq(Members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Result<VerdictRule, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_rule_is_a_word_or_one_number() {
        for (json, read, shown) in [
            (r#""all""#, VerdictRule::All, "all"),
            (r#""any""#, VerdictRule::Any, "any"),
            (r#"{"quorum":2}"#, VerdictRule::Quorum(2), "{quorum: 2}"),
            (r#"{"percent":100}"#, VerdictRule::Percent(100), "{percent: 100}"),
        ] {
            assert_eq!(rule(json), Ok(read));
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert_eq!(read.to_string(), shown);
        }
        for (json, told) in [
            (r#""most""#, "expected `all`, `any`, `{quorum: N}` or `{percent: P}`"),
            (r#"{"most": 1}"#, "`most` is not a verdict's rule"),
            (r#"{"quorum": 0}"#, "expected 1 to 10000"),
            (r#"{"quorum": 10001}"#, "expected 1 to 10000"),
            (r#"{"percent": 101}"#, "expected 1 to 100"),
            (r#"{"percent": -1}"#, "invalid value"),
            (r#"{"quorum": 1, "percent": 1}"#, "expected one"),
            ("{}", "names no rule"),
            ("2", "expected `all`, `any`"),
        ] {
            let error = rule(json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
    }

    #[test]
    fn a_group_has_1_to_1000_members_each_once() {
        let group = |ids: &[String]| {
            let json = serde_json::json!({ "checks": ids });
            serde_json::from_value::<GroupSettings>(json).map_err(|e| e.to_string())
        };
        let ids: Vec<_> = (0..=MEMBERS_MAX).map(|i| format!("c{i}")).collect();
        assert_eq!(group(&ids[..MEMBERS_MAX]).unwrap().checks.len(), MEMBERS_MAX);
        assert!(group(&ids).unwrap_err().contains("expected at most 1000"));
        assert!(group(&[]).unwrap_err().contains("no members"));
        assert!(group(&["a".into(), "b".into(), "a".into()]).unwrap_err().contains("names `a` twice"));
        assert!(group(&["a.b".into()]).unwrap_err().contains("not a valid check id"));
    }
}
