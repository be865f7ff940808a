//! The streams that keep what passes over the bus.

use std::time::Duration;

use watchpost_bus::StreamSettings;
use watchpost_model::SubjectPrefix;

use crate::cli::SetupArgs;

/// Results and verdicts.
pub const RESULTS: &str = "WATCHPOST_RESULTS";
/// What became of checks.
pub const EVENTS: &str = "WATCHPOST_EVENTS";
/// The last heartbeats of each bastion, so that silence can be told after the fact.
pub const HEARTBEATS: &str = "WATCHPOST_HEARTBEATS";

const DAY: Duration = Duration::from_secs(24 * 3600);
const MIB: u64 = 1024 * 1024;
/// All processes of a bastion say how they stand on one subject: as many as this have their last word kept.
const HEARTBEATS_OF_EACH: u64 = 32;

/// The streams as they are to be made, with what was asked for.
pub fn wanted(prefix: &SubjectPrefix, asked: &SetupArgs) -> [StreamSettings; 3] {
    let stream = |name: &str, kinds: &[&str], age: Duration, bytes_max: u64| StreamSettings {
        name: name.to_owned(),
        subjects: kinds.iter().map(|kind| format!("{prefix}.*.{kind}")).collect(),
        age_max: age,
        bytes_max,
        per_subject_max: None,
    };
    let results_age = asked.results_age.unwrap_or(7 * DAY);
    let results_bytes = asked.results_bytes.unwrap_or(1024 * MIB);
    let events_age = asked.events_age.unwrap_or(7 * DAY);
    let events_bytes = asked.events_bytes.unwrap_or(256 * MIB);
    let heartbeats = stream(HEARTBEATS, &["heartbeat"], asked.heartbeats_age.unwrap_or(30 * DAY), 256 * MIB);
    [
        stream(RESULTS, &["result.>", "verdict.>"], results_age, results_bytes),
        stream(EVENTS, &["event.>"], events_age, events_bytes),
        StreamSettings { per_subject_max: Some(HEARTBEATS_OF_EACH), ..heartbeats },
    ]
}
