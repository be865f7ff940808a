//! Which revision of each check was seen last, so that no older one comes back.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use watchpost_model::{BastionGroup, CheckId, CheckSignature, SignatureBytes, SignerKey};

use crate::fault::Fault;
use crate::verify::Signers;

/// How many checks are remembered, those that were deleted among them.
pub const REVISIONS_MAX: usize = 200_000;

const HEAD: &str = "watchpost revisions 1\n";
/// A digest in hexadecimal, and its line break.
const TAIL_BYTES: usize = 65;

/// What is remembered of every signed check that was seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Revisions(BTreeMap<Place, Seen>);

/// A check of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    group: BastionGroup,
    check: CheckId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    by: SignerKey,
    /// The highest revision, and its signature, by which the very same check is known.
    revision: u64,
    sig: SignatureBytes,
    /// It was deleted after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    /// The one that was in force last: a later one may not fit with the other checks.
    in_force: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    seen: Seen,
}

impl Revisions {
    /// Whether a check with this signature, which is good, is one that may come into force.
    ///
    /// # Errors
    /// When it is an older one than was seen, another one of the same revision, or was deleted.
    pub fn judge(&self, check: &CheckId, signature: &CheckSignature) -> Result<(), Fault> {
        let Some(seen) = self.seen(check, signature) else {
            return match self.0.len() {
                0..REVISIONS_MAX => Ok(()),
                _ => Err(Fault::TooMany { check: check.clone() }),
            };
        };
        let (check, given) = (check.clone(), signature.revision);
        match given.cmp(&seen.revision) {
            std::cmp::Ordering::Greater => Ok(()),
            _ if seen.deleted => Err(Fault::Deleted { check, given }),
            std::cmp::Ordering::Equal if signature.sig == seen.sig => Ok(()),
            std::cmp::Ordering::Equal => Err(Fault::Twice { check, given }),
            std::cmp::Ordering::Less => Err(Fault::Older { check, given, seen: seen.revision }),
        }
    }

    /// Whether a task of a check with this signature, which is good, may be run: not with an older one than is in force,
    /// and not after it was deleted.
    ///
    /// # Errors
    /// When it is older, or was deleted.
    pub fn judge_task(&self, check: &CheckId, signature: &CheckSignature) -> Result<(), Fault> {
        let Some(seen) = self.seen(check, signature) else { return Ok(()) };
        let (check, given) = (check.clone(), signature.revision);
        if seen.deleted && given <= seen.revision {
            return Err(Fault::Deleted { check, given });
        }
        if given < seen.in_force {
            return Err(Fault::Older { check, given, seen: seen.in_force });
        }
        Ok(())
    }

    /// Remembers a signature that [`Revisions::judge`] let pass. Says whether that is news.
    pub fn note(&mut self, check: &CheckId, signature: &CheckSignature) -> bool {
        let place = Place { group: signature.group.clone(), check: check.clone() };
        let in_force = self.0.get(&place).map_or(0, |seen| seen.in_force);
        let seen = Seen {
            by: signature.by.clone(),
            revision: signature.revision,
            sig: signature.sig.clone(),
            deleted: false,
            in_force,
        };
        if self.0.get(&place) == Some(&seen) {
            return false;
        }
        self.0.insert(place, seen);
        true
    }

    /// Remembers that the check is in force with this signature. Says whether that is news.
    pub fn note_in_force(&mut self, check: &CheckId, signature: &CheckSignature) -> bool {
        let place = Place { group: signature.group.clone(), check: check.clone() };
        let Some(seen) = self.0.get_mut(&place) else { return false };
        std::mem::replace(&mut seen.in_force, signature.revision) != signature.revision
    }

    /// Remembers what a task shows, where nobody tells what is in force: that, and all before it is past. Says whether
    /// that is news.
    pub fn note_task(&mut self, check: &CheckId, signature: &CheckSignature) -> bool {
        if self.seen(check, signature).is_some_and(|seen| seen.revision >= signature.revision)
            || self.judge(check, signature).is_err()
        {
            return false;
        }
        self.note(check, signature);
        self.note_in_force(check, signature);
        true
    }

    /// Remembers that a check was deleted. Says whether that is news.
    pub fn note_deleted(&mut self, group: &BastionGroup, check: &CheckId) -> bool {
        let place = Place { group: group.clone(), check: check.clone() };
        self.0.get_mut(&place).is_some_and(|seen| !std::mem::replace(&mut seen.deleted, true))
    }

    /// Forgets what those said who are not trusted any more: a key in wrong hands must not be able to set a revision
    /// for good that nobody can exceed. Says of how many checks.
    pub fn forget_others(&mut self, signers: &Signers) -> usize {
        let before = self.0.len();
        self.0.retain(|_, seen| signers.has(&seen.by));
        before - self.0.len()
    }

    /// Of how many checks it knows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it knows of none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is kept in a file: a line that says what it is, one of JSON for each check, and a digest of all before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = HEAD.to_owned();
        for (place, seen) in &self.0 {
            // Invariant: names, numbers and text, which JSON can always express.
            let line = Line { place: place.clone(), seen: seen.clone() };
            text.push_str(&serde_json::to_string(&line).unwrap_or_default());
            text.push('\n');
        }
        let digest = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        text.push_str(&digest);
        text.push('\n');
        text.into_bytes()
    }

    /// What was kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let cut_off = || "it does not begin as such a file does, or is cut off".to_owned();
        let end = bytes.len().checked_sub(TAIL_BYTES).filter(|_| bytes.starts_with(HEAD.as_bytes()));
        let (body, tail) = bytes.split_at(end.ok_or_else(cut_off)?);
        if tail != format!("{}\n", HEXLOWER.encode(&Sha256::digest(body))).as_bytes() {
            return Err("its content does not match its checksum: it is cut off or was altered".to_owned());
        }
        let lines = body.get(HEAD.len()..).ok_or_else(cut_off)?.split(|byte| *byte == b'\n');
        let mut all = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let Line { place, seen } =
                serde_json::from_slice(line).map_err(|error| format!("a line cannot be read: {error}"))?;
            all.insert(place, seen);
        }
        Ok(Self(all))
    }

    fn seen(&self, check: &CheckId, signature: &CheckSignature) -> Option<&Seen> {
        self.0.get(&Place { group: signature.group.clone(), check: check.clone() })
    }
}
