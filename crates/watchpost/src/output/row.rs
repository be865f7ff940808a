//! One result, verdict or event as one row for people.

use std::fmt::Write;

use watchpost_model::{
    BastionId, CheckEvent, CheckEventKind, CheckId, Outcome, Reason, RunVerdict, TaskResult, Timestamp, shorten,
};

use super::table::Tone;

/// How wide the target's column is; longer targets push the rest to the right.
const TARGET_WIDTH: usize = 36;
/// How wide the endpoint's column is.
const ENDPOINT_WIDTH: usize = 21;
/// How wide the columns of status and time are.
const STATUS_WIDTH: usize = 4;
const TIME_WIDTH: usize = 9;
/// How wide a verdict's numbers are: as wide as all that stands there for a result.
const NUMBERS_WIDTH: usize = ENDPOINT_WIDTH + 1 + STATUS_WIDTH + 1 + TIME_WIDTH;

/// How wide the name of a bastion and a check is, where rows begin with it.
const ORIGIN_WIDTH: usize = 24;
/// How wide the word for an event is.
const EVENT_WIDTH: usize = 9;

/// What rows begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lead {
    /// When it ended.
    pub clock: Clock,
    /// Which bastion and check it is of.
    pub origin: bool,
}

/// How much of a time is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// Nothing.
    #[default]
    Off,
    /// The time of day.
    Time,
    /// Date and time.
    Date,
}

impl Lead {
    /// Rows that begin with a time.
    pub fn clock(clock: Clock) -> Self {
        Self { clock, origin: false }
    }

    fn write(self, row: &mut String, time: Timestamp, bastion: &BastionId, check: &CheckId) {
        let time = time.to_string();
        // The parts of an RFC 3339 text always stand at the same place.
        match self.clock {
            Clock::Off => {}
            Clock::Time => write_part(row, time.get(11..19).unwrap_or(&time), 8),
            Clock::Date => {
                write_part(row, time.get(..10).unwrap_or_default(), 10);
                write_part(row, time.get(11..19).unwrap_or(&time), 8);
            }
        }
        if self.origin {
            write_part(row, &format!("{bastion}/{check}"), ORIGIN_WIDTH);
        }
    }
}

/// Appends the row of an event, with its newline.
pub fn write_event(row: &mut String, event: &CheckEvent, colour: bool, lead: Lead) {
    lead.write(row, event.at, &event.bastion, &event.check);
    let (word, tone) = match event.kind {
        CheckEventKind::CheckApplied => ("applied", Tone::Good),
        CheckEventKind::CheckRefused => ("refused", Tone::Bad),
        CheckEventKind::CheckRemoved => ("removed", Tone::Doubtful),
        CheckEventKind::CheckOrphaned => ("orphaned", Tone::Bad),
        CheckEventKind::CheckSignatureOld => ("old sig", Tone::Bad),
    };
    row.push_str(&tone.paint(&format!("{word:<EVENT_WIDTH$}"), colour));
    row.push(' ');
    match (&event.group, event.revision) {
        (Some(group), Some(revision)) => write_part(row, &format!("revision {revision} of {group}"), ORIGIN_WIDTH),
        _ => write_part(row, "from its file", ORIGIN_WIDTH),
    }
    if let Some(refusal) = &event.refusal {
        let _infallible = write!(row, "{}: {}", self::word(&refusal.code), shorten(&refusal.message, 300));
    }
    row.truncate(row.trim_end().len());
    row.push('\n');
}

/// A word as it is on the wire.
pub fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Appends the row of a result, with its newline.
pub fn write_result(row: &mut String, result: &TaskResult, colour: bool, lead: Lead) {
    lead.write(row, result.finished_at, &result.bastion, &result.check);
    write_outcome(row, result.outcome, colour);
    write_part(row, &shorten(&result.target.name, 80), TARGET_WIDTH);
    let endpoint = result.target.address.map_or_else(
        || if result.target.endpoint == result.target.name { String::new() } else { result.target.endpoint.clone() },
        watchpost_model::shown_address,
    );
    write_part(row, &shorten(&endpoint, 60), ENDPOINT_WIDTH);
    write_part(row, &result.http.as_ref().map_or_else(|| "-".to_owned(), |http| http.status.to_string()), STATUS_WIDTH);
    write_part(row, &result.phases_us.total.map_or_else(|| "-".to_owned(), duration), TIME_WIDTH);
    end(row, result.reason.as_ref());
}

/// Appends the row of a verdict, with its newline.
pub fn write_verdict(row: &mut String, verdict: &RunVerdict, colour: bool, lead: Lead) {
    lead.write(row, verdict.finished_at, &verdict.bastion, &verdict.check);
    write_outcome(row, verdict.outcome, colour);
    write_part(row, verdict.check.as_str(), TARGET_WIDTH);
    let RunVerdict { passed, total, needed, of, .. } = verdict;
    write_part(row, &format!("{passed} of {total} {} passed, {needed} needed", of.as_str()), NUMBERS_WIDTH);
    end(row, verdict.reason.as_ref());
}

fn write_outcome(row: &mut String, outcome: Outcome, colour: bool) {
    let word = outcome.as_str().to_uppercase();
    if colour {
        row.push_str(colour_of(outcome));
        let _infallible = write!(row, "{word:<9}");
        row.push_str("\x1b[0m ");
    } else {
        write_part(row, &word, 9);
    }
}

fn end(row: &mut String, reason: Option<&Reason>) {
    if let Some(reason) = reason {
        let _infallible = write!(row, "{}: {}", reason.code, shorten(&reason.message, 300));
    }
    row.truncate(row.trim_end().len());
    row.push('\n');
}

fn write_part(row: &mut String, text: &str, width: usize) {
    let _infallible = write!(row, "{text:<width$} ");
}

/// Three significant digits and a unit.
pub fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

fn colour_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "\x1b[32m",
        Outcome::Fail | Outcome::Error | Outcome::Timeout => "\x1b[31m",
        Outcome::Cancelled | Outcome::Lost | Outcome::Missed => "\x1b[33m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_a_row_under_those_of_its_results() {
        let json = r#"{"v": 1, "run": "a291e387-34c7-5f65-bf6b-174d502d93c9", "check": "shop", "bastion": "b",
            "scheduled_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01Z", "outcome": "fail",
            "reason": {"code": "verdict_not_met", "message": "too few"}, "verdict": {"quorum": 2}, "of": "endpoints",
            "needed": 2, "total": 3, "passed": 1, "failed": 2, "undecided": 0}"#;
        let verdict: RunVerdict = serde_json::from_str(json).unwrap();
        // What is in the row already stays there.
        let mut row = "before \n".to_owned();
        write_verdict(&mut row, &verdict, false, Lead::clock(Clock::Time));
        let shop = format!("{:<36} {:<37}", "shop", "1 of 3 endpoints passed, 2 needed");
        assert_eq!(row, format!("before \n00:00:01 FAIL      {shop}verdict_not_met: too few\n"));
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (us, shown) in
            [(7, "7 µs"), (1_234, "1.23 ms"), (12_345, "12.3 ms"), (123_456, "123 ms"), (1_234_567, "1.23 s")]
        {
            assert_eq!(duration(us), shown);
        }
    }
}
