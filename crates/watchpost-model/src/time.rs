//! Durations as people write them, with the bounds that a check must keep.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The shortest interval of a check.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest interval of a check.
pub const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest timeout of a check; its interval bounds it further.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);
/// The longest that targets are kept which their source does not confirm any more.
const KEEP_FOR_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest time between two beats of a job, and the longest that one may be late.
const BEAT_PERIOD_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Why a text is not an acceptable duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not read as a duration.
    #[error("`{0}` is not a duration: expected for example `500ms`, `10s` or `1m 30s`")]
    Unreadable(String),
    /// It lies outside the permitted range.
    #[error("{what} {} is out of range: expected {range}", humantime::format_duration(*.given))]
    OutOfRange {
        /// What the duration is for.
        what: &'static str,
        /// What was given.
        given: Duration,
        /// The permitted range, in words.
        range: &'static str,
    },
}

/// Reads a duration such as `500ms`, `10s` or `1m 30s`.
///
/// # Errors
/// When the text does not read as one.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    humantime::parse_duration(text.trim()).map_err(|_| DurationError::Unreadable(crate::shorten(text, 40).into_owned()))
}

macro_rules! bounded_duration {
    ($(#[$doc:meta])* $type:ident, $what:literal, $range:literal, $holds:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Duration);

        impl $type {
            /// Takes a duration that lies within the range.
            ///
            /// # Errors
            /// When it lies outside.
            pub fn new(given: Duration) -> Result<Self, DurationError> {
                let holds: fn(Duration) -> bool = $holds;
                if holds(given) {
                    return Ok(Self(given));
                }
                Err(DurationError::OutOfRange { what: $what, given, range: $range })
            }

            /// The duration.
            pub fn get(self) -> Duration {
                self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                humantime::format_duration(self.0).fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = DurationError;

            fn from_str(text: &str) -> Result<Self, DurationError> {
                Self::new(parse_duration(text)?)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = crate::text::deserialize(deserializer, "a duration such as 500ms, 10s or 1m 30s", 64)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!("A duration such as 500ms, 10s or 1m 30s: ", $range),
                })
            }
        }
    };
}

bounded_duration!(
    /// The time from one scheduled run of a check to the next: 1 s to 24 h.
    Interval,
    "the interval",
    "1s to 24h",
    |d| (INTERVAL_MIN..=INTERVAL_MAX).contains(&d)
);
bounded_duration!(
    /// The time from one question to a source of targets to the next: 1 s to 24 h.
    Refresh,
    "the time between two questions",
    "1s to 24h",
    |d| (INTERVAL_MIN..=INTERVAL_MAX).contains(&d)
);
bounded_duration!(
    /// How long targets are used that a source gave before it gave no more: 0 to 30 days.
    KeepFor,
    "the time for which targets are kept",
    "0s to 30d",
    |d| d <= KEEP_FOR_MAX
);
bounded_duration!(
    /// How old something may become before it is told of: 1 min to 10 years.
    Age,
    "the age",
    "1m to 3650d",
    |d| (Duration::from_secs(60)..=Duration::from_secs(3650 * 24 * 60 * 60)).contains(&d)
);
bounded_duration!(
    /// How long a task may take from its dispatch to its outcome: more than 0, at most 5 min.
    Timeout,
    "the timeout",
    "more than 0 and at most 5m",
    |d| !d.is_zero() && d <= TIMEOUT_MAX
);
bounded_duration!(
    /// The time from one beat of a job to the next: 1 s to 31 days.
    BeatPeriod,
    "the time between beats",
    "1s to 31d",
    |d| (INTERVAL_MIN..=BEAT_PERIOD_MAX).contains(&d)
);
bounded_duration!(
    /// How late a beat of a job may be: at most 31 days.
    Grace,
    "the grace",
    "at most 31d",
    |d| d <= BEAT_PERIOD_MAX
);
bounded_duration!(
    /// An upper bound that an assertion sets: more than 0, at most 5 min.
    Latency,
    "the latency",
    "more than 0 and at most 5m",
    |d| !d.is_zero() && d <= TIMEOUT_MAX
);
bounded_duration!(
    /// The time from one packet to the next: 10 ms to 10 s.
    Pause,
    "the time between packets",
    "10ms to 10s",
    |d| (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&d)
);
bounded_duration!(
    /// How long to listen for something that need not come: more than 0, at most 1 min.
    Wait,
    "the time to wait",
    "more than 0 and at most 1m",
    |d| !d.is_zero() && d <= Duration::from_secs(60)
);
impl Wait {
    /// What holds where nothing is said.
    pub(crate) const DEFAULT: Duration = Duration::from_secs(1);
}

bounded_duration!(
    /// A bound for how far a clock is off: more than 0, at most 24 h.
    Offset,
    "the offset",
    "more than 0 and at most 24h",
    |d| !d.is_zero() && d <= Duration::from_secs(24 * 60 * 60)
);
bounded_duration!(
    /// A bound for the time to live of records: at most 68 years (RFC 2181, section 8).
    Ttl,
    "the time to live",
    "at most 24855d",
    |d| d.as_secs() <= i32::MAX as u64
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("1m 30s", 90_000), ("1m30s", 90_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "10", "ten", "-1s", "1e9999s", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ranges_hold_at_their_edges() {
        for (text, good) in [("999ms", false), ("1s", true), ("24h", true), ("24h 1s", false)] {
            assert_eq!(text.parse::<Interval>().is_ok(), good, "{text}");
        }
        for (text, good) in [("0s", false), ("1ns", true), ("5m", true), ("5m 1ms", false)] {
            assert_eq!(text.parse::<Timeout>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn an_error_says_what_was_expected() {
        let error = "25h".parse::<Interval>().unwrap_err().to_string();
        assert_eq!(error, "the interval 1day 1h is out of range: expected 1s to 24h");
    }
}
