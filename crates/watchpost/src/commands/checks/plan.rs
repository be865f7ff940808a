//! What is to be done so that the store holds what files say.

use std::collections::{BTreeMap, HashSet};

use watchpost_model::{BastionGroup, Check, CheckDocument, CheckId, SetErrorKind, validate_set};

use crate::config::WrittenCheck;
use crate::failure::Failure;
use crate::remote::StoredCheck;

/// What becomes of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The store has none of its id.
    Created,
    /// The store has another.
    Changed,
    /// The store has the same.
    Unchanged,
    /// The store has one that the files do not have.
    Pruned,
}

impl Change {
    /// Whether something is to be written.
    pub fn is_news(&self) -> bool {
        self.kind != Kind::Unchanged
    }
}

impl Kind {
    /// The word in rows and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Pruned => "pruned",
        }
    }
}

/// One check of the plan.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its id.
    pub check: CheckId,
    /// What becomes of it.
    pub kind: Kind,
    /// What the store holds, or why that cannot be read.
    pub old: Option<Result<CheckDocument, String>>,
    /// What it is to hold.
    pub new: Option<CheckDocument>,
    /// The revision that is replaced, 0 for none.
    pub expected: u64,
}

/// The changes of a group, in the order of their ids.
pub fn plan(written: Vec<WrittenCheck>, stored: &[StoredCheck], prune: bool) -> Vec<Change> {
    let mut before: BTreeMap<&CheckId, &StoredCheck> = stored.iter().map(|stored| (&stored.check, stored)).collect();
    let mut changes: Vec<Change> = Vec::with_capacity(written.len());
    for WrittenCheck { document, check, .. } in written {
        let stored = before.remove(check.id());
        let old = stored.and_then(|stored| stored.document.clone());
        let kind = match &old {
            None => Kind::Created,
            Some(Ok(old)) if *old == document => Kind::Unchanged,
            Some(_) => Kind::Changed,
        };
        let expected = stored.map_or(0, StoredCheck::expected);
        changes.push(Change { check: check.id().clone(), kind, old, new: Some(document), expected });
    }
    if prune {
        let rest = before.into_values().filter(|stored| stored.document.is_some());
        changes.extend(rest.map(|stored| Change {
            check: stored.check.clone(),
            kind: Kind::Pruned,
            old: stored.document.clone(),
            new: None,
            expected: stored.revision,
        }));
    }
    changes.sort_by(|a, b| a.check.cmp(&b.check));
    changes
}

/// Whether what the store will hold fits together, as far as can be told from here: members of groups may as well be in a
/// bastion's file, or in another bastion group.
///
/// # Errors
/// What does not fit.
pub fn validate(changes: &[Change], stored: &[StoredCheck], group: &BastionGroup) -> Result<(), Failure> {
    let planned: HashSet<&CheckId> = changes.iter().map(|change| &change.check).collect();
    let kept = stored.iter().filter(|stored| !planned.contains(&stored.check));
    let kept = kept.filter_map(|stored| stored.document.as_ref()?.as_ref().ok());
    let new = changes.iter().filter_map(|change| change.new.as_ref());
    let mut set: Vec<Check> = new.chain(kept).filter_map(|document| Check::try_from(document.clone()).ok()).collect();
    let known: HashSet<CheckId> = set.iter().map(|check| check.id().clone()).collect();
    let mut elsewhere = 0_usize;
    set.retain(|check| {
        let missing = check.group().and_then(|members| members.iter().find(|member| !known.contains(member)));
        if let Some(member) = missing {
            elsewhere += 1;
            tracing::warn!(
                "check `{}` names `{member}`, which neither the files nor the store have for `{group}`: a bastion refuses \
                 it unless its own file or another of its groups has that one",
                check.id()
            );
        }
        missing.is_none()
    });
    match validate_set(&set) {
        Ok(()) => Ok(()),
        // Its group was left out just now.
        Err(e) if elsewhere > 0 && matches!(e.kind, SetErrorKind::UnknownMember { .. }) => Ok(()),
        Err(e) => {
            let id = set.get(e.index).map(|check| check.id().to_string()).unwrap_or_default();
            Err(Failure::usage(format!("check `{id}`: {e}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(id: &str, address: &str) -> WrittenCheck {
        let document: CheckDocument =
            serde_json::from_str(&format!(r#"{{"id": "{id}", "tcp": {{"address": "{address}"}}}}"#)).unwrap();
        let check = Check::try_from(document.clone()).unwrap();
        WrittenCheck { document, check, place: "w.yaml:1".to_owned() }
    }

    fn stored(id: &str, revision: u64, document: Option<Result<CheckDocument, String>>) -> StoredCheck {
        StoredCheck { group: "g".parse().unwrap(), check: id.parse().unwrap(), revision, document }
    }

    #[test]
    fn each_check_is_created_changed_left_alone_or_pruned_against_what_was_seen() {
        let same = written("same", "a:1").document;
        let other = written("other", "a:1").document;
        let before = [
            stored("deleted", 3, None),
            stored("gone", 4, Some(Ok(written("gone", "a:1").document))),
            stored("other", 5, Some(Ok(other))),
            stored("same", 6, Some(Ok(same))),
            stored("unread", 7, Some(Err("of a later version".to_owned()))),
        ];
        let files = || ["same", "unread", "new", "deleted"].map(|id| written(id, "a:1")).into_iter();
        let files = || files().chain([written("other", "b:1")]).collect::<Vec<_>>();
        let told = |prune| {
            let plan = plan(files(), &before, prune).into_iter();
            plan.map(|change| (change.check.to_string(), change.kind, change.expected)).collect::<Vec<_>>()
        };
        let of = |id: &str, kind, expected| (id.to_owned(), kind, expected);
        let mut expected = vec![
            of("deleted", Kind::Created, 0),
            of("new", Kind::Created, 0),
            of("other", Kind::Changed, 5),
            of("same", Kind::Unchanged, 6),
            of("unread", Kind::Changed, 7),
        ];
        assert_eq!(told(false), expected);
        expected.insert(1, of("gone", Kind::Pruned, 4));
        assert_eq!(told(true), expected);
    }
}
