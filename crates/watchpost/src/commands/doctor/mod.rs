//! `watchpost doctor`: what a role can and cannot do here, before it is run.

mod bus;
mod machine;
mod places;
mod rules;

use serde_json::{Value, json};
use watchpost_agent::Roles;

use super::serve::{Prospect, prospect};
use crate::cli::{DoctorArgs, ListFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print_objects};

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be, or as it was asked for.
    Ok,
    /// It will do, and could be better.
    Doubt,
    /// Something that is asked for will not work.
    Fault,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Doubt => "doubt",
            Self::Fault => "fault",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Doubt => Tone::Doubtful,
            Self::Fault => Tone::Bad,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: String,
    state: State,
    found: String,
    /// What to do about it, or what it means.
    advice: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Ok, found: found.into(), advice: None }
    }

    fn doubt(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Doubt, found: found.into(), advice: Some(advice.into()) }
    }

    fn fault(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Fault, found: found.into(), advice: Some(advice.into()) }
    }

    fn object(&self) -> Value {
        let Self { what, state, found, advice } = self;
        json!({ "what": what, "state": state.word(), "found": found, "advice": advice })
    }
}

/// Looks at everything that a role needs, and says what it found.
pub fn run(args: DoctorArgs) -> Result<Exit, Failure> {
    let roles = args.role.roles();
    let prospect = prospect(roles, args.with)?;
    super::in_system(async move {
        let findings = examine(roles, &prospect).await;
        let printed = match args.output {
            ListFormat::Table => table(&findings).print(),
            format => print_objects(findings.iter().map(Finding::object), format),
        };
        printed.map_err(|e| Failure::stuck(format!("stdout: {e}")))?;
        let is_fit = findings.iter().all(|finding| finding.state != State::Fault);
        Ok(if is_fit { Exit::Ok } else { Exit::NotPassed })
    })
}

async fn examine(roles: Roles, prospect: &Prospect) -> Vec<Finding> {
    let runs_checks = roles != Roles::Checker;
    let mut findings = machine::examine(prospect, runs_checks);
    findings.extend(places::examine(prospect));
    if runs_checks {
        findings.extend(rules::examine(prospect));
    }
    findings.extend(bus::examine(roles, prospect).await);
    findings
}

fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&["STATE", "WHAT", "FOUND"]);
    for Finding { what, state, found, advice } in findings {
        let said = advice.as_ref().map_or_else(|| found.clone(), |advice| format!("{found}: {advice}"));
        table.row([Cell::new(state.word(), state.tone()), what.into(), said.into()]);
    }
    table
}
