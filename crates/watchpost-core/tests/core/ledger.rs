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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn guarantee_1_each_task_is_settled_exactly_once(events in proptest::collection::vec(event(), 1..300)) {
        let mut ledger: Ledger<u16, u8, u16> = Ledger::default();
        let mut open: BTreeMap<u16, (u8, Tick)> = BTreeMap::new();
        let mut now = Tick::ZERO;
        let (mut opened, mut settled) = (0, 0);
        for event in events {
            match event {
                Event::Open { key, check, secs } => {
                    let by = now.after(Duration::from_secs(secs));
                    let fresh = !open.contains_key(&key);
                    prop_assert_eq!(ledger.open(key, check, by, key).is_ok(), fresh);
                    if fresh {
                        open.insert(key, (check, by));
                        opened += 1;
                    }
                }
                Event::Answer(key) => {
                    let expected = if open.remove(&key).is_some() { Settled::First(key) } else { Settled::NotOpen };
                    settled += usize::from(expected != Settled::NotOpen);
                    prop_assert_eq!(ledger.settle(key), expected);
                }
                Event::AfterAnswer(check) => {
                    let of_check = open.values().filter(|(c, _)| *c == check).count();
                    let all = ledger.all_unroutable(&check);
                    prop_assert!(all.is_empty() || all.len() == of_check, "all of a check's tasks or none");
                    for (key, _) in all {
                        prop_assert_eq!(open.remove(&key).map(|(c, _)| c), Some(check));
                        settled += 1;
                    }
                }
                Event::Unroutable(check) => {
                    let of_check = open.values().filter(|(c, _)| *c == check).count();
                    let all = ledger.unroutable(&check);
                    prop_assert!(all.is_empty() || all.len() == of_check, "all of a check's tasks or none");
                    for (key, _) in all {
                        prop_assert_eq!(open.remove(&key).map(|(c, _)| c), Some(check));
                        settled += 1;
                    }
                }
                Event::Pass(secs) => {
                    now = now.after(Duration::from_secs(secs));
                    while let Some(Expired { key, .. }) = ledger.expire(now) {
                        let (_, by) = open.remove(&key).unwrap();
                        prop_assert!(by <= now);
                        settled += 1;
                    }
                    prop_assert!(open.values().all(|(_, by)| *by > now), "nothing stays open past its time");
                }
            }
            prop_assert_eq!(ledger.len(), open.len());
            prop_assert_eq!(ledger.next_expiry(), open.values().map(|(_, by)| *by).min());
        }
        prop_assert_eq!(opened, settled + open.len());
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
