//! Heartbeat checks: a job reports in by itself, and its silence fails.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::Message;
use crate::credentials::Token;
use crate::id::CheckId;
use crate::message::V1;
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;
use crate::time::{BeatPeriod, Grace};
use crate::{Invalid, Timestamp};

/// How late a beat may be where nothing else is said.
const GRACE_DEFAULT: Duration = Duration::from_secs(60);
/// The most numbers that a beat carries.
const METRICS_MAX: usize = 64;
/// The longest name of a number, in bytes.
const METRIC_NAME_BYTES_MAX: usize = 128;

text_type!(
    /// What a job has to say, at most 1 KiB.
    BeatMessage,
    "the beat's message",
    1024,
    |_| Ok(())
);

/// What a `heartbeat` check waits for: beats of a job, at the check's interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// How often the job beats at least, `1s` to `31d`; the check's interval if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<BeatPeriod>,
    /// How much later than that a beat may be, up to `31d`; `1m` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Grace>,
    /// What each beat must carry to be taken. Without it, whoever reaches the bus or the console can beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

impl HeartbeatSettings {
    /// How much later than expected a beat may be.
    pub fn grace(&self) -> Duration {
        self.grace.map_or(GRACE_DEFAULT, Grace::get)
    }

    /// Whether a beat that carries `token` is to be taken. How long that takes does not tell how much of it is right.
    pub fn admits(&self, token: Option<&str>) -> bool {
        let Some(wanted) = &self.token else { return true };
        let (wanted, given) = (wanted.reveal().as_bytes(), token.unwrap_or_default().as_bytes());
        let differ = wanted.iter().zip(given).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
        wanted.len() == given.len() && differ == 0
    }
}

impl TypeSettings for HeartbeatSettings {
    const EXPECTS: &'static [&'static str] = &[];

    fn host_port(&self) -> Option<HostPort> {
        None
    }

    fn target_name(&self) -> String {
        "heartbeat".to_owned()
    }
}

/// One report of a job. An empty payload is a good one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Beat {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// How the job is; `ok` if left out.
    #[serde(default)]
    pub status: BeatStatus,
    /// What it has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<BeatMessage>,
    /// How long it took, in ms. If left out, since its last `start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Numbers by name, at most 64. They become metrics of the check's result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The check's token, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

impl Message for Beat {
    const NAME: &'static str = "beat";
    const BYTES_MAX: usize = 16 * 1024;

    fn validate(&self) -> Result<(), Invalid> {
        if self.metrics.len() > METRICS_MAX {
            let given = self.metrics.len();
            return Err(Invalid::new(format!("field `metrics` has {given} numbers: expected at most {METRICS_MAX}")));
        }
        match self
            .metrics
            .iter()
            .find(|(name, value)| name.is_empty() || name.len() > METRIC_NAME_BYTES_MAX || !value.is_finite())
        {
            Some((name, _)) => Err(Invalid::new(format!(
                "field `metrics` has `{}`: expected a name of 1 to {METRIC_NAME_BYTES_MAX} bytes and a finite number",
                crate::shorten(name, 40)
            ))),
            None => Ok(()),
        }
    }
}

/// How a job is, by its own account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeatStatus {
    /// It has done its work.
    #[default]
    Ok,
    /// It has failed.
    Fail,
    /// It begins. Only what comes after it is a beat.
    Start,
}

/// The answer to a beat that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BeatTaken {
    /// The protocol version, 1.
    pub v: V1,
    /// The check whose job has beaten.
    pub check: CheckId,
    /// The job counts as silent if no other beat comes before this; in the past where a job that is silent says that
    /// it begins, which is no beat.
    #[schemars(with = "String")]
    pub silent_at: Timestamp,
}

impl Message for BeatTaken {
    const NAME: &'static str = "beat_taken";
    const BYTES_MAX: usize = 4 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Format, decode};

    #[test]
    fn a_token_is_wanted_where_the_check_has_one() {
        let open = HeartbeatSettings::default();
        assert!(open.admits(None) && open.admits(Some("whatever")));
        let closed = HeartbeatSettings { token: Some("hunter2".parse().unwrap()), ..open };
        assert!(closed.admits(Some("hunter2")));
        for wrong in [None, Some(""), Some("hunter"), Some("hunter3"), Some("hunter22"), Some("Hunter2")] {
            assert!(!closed.admits(wrong), "{wrong:?}");
        }
        assert!(!format!("{closed:?}").contains("hunter2"));
    }

    #[test]
    fn a_beat_may_say_much_or_nothing() {
        let read = |json: &str| decode::<Beat>(json.as_bytes(), Format::Json).map_err(|e| e.to_string());
        assert_eq!(read("{}"), Ok(Beat::default()));
        let full = read(
            r#"{"v": 1, "status": "fail", "message": "no space", "duration_ms": 1500, "metrics": {"rows": 3}, "token": "x"}"#,
        );
        let full = full.unwrap();
        assert_eq!((full.status, full.duration_ms, full.metrics["rows"]), (BeatStatus::Fail, Some(1500), 3.0));
        let many: BTreeMap<_, _> = (0..=METRICS_MAX).map(|n| (n.to_string(), 1)).collect();
        for (json, told) in [
            (r#"{"status": "done"}"#.to_owned(), "unknown variant `done`"),
            (r#"{"v": 2}"#.to_owned(), "version 2"),
            (r#"{"metrics": {"": 1}}"#.to_owned(), "a name of 1 to 128 bytes"),
            (format!(r#"{{"message": "{}"}}"#, "x".repeat(1025)), "expected at most 1024"),
            (serde_json::json!({ "metrics": many }).to_string(), "expected at most 64"),
        ] {
            let error = read(&json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
    }
}
