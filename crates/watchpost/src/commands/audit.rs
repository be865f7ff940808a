//! `watchpost audit`: what an audit log says, and whether it is as it was written.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use watchpost_agent::{Clock, SystemClock};
use watchpost_audit::{AuditError, Head, PROBLEMS_MAX, Problem, Verified, read_entries, verify};
use watchpost_model::{CheckId, Timestamp};

use crate::cli::{AuditCommand, ListFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print, print_objects};

/// What of an entry has a column of its own, or is of no use to the eye.
const NOT_DETAILS: [&str; 7] = ["seq", "at", "bastion", "instance", "event", "prev", "hash"];

/// Runs one of its commands.
pub fn run(command: AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Show { files, events, check, since, limit, output } => {
            let since = since.and_then(|since| SystemClock::default().now().checked_sub(since).ok());
            show(&files, &Wanted { events, check, since }, limit as usize, output)
        }
        AuditCommand::Verify { files, head, output } => {
            let found = verify(&files, head).map_err(|error| unreadable(&error))?;
            tell(&found, output).map_err(|e| Failure::stuck(format!("stdout: {e}")))?;
            Ok(if found.problems.is_empty() { Exit::Ok } else { Exit::NotPassed })
        }
    }
}

fn unreadable(error: &AuditError) -> Failure {
    Failure::chain(Exit::Usage, error)
}

/// Which entries are wanted.
struct Wanted {
    events: Vec<String>,
    check: Option<CheckId>,
    since: Option<Timestamp>,
}

impl Wanted {
    fn wants(&self, entry: &Value) -> bool {
        let text = |key: &str| entry[key].as_str();
        let of_kind = self.events.is_empty() || self.events.iter().any(|event| text("event") == Some(event));
        let of_check = self.check.as_ref().is_none_or(|check| text("check") == Some(check.as_str()));
        let at = || text("at").and_then(|at| at.parse::<Timestamp>().ok());
        of_kind && of_check && self.since.is_none_or(|since| at().is_some_and(|at| at >= since))
    }
}

fn show(files: &[PathBuf], wanted: &Wanted, limit: usize, output: ListFormat) -> Result<Exit, Failure> {
    let mut newest = VecDeque::new();
    let each = |line: &str| {
        // What cannot be read is for `verify` to tell.
        let Ok(entry) = serde_json::from_str::<Value>(line) else { return };
        if wanted.wants(&entry) {
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(entry);
        }
    };
    read_entries(files, each).map_err(|error| unreadable(&error))?;
    let printed = match output {
        ListFormat::Table => {
            let mut table = Table::new(&["NUMBER", "AT", "EVENT", "DETAILS"]);
            for entry in &newest {
                let text = |key: &str| entry[key].as_str().unwrap_or("-");
                let event = Cell::new(text("event"), tone(text("event"), entry));
                table.row([entry["seq"].to_string().into(), text("at").into(), event, details(entry).into()]);
            }
            table.print()
        }
        format => print_objects(newest, format),
    };
    printed.map_err(|e| Failure::stuck(format!("stdout: {e}")))?;
    Ok(Exit::Ok)
}

fn tone(event: &str, entry: &Value) -> Tone {
    match event {
        "policy_broken" | "task_refused" | "repaired" | "dropped" => Tone::Bad,
        "policy_denied" => Tone::Doubtful,
        "check_changed" if entry["change"] == "refused" => Tone::Doubtful,
        "control_request" if entry["answer"] != "done" => Tone::Doubtful,
        _ => Tone::Plain,
    }
}

/// What else an entry says, as `name=value`.
fn details(entry: &Value) -> String {
    let fields = entry.as_object().map(Map::iter).into_iter().flatten();
    let mut told = Vec::new();
    for (name, value) in fields.filter(|(name, _)| !NOT_DETAILS.contains(&name.as_str())) {
        match value {
            Value::Object(inner) => {
                told.extend(inner.iter().map(|(inner, value)| format!("{name}.{inner}={}", word(value))))
            }
            value => told.push(format!("{name}={}", word(value))),
        }
    }
    told.join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => text.clone(),
        value => value.to_string(),
    }
}

fn tell(found: &Verified, output: ListFormat) -> std::io::Result<()> {
    let Verified { entries, first, last, problems, more_problems } = found;
    if output != ListFormat::Table {
        let head = |head: &Option<Head>| head.as_ref().map(|head| json!({"seq": head.seq, "hash": head.hash_text()}));
        let problem = |problem: &Problem| json!({"file": problem.file, "line": problem.line, "message": problem.what});
        let told = json!({
            "entries": entries,
            "first": head(first),
            "last": head(last),
            "problems": problems.iter().map(problem).collect::<Vec<_>>(),
            "more_problems": more_problems,
        });
        return print(&format!("{told}\n"));
    }
    let mut text = String::new();
    for Problem { file, line, what } in problems {
        text.push_str(&format!("{}:{line}: {what}\n", file.display()));
    }
    if *more_problems > 0 {
        text.push_str(&format!("{more_problems} more problems after the first {PROBLEMS_MAX}\n"));
    }
    match (first, last) {
        (Some(first), Some(last)) => {
            let judgement =
                if problems.is_empty() { "each follows from the one before" } else { "not as they were written" };
            text.push_str(&format!("{entries} entries, {} to {}: {judgement}\n", first.seq, last.seq));
            if first.seq > 1 {
                text.push_str(&format!("entries before {} are not in these files\n", first.seq));
            }
            text.push_str(&format!("head: {last}\n"));
        }
        _ => text.push_str("there is no entry in these files\n"),
    }
    print(&text)
}
