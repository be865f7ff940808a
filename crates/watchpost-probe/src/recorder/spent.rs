//! Durations, as reports and sentences have them.

use std::fmt;
use std::time::Duration;

/// A duration in whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A duration as a sentence says it: `0.4 ms`, `12 ms`, `3.2 s`.
pub(crate) struct Spent(pub(crate) Duration);

impl Spent {
    pub(super) fn from_us(us: u64) -> Self {
        Self(Duration::from_micros(us))
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_secs_f64() * 1_000.0;
        match ms {
            ms if ms < 10.0 => write!(f, "{ms:.1} ms"),
            ms if ms < 10_000.0 => write!(f, "{ms:.0} ms"),
            ms => write!(f, "{:.1} s", ms / 1_000.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (us, shown) in [(400, "0.4 ms"), (12_300, "12 ms"), (12_340_000, "12.3 s")] {
            assert_eq!(Spent::from_us(us).to_string(), shown);
        }
    }
}
