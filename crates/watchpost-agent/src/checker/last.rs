//! The last results of each check, as bytes, so that thousands of checks take little.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use watchpost_model::{CheckId, Format, LAST_RESULTS_MAX, RunVerdict, TaskResult, decode};

/// How much is kept in all, in bytes; beyond it the oldest results go, whosesoever they are. 10 000 checks with one
/// endpoint each that pass take some 10 MB of it (docs/control.md).
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a result takes beside its bytes and the names in its key.
const ENTRY_BYTES: usize = 256;

/// The last results of the checks in force. What is kept of other checks is nothing.
#[derive(Debug)]
pub(crate) struct Lasts {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    checks: BTreeMap<CheckId, OfCheck>,
    /// Invariant: has each result of `checks` once, the oldest first.
    by_age: BTreeMap<u64, CheckId>,
    next: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct OfCheck {
    /// The newest last; each of another endpoint.
    results: Vec<Last>,
    verdict: Option<(Box<[u8]>, Format)>,
}

#[derive(Debug)]
struct Last {
    number: u64,
    endpoint: Box<str>,
    payload: Box<[u8]>,
    format: Format,
}

impl Last {
    fn bytes(&self) -> usize {
        self.payload.len() + self.endpoint.len() + ENTRY_BYTES
    }
}

impl Default for Lasts {
    fn default() -> Self {
        Self { kept: Mutex::default(), bytes_max: KEPT_BYTES_MAX }
    }
}

impl Lasts {
    /// A result of a check in force.
    pub(crate) fn note(&self, check: &CheckId, endpoint: &str, payload: Box<[u8]>, format: Format) {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        let number = kept.next;
        kept.next += 1;
        let of_check = kept.checks.entry(check.clone()).or_default();
        let same = of_check.results.iter().position(|last| *last.endpoint == *endpoint);
        let full = of_check.results.len() >= LAST_RESULTS_MAX;
        if let Some(before) = same.or(full.then_some(0)) {
            let before = of_check.results.remove(before);
            kept.by_age.remove(&before.number);
            kept.bytes -= before.bytes();
        }
        let last = Last { number, endpoint: endpoint.into(), payload, format };
        kept.bytes += last.bytes();
        of_check.results.push(last);
        kept.by_age.insert(number, check.clone());
        while kept.bytes > self.bytes_max
            && let Some((oldest, check)) = kept.by_age.pop_first()
        {
            let Some(of_check) = kept.checks.get_mut(&check) else { continue };
            let gone = of_check.results.extract_if(.., |last| last.number == oldest);
            kept.bytes -= gone.map(|last| last.bytes()).sum::<usize>();
        }
    }

    /// The verdict over a whole run of a check in force.
    pub(crate) fn note_verdict(&self, check: &CheckId, payload: Box<[u8]>, format: Format) {
        self.kept.lock().checks.entry(check.clone()).or_default().verdict = Some((payload, format));
    }

    /// Forgets checks that are gone.
    pub(crate) fn forget<'a>(&self, gone: impl Iterator<Item = &'a CheckId>) {
        let mut kept = self.kept.lock();
        let Kept { checks, by_age, bytes, .. } = &mut *kept;
        for of_check in gone.filter_map(|id| checks.remove(id)) {
            for last in &of_check.results {
                by_age.remove(&last.number);
                *bytes -= last.bytes();
            }
        }
    }

    /// The last results of a check, the newest first, of which the bytes together are at most `bytes_max`; and its
    /// last verdict.
    pub(crate) fn of(&self, check: &CheckId, bytes_max: usize) -> (Vec<TaskResult>, Option<RunVerdict>) {
        let (payloads, verdict) = {
            let kept = self.kept.lock();
            let Some(of_check) = kept.checks.get(check) else { return (Vec::new(), None) };
            let mut left = bytes_max;
            let fitting = of_check.results.iter().rev().take_while(|last| {
                let fits = left.checked_sub(last.payload.len());
                left = fits.unwrap_or(0);
                fits.is_some()
            });
            let payloads: Vec<_> = fitting.map(|last| (last.payload.clone(), last.format)).collect();
            (payloads, of_check.verdict.clone())
        };
        // What was read once can be read again.
        let results = payloads.iter().filter_map(|(payload, format)| decode(payload, *format).ok()).collect();
        (results, verdict.and_then(|(payload, format)| decode(&payload, format).ok()))
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use watchpost_model::{Outcome, encode};

    use super::*;

    fn result(check: &str, endpoint: &str, at: i64) -> TaskResult {
        let json = format!(
            r#"{{"v": 1, "task": "a291e387-34c7-5f65-bf6b-174d502d93c9", "check": "{check}",
                "run": "a291e387-34c7-5f65-bf6b-174d502d93c9", "bastion": "b", "check_type": "tcp",
                "target": {{"name": "t", "endpoint": "{endpoint}"}}, "scheduled_at": "2026-01-01T00:00:00Z",
                "finished_at": "2026-01-01T00:00:00Z", "queue_wait_us": 0, "attempt": 1, "outcome": "pass",
                "phases_us": {{}}, "config_generation": {at}}}"#
        );
        decode(json.as_bytes(), Format::Json).unwrap()
    }

    fn note(lasts: &Lasts, check: &str, endpoint: &str, at: i64) {
        let result = result(check, endpoint, at);
        assert_eq!(result.outcome, Outcome::Pass);
        lasts.note(&result.check, endpoint, encode(&result, Format::MsgPack).into(), Format::MsgPack);
    }

    fn of(lasts: &Lasts, check: &str) -> Vec<(String, u64)> {
        let (results, _) = lasts.of(&check.parse().unwrap(), usize::MAX);
        results.into_iter().map(|result| (result.target.endpoint, result.config_generation)).collect()
    }

    #[test]
    fn the_last_of_each_endpoint_is_kept_and_at_most_eight() {
        let lasts = Lasts::default();
        for at in 0..3 {
            note(&lasts, "c", "one", at);
            note(&lasts, "c", "other", at);
        }
        assert_eq!(of(&lasts, "c"), [("other".into(), 2), ("one".into(), 2)]);
        for number in 0..20 {
            note(&lasts, "c", &format!("e{number}"), 9);
        }
        let kept = of(&lasts, "c");
        assert_eq!((kept.len(), kept[0].0.as_str(), kept[7].0.as_str()), (8, "e19", "e12"));
        assert_eq!(of(&lasts, "d"), []);
        let (few, _) = lasts.of(&"c".parse().unwrap(), 3 * encode(&result("c", "e19", 9), Format::MsgPack).len());
        assert_eq!(few.len(), 3);
    }

    #[test]
    fn what_is_too_much_in_all_costs_the_oldest() {
        let lasts = Lasts { kept: Mutex::default(), bytes_max: 5_000 };
        for number in 0..100 {
            note(&lasts, &format!("c{number}"), "e", number);
            assert!(lasts.bytes() <= 5_000);
        }
        assert_eq!((of(&lasts, "c0").len(), of(&lasts, "c99").len()), (0, 1));
        let all: Vec<CheckId> = lasts.kept.lock().checks.keys().cloned().collect();
        lasts.forget(all.iter());
        assert_eq!((lasts.bytes(), lasts.kept.lock().by_age.len()), (0, 0));
    }
}
