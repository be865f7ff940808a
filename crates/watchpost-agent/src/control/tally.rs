//! What was asked how often, and how that ended.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use watchpost_model::{ErrorReply, Verb, shorten};

/// How much of an error's sentence is kept, in characters.
const ERROR_CHARS_MAX: usize = 200;

/// Counts requests by verb.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<Verb, Counted>>);

/// What is known of the requests of one verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// How many there were.
    pub(crate) requests: u64,
    /// How many of them were answered with an error.
    pub(crate) errors: u64,
    /// How long they took together.
    pub(crate) took: Duration,
    /// The code and the sentence of the last error.
    pub(crate) last_error: String,
}

impl Tally {
    /// A request was answered.
    pub(crate) fn note(&self, verb: Verb, took: Duration, error: Option<&ErrorReply>) {
        let mut tally = self.0.lock();
        let counted = tally.entry(verb).or_default();
        counted.requests += 1;
        counted.took += took;
        if let Some(error) = error {
            counted.errors += 1;
            counted.last_error = format!("{}: {}", error.code, shorten(&error.message, ERROR_CHARS_MAX));
        }
    }

    /// What is known of a verb.
    pub(crate) fn of(&self, verb: Verb) -> Counted {
        self.0.lock().get(&verb).cloned().unwrap_or_default()
    }
}
