//! `watchpost checks delete`, `pause` and `resume`.

use std::sync::Arc;

use bytes::Bytes;
use watchpost_bus::KvError;
use watchpost_model::{BastionGroup, CheckId, Format, encode};

use super::{group_of, stdout};
use crate::cli::ChangeArgs;
use crate::commands::confirm;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::remote::{Remote, StoredCheck, find, key};

/// How often a check is read again that somebody else changes at the same time.
const TRIES_MAX: usize = 5;

/// Deletes checks. One that is not there is deleted as well where the group is said: bastions that still run it drop it.
pub async fn delete(
    remote: &Arc<Remote>,
    ids: &[CheckId],
    group: Option<&BastionGroup>,
    yes: bool,
) -> Result<Exit, Failure> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        match (find(remote, group, id).await, group) {
            (Ok(stored), _) => found.push((stored.group, id, stored.revision)),
            (Err(error), None) => return Err(error),
            (Err(_), Some(group)) => found.push((group.clone(), id, 0)),
        }
    }
    if !yes {
        let names: Vec<_> = found.iter().take(5).map(|(group, id, _)| format!("{group}/{id}")).collect();
        let more =
            if found.len() > names.len() { format!(" and {} more", found.len() - names.len()) } else { String::new() };
        confirm(&format!("delete {}{more}", names.join(", ")))?;
    }
    for (group, id, expected) in found {
        let revision = remote.checks.delete(&key(&group, id), Some(expected)).await?;
        let lost = if expected == 0 { ", which the store did not have" } else { "" };
        print(&format!("{group}/{id} deleted (revision {revision}){lost}\n")).map_err(stdout)?;
    }
    Ok(Exit::Ok)
}

/// Writes whether checks are paused.
pub async fn pause(remote: &Arc<Remote>, args: &ChangeArgs, paused: bool) -> Result<Exit, Failure> {
    let group = args.group.clone().map(|group| group_of(remote, Some(group))).transpose()?;
    for id in &args.ids {
        let done = pause_one(remote, group.as_ref(), id, paused).await?;
        print(&format!("{done}\n")).map_err(stdout)?;
    }
    Ok(Exit::Ok)
}

async fn pause_one(
    remote: &Remote,
    group: Option<&BastionGroup>,
    id: &CheckId,
    paused: bool,
) -> Result<String, Failure> {
    let word = if paused { "paused" } else { "resumed" };
    let mut tries = 0;
    loop {
        let StoredCheck { group, check, revision, document } = find(remote, group, id).await?;
        let mut document = match document {
            Some(Ok(document)) => document,
            Some(Err(error)) => {
                let message = format!("what is stored as `{group}.{id}` cannot be read here: {error}");
                return Err(Failure::of(Exit::NotPassed, message));
            }
            None => return Err(Failure::of(Exit::NotPassed, format!("the check `{id}` is deleted"))),
        };
        if document.paused == paused {
            return Ok(format!("{group}/{check} unchanged (revision {revision})"));
        }
        if document.signature.is_some() {
            let message = format!(
                "`{group}/{check}` is signed, `paused` and all: write `paused: {paused}` in its file, and apply it signed \
                 anew (`checks apply --sign`)"
            );
            return Err(Failure::of(Exit::NotPassed, message));
        }
        document.paused = paused;
        let value = Bytes::from(encode(&document, Format::Json));
        match remote.checks.put(&key(&group, &check), value, Some(revision)).await {
            Ok(revision) => return Ok(format!("{group}/{check} {word} (revision {revision})")),
            // Whatever else has changed of it stays as that.
            Err(KvError::Conflict { .. }) if tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
