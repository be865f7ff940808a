//! One result as one row for people.

use std::fmt::Write;

use watchpost_model::{Outcome, TaskResult, shorten};

/// How wide the target's column is; longer targets push the rest to the right.
const TARGET_WIDTH: usize = 36;
/// How wide the endpoint's column is.
const ENDPOINT_WIDTH: usize = 21;

/// Writes the row, with its newline.
pub fn write(row: &mut String, result: &TaskResult, colour: bool, clock: bool) {
    if clock {
        let time = result.finished_at.to_string();
        // The time of day of an RFC 3339 text, which always stands at the same place.
        write_part(row, time.get(11..19).unwrap_or(&time), 8);
    }
    let outcome = result.outcome.as_str().to_uppercase();
    if colour {
        row.push_str(colour_of(result.outcome));
        let _infallible = write!(row, "{outcome:<9}");
        row.push_str("\x1b[0m ");
    } else {
        write_part(row, &outcome, 9);
    }
    write_part(row, &shorten(&result.target.name, 80), TARGET_WIDTH);
    let endpoint = result.target.address.map_or_else(
        || if result.target.endpoint == result.target.name { String::new() } else { result.target.endpoint.clone() },
        |address| address.to_string(),
    );
    write_part(row, &shorten(&endpoint, 60), ENDPOINT_WIDTH);
    write_part(row, &result.http.as_ref().map_or_else(|| "-".to_owned(), |http| http.status.to_string()), 4);
    write_part(row, &result.phases_us.total.map_or_else(|| "-".to_owned(), duration), 9);
    if let Some(reason) = &result.reason {
        let _infallible = write!(row, "{}: {}", reason.code, shorten(&reason.message, 300));
    }
    row.truncate(row.trim_end().len());
    row.push('\n');
}

fn write_part(row: &mut String, text: &str, width: usize) {
    let _infallible = write!(row, "{text:<width$} ");
}

/// Three significant digits and a unit.
fn duration(us: u64) -> String {
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
    fn durations_have_three_digits_and_a_unit() {
        for (us, shown) in
            [(7, "7 µs"), (1_234, "1.23 ms"), (12_345, "12.3 ms"), (123_456, "123 ms"), (1_234_567, "1.23 s")]
        {
            assert_eq!(duration(us), shown);
        }
    }
}
