//! Performance data: numbers that a plugin prints after its text, as
//! `'label'=value[unit];[warn];[crit];[min];[max]`, separated by spaces.
//!
//! The format is that of the guidelines for monitoring plugins. What does not follow it is passed over
//! and counted: a number that was guessed would be worse than none.

use watchpost_model::PerfDatum;

/// The most pieces that are kept.
const PIECES_MAX: usize = 256;
/// The longest label, unit or range that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// What was read of a plugin's performance data.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PerfData {
    pub(super) data: Vec<PerfDatum>,
    /// How many pieces, or parts of pieces, could not be read or were too many.
    pub(super) passed_over: u32,
}

impl PerfData {
    /// Reads `text`, which may be cut off in the middle.
    pub(super) fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (label, after) = match label(rest) {
                Some(found) => found,
                None => {
                    read.passed_over += 1;
                    rest = after_space(rest);
                    continue;
                }
            };
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            let (fields, beyond) = after.split_at(end);
            rest = beyond.trim_start();
            read.take(label, fields);
        }
        read
    }

    fn take(&mut self, label: String, fields: &str) {
        if self.data.len() == PIECES_MAX || label.len() > TEXT_BYTES_MAX {
            self.passed_over += 1;
            return;
        }
        let mut fields = fields.split(';');
        let Some((value, unit)) = fields.next().and_then(value) else {
            self.passed_over += 1;
            return;
        };
        let Unit { name, factor } = Unit::of(unit);
        let mut field = || fields.next().unwrap_or_default();
        let (warning, critical, min, max) = (field(), field(), field(), field());
        let datum = PerfDatum {
            label,
            value: value.map(|value| value * factor),
            unit: name,
            warning: self.range(warning),
            critical: self.range(critical),
            min: self.bound(min).map(|min| min * factor),
            max: self.bound(max).map(|max| max * factor),
        };
        // More fields than there are have no meaning.
        self.passed_over += u32::from(fields.next().is_some());
        self.data.push(datum);
    }

    fn range(&mut self, text: &str) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        if text.len() > TEXT_BYTES_MAX || !is_range(text) {
            self.passed_over += 1;
            return None;
        }
        Some(text.to_owned())
    }

    fn bound(&mut self, text: &str) -> Option<f64> {
        if text.is_empty() {
            return None;
        }
        // Some plugins write the unit here, too; it is the value's.
        let read = number(text).map(|(number, _)| number);
        self.passed_over += u32::from(read.is_none());
        read
    }
}

/// The label at the beginning of `text`, and what follows the equals sign after it.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let end = text.find(|c: char| c == '=' || c == '\'' || c.is_whitespace())?;
        let (label, after) = text.split_at(end);
        return after.strip_prefix('=').filter(|_| !label.is_empty()).map(|after| (label.to_owned(), after));
    };
    let mut label = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        label.push_str(part);
        rest = match after.strip_prefix('\'') {
            // Two quotes are one that belongs to the label.
            Some(after) => after,
            None => return after.strip_prefix('=').filter(|_| !label.is_empty()).map(|after| (label, after)),
        };
        label.push('\'');
    }
}

fn after_space(text: &str) -> &str {
    text.find(char::is_whitespace).and_then(|at| text.get(at..)).unwrap_or_default().trim_start()
}

/// A value and its unit. `U` is a value that the plugin could not tell.
fn value(text: &str) -> Option<(Option<f64>, &str)> {
    if text == "U" {
        return Some((None, ""));
    }
    let (number, unit) = number(text)?;
    let fits =
        unit.len() <= TEXT_BYTES_MAX && unit.chars().all(|c| c == '%' || c == '/' || c.is_alphabetic() || c == '°');
    fits.then_some((Some(number), unit))
}

/// The number at the beginning of `text`, and what follows it. The decimal sign is a point: a comma could
/// as well separate thousands.
fn number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(end);
    end += whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        // Without digits the letter begins a unit.
        end += if exponent == 0 { 0 } else { 1 + sign + exponent };
    }
    let (number, rest) = text.split_at_checked(end)?;
    number.parse().ok().filter(|number: &f64| number.is_finite()).map(|number| (number, rest))
}

/// Whether `text` is a range of the guidelines: `[@][start:][end]`, where `~` is no lower bound.
fn is_range(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    // Some plugins write the unit here, too.
    let is_number = |text: &str| value(text).is_some_and(|(value, _)| value.is_some());
    match text.split_once(':') {
        Some((start, end)) => (start == "~" || is_number(start)) && (end.is_empty() || is_number(end)),
        None => is_number(text),
    }
}

/// A unit in base units.
struct Unit {
    name: Option<String>,
    factor: f64,
}

impl Unit {
    /// What a plugin means by `text`. Prefixes of bytes are those of the SI, and with an `i` binary; units
    /// that are not known stay as they are.
    fn of(text: &str) -> Self {
        let known = |name: &str, factor| Self { name: Some(name.to_owned()), factor };
        match text {
            "" => return Self { name: None, factor: 1.0 },
            "%" => return known("percent", 1.0),
            "c" => return known("total", 1.0),
            "s" => return known("seconds", 1.0),
            "ms" => return known("seconds", 1e-3),
            "us" => return known("seconds", 1e-6),
            "ns" => return known("seconds", 1e-9),
            _ => {}
        }
        let Some(prefix) = text.strip_suffix('B') else { return known(text, 1.0) };
        let (prefix, base): (_, f64) = match prefix.strip_suffix('i') {
            Some(prefix) => (prefix, 1024.0),
            None => (prefix, 1000.0),
        };
        let power = match prefix {
            "" if base == 1000.0 => 0,
            "K" | "k" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            "P" => 5,
            "E" => 6,
            _ => return known(text, 1.0),
        };
        known("bytes", base.powi(power))
    }
}

/// The name of the metric that a piece becomes: the label, with the unit last.
pub(super) fn metric_name(datum: &PerfDatum) -> String {
    match &datum.unit {
        Some(unit) => format!("{}_{unit}", datum.label),
        None => datum.label.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Label, value and unit of each piece, and how many parts were passed over.
    fn read(text: &str) -> (Vec<(String, Option<f64>, String)>, u32) {
        let PerfData { data, passed_over } = PerfData::read(text);
        (data.into_iter().map(|d| (d.label, d.value, d.unit.unwrap_or_default())).collect(), passed_over)
    }

    #[track_caller]
    fn reads(text: &str, label: &str, value: f64, unit: &str) {
        assert_eq!(read(text), (vec![(label.to_owned(), Some(value), unit.to_owned())], 0), "{text}");
    }

    #[test]
    fn values_come_out_in_base_units() {
        reads("procs=81", "procs", 81.0, "");
        reads("time=0.25s", "time", 0.25, "seconds");
        reads("rta=2500ms", "rta", 2.5, "seconds");
        reads("t=-1500000us", "t", -1.5, "seconds");
        reads("pl=5%", "pl", 5.0, "percent");
        reads("if_in=17c", "if_in", 17.0, "total");
        reads("size=36888903680B", "size", 36_888_903_680.0, "bytes");
        reads("size=2KB", "size", 2_000.0, "bytes");
        reads("size=2KiB", "size", 2_048.0, "bytes");
        reads("size=1.5MB", "size", 1_500_000.0, "bytes");
        reads("size=3TiB", "size", 3.0 * 1024.0f64.powi(4), "bytes");
        reads("t=21C", "t", 21.0, "C");
        reads("rate=3B/s", "rate", 3.0, "B/s");
        reads("x=+.5", "x", 0.5, "");
        reads("x=1e3", "x", 1000.0, "");
        reads("x=1.e-2s", "x", 0.01, "seconds");
        reads("x=2EB", "x", 2e18, "bytes");
        reads("x=5e", "x", 5.0, "e");
    }

    #[test]
    fn labels_may_be_quoted_and_hold_what_they_like() {
        reads("'/'=1B", "/", 1.0, "bytes");
        reads("/=1B", "/", 1.0, "bytes");
        reads("'a b=c'=1", "a b=c", 1.0, "");
        reads("'it''s'=1", "it's", 1.0, "");
        reads("''''=1", "'", 1.0, "");
        reads("'größe'=1", "größe", 1.0, "");
    }

    #[test]
    fn thresholds_and_bounds_stand_beside_the_value() {
        let PerfData { data, passed_over } = PerfData::read("load=1.5ms;@10:20;~:30;0;1000");
        let expected = PerfDatum {
            label: "load".into(),
            value: Some(0.0015),
            unit: Some("seconds".into()),
            warning: Some("@10:20".into()),
            critical: Some("~:30".into()),
            min: Some(0.0),
            max: Some(1.0),
        };
        assert_eq!((data, passed_over), (vec![expected], 0));
        for range in ["10", "10:", "~:10", "10:20", "@10:20", "-1:1", "10%", "1.5:2.5"] {
            assert!(is_range(range), "{range}");
        }
        for no_range in ["a", ":", ":10", "10:~", "@", "1:2:3", "1,5"] {
            assert!(!is_range(no_range), "{no_range}");
        }
    }

    #[test]
    fn a_value_that_the_plugin_could_not_tell_is_kept_without_one() {
        assert_eq!(read("users=U;5;10"), (vec![("users".into(), None, String::new())], 0));
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_and_counted() {
        let one = |label: &str| vec![(label.to_owned(), Some(1.0), String::new())];
        for (text, left, passed_over) in [
            ("", vec![], 0),
            ("   ", vec![], 0),
            ("a=1,5 b=1", one("b"), 1),
            ("a=x b=1", one("b"), 1),
            ("nothing b=1", one("b"), 1),
            ("=1 b=1", one("b"), 1),
            ("''=1 b=1", one("b"), 1),
            ("b=1 'open=2", one("b"), 1),
            ("b=1 'a'2", one("b"), 1),
            ("b=1;x;y;z;u;extra", one("b"), 5),
            ("a=inf b=1 c=nan d=1e999 e=", one("b"), 4),
            ("b=1 a=-", one("b"), 1),
            ("\tb=1\n\n", one("b"), 0),
        ] {
            assert_eq!(read(text), (left, passed_over), "{text:?}");
        }
        let many: String = (0..PIECES_MAX + 10).map(|n| format!("n{n}=1 ")).collect();
        let PerfData { data, passed_over } = PerfData::read(&many);
        assert_eq!((data.len(), passed_over), (PIECES_MAX, 10));
    }

    #[test]
    fn a_metric_is_named_by_its_label_and_unit() {
        let named = |text: &str| metric_name(&PerfData::read(text).data[0]);
        assert_eq!(named("time=1s"), "time_seconds");
        assert_eq!(named("procs=1"), "procs");
    }

    proptest! {
        /// Whatever a plugin prints, it is read within bounds.
        #[test]
        fn anything_can_be_read(text in "[ -~äöß\\t\\n'=;|]{0,300}") {
            let PerfData { data, .. } = PerfData::read(&text);
            prop_assert!(data.len() <= PIECES_MAX);
            prop_assert!(data.iter().all(|d| !d.label.is_empty() && d.label.len() <= TEXT_BYTES_MAX));
            prop_assert!(data.iter().all(|d| d.value.is_none_or(f64::is_finite)));
        }

        /// A label comes out as it went in.
        #[test]
        fn quoting_is_undone(label in "[ -~ä]{1,40}", value in -1e6..1e6f64) {
            let text = format!("'{}'={value}", label.replace('\'', "''"));
            let PerfData { data, passed_over } = PerfData::read(&text);
            prop_assert_eq!((data.len(), passed_over), (1, 0));
            prop_assert_eq!((&data[0].label, data[0].value), (&label, Some(value)));
        }
    }
}
