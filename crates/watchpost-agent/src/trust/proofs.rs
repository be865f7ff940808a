//! Proofs that were found good, so that each is verified once and not for each task.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use watchpost_trust::Proof;

/// How many are remembered, and how many bytes they may have together as they were sent.
const COUNT_MAX: usize = 8_192;
const BYTES_MAX: usize = 32 * 1024 * 1024;

type Name = [u8; 32];

/// Good proofs by the digest of their text. Where there are too many the oldest go, and are verified again.
#[derive(Default)]
pub(super) struct Proofs {
    known: HashMap<Name, Arc<Proof>>,
    /// Invariant: has each name of `known` once, with the length of its text, the oldest first.
    oldest: VecDeque<(Name, usize)>,
    bytes: usize,
}

impl Proofs {
    pub(super) fn get(&self, text: &str) -> Option<Arc<Proof>> {
        self.known.get(&name_of(text)).map(Arc::clone)
    }

    pub(super) fn insert(&mut self, text: &str, proof: &Arc<Proof>) {
        let name = name_of(text);
        // Another task of the check may have been read at the same time.
        if self.known.insert(name, Arc::clone(proof)).is_none() {
            self.oldest.push_back((name, text.len()));
            self.bytes += text.len();
        }
        while self.oldest.len() > COUNT_MAX || self.bytes > BYTES_MAX {
            let Some((name, bytes)) = self.oldest.pop_front() else { return };
            self.known.remove(&name);
            self.bytes -= bytes;
        }
    }
}

fn name_of(text: &str) -> Name {
    Sha256::digest(text.as_bytes()).into()
}
