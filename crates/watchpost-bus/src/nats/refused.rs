//! How often the server refused the same thing, so that it is told and does not flood the log.

use std::collections::HashMap;

use parking_lot::Mutex;

/// How many different things are told apart. Beyond it the count begins anew.
const KINDS_MAX: usize = 256;

/// What the server refused so far.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<Box<str>, u64>>);

impl Refused {
    /// Counts what the server said, and returns the count where it is to be told: the first time, and each time that it
    /// has doubled.
    pub(super) fn is_worth_telling(&self, detail: &str) -> Option<u64> {
        let mut refused = self.0.lock();
        if refused.len() >= KINDS_MAX && !refused.contains_key(detail) {
            refused.clear();
        }
        let times = refused.entry(detail.into()).or_insert(0);
        *times += 1;
        times.is_power_of_two().then_some(*times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_ever_more_rarely_and_memory_is_bounded() {
        let refused = Refused::default();
        let told: Vec<_> = (0..100).filter_map(|_| refused.is_worth_telling("a")).collect();
        assert_eq!(told, [1, 2, 4, 8, 16, 32, 64]);
        for n in 0..10_000 {
            assert_eq!(refused.is_worth_telling(&n.to_string()), Some(1));
        }
        assert!(refused.0.lock().len() <= KINDS_MAX);
    }
}
