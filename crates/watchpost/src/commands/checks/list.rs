//! `watchpost checks list` and `get`.

use std::sync::Arc;

use serde_json::{Value, json};
use watchpost_model::{BastionGroup, BastionId, Check, CheckDocument, CheckId, CheckReport, CheckSource, Verb};

use super::yaml::yaml;
use super::{or_empty, rollout, status, stdout};
use crate::cli::{DocumentFormat, ListFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print, print_objects, word};
use crate::remote::{Remote, StoredCheck, find, snapshot};

/// Lists the checks of the store, or of a bastion.
pub async fn list(
    remote: &Arc<Remote>,
    group: Option<BastionGroup>,
    bastion: Option<BastionId>,
    format: ListFormat,
) -> Result<Exit, Failure> {
    match bastion {
        Some(bastion) => of_bastion(remote, &bastion, format).await,
        None => of_store(remote, group, format).await,
    }
}

async fn of_store(remote: &Remote, group: Option<BastionGroup>, format: ListFormat) -> Result<Exit, Failure> {
    let group = group.as_ref().map_or("*", BastionGroup::as_str);
    let mut checks = or_empty(snapshot(&*remote.checks, format!("{group}.*")).await)?;
    checks.retain(|check| check.document.is_some());
    let printed = match format {
        ListFormat::Table => {
            let mut table = Table::new(&["CHECK", "GROUP", "TYPE", "TARGET", "EVERY", "STATE", "REVISION"]);
            for stored in &checks {
                table.row(row(stored));
            }
            table.print()
        }
        format => print_objects(checks.iter().map(object), format),
    };
    printed.map_err(stdout)?;
    Ok(Exit::Ok)
}

/// What a stored check is, as far as this version can read it.
fn read(stored: &StoredCheck) -> Result<(&CheckDocument, Check), String> {
    let document = stored.document.as_ref().ok_or("it is deleted")?.as_ref().map_err(String::clone)?;
    Ok((document, Check::try_from(document.clone()).map_err(|e| e.to_string())?))
}

fn kind(check: &Check) -> &'static str {
    check.check_type().map_or("group", |check_type| check_type.as_str())
}

fn row(stored: &StoredCheck) -> Vec<Cell> {
    let (id, group, revision) = (stored.check.to_string(), stored.group.to_string(), stored.revision.to_string());
    match read(stored) {
        Ok((document, check)) => {
            let every = if check.is_scheduled() { check.interval().to_string() } else { "-".to_owned() };
            let (state, tone) = match (document.paused, document.scheduled) {
                (true, _) => ("paused", Tone::Doubtful),
                (false, false) => ("on request", Tone::Plain),
                (false, true) => ("scheduled", Tone::Plain),
            };
            let target = check.target_name();
            vec![
                id.into(),
                group.into(),
                kind(&check).into(),
                target.into(),
                every.into(),
                Cell::new(state, tone),
                revision.into(),
            ]
        }
        Err(error) => {
            let unreadable = Cell::new("unreadable", Tone::Bad);
            vec![id.into(), group.into(), "-".into(), error.into(), "-".into(), unreadable, revision.into()]
        }
    }
}

fn object(stored: &StoredCheck) -> Value {
    let mut object = json!({"check": stored.check, "group": stored.group, "revision": stored.revision});
    match read(stored) {
        Ok((document, check)) => {
            object["type"] = json!(kind(&check));
            object["target"] = json!(check.target_name());
            object["paused"] = json!(document.paused);
            object["document"] = json!(document);
        }
        Err(error) => object["error"] = json!(error),
    }
    object
}

async fn of_bastion(remote: &Remote, bastion: &BastionId, format: ListFormat) -> Result<Exit, Failure> {
    let reports = rollout::all(remote, bastion).await.map_err(|e| e.failure(bastion, Verb::CheckList))?;
    let printed = match format {
        ListFormat::Table => {
            let mut table = Table::new(&["CHECK", "FROM", "REVISION", "STANDING", "REASON"]);
            for report in &reports {
                let CheckReport { check, source, group, revision, .. } = report;
                let from = match (source, group) {
                    (CheckSource::Store, Some(group)) => group.to_string(),
                    (source, _) => word(source),
                };
                let revision = revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
                let (standing, tone) = status::standing(report);
                let reason = status::reason(report);
                table.row([
                    check.as_str().into(),
                    from.into(),
                    revision.into(),
                    Cell::new(standing, tone),
                    reason.into(),
                ]);
            }
            table.print()
        }
        format => print_objects(reports.iter().map(|report| json!(report)), format),
    };
    printed.map_err(stdout)?;
    Ok(Exit::Ok)
}

/// Shows a check as it is stored.
pub async fn get(
    remote: &Remote,
    group: Option<&BastionGroup>,
    id: &CheckId,
    format: DocumentFormat,
) -> Result<Exit, Failure> {
    let stored = find(remote, group, id).await?;
    let document = match stored.document {
        Some(Ok(document)) => document,
        Some(Err(error)) => {
            let message = format!("what is stored as `{}.{id}` cannot be read here: {error}", stored.group);
            return Err(Failure::of(Exit::NotPassed, message));
        }
        None => return Err(Failure::of(Exit::NotPassed, format!("the check `{id}` is deleted"))),
    };
    let text = match format {
        DocumentFormat::Yaml => {
            format!("# group {}, revision {}\n{}", stored.group, stored.revision, yaml(&document)?)
        }
        DocumentFormat::Json => {
            let pretty = serde_json::to_string_pretty(&document);
            pretty.map_err(|e| Failure::stuck(format!("check `{id}` cannot be written as JSON: {e}")))? + "\n"
        }
    };
    print(&text).map_err(stdout)?;
    Ok(Exit::Ok)
}
