//! `watchpost checks apply`: reads, compares, asks, writes, and sees it taken up.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;
use watchpost_bus::KvError;
use watchpost_model::{BastionGroup, BastionId, CheckId, Format, encode};
use watchpost_trust::Signer;

use super::plan::{Change, Kind, plan, validate};
use super::rollout::{Goal, Told, Why, acknowledged, would_refuse};
use super::{diff, group_of, sign, stdout};
use crate::cli::{ApplyArgs, ListFormat, SetupArgs};
use crate::commands::{bus, confirm};
use crate::config::{WrittenCheck, read_checks};
use crate::failure::{Exit, Failure};
use crate::output::{Tone, print};
use crate::remote::{Remote, key, snapshot};

/// How many writes are on their way at the same time.
const AT_ONCE: usize = 64;
/// How many errors of files are told.
const ERRORS_MAX: usize = 20;

/// Reads and validates checks in files.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(files: &[PathBuf]) -> Result<Vec<WrittenCheck>, Failure> {
    read_checks(files).map_err(|errors| {
        let more = errors.len().saturating_sub(ERRORS_MAX);
        let mut told: Vec<_> = errors.iter().take(ERRORS_MAX).map(ToString::to_string).collect();
        if more > 0 {
            told.push(format!("… and {more} more errors"));
        }
        Failure::usage(told.join("\n"))
    })
}

/// Makes the store hold what was read.
pub async fn run(
    remote: &Arc<Remote>,
    args: ApplyArgs,
    signer: Option<Signer>,
    mut written: Vec<WrittenCheck>,
) -> Result<Exit, Failure> {
    let group = group_of(remote, args.group.clone())?;
    if !args.dry_run {
        bus::ensure(remote, &SetupArgs::default()).await?;
    }
    let stored = match snapshot(&*remote.checks, format!("{group}.*")).await {
        Err(KvError::NoBucket { .. }) if args.dry_run => Vec::new(),
        stored => stored?,
    };
    if let Some(signer) = signer {
        sign::sign_changed(&signer, &group, remote.now(), &stored, &mut written)?;
    }
    let changes = plan(written, &stored, args.prune);
    validate(&changes, &stored, &group)?;
    let out = Out { group: &group, format: args.output, diff: !args.no_diff, dry_run: args.dry_run };

    let bastions = remote.checkers_of(&group).await?;
    let refusals = would_refuse(remote, &bastions, &group, &changes).await?;
    let refused = refusals.iter().any(|told| matches!(told.why, Why::Refused(..)));
    let stop = refused && !args.force;
    if args.dry_run || stop {
        out.print(&changes, &BTreeMap::new(), &refusals)?;
        summarise(&changes, &bastions, &group, args.dry_run || stop);
        if stop && !args.dry_run {
            return Err(Failure::of(
                Exit::NotPassed,
                "nothing was written: bastions would refuse some of it; --force writes it all the same",
            ));
        }
        let denied = refusals.iter().any(|told| matches!(told.why, Why::Denied(_)));
        return Ok(if refused || denied { Exit::NotPassed } else { Exit::Ok });
    }
    let pruned = changes.iter().filter(|change| change.kind == Kind::Pruned).count();
    if pruned > 0 && !args.yes {
        out.print_diffs(&changes)?;
        confirm(&format!("delete {pruned} checks of the group `{group}`"))?;
    }
    let done = write(remote, &group, &changes).await?;
    let goals = done.goals();
    let mut told = if goals.is_empty() || args.wait.is_zero() {
        Vec::new()
    } else {
        acknowledged(remote, &bastions, &group, goals, args.wait).await?
    };
    told.extend(refusals.into_iter().filter(|told| matches!(told.why, Why::Silent(_))));
    out.print(&changes, &done.written, &told)?;
    summarise(&changes, &bastions, &group, false);
    done.tell()?;
    Ok(if told.is_empty() { Exit::Ok } else { Exit::NotPassed })
}

/// What became of each check that was to be written.
#[derive(Debug, Default)]
struct Done {
    written: BTreeMap<CheckId, Result<Goal, KvError>>,
}

impl Done {
    fn goals(&self) -> BTreeMap<CheckId, Goal> {
        let good = |(id, done): (&CheckId, &Result<Goal, KvError>)| Some((id.clone(), *done.as_ref().ok()?));
        self.written.iter().filter_map(good).collect()
    }

    /// Conflicts are told one by one; anything else ends the command.
    fn tell(self) -> Result<(), Failure> {
        let failed: Vec<_> = self.written.into_iter().filter_map(|(id, done)| Some((id, done.err()?))).collect();
        let Some((_, first)) = failed.first() else { return Ok(()) };
        if failed.iter().all(|(_, error)| matches!(error, KvError::Conflict { .. })) {
            let ids: Vec<_> = failed.iter().take(10).map(|(id, _)| format!("`{id}`")).collect();
            let more = if failed.len() > ids.len() { ", …" } else { "" };
            return Err(Failure::of(
                Exit::NotPassed,
                format!(
                    "{} checks were not written, since somebody else has changed them since they were read: {}{more}; look \
                     at the difference with --dry-run, and apply again",
                    failed.len(),
                    ids.join(", ")
                ),
            ));
        }
        Err(Failure::of(Exit::NotPassed, format!("{} checks were not written: {first}", failed.len())))
    }
}

/// Writes what is new, each only where the store still holds what was compared with.
async fn write(remote: &Arc<Remote>, group: &BastionGroup, changes: &[Change]) -> Result<Done, Failure> {
    let mut writing = JoinSet::new();
    let mut done = Done::default();
    for change in changes.iter().filter(|change| change.is_news()) {
        if writing.len() >= AT_ONCE
            && let Some(Ok((id, outcome))) = writing.join_next().await
        {
            done.written.insert(id, outcome);
        }
        let (remote, id, expected) = (Arc::clone(remote), change.check.clone(), change.expected);
        let key = key(group, &id);
        // People read it with any client.
        let value = change.new.as_ref().map(|document| Bytes::from(encode(document, Format::Json)));
        writing.spawn(async move {
            let outcome = match value {
                Some(value) => remote.checks.put(&key, value, Some(expected)).await.map(Goal::Run),
                None => remote.checks.delete(&key, Some(expected)).await.map(Goal::Drop),
            };
            (id, outcome)
        });
    }
    while let Some(joined) = writing.join_next().await {
        if let Ok((id, outcome)) = joined {
            done.written.insert(id, outcome);
        }
    }
    Ok(done)
}

/// How what is done is printed.
struct Out<'a> {
    group: &'a BastionGroup,
    format: ListFormat,
    diff: bool,
    dry_run: bool,
}

impl Out<'_> {
    fn print(
        &self,
        changes: &[Change],
        written: &BTreeMap<CheckId, Result<Goal, KvError>>,
        told: &[Told],
    ) -> Result<(), Failure> {
        fn of<'t>(told: &'t [Told], id: &CheckId) -> Vec<&'t Told> {
            told.iter().filter(|told| told.check == *id).collect()
        }
        let of = |id: &CheckId| of(told, id);
        if self.format == ListFormat::Table {
            let colour = std::io::stdout().is_terminal();
            for change in changes {
                if change.is_news() || !of(&change.check).is_empty() {
                    let row = self.row(change, written.get(&change.check), of(&change.check), colour)?;
                    print(&row).map_err(stdout)?;
                }
            }
            return Ok(());
        }
        let objects = changes.iter().map(|change| self.object(change, written.get(&change.check), of(&change.check)));
        crate::output::print_objects(objects, self.format).map_err(stdout)
    }

    /// What is about to change, for whoever is asked whether it may.
    fn print_diffs(&self, changes: &[Change]) -> Result<(), Failure> {
        let mut err = std::io::stderr().lock();
        let colour = std::io::stderr().is_terminal();
        for change in changes.iter().filter(|change| change.kind == Kind::Pruned) {
            let line = format!("{} {}", Tone::Bad.paint("delete", colour), change.check);
            writeln!(err, "{line}").map_err(stdout)?;
        }
        Ok(())
    }

    fn row(
        &self,
        change: &Change,
        written: Option<&Result<Goal, KvError>>,
        told: Vec<&Told>,
        colour: bool,
    ) -> Result<String, Failure> {
        let (word, tone) = match (change.kind, written) {
            (_, Some(Err(KvError::Conflict { .. }))) => ("conflict", Tone::Bad),
            (_, Some(Err(_))) => ("failed", Tone::Bad),
            (Kind::Created, _) => ("created", Tone::Good),
            (Kind::Changed, _) => ("changed", Tone::Doubtful),
            (Kind::Unchanged, _) => ("unchanged", Tone::Plain),
            (Kind::Pruned, _) => ("pruned", Tone::Bad),
        };
        let after = match written {
            Some(Ok(Goal::Run(revision) | Goal::Drop(revision))) => format!(" (revision {revision})"),
            Some(Err(error)) => format!(" ({error})"),
            None if self.dry_run && change.is_news() => " (dry run)".to_owned(),
            None => String::new(),
        };
        let mut row = format!("{}/{} {}{after}\n", self.group, change.check, tone.paint(word, colour));
        if self.diff && change.is_news() {
            row.push_str(&diff::unified(change, colour)?);
        }
        for Told { bastion, why, .. } in told {
            let (word, message) = why.words();
            let message = watchpost_model::shorten(&message, 600);
            row.push_str(&format!("  {} {bastion}: {word}: {message}\n", Tone::Bad.paint("!", colour)));
        }
        Ok(row)
    }

    fn object(&self, change: &Change, written: Option<&Result<Goal, KvError>>, told: Vec<&Told>) -> serde_json::Value {
        let bastions: Vec<_> = told
            .into_iter()
            .map(|Told { bastion, why, .. }| {
                let (code, message) = why.words();
                json!({"bastion": bastion, "code": code, "message": message})
            })
            .collect();
        let mut object = json!({"group": self.group, "check": change.check, "change": change.kind.as_str()});
        match written {
            Some(Ok(Goal::Run(revision) | Goal::Drop(revision))) => object["revision"] = json!(revision),
            Some(Err(KvError::Conflict { .. })) => object["conflict"] = json!(true),
            Some(Err(error)) => object["error"] = json!(error.to_string()),
            None => {}
        }
        if self.dry_run {
            object["dry_run"] = json!(true);
        }
        if !bastions.is_empty() {
            object["bastions"] = json!(bastions);
        }
        object
    }
}

#[expect(clippy::print_stderr, reason = "the summary is for people")]
fn summarise(changes: &[Change], bastions: &[BastionId], group: &BastionGroup, nothing_written: bool) {
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let kinds = [Kind::Created, Kind::Changed, Kind::Unchanged, Kind::Pruned];
    let counts: Vec<_> = kinds.into_iter().map(|kind| (count(kind), kind.as_str())).filter(|(n, _)| *n > 0).collect();
    let counts = counts.iter().map(|(n, word)| format!("{n} {word}")).collect::<Vec<_>>().join(", ");
    let counts = if counts.is_empty() { "no checks".to_owned() } else { counts };
    let who = match bastions {
        [] => format!("no bastion of the group `{group}` is online, so nobody has taken it up"),
        [one] => format!("asked {one}"),
        some => format!("asked {} bastions", some.len()),
    };
    let prefix = if nothing_written { "nothing written: " } else { "" };
    eprintln!("{prefix}{counts}; {who}");
}
