//! `watchpost bus`: what Watchpost keeps on the bus.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use watchpost_bus::{KvError, KvLimits, StreamReport, StreamSettings};
use watchpost_model::CHECK_BYTES_MAX;

use crate::cli::{BusCommand, BusCommandArgs, ListFormat, SetupArgs};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print_objects};
use crate::remote::{EVENTS, HEARTBEATS, RESULTS, Remote, wanted};

/// How large the store of checks may become: 10 000 checks of the largest usual size, with their history.
const LIMITS: KvLimits =
    KvLimits { bytes_max: 1024 * 1024 * 1024, value_bytes_max: CHECK_BYTES_MAX as u32 + 4096, history: 5 };

/// Runs one of its commands.
pub fn run(args: BusCommandArgs) -> Result<Exit, Failure> {
    super::in_system(async move {
        let remote = Arc::new(Remote::connect(&args.connect).await?);
        let BusCommand::Setup(args) = args.command;
        let done = setup(&remote, &args).await?;
        let format = args.output;
        let printed = match format {
            ListFormat::Table => table(&done).print(),
            format => print_objects(done.iter().map(Made::object), format),
        };
        printed.map_err(|e| Failure::stuck(format!("stdout: {e}")))?;
        Ok(Exit::Ok)
    })
}

/// Makes what is missing, for whoever is about to use it. What we may not make, somebody else has to, and that is told.
///
/// # Errors
/// When there is no store of checks, and it cannot be made.
pub async fn ensure(remote: &Remote, asked: &SetupArgs) -> Result<(), Failure> {
    if matches!(remote.checks.identity().await, Err(KvError::NoBucket { .. })) {
        remote.checks.ensure(LIMITS).await?;
    }
    for settings in wanted(&remote.prefix, asked) {
        let made = match remote.nats.stream(&settings.name).await {
            Ok(Some(_)) => continue,
            Ok(None) => remote.nats.create_stream(&settings).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            tracing::warn!("{error}; `watchpost bus setup` makes it for whoever may");
        }
    }
    Ok(())
}

/// What was made, or is there.
#[derive(Debug)]
struct Made {
    name: String,
    kind: &'static str,
    done: &'static str,
    /// What differs from what is wanted, or how it is.
    details: Vec<String>,
}

impl Made {
    fn object(&self) -> Value {
        json!({"name": self.name, "kind": self.kind, "done": self.done, "details": self.details})
    }
}

fn table(done: &[Made]) -> Table {
    let mut table = Table::new(&["NAME", "KIND", "DONE", "DETAILS"]);
    for made in done {
        let tone = match made.done {
            "created" | "would create" => Tone::Good,
            "changed" | "would change" => Tone::Doubtful,
            _ => Tone::Plain,
        };
        let details = made.details.join("; ");
        table.row([made.name.as_str().into(), made.kind.into(), Cell::new(made.done, tone), details.into()]);
    }
    table
}

async fn setup(remote: &Remote, asked: &SetupArgs) -> Result<Vec<Made>, Failure> {
    let mut done = vec![bucket(remote, asked.dry_run).await?];
    for settings in wanted(&remote.prefix, asked) {
        done.push(stream(remote, asked, settings).await?);
    }
    Ok(done)
}

async fn bucket(remote: &Remote, dry_run: bool) -> Result<Made, Failure> {
    let made = |done, details| Made { name: remote.bucket.clone(), kind: "bucket", done, details };
    match remote.checks.identity().await {
        Ok(identity) => Ok(made("unchanged", vec![format!("revision {}", identity.revision)])),
        Err(KvError::NoBucket { .. }) if dry_run => Ok(made("would create", Vec::new())),
        Err(KvError::NoBucket { .. }) => {
            remote.checks.ensure(LIMITS).await?;
            Ok(made("created", vec![format!("{}, {} revisions of each", size(LIMITS.bytes_max), LIMITS.history)]))
        }
        Err(error) => Err(error.into()),
    }
}

async fn stream(remote: &Remote, asked: &SetupArgs, wanted: StreamSettings) -> Result<Made, Failure> {
    let name = wanted.name.clone();
    let made = |done, details| Made { name: name.clone(), kind: "stream", done, details };
    let Some(there) = remote.nats.stream(&wanted.name).await? else {
        let details = vec![format!("{}, {}", shown_age(wanted.age_max), size(wanted.bytes_max))];
        if asked.dry_run {
            return Ok(made("would create", details));
        }
        remote.nats.create_stream(&wanted).await?;
        return Ok(made("created", details));
    };
    let (next, differences) = change(&there, &wanted, asked);
    if differences.is_empty() {
        let StreamReport { messages, bytes, settings, .. } = &there;
        let bounds = format!("{}, {}", shown_age(settings.age_max), size(settings.bytes_max));
        return Ok(made("unchanged", vec![format!("{bounds}; holds {messages} messages, {}", size(*bytes))]));
    }
    if asked.dry_run {
        return Ok(made("would change", differences));
    }
    remote.nats.update_stream(&next).await?;
    Ok(made("changed", differences))
}

/// What is there as it is to be, and in what it differs: in what was asked for, and in the subjects of our prefix, which
/// join those that it keeps for others.
fn change(there: &StreamReport, wanted: &StreamSettings, asked: &SetupArgs) -> (StreamSettings, Vec<String>) {
    let mut next = there.settings.clone();
    let mut differences = Vec::new();
    for subject in &wanted.subjects {
        if !next.subjects.contains(subject) {
            differences.push(format!("keeps {subject} too"));
            next.subjects.push(subject.clone());
        }
    }
    let (age, bytes) = match there.settings.name.as_str() {
        RESULTS => (asked.results_age, asked.results_bytes),
        EVENTS => (asked.events_age, asked.events_bytes),
        HEARTBEATS => (asked.heartbeats_age, None),
        _ => (None, None),
    };
    if let Some(age) = age.filter(|age| *age != next.age_max) {
        differences.push(format!("age {} → {}", shown_age(next.age_max), shown_age(age)));
        next.age_max = age;
    }
    if let Some(bytes) = bytes.filter(|bytes| *bytes != next.bytes_max) {
        differences.push(format!("bytes {} → {}", size(next.bytes_max), size(bytes)));
        next.bytes_max = bytes;
    }
    (next, differences)
}

fn shown_age(age: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    if age == Duration::MAX {
        return "kept for ever".to_owned();
    }
    let seconds = age.as_secs();
    let unit = UNITS.iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (name, unit) = unit.unwrap_or(&("s", 1));
    format!("{}{name}", seconds / unit)
}

fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        _ if bytes == u64::MAX => "any size".to_owned(),
        Some((name, unit)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_changed_of_a_stream_and_subjects_join() {
        let own = wanted(&"acme".parse().unwrap(), &SetupArgs::default());
        let mut settings = own[0].clone();
        settings.subjects = vec!["watchpost.*.result.>".to_owned()];
        settings.age_max = Duration::from_secs(3_600);
        let there = StreamReport { settings, messages: 0, bytes: 0, first_us: None, last_sequence: 0 };
        let (next, differences) = change(&there, &own[0], &SetupArgs::default());
        assert_eq!(next.age_max, Duration::from_secs(3_600), "nobody asked for another");
        assert_eq!(next.subjects, ["watchpost.*.result.>", "acme.*.result.>", "acme.*.verdict.>"]);
        assert_eq!(differences.len(), 2);
        let asked = SetupArgs { results_age: Some(Duration::from_secs(7_200)), ..SetupArgs::default() };
        let (next, differences) = change(&there, &own[0], &asked);
        assert_eq!(next.age_max, Duration::from_secs(7_200));
        assert!(differences.contains(&"age 1h → 2h".to_owned()), "{differences:?}");
    }

    #[test]
    fn sizes_and_ages_are_told_in_their_largest_unit() {
        for (bytes, shown) in [(7, "7 B"), (1 << 30, "1 GiB"), (1_600, "1.6 KiB"), (u64::MAX, "any size")] {
            assert_eq!(size(bytes), shown);
        }
        for (seconds, shown) in [(7 * 86_400, "7d"), (90, "90s"), (7_200, "2h")] {
            assert_eq!(shown_age(Duration::from_secs(seconds)), shown);
        }
    }
}
