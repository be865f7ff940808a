//! How others talk to the store.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use watchpost_bus::{BusError, KeyValue, KvEntry, KvError};
use watchpost_model::{
    BastionGroup, Check, CheckDocument, CheckId, CheckList, CheckShown, CheckStored, DeleteCheck, ErrorCode,
    ErrorReply, Format, GetCheck, ListChecks, PauseCheck, PutCheck, StoreReport, StoreState, V1, decode, encode,
    validate_set,
};

use super::ask::{Ask, Looked, Stands};
use super::entry::{Key, format_of};
use crate::{AgentError, ChecksChanged};

/// How often a change is tried again that somebody else was quicker with.
const TRIES: usize = 5;

/// Talks to the store of one bastion: what can be asked of it, and what can be changed.
///
/// A change is written to the bucket on the bus first, and answered when it is known what became of it here.
#[derive(Clone)]
pub struct StoreHandle {
    asks: mpsc::Sender<Ask>,
    kv: Option<Arc<dyn KeyValue>>,
    own: BastionGroup,
    groups: Arc<[BastionGroup]>,
}

type Reply<T> = Result<T, ErrorReply>;

impl StoreHandle {
    pub(super) fn new(
        asks: mpsc::Sender<Ask>,
        kv: Option<Arc<dyn KeyValue>>,
        own: BastionGroup,
        groups: Vec<BastionGroup>,
    ) -> Self {
        Self { asks, kv, own, groups: groups.into() }
    }

    /// Writes a check into the bucket; with `dry_run` only says what would become of it.
    ///
    /// # Errors
    /// Where nothing was written: `bad_payload`, `conflict`, `refused`, `read_only`, `not_allowed`, `unavailable`. After
    /// `unavailable` it may have been written all the same.
    pub async fn put(&self, put: PutCheck) -> Reply<CheckStored> {
        let PutCheck { check: document, group, expected_revision: expected, dry_run, .. } = put;
        let check = Check::try_from(CheckDocument::clone(&document)).map_err(|error| ErrorReply {
            field: Some("check".to_owned()),
            ..reply(ErrorCode::BadPayload, error.to_string())
        })?;
        let key = Key { check: check.id().clone(), group: group.unwrap_or_else(|| self.own.clone()) };
        let looked = self.look(&key, Some(Arc::new(check))).await?;
        self.changeable(&key, &looked)?;
        if let Some(refusal) = looked.refusal.as_ref().filter(|_| self.groups.contains(&key.group)) {
            return Err(reply(ErrorCode::Refused, refusal.message.clone()));
        }
        if dry_run {
            let is_there = self.revision_for_dry_run(&key, expected, &looked).await?;
            return Ok(stored(key, is_there, looked.stands));
        }
        let value = Bytes::from(encode(&*document, Format::MsgPack));
        self.write(key, Some(value), there(expected, looked.is_orphaned, &looked.latest)).await
    }

    /// Deletes a check from the bucket; one that is not there as well, so that an orphan ends.
    ///
    /// # Errors
    /// `conflict`, `read_only`, `not_allowed`, `unavailable`.
    pub async fn delete(&self, delete: DeleteCheck) -> Reply<CheckStored> {
        let DeleteCheck { check, group, expected_revision: expected, .. } = delete;
        let key = Key { check, group: group.unwrap_or_else(|| self.own.clone()) };
        let looked = self.look(&key, None).await?;
        if looked.latest.is_none() {
            self.changeable(&key, &looked)?;
        }
        self.write(key, None, there(expected, looked.is_orphaned, &looked.latest)).await
    }

    /// Writes whether a check is paused. Nothing is written where it says so already.
    ///
    /// # Errors
    /// `unknown_check`, `bad_payload` where what is stored cannot be read, and those of [`StoreHandle::delete`].
    pub async fn pause(&self, pause: PauseCheck, paused: bool) -> Reply<CheckStored> {
        let PauseCheck { check, group, expected_revision: expected, .. } = pause;
        let key = Key { check, group: group.unwrap_or_else(|| self.own.clone()) };
        for _ in 0..TRIES {
            let looked = self.look(&key, None).await?;
            if looked.latest.is_none() {
                self.changeable(&key, &looked)?;
            }
            let entry = self.kv()?.get(key_text(&key).as_str()).await.map_err(|error| failed(&error))?;
            let (revision, known, value) = match (entry, looked.latest) {
                (Some(KvEntry { revision, value: Some(value), .. }), _) => (revision, revision, value),
                // The store has lost it, and what we know of it is put back.
                (None, Some((known, value))) if looked.is_orphaned => (0, known, value),
                _ => return Err(reply(ErrorCode::UnknownCheck, format!("there is no check `{key}` in the store"))),
            };
            if expected.is_some_and(|expected| expected != known) {
                return Err(conflict(&key, known));
            }
            let format = format_of(&value);
            let mut document: CheckDocument = decode(&value, format).map_err(|error| {
                reply(ErrorCode::BadPayload, format!("what is stored as `{key}` cannot be read: {error}"))
            })?;
            if document.paused == paused && revision != 0 {
                return Ok(stored(key, revision, looked.stands));
            }
            if document.signature.is_some() {
                let told =
                    format!("`{key}` is signed, `paused` and all: write that in its file, and put it signed anew");
                return Err(reply(ErrorCode::Refused, told));
            }
            document.paused = paused;
            let written = self.write(key.clone(), Some(encode(&document, format).into()), Some(revision)).await;
            match written {
                // Somebody else changed it meanwhile: what they wrote is to be paused.
                Err(error) if error.code == ErrorCode::Conflict && expected.is_none() => {}
                done => return done,
            }
        }
        Err(reply(ErrorCode::Conflict, format!("`{key}` was changed by somebody else each time")))
    }

    /// One check, and how it stands.
    ///
    /// # Errors
    /// `unknown_check`.
    pub async fn get(&self, get: GetCheck) -> Reply<CheckShown> {
        let id = get.check.clone();
        let shown = self.ask(|answer| Ask::Get(get.check, answer)).await?;
        shown.ok_or_else(|| reply(ErrorCode::UnknownCheck, format!("the bastion has no check `{id}`")))
    }

    /// Checks in the order of their ids, and how each stands. All that have one id stand together, so that there may
    /// be some more than were asked for.
    ///
    /// # Errors
    /// `unavailable` where the store is gone.
    pub async fn list(&self, list: ListChecks) -> Reply<CheckList> {
        self.list_with_checks(list).await.map(|(list, _)| list)
    }

    /// The same, with what each of them says, if that can be read.
    pub(crate) async fn list_with_checks(&self, list: ListChecks) -> Reply<(CheckList, Vec<Option<Arc<Check>>>)> {
        self.ask(|answer| Ask::List(list, answer)).await
    }

    /// How the store stands.
    pub async fn report(&self) -> StoreReport {
        self.ask(Ask::Report).await.unwrap_or_else(|gone| StoreReport {
            state: StoreState::Unavailable,
            message: Some(gone.message),
            groups: self.groups.to_vec(),
            revision: 0,
            synced_at: None,
            running: 0,
            paused: 0,
            refused: 0,
            orphaned: 0,
            signatures_old: 0,
        })
    }

    /// The check of that id that is in force.
    pub async fn document(&self, check: &CheckId) -> Option<Arc<Check>> {
        self.ask(|answer| Ask::InForce(check.clone(), answer)).await.ok().flatten()
    }

    /// The checks of the bastion's own file, in place of those that it had before.
    ///
    /// # Errors
    /// When they do not fit together, or the Checker is gone.
    pub async fn set_file(&self, checks: Vec<Check>) -> Result<ChecksChanged, AgentError> {
        validate_set(&checks).map_err(AgentError::Checks)?;
        let gone = |_| AgentError::HelperGone("store");
        self.ask(|answer| Ask::SetFile(checks, answer)).await.map_err(gone)?
    }

    /// Follows nothing more, and returns when what is known is on the disk.
    pub(crate) async fn stop(&self) {
        // One that is gone has nothing to keep.
        let _gone = self.ask(Ask::Stop).await;
    }

    /// Which revision would be replaced. What is followed is known; the bucket is asked where that is not what is
    /// expected, as it may be ahead. A bastion that may only follow it leaves the comparison to whoever writes.
    async fn revision_for_dry_run(&self, key: &Key, expected: Option<u64>, looked: &Looked) -> Reply<u64> {
        let latest = looked.latest.as_ref().filter(|_| !looked.is_orphaned);
        let known = latest.map_or(0, |(revision, _)| *revision);
        if self.groups.contains(&key.group) && expected.is_none_or(|expected| expected == known) {
            return Ok(known);
        }
        let present = match self.kv()?.get(key_text(key).as_str()).await {
            Err(KvError::Forbidden { .. }) => return Ok(expected.unwrap_or(known)),
            present => present.map_err(|error| failed(&error))?,
        };
        let is_there = present.filter(|entry| entry.value.is_some()).map_or(0, |entry| entry.revision);
        if expected.is_some_and(|expected| expected != is_there) {
            return Err(conflict(key, is_there));
        }
        Ok(is_there)
    }

    async fn write(&self, key: Key, value: Option<Bytes>, expected: Option<u64>) -> Reply<CheckStored> {
        let (kv, text) = (self.kv()?, key_text(&key));
        let written = match &value {
            Some(value) => kv.put(&text, value.clone(), expected).await,
            None => kv.delete(&text, expected).await,
        };
        let revision = match written {
            Ok(revision) => revision,
            Err(KvError::Conflict { .. }) => {
                let present = kv.get(&text).await.ok().flatten().filter(|entry| entry.value.is_some());
                return Err(conflict(&key, present.map_or(0, |entry| entry.revision)));
            }
            Err(error) => return Err(failed(&error)),
        };
        let stands = self.ask(|answer| Ask::Written { key: key.clone(), revision, value, answer }).await?;
        Ok(stored(key, revision, stands))
    }

    /// The file's checks are not changed over the bus.
    fn changeable(&self, key: &Key, looked: &Looked) -> Reply<()> {
        if looked.is_of_file && self.groups.contains(&key.group) {
            let message = format!("`{}` is a check of the bastion's own file: change it there", key.check);
            return Err(reply(ErrorCode::ReadOnly, message));
        }
        Ok(())
    }

    async fn look(&self, key: &Key, check: Option<Arc<Check>>) -> Reply<Looked> {
        self.ask(|answer| Ask::Look { key: key.clone(), check, answer }).await
    }

    fn kv(&self) -> Reply<&dyn KeyValue> {
        let none = || reply(ErrorCode::Unavailable, "the bastion has no store: its checks come from a file alone");
        self.kv.as_deref().ok_or_else(none)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Reply<T> {
        let gone = || reply(ErrorCode::Unavailable, "the store of checks is gone: the process stops");
        let (sender, answer) = oneshot::channel();
        self.asks.send(ask(sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreHandle").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// The revision to expect in the bucket: what it has lost is known by its last revision here, and is nothing there.
fn there(expected: Option<u64>, is_orphaned: bool, latest: &Option<(u64, Bytes)>) -> Option<u64> {
    let is_known = expected.is_some() && expected == latest.as_ref().map(|(revision, _)| *revision);
    if is_orphaned && is_known { Some(0) } else { expected }
}

fn key_text(key: &Key) -> String {
    key.to_string()
}

fn stored(key: Key, revision: u64, stands: Stands) -> CheckStored {
    let Key { check, group } = key;
    let Stands { report, config_generation } = stands;
    CheckStored { v: V1, check, group, revision, report, denied: Vec::new(), config_generation }
}

fn conflict(key: &Key, present: u64) -> ErrorReply {
    let is = if present == 0 { "is not there".to_owned() } else { format!("is at revision {present}") };
    reply(ErrorCode::Conflict, format!("`{key}` {is}: it is not at the revision that was expected"))
}

fn failed(error: &KvError) -> ErrorReply {
    let code = match error {
        KvError::Conflict { .. } => ErrorCode::Conflict,
        KvError::Forbidden { .. } => ErrorCode::NotAllowed,
        KvError::Key { .. } | KvError::Name { .. } => ErrorCode::BadPayload,
        KvError::Bus(BusError::TooLarge { .. }) => ErrorCode::TooLarge,
        KvError::Bus(_)
        | KvError::NoBucket { .. }
        | KvError::Unsupported
        | KvError::Full { .. }
        | KvError::Failed { .. } => ErrorCode::Unavailable,
    };
    reply(code, error.to_string())
}

fn reply(code: ErrorCode, message: impl Into<String>) -> ErrorReply {
    ErrorReply { v: V1, code, message: message.into(), field: None }
}
