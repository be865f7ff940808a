//! The store of checks, as a bucket on the bus.

use watchpost_bus::{KeyValue, KvEntry, KvError, KvUpdate};
use watchpost_model::{BastionGroup, CheckDocument, CheckId, Format, decode};

use super::Remote;
use crate::failure::{Exit, Failure};

/// Where a check of a group is stored.
pub fn key(group: &BastionGroup, check: &CheckId) -> String {
    format!("{group}.{check}")
}

/// A check of the store.
#[derive(Debug, Clone)]
pub struct StoredCheck {
    /// Whose check it is.
    pub group: BastionGroup,
    /// Its id, by its key.
    pub check: CheckId,
    /// The revision at which it was written or deleted.
    pub revision: u64,
    /// What is written, or why that cannot be read; `None` where it is deleted.
    pub document: Option<Result<CheckDocument, String>>,
}

impl StoredCheck {
    /// An entry of the bucket; `None` where its key is not that of a check.
    pub fn read(entry: &KvEntry) -> Option<Self> {
        let (group, check) = entry.key.split_once('.')?;
        let document =
            entry.value.as_ref().map(|value| decode(value, Format::detect(None, value)).map_err(|e| e.to_string()));
        Some(Self { group: group.parse().ok()?, check: check.parse().ok()?, revision: entry.revision, document })
    }

    /// The revision that whoever wants to replace it expects: 0 where there is nothing.
    pub fn expected(&self) -> u64 {
        if self.document.is_some() { self.revision } else { 0 }
    }
}

/// What the store holds under keys that match `filter`, deletions too, in the order of groups and ids.
///
/// # Errors
/// Those of [`KeyValue::watch`].
pub async fn snapshot(store: &dyn KeyValue, filter: String) -> Result<Vec<StoredCheck>, KvError> {
    let filters = [filter];
    let mut watch = store.watch(&filters).await?;
    let mut checks = Vec::new();
    while let Some(update) = watch.next().await {
        match update? {
            KvUpdate::Current => break,
            KvUpdate::Entry(entry) => checks.extend(StoredCheck::read(&entry)),
        }
    }
    checks.sort_by(|a, b| (&a.group, &a.check).cmp(&(&b.group, &b.check)));
    // What was written meanwhile comes again.
    checks.dedup_by(|later, earlier| {
        let same = (&later.group, &later.check) == (&earlier.group, &earlier.check);
        if same && later.revision > earlier.revision {
            std::mem::swap(later, earlier);
        }
        same
    });
    Ok(checks)
}

/// The stored check of that id: of `group`, or of the only group that has one.
///
/// # Errors
/// When there is none, or several groups have one.
pub async fn find(remote: &Remote, group: Option<&BastionGroup>, id: &CheckId) -> Result<StoredCheck, Failure> {
    let none = |whose: String| {
        Failure::of(
            Exit::NotPassed,
            format!("there is no check `{id}` in the store{whose}: `watchpost checks list` shows all"),
        )
    };
    if let Some(group) = group {
        let entry = remote.checks.get(&key(group, id)).await?;
        let found = entry.as_ref().and_then(StoredCheck::read).filter(|found| found.document.is_some());
        return found.ok_or_else(|| none(format!(" for the group `{group}`")));
    }
    let mut found = snapshot(&*remote.checks, format!("*.{id}")).await?;
    found.retain(|check| check.document.is_some());
    if let (Some(own), true) = (&remote.group, found.len() > 1) {
        found.retain(|check| check.group == *own);
    }
    match found.len() {
        0 => Err(none(String::new())),
        1 => Ok(found.remove(0)),
        _ => {
            let groups: Vec<_> = found.iter().map(|check| format!("`{}`", check.group)).collect();
            let groups = groups.join(", ");
            Err(Failure::usage(format!("the groups {groups} have a check `{id}` each: say which with --group")))
        }
    }
}
