//! What a row says its results must be, held against what they are.

use regex::Regex;
use serde_json::Value;

use crate::words::Words;

/// What one field of a result must be.
#[derive(Debug, Clone)]
pub enum Is {
    /// This very value.
    Equal(Value),
    /// A text, or the JSON of something else, that contains this.
    Holding(String),
    /// A text, or the JSON of something else, that this regular expression matches.
    Like(String),
    /// There at all.
    Present,
    /// Not there.
    Absent,
    /// A number no less than this, or a list or object of no fewer entries.
    AtLeast(f64),
    /// A number no more than this, or a list or object of no more entries.
    AtMost(f64),
}

/// This very value.
pub fn is(value: impl Into<Value>) -> Is {
    Is::Equal(value.into())
}

/// A text that contains `part`.
pub fn has(part: &str) -> Is {
    Is::Holding(part.to_owned())
}

/// A text that `regex` matches.
pub fn like(regex: &str) -> Is {
    Is::Like(regex.to_owned())
}

/// A field that is not there.
pub const fn absent() -> Is {
    Is::Absent
}

/// A field that is there.
pub const fn present() -> Is {
    Is::Present
}

/// A number no less than `least`, or so many entries.
pub const fn at_least(least: f64) -> Is {
    Is::AtLeast(least)
}

/// A number no more than `most`, or so many entries.
pub const fn at_most(most: f64) -> Is {
    Is::AtMost(most)
}

impl Is {
    /// Whether `value` is that; words in braces stand for what `words` says.
    fn holds(&self, value: Option<&Value>, words: &Words) -> Result<bool, String> {
        let text = || match value {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let number = || match value {
            Some(Value::Array(entries)) => Some(entries.len() as f64),
            Some(Value::Object(entries)) => Some(entries.len() as f64),
            other => other.and_then(Value::as_f64),
        };
        Ok(match self {
            Self::Equal(wanted) => value == Some(&filled_in(wanted, words)?),
            Self::Holding(part) => value.is_some() && text().contains(&words.filled_in(part)?),
            Self::Like(regex) => value.is_some() && matches(regex, &text(), words)?,
            Self::Present => value.is_some(),
            Self::Absent => value.is_none(),
            Self::AtLeast(least) => number().is_some_and(|number| number >= *least),
            Self::AtMost(most) => number().is_some_and(|number| number <= *most),
        })
    }
}

/// The texts in `value` with what their words stand for.
fn filled_in(value: &Value, words: &Words) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => words.filled_in(text)?.into(),
        Value::Array(entries) => entries.iter().map(|entry| filled_in(entry, words)).collect::<Result<_, _>>()?,
        other => other.clone(),
    })
}

/// How a task must end.
#[derive(Debug, Clone)]
pub struct Ending {
    outcome: &'static str,
    code: Option<String>,
}

impl Ending {
    pub const PASS: Self = Self { outcome: "pass", code: None };

    pub fn of(outcome: &'static str, code: &str) -> Self {
        Self { outcome, code: Some(code.to_owned()) }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.code {
            None => f.write_str(self.outcome),
            Some(code) => write!(f, "{}/{code}", self.outcome),
        }
    }
}

/// What a row expects.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// A regular expression for what is told of a configuration that is refused.
    pub refused: Option<String>,
    /// One for each result that the check is to have, in any order.
    pub endings: Vec<Ending>,
    /// Regular expressions for the sentence of each result that did not pass.
    pub sentences: Vec<String>,
    /// What fields of each result must be.
    pub fields: Vec<(String, Is)>,
    /// How many connections the row's server must have accepted.
    pub connections: Option<usize>,
}

impl Expected {
    /// What is wrong with a process that ended with `code` and told this, where it should have refused to run.
    pub fn faults_of_refusal(&self, code: i32, told: &str, words: &Words) -> Option<String> {
        let regex = self.refused.as_ref()?;
        match matches(regex, told, words) {
            Ok(true) if code == 2 => None,
            Ok(_) => Some(format!("ended with {code}, expected 2 and something like /{regex}/:\n{told}")),
            Err(error) => Some(error),
        }
    }

    /// What is wrong with `results`, the results of one check.
    pub fn faults(&self, results: &[&Value], words: &Words) -> Vec<String> {
        let mut faults = Vec::new();
        let mut wanted: Vec<String> = self.endings.iter().map(ToString::to_string).collect();
        let mut ended: Vec<String> = results.iter().map(|result| ending(result)).collect();
        wanted.sort_unstable();
        ended.sort_unstable();
        if wanted != ended {
            faults.push(format!("ended as {}, expected {}", ended.join(" and "), wanted.join(" and ")));
        }
        for result in results {
            faults.extend(self.faults_of(result, words));
            faults.extend(never(result));
        }
        faults
    }

    fn faults_of(&self, result: &Value, words: &Words) -> Vec<String> {
        let mut faults = Vec::new();
        let sentence = result["reason"]["message"].as_str().unwrap_or_default();
        for regex in self.sentences.iter().filter(|_| result["outcome"] != "pass") {
            match matches(regex, sentence, words) {
                Ok(true) => {}
                Ok(false) => faults.push(format!("says `{sentence}`, expected something like /{regex}/")),
                Err(error) => faults.push(error),
            }
        }
        for (path, wanted) in &self.fields {
            let value = at(result, path);
            match wanted.holds(value, words) {
                Ok(true) => {}
                Ok(false) => {
                    let value = value.map_or_else(|| "absent".to_owned(), ToString::to_string);
                    faults.push(format!("{path} is {value}, expected {wanted:?}"));
                }
                Err(error) => faults.push(error),
            }
        }
        faults
    }
}

/// What no result may ever be.
fn never(result: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let passed = result["outcome"] == "pass";
    must(result["reason"].is_object() != passed, "a result has a reason exactly where it did not pass");
    must(
        result["phases_us"]["total"].is_u64() == result["started_at"].is_string(),
        "a result has a total time exactly where a worker began",
    );
    if !passed {
        let code = result["reason"]["code"].as_str().unwrap_or_default();
        let sentence = result["reason"]["message"].as_str().unwrap_or_default();
        must(watchpost_model::REASON_CODES.iter().any(|(known, _)| *known == code), "a reason's code is a known one");
        must(!sentence.is_empty() && sentence.len() <= 1000, "a reason is a sentence of reasonable length");
        must(!sentence.contains('\n'), "a reason is one line");
        for internal in ["os error", "Error(", "Some(", "panicked", "hyper::", "rustls::"] {
            must(!sentence.contains(internal), "a reason is for people");
        }
    }
    let excerpt = result["http"]["body_excerpt"].as_str().unwrap_or_default();
    must(excerpt.len() <= 2 * 1024, "an excerpt is at most 2 KiB");
    must(result["assertions"].as_array().is_none_or(|all| all.len() <= 64), "assertions are bounded");
    faults
}

/// Outcome and reason code as `fail/http_status`.
fn ending(result: &Value) -> String {
    let outcome = result["outcome"].as_str().unwrap_or("?");
    match result["reason"]["code"].as_str() {
        None => outcome.to_owned(),
        Some(code) => format!("{outcome}/{code}"),
    }
}

/// What lies in `result` at `path`: keys and numbers of entries, with dots between them.
fn at<'a>(result: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(result, |value, part| match value {
        Value::Array(entries) => entries.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// Whether `regex` matches `text`; words in braces stand, letter by letter, for what `words` says.
fn matches(regex: &str, text: &str, words: &Words) -> Result<bool, String> {
    let regex = words.escaped().filled_in(regex)?;
    Regex::new(&regex).map(|regex| regex.is_match(text)).map_err(|error| error.to_string())
}
