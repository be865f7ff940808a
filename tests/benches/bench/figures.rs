//! What was measured, as a table for people and as rows for docs/benchmarks.md.

use std::fmt::Write;
use std::time::Duration;

/// One line of the table.
#[derive(Debug)]
struct Figure {
    what: String,
    value: String,
    goal: String,
    met: Option<bool>,
}

/// Everything that was measured in this run.
#[derive(Debug, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// A figure without a goal.
    pub fn note(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.push(what.into(), value.into(), String::new(), None);
    }

    /// A figure that should be `goal`, and whether it is.
    pub fn goal(&mut self, what: impl Into<String>, value: impl Into<String>, goal: impl Into<String>, met: bool) {
        self.push(what.into(), value.into(), goal.into(), Some(met));
    }

    /// A ratio that should be at least `least`.
    pub fn ratio(&mut self, what: impl Into<String>, ratio: f64, least: f64) {
        self.goal(what, format!("{ratio:.2}"), format!("≥ {least}"), ratio >= least);
    }

    /// Something that could not be measured, and why.
    pub fn missing(&mut self, what: impl Into<String>, why: &str) {
        self.push(what.into(), why.to_owned(), String::new(), None);
    }

    fn push(&mut self, what: String, value: String, goal: String, met: Option<bool>) {
        self.0.push(Figure { what, value, goal, met });
    }

    /// The table with aligned columns.
    pub fn table(&self) -> String {
        let width = |of: fn(&Figure) -> &str| self.0.iter().map(|f| of(f).chars().count()).max().unwrap_or(0);
        let (what, value, goal) = (width(|f| &f.what), width(|f| &f.value), width(|f| &f.goal));
        self.lines(|f, met| format!("{:what$}  {:>value$}  {:goal$}  {met}", f.what, f.value, f.goal))
    }

    /// The rows of the table in docs/benchmarks.md.
    pub fn markdown(&self) -> String {
        self.lines(|f, met| format!("| {} | {} | {} | {met} |", f.what, f.value, f.goal))
    }

    fn lines(&self, line: impl Fn(&Figure, &str) -> String) -> String {
        self.0.iter().fold(String::new(), |mut text, figure| {
            let met = match figure.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            writeln!(text, "{}", line(figure, met).trim_end()).expect("a String takes everything");
            text
        })
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    assert!(!values.is_empty(), "there is nothing to take the median of");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The value below which the `part` of all lie. `values` must be sorted.
pub fn percentile(values: &[i64], part: f64) -> i64 {
    let last = values.len().checked_sub(1).expect("there is nothing to take a percentile of");
    values[((last as f64) * part).round() as usize]
}

/// `19 260`.
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number);
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `12.3 ms`, in the unit that suits.
pub fn shown(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    match us {
        _ if us >= 1e6 => format!("{:.2} s", us / 1e6),
        _ if us >= 1e4 => format!("{:.1} ms", us / 1e3),
        _ if us >= 1e3 => format!("{:.2} ms", us / 1e3),
        _ => format!("{us:.0} µs"),
    }
}
