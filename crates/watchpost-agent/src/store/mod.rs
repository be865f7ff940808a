//! The checks of a bastion: what its file says, what the bucket on the bus says, and what of both is in force.
//!
//! A task keeps a book of all that is known (`book.rs`), judges which of it comes into force (`judge.rs`, `fit.rs`),
//! hands what differs to the Checker, keeps it on disk (`disk.rs`) and tells others. Another one follows the bucket.
//!
//! Invariants:
//! - Only a deletion removes a check. What is merely not there any more runs on, and is told as orphaned (adr/0015).
//! - A check that is refused keeps no other from running, but for the groups that need it.
//! - The bucket is never written here, but on somebody's request (`handle.rs`), and never made.

mod announce;
mod ask;
mod audited;
mod book;
mod disk;
mod entry;
mod fit;
mod follow;
mod handle;
mod judge;
mod keeper;
mod task;
mod views;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use watchpost_audit::AuditLog;
use watchpost_bus::SharedBus;
use watchpost_model::{BastionGroup, BastionId, Check, StoreState, Subjects, validate_set};

use crate::helpers::Helpers;
use crate::trust::Trust;
use crate::{AgentError, AgentSettings, CheckerHandle, Clock};
use announce::Announcer;
use book::Book;
use disk::{About, Disk, Image, Unread};
pub use handle::StoreHandle;
use keeper::Keeper;
use task::Store;

/// How many messages may wait for the store, and how much that was read of the bucket.
const ASKS_MAX: usize = 256;
const FED_MAX: usize = 4;
/// The most groups that a bastion may belong to besides its own.
pub const GROUPS_MAX: usize = 64;

/// Where a bastion's checks come from.
#[derive(Debug, Clone, Default)]
pub struct StoreSettings {
    /// The checks of its own file, to begin with.
    pub file: Vec<Check>,
    /// The bucket on the bus; without one the checks come from the file alone.
    pub bucket: Option<String>,
    /// The groups that it belongs to besides its own, in the order of their rank; at most [`GROUPS_MAX`].
    pub groups: Vec<BastionGroup>,
    /// The directory where it keeps what it knows of the bucket; without one it knows nothing when it begins.
    pub state_dir: Option<PathBuf>,
}

/// How many checks a bastion has on disk to begin with, should there be no bus.
pub fn stored_checks(state_dir: &Path, bastion: &BastionId) -> usize {
    let read = Disk::open(state_dir, bastion).ok().and_then(|disk| disk.read().ok());
    read.map_or(0, |image| image.entries.iter().filter(|(_, kept)| kept.running.is_some()).count())
}

/// What a store works with.
pub(crate) struct StoreContext {
    pub(crate) settings: AgentSettings,
    pub(crate) subjects: Subjects,
    pub(crate) bus: SharedBus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) checker: CheckerHandle,
    pub(crate) helpers: Helpers,
    pub(crate) audit: AuditLog,
    /// Whose checks are run, where not everybody's are.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// Starts a store. What the file says, and what is on disk, is in force before it returns.
pub(crate) async fn start(cx: StoreContext, store: StoreSettings) -> Result<StoreHandle, AgentError> {
    let StoreContext { settings, subjects, bus, clock, checker, helpers, audit, trust } = cx;
    let StoreSettings { file, bucket, groups, state_dir } = store;
    validate_set(&file).map_err(AgentError::Checks)?;
    let own = BastionGroup::from(&settings.bastion);
    let mut seen = HashSet::new();
    let mut ranked = vec![own.clone()];
    ranked.extend(groups.into_iter().take(GROUPS_MAX));
    ranked.retain(|group| seen.insert(group.clone()));

    let mut book = Book::new(ranked.clone(), trust);
    book.set_file(file);
    let mut about = About { bucket: bucket.clone(), ..About::default() };
    let disk = match (&state_dir, &bucket) {
        (Some(folder), _) => {
            let opened = Disk::open(folder, &settings.bastion);
            Some(Arc::new(opened.map_err(|source| AgentError::StateDir { path: folder.clone(), source })?))
        }
        (None, Some(_)) => {
            tracing::warn!(
                "no state directory is given: after a restart without the bus no check of the store will run"
            );
            None
        }
        (None, None) => None,
    };
    if let Some(disk) = &disk {
        restore(disk, &mut book, &mut about);
    }
    let announcer = Announcer::start(Arc::clone(&bus), subjects, &helpers);
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let (feed, fed) = mpsc::channel(FED_MAX);
    let kv = bucket.as_deref().map(|bucket| bus.key_value(bucket));
    let mut store = Store {
        bastion: settings.bastion.clone(),
        clock,
        checker,
        announcer,
        audit,
        book,
        about,
        keeper: Keeper::new(disk),
        state: if kv.is_some() { StoreState::Starting } else { StoreState::Off },
        message: None,
        written: HashMap::new(),
    };
    let changed = store.begin().await?;
    let counts = store.book.counts();
    tracing::info!(
        bastion = %settings.bastion, %changed, stored = counts.running, orphaned = counts.orphaned, "checks loaded"
    );
    if let (Some(kv), Some(bucket)) = (&kv, bucket) {
        let filters = ranked.iter().map(|group| format!("{group}.*")).collect();
        helpers.spawn("follow the store", follow::follow(Arc::clone(kv), bucket, filters, feed));
    }
    helpers.spawn("store", store.run(asked, fed));
    Ok(StoreHandle::new(asks, kv, own, ranked))
}

/// Enters what an earlier process knew. A file that cannot be used is put aside, and nothing else is lost with it.
fn restore(disk: &Disk, book: &mut Book, about: &mut About) {
    let file = disk.file().display();
    match disk.read() {
        Ok(Image { about: kept, .. }) if kept.bucket != about.bucket => {
            let (was, is) = (kept.bucket.as_deref(), about.bucket.as_deref());
            tracing::warn!(%file, was, is, "the checks on disk are of another bucket: they are left out");
            about.generation = kept.generation;
        }
        Ok(Image { about: kept, entries }) => {
            *about = kept;
            entries.into_iter().for_each(|(key, kept)| book.restore(key, kept));
        }
        Err(Unread::Missing) => {}
        Err(Unread::Damaged(detail)) => match disk.put_aside() {
            Ok(aside) => {
                tracing::error!(%file, aside = %aside.display(), "the checks on disk cannot be used and are put aside: {detail}");
            }
            Err(error) => tracing::error!(%file, %error, "the checks on disk cannot be used: {detail}"),
        },
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
