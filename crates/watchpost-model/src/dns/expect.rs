//! What a name server's answer must be.

use serde::{Deserialize, Serialize};

use super::is_default;
use super::words::Rcode;
use crate::expect::{OneOrMany, Pattern};
use crate::text::text_type;
use crate::time::Ttl;

text_type!(
    /// The data of a record, as a zone file has it.
    RecordData,
    "the data of a record",
    4096,
    |text| match text.trim().is_empty() {
        false => Ok(()),
        true => Err("the data of a record is empty".into()),
    }
);

/// What the answer of a name server must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsExpect {
    /// The response codes to accept, such as `nxdomain`; `noerror` if left out.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub rcode: OneOrMany<Rcode>,
    /// What the records of the type that was asked for must be. If left out, an answer of the code
    /// `noerror` must have at least one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub answers: RecordsExpect,
    /// What the records in the authority section must be, each as `TYPE data`, such as
    /// `NS ns1.example.com.`
    #[serde(default, skip_serializing_if = "is_default")]
    pub authority: RecordsExpect,
    /// What the flags must be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flags: FlagsExpect,
    /// The shortest time to live that is acceptable, of the records of the type that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<Ttl>,
    /// The longest time to live that is acceptable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<Ttl>,
}

/// What some of the records of an answer must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordsExpect {
    /// Data that must be among theirs.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub contains: OneOrMany<RecordData>,
    /// Their data, all of it, in any order.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub equals: OneOrMany<RecordData>,
    /// Regular expressions, each of which the data of at least one of them must match.
    #[serde(default, skip_serializing_if = "OneOrMany::is_empty")]
    pub matches: OneOrMany<Pattern>,
    /// How many there must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u16>,
    /// How many there must be at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u16>,
    /// How many there may be at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u16>,
}

impl RecordsExpect {
    fn assertion_count(&self) -> usize {
        self.contains.0.len()
            + usize::from(!self.equals.is_empty())
            + self.matches.0.len()
            + [self.count, self.min_count, self.max_count].iter().flatten().count()
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the flags of an answer must be; those that are left out may be either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagsExpect {
    /// Whether the server answers with authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aa: Option<bool>,
    /// Whether the server asks others where it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ra: Option<bool>,
    /// Whether the server has verified the answer by DNSSEC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ad: Option<bool>,
    /// Whether the answer is cut short. Where nothing is said, one that is fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tc: Option<bool>,
}

impl DnsExpect {
    pub(super) fn assertion_count(&self) -> usize {
        let FlagsExpect { aa, ra, ad, tc } = self.flags;
        // The code is looked at in any case.
        1 + self.answers.assertion_count()
            + self.authority.assertion_count()
            + [aa, ra, ad, tc].iter().flatten().count()
            + [self.min_ttl, self.max_ttl].iter().flatten().count()
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if let (Some(min), Some(max)) = (self.min_ttl, self.max_ttl)
            && min > max
        {
            return Err(format!(
                "`dns.expect.min_ttl` is {min}, longer than `max_ttl`, {max}: no record could be both"
            ));
        }
        for (key, records) in [("answers", &self.answers), ("authority", &self.authority)] {
            if let (Some(min), Some(max)) = (records.min_count, records.max_count)
                && min > max
            {
                return Err(format!(
                    "`dns.expect.{key}.min_count` is {min}, more than `max_count`, {max}: no answer could be both"
                ));
            }
        }
        Ok(())
    }
}
