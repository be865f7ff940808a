//! Durations as others write them.

use std::time::Duration;

/// Reads a duration as Prometheus and Go write it: `1h30m`, `500ms`, `1.5s`, `2d`, `1w`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() || text == "0" {
        return (text == "0").then_some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    seconds(total)
}

/// A number of seconds, to the millisecond: nothing here is meant more finely.
pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    let whole = (seconds * 1e3).round();
    // A thousand years; beyond that, floating point knows no milliseconds.
    let fits = whole.is_finite() && (0.0..3.2e13).contains(&whole);
    fits.then(|| Duration::from_secs_f64(whole / 1e3)).map(|exact| Duration::from_millis(millis(exact)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from((duration + Duration::from_micros(1)).as_millis()).unwrap_or(u64::MAX)
}

/// A duration as our settings have it: `1m 30s`.
pub(crate) fn shown(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut words = Vec::new();
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= millis {
            words.push(format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, ours) in [
            ("1h30m", "1h 30m"),
            ("500ms", "500ms"),
            ("1.5s", "1s 500ms"),
            ("90s", "1m 30s"),
            ("2d", "2d"),
            ("0", "0s"),
            ("0.1s", "100ms"),
            ("1w", "7d"),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(shown(read), ours, "{text}");
            assert_eq!(watchpost_model::parse_duration(ours).unwrap(), read, "{text}");
        }
        for bad in ["", "x", "1", "1x", "s", "1.2.3s", "-1s", "1e400s", "9999999999999999999999y", "1h 3"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
