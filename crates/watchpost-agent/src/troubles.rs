//! What went wrong in this process, for heartbeats: the latest few, each with how often.

use std::fmt::Display;

use parking_lot::Mutex;
use watchpost_model::{ErrorSeen, Heartbeat, Timestamp, shorten};

/// The latest troubles, each kind once.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<Vec<Trouble>>);

#[derive(Debug)]
struct Trouble {
    kind: &'static str,
    seen: ErrorSeen,
}

impl Troubles {
    /// Something went wrong. `kind` says what, and `detail` what there is to say of this time. What is neither of
    /// the last [`Heartbeat::ERRORS_MAX`] kinds is forgotten.
    pub(crate) fn note(&self, at: Timestamp, kind: &'static str, detail: &dyn Display) {
        let mut message = shorten(&format!("{kind}: {detail}"), Heartbeat::TEXT_BYTES_MAX).into_owned();
        message.truncate(message.floor_char_boundary(Heartbeat::TEXT_BYTES_MAX));
        let mut troubles = self.0.lock();
        let before = troubles.iter().position(|trouble| trouble.kind == kind).map(|known| troubles.remove(known));
        let count = before.map_or(0, |before| before.seen.count) + 1;
        troubles.insert(0, Trouble { kind, seen: ErrorSeen { at, message, count } });
        troubles.truncate(Heartbeat::ERRORS_MAX);
    }

    /// The latest first.
    pub(crate) fn latest(&self) -> Vec<ErrorSeen> {
        self.0.lock().iter().map(|trouble| trouble.seen.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_kinds_are_kept_each_with_its_last_words_and_its_count() {
        const KINDS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let troubles = Troubles::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, kind) in KINDS.into_iter().enumerate() {
            troubles.note(at(second as i64), kind, &"first");
        }
        troubles.note(at(100), "j", &"second");
        troubles.note(at(101), "c", &"ä".repeat(1_000));
        let latest = troubles.latest();
        assert_eq!(latest.len(), Heartbeat::ERRORS_MAX);
        assert_eq!((latest[1].message.as_str(), latest[1].count, latest[1].at), ("j: second", 2, at(100)));
        assert_eq!((latest[0].count, latest[0].message.len() <= Heartbeat::TEXT_BYTES_MAX), (2, true));
        assert_eq!(latest[7].message, "d: first");
        troubles.note(at(102), "b", &"after it was pushed out");
        assert_eq!(troubles.latest()[0].count, 1);
    }
}
