//! How others talk to the store.

use std::sync::Arc;

use watchpost_model::{
    Check, CheckId, CheckList, CheckShown, CheckStored, DeleteCheck, ErrorCode, ErrorReply, GetCheck, ListChecks,
    PauseCheck, PutCheck, StoreReport, StoreState, V1,
};

/// Talks to the store of one bastion: what can be asked of it, and what can be changed.
///
/// A change is written to the bucket on the bus first, and answered when it is known what became of it here.
#[derive(Clone, Debug)]
pub struct StoreHandle(());

impl StoreHandle {
    /// Writes a check into the bucket; with `dry_run` only says what would become of it.
    ///
    /// # Errors
    /// `conflict`, `refused` (nothing is written then), `unavailable`, `not_allowed`.
    pub async fn put(&self, _put: PutCheck) -> Result<CheckStored, ErrorReply> {
        Err(unavailable())
    }

    /// Deletes a check from the bucket; one that is not there as well, so that an orphan ends.
    ///
    /// # Errors
    /// `conflict`, `read_only`, `unavailable`, `not_allowed`.
    pub async fn delete(&self, _delete: DeleteCheck) -> Result<CheckStored, ErrorReply> {
        Err(unavailable())
    }

    /// Writes whether a check is paused.
    ///
    /// # Errors
    /// `unknown_check`, and those of [`StoreHandle::delete`].
    pub async fn pause(&self, _pause: PauseCheck, _paused: bool) -> Result<CheckStored, ErrorReply> {
        Err(unavailable())
    }

    /// One check, and how it stands.
    ///
    /// # Errors
    /// `unknown_check`.
    pub async fn get(&self, _get: GetCheck) -> Result<CheckShown, ErrorReply> {
        Err(unavailable())
    }

    /// Checks in the order of their ids, and how each stands.
    ///
    /// # Errors
    /// `unavailable` where the store is gone, which is a defect of Watchpost.
    pub async fn list(&self, _list: ListChecks) -> Result<CheckList, ErrorReply> {
        Err(unavailable())
    }

    /// How the store stands.
    pub async fn report(&self) -> StoreReport {
        StoreReport {
            state: StoreState::Off,
            message: None,
            groups: Vec::new(),
            revision: 0,
            synced_at: None,
            running: 0,
            paused: 0,
            refused: 0,
            orphaned: 0,
        }
    }

    /// The check of that id that is in force.
    pub async fn document(&self, _check: &CheckId) -> Option<Arc<Check>> {
        None
    }
}

fn unavailable() -> ErrorReply {
    let message = "the store of checks cannot be reached".to_owned();
    ErrorReply { v: V1, code: ErrorCode::Unavailable, message, field: None }
}
