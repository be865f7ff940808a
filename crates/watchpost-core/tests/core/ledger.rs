//! The ledger: every task exactly one outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use watchpost_core::{Expired, Ledger, Settled, Tick};

#[derive(Debug, Clone)]
enum Event {
    Open { key: u16, check: u8, secs: u64 },
    Answer(u16),
    AfterAnswer(u8),
    Unroutable(u8),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u16..60, 0u8..4, 1u64..20).prop_map(|(key, check, secs)| Event::Open { key, check, secs }),
        5 => (0u16..60).prop_map(Event::Answer),
        2 => (0u8..4).prop_map(Event::AfterAnswer),
        1 => (0u8..4).prop_map(Event::Unroutable),
        2 => (0u64..8).prop_map(Event::Pass),
    ]
}

/// What the ledger should do, in the plainest way.
#[derive(Default)]
struct Model {
    /// Key, check, and when it expires.
    open: Vec<(u16, u8, Tick)>,
    /// How many of a check's open tasks could not be routed.
    unroutable: BTreeMap<u8, usize>,
}

impl Model {
    fn settle(&mut self, key: u16) -> bool {
        let Some(at) = self.open.iter().position(|(open, ..)| *open == key) else { return false };
        let (_, check, _) = self.open.remove(at);
        if self.of(check).is_empty() {
            self.unroutable.remove(&check);
        }
        true
    }

    fn of(&self, check: u8) -> Vec<u16> {
        let mut keys: Vec<u16> = self.open.iter().filter(|(_, of, _)| *of == check).map(|(key, ..)| *key).collect();
        keys.sort_unstable();
        keys
    }

    fn all_unroutable(&mut self, check: u8) -> Vec<(u16, u16)> {
        let keys = self.of(check);
        if self.unroutable.get(&check).is_none_or(|count| *count < keys.len()) {
            return Vec::new();
        }
        keys.into_iter().filter(|key| self.settle(*key)).map(|key| (key, key)).collect()
    }

    fn expire(&mut self, now: Tick) -> Option<Expired<u16, u16>> {
        let due = self.open.iter().filter(|(.., by)| *by <= now);
        let (key, check, _) = *due.min_by_key(|(key, _, by)| (*by, *key))?;
        let count = self.unroutable.entry(check).or_default();
        let unroutable = *count > 0;
        *count = count.saturating_sub(1);
        self.settle(key);
        Some(Expired { key, entry: key, unroutable })
    }
}

proptest! {
    #[test]
    fn guarantee_1_each_task_is_settled_exactly_once(events in proptest::collection::vec(event(), 1..300)) {
        let mut ledger: Ledger<u16, u8, u16> = Ledger::default();
        let mut model = Model::default();
        let mut now = Tick::ZERO;
        let (mut opened, mut settled) = (0, 0);
        for event in events {
            match event {
                Event::Open { key, check, secs } => {
                    let by = now.after(Duration::from_secs(secs));
                    let fresh = model.open.iter().all(|(open, ..)| *open != key);
                    prop_assert_eq!(ledger.open(key, check, by, key), if fresh { Ok(()) } else { Err(key) });
                    if fresh {
                        model.open.push((key, check, by));
                        opened += 1;
                    }
                }
                Event::Answer(key) => {
                    let first = model.settle(key);
                    prop_assert_eq!(ledger.settle(key), if first { Settled::First(key) } else { Settled::NotOpen });
                    settled += usize::from(first);
                }
                Event::AfterAnswer(check) => {
                    let all = ledger.all_unroutable(&check);
                    settled += all.len();
                    prop_assert_eq!(all, model.all_unroutable(check));
                }
                Event::Unroutable(check) => {
                    let all = ledger.unroutable(&check);
                    settled += all.len();
                    if !model.of(check).is_empty() {
                        *model.unroutable.entry(check).or_default() += 1;
                    }
                    prop_assert_eq!(all, model.all_unroutable(check));
                }
                Event::Pass(secs) => {
                    now = now.after(Duration::from_secs(secs));
                    loop {
                        let expired = ledger.expire(now);
                        settled += usize::from(expired.is_some());
                        prop_assert_eq!(&expired, &model.expire(now));
                        if expired.is_none() {
                            break;
                        }
                    }
                }
            }
            prop_assert_eq!(opened, settled + ledger.len());
            prop_assert_eq!((ledger.len(), ledger.is_empty()), (model.open.len(), model.open.is_empty()));
            prop_assert_eq!(ledger.next_expiry(), model.open.iter().map(|(.., by)| *by).min());
            let open: Vec<_> = ledger.iter().map(|(key, entry)| (key, *entry)).collect();
            let mut expected: Vec<_> = model.open.iter().map(|(key, ..)| (*key, *key)).collect();
            expected.sort_unstable();
            prop_assert_eq!(open, expected);
            for check in 0..5 {
                prop_assert_eq!(ledger.open_of(&check), model.of(check).len());
            }
        }
    }
}

const BY: Tick = Tick::from_secs(10);

fn ledger_of(keys: &[u8]) -> Ledger<u8, &'static str, u8> {
    let mut ledger = Ledger::default();
    for key in keys {
        ledger.open(*key, "check", BY, *key).unwrap();
    }
    ledger
}

#[test]
fn o1_a_late_or_second_answer_is_dropped_harmlessly() {
    let mut ledger = ledger_of(&[1, 2]);
    assert_eq!(ledger.settle(1), Settled::First(1));
    assert_eq!(ledger.settle(1), Settled::NotOpen);
    assert_eq!(ledger.expire(BY), Some(Expired { key: 2, entry: 2, unroutable: false }));
    assert_eq!(ledger.settle(2), Settled::NotOpen);
    assert_eq!(ledger.expire(Tick::from_secs(1000)), None);
}

#[test]
fn tasks_that_nobody_took_are_told_once_it_is_all_of_a_checks() {
    let mut ledger = ledger_of(&[1, 2]);
    assert!(ledger.unroutable(&"check").is_empty(), "one of two: it cannot be known which");
    assert_eq!(ledger.unroutable(&"check"), [(1, 1), (2, 2)]);
    assert!(ledger.is_empty());
}

#[test]
fn a_task_that_a_runner_took_is_not_given_up_for_its_sibling() {
    let mut ledger = ledger_of(&[1, 2]);
    assert!(ledger.unroutable(&"check").is_empty());
    assert!(ledger.all_unroutable(&"check").is_empty());
    assert_eq!(ledger.expire(BY), Some(Expired { key: 1, entry: 1, unroutable: true }));
    assert_eq!(ledger.expire(BY), Some(Expired { key: 2, entry: 2, unroutable: false }));
}

#[test]
fn an_answer_tells_which_task_it_was_that_nobody_took() {
    let mut ledger = ledger_of(&[1, 2, 3]);
    assert!(ledger.unroutable(&"check").is_empty());
    assert_eq!(ledger.settle(1), Settled::First(1), "the Runner answers");
    assert!(ledger.all_unroutable(&"check").is_empty(), "it may still be either");
    assert_eq!(ledger.settle(2), Settled::First(2), "the Runner answers");
    assert_eq!(ledger.all_unroutable(&"check"), [(3, 3)]);
}
