//! How much may be done at a time, as it is written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PolicyError, text};

/// The highest number in a rate.
const RATE_MAX: u32 = 1_000_000;

/// How much checks may do at a time; without limit where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How often one address and port may be connected to, or sent a datagram: `10/s`, `600/m`, `100/h`. So many may come
    /// at once after a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_endpoint: Option<Rate>,
    /// How often all of them together may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overall: Option<Rate>,
    /// How many checks may be under way at a time: 1 to 1 000 000. The others wait, for as long as their timeout lets them.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "concurrency")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrency: Option<u32>,
}

/// So many in a second, a minute or an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    unit: char,
}

impl Rate {
    /// How many there may be in [`Rate::period`], and at once after a pause: at least 1.
    pub fn count(self) -> u32 {
        self.count
    }

    /// A second, a minute or an hour.
    pub fn period(self) -> Duration {
        Duration::from_secs(match self.unit {
            's' => 1,
            'm' => 60,
            _ => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let parse = || {
            let (count, unit) = given.split_once('/')?;
            let count = count.trim();
            let count = if count.bytes().all(|b| b.is_ascii_digit()) { count.parse().ok()? } else { return None };
            let unit = match unit.trim() {
                "s" => 's',
                "m" => 'm',
                "h" => 'h',
                _ => return None,
            };
            (1..=RATE_MAX).contains(&count).then_some(Self { count, unit })
        };
        parse().ok_or_else(|| {
            let shown = watchpost_model::shorten(given, 40);
            PolicyError::new(format!(
                "`{shown}` is not a rate: expected for example `10/s`, `600/m` or `100/h`, of 1 to {RATE_MAX}"
            ))
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

text::by_text!(Rate, "a rate such as 10/s, 600/m or 100/h", 64, "^ *[0-9]+ */ *[smh] *$");

fn concurrency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let given = u64::deserialize(deserializer)?;
    match u32::try_from(given) {
        Ok(max) if (1..=1_000_000).contains(&max) => Ok(Some(max)),
        _ => Err(serde::de::Error::custom(format_args!(
            "a concurrency of {given} is out of range: expected 1 to 1000000"
        ))),
    }
}
