//! `watchpost bastions`: who is online, and how each stands.

mod show;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use watchpost_model::{BastionId, Drain, Drained, Heartbeat, Role, StoreState, Timestamp, V1, Verb};

use crate::cli::{BastionsArgs, BastionsCommand, DrainArgs, ListFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print, print_objects};
use crate::remote::{Bastion, Limits, Remote};

/// Runs one of its commands.
pub fn run(args: BastionsArgs) -> Result<Exit, Failure> {
    super::in_system(async move {
        let remote = Arc::new(Remote::connect(&args.connect).await?);
        match args.command {
            BastionsCommand::List { output } => list(&remote, output).await,
            BastionsCommand::Show { bastion, output } => show(&remote, &bastion, output).await,
            BastionsCommand::Drain(args) => drain(&remote, args, Verb::BastionDrain).await,
            BastionsCommand::Undrain(args) => drain(&remote, args, Verb::BastionUndrain).await,
        }
    })
}

async fn list(remote: &Arc<Remote>, format: ListFormat) -> Result<Exit, Failure> {
    let seen = remote.bastions().await?;
    if !seen.kept {
        tracing::warn!(
            "nobody keeps heartbeats on this bus, so bastions that are silent are not known: `watchpost bus setup` makes \
             the stream for it"
        );
    }
    let now = remote.now();
    let printed = match format {
        ListFormat::Table => {
            let mut table =
                Table::new(&["BASTION", "STATE", "SINCE", "CHECKS", "GROUPS", "PROCESSES", "VERSION", "NOTE"]);
            for bastion in &seen.bastions {
                table.row(row(bastion, now));
            }
            table.print()
        }
        format => print_objects(seen.bastions.iter().map(object), format),
    };
    printed.map_err(stdout)?;
    Ok(Exit::Ok)
}

fn row(bastion: &Bastion, now: Timestamp) -> Vec<Cell> {
    let last = bastion.processes.first().map(|process| &process.heartbeat);
    let version = last.map_or("-", |heartbeat| &heartbeat.version);
    let groups = |heartbeat: &Heartbeat| heartbeat.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let known = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let of_checker = || bastion.processes.iter().map(|p| &p.heartbeat).find(|h| h.roles.contains(&Role::Checker));
    let checks = of_checker().and_then(|checker| checker.checks).map(|n| n.to_string()).unwrap_or_default();
    let (state, tone, since, processes) = if bastion.is_online() {
        let since = bastion.online().map(|process| process.heartbeat.started_at).min();
        ("online", Tone::Good, since, bastion.online().count().to_string())
    } else {
        ("offline", Tone::Bad, bastion.heard_at(), "-".to_owned())
    };
    let since = since.map(|at| format!("{} ago", span(at, now)));
    let note = note(bastion);
    vec![
        bastion.id.as_str().into(),
        Cell::new(state, tone),
        known(since.unwrap_or_default()).into(),
        known(checks).into(),
        known(of_checker().map(groups).unwrap_or_default()).into(),
        processes.into(),
        version.into(),
        Cell::new(note.unwrap_or_default(), Tone::Doubtful),
    ]
}

/// What is not as it should be.
fn note(bastion: &Bastion) -> Option<String> {
    if !bastion.is_online() {
        let at = bastion.heard_at()?;
        return Some(format!("silent since {}", second(at)));
    }
    let mut notes = Vec::new();
    if bastion.online().any(|process| process.heartbeat.draining) {
        notes.push("draining".to_owned());
    }
    match (bastion.has(Role::Checker), bastion.has(Role::Runner)) {
        (false, _) => notes.push("runs nothing: it has no Checker online".to_owned()),
        (_, false) => notes.push("runs nothing: it has no Runner online".to_owned()),
        _ => match bastion.checker() {
            Some(Heartbeat { message: Some(message), .. }) => notes.push(message.clone()),
            Some(Heartbeat { checks: Some(0), .. }) => notes.push("runs nothing: it has no checks".to_owned()),
            _ => {}
        },
    }
    if let Some(store) = bastion.checker().and_then(|checker| checker.store.as_ref()) {
        match store.state {
            StoreState::Off | StoreState::Starting | StoreState::Following => {}
            _ => notes
                .push(format!("store: {}", store.message.clone().unwrap_or_else(|| crate::output::word(&store.state)))),
        }
        for (n, word) in [(store.refused, "refused"), (store.orphaned, "orphaned")] {
            if n > 0 {
                notes.push(format!("{n} {word}"));
            }
        }
    }
    let silent = bastion.processes.iter().filter(|process| !process.online).count();
    if silent > 0 {
        notes.push(format!("{silent} processes silent"));
    }
    Some(notes.join("; ")).filter(|notes| !notes.is_empty())
}

fn object(bastion: &Bastion) -> Value {
    let processes: Vec<_> = bastion
        .processes
        .iter()
        .map(|process| json!({"online": process.online, "heard_at": process.heard_at, "heartbeat": process.heartbeat}))
        .collect();
    json!({
        "bastion": bastion.id,
        "online": bastion.is_online(),
        "heard_at": bastion.heard_at(),
        "note": note(bastion),
        "processes": processes,
    })
}

async fn show(remote: &Arc<Remote>, id: &BastionId, format: ListFormat) -> Result<Exit, Failure> {
    let bastion = remote.bastion(id).await?;
    if bastion.processes.is_empty() {
        return Err(Failure::of(
            Exit::BusUnreachable,
            format!("the bastion `{id}` is not on the bus, and no heartbeat of it is kept"),
        ));
    }
    let printed = match format {
        ListFormat::Table => print(&show::words(&bastion, remote.now())),
        format => print_objects(std::iter::once(object(&bastion)), format),
    };
    printed.map_err(stdout)?;
    Ok(Exit::Ok)
}

async fn drain(remote: &Arc<Remote>, args: DrainArgs, verb: Verb) -> Result<Exit, Failure> {
    let DrainArgs { bastion, runner, output } = args;
    let question = Drain { v: V1, request: None, runner };
    let answers: Vec<Drained> =
        remote.ask_all(&bastion, verb, &question, Limits::SHORT).await.map_err(|e| e.failure(&bastion, verb))?;
    let printed = match output {
        ListFormat::Table => {
            let mut table = Table::new(&["BASTION", "RUNNER", "STATE", "UNDER WAY"]);
            for Drained { bastion, runner, draining, outstanding, .. } in &answers {
                let runner = runner.as_ref().map_or("-", |runner| runner.as_str());
                let (state, tone) = if *draining { ("draining", Tone::Doubtful) } else { ("at work", Tone::Good) };
                let under_way = format!("{outstanding} tasks");
                table.row([bastion.as_str().into(), runner.into(), Cell::new(state, tone), under_way.into()]);
            }
            table.print()
        }
        format => print_objects(answers.iter().map(|answer| json!(answer)), format),
    };
    printed.map_err(stdout)?;
    Ok(Exit::Ok)
}

/// How long something has been so, in its two largest units.
fn span(from: Timestamp, to: Timestamp) -> String {
    let us = to.as_microsecond().saturating_sub(from.as_microsecond());
    let seconds = Duration::from_micros(u64::try_from(us).unwrap_or_default()).as_secs();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {}m", minutes % 60),
        (days, hours, _) => format!("{days}d {}h", hours % 24),
    }
}

/// A moment, to the second.
fn second(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |to_the_second| format!("{to_the_second}Z"))
}

fn stdout(error: std::io::Error) -> Failure {
    Failure::stuck(format!("stdout: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (to, told) in [
            ("2026-01-01T00:00:07.9Z", "7s"),
            ("2026-01-01T00:03:07Z", "3m 7s"),
            ("2026-01-01T05:03:07Z", "5h 3m"),
            ("2026-01-03T05:03:07Z", "2d 5h"),
            ("2025-12-31T00:00:00Z", "0s"),
        ] {
            assert_eq!(span(from, to.parse().unwrap()), told);
        }
        assert_eq!(second("2026-01-01T00:00:07.9Z".parse().unwrap()), "2026-01-01T00:00:07Z");
    }
}
