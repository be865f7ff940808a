//! The schedule against a naive model of it.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use watchpost_core::{Schedule, SlotId, phase};

const SECOND_US: i64 = 1_000_000;

#[derive(Debug, Clone)]
enum Event {
    Insert { interval_s: u64, phase_s: u64 },
    Remove(usize),
    Replace { which: usize, interval_s: u64 },
    Pass(i64),
    Set(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1u64..20, 0u64..20).prop_map(|(interval_s, phase_s)| Event::Insert { interval_s, phase_s }),
        1 => (0usize..50).prop_map(Event::Remove),
        2 => (0usize..50, 1u64..20).prop_map(|(which, interval_s)| Event::Replace { which, interval_s }),
        6 => (0i64..30).prop_map(Event::Pass),
        1 => (-100i64..100).prop_map(Event::Set),
    ]
}

struct Timer {
    interval_us: i64,
    phase_us: i64,
    due_us: i64,
    skipped: i64,
}

impl Timer {
    fn new(now_us: i64, interval_s: u64, phase_s: u64) -> Self {
        let (interval_us, phase_us) = (interval_s as i64 * SECOND_US, phase_s as i64 * SECOND_US);
        let mut timer = Self { interval_us, phase_us, due_us: 0, skipped: 0 };
        timer.align(now_us);
        timer
    }

    fn align(&mut self, now_us: i64) {
        self.due_us = self.phase_us + ((now_us - self.phase_us).div_euclid(self.interval_us) + 1) * self.interval_us;
    }
}

proptest! {
    #[test]
    fn the_schedule_fires_what_the_plain_model_fires(events in proptest::collection::vec(event(), 1..150)) {
        let mut schedule: Schedule<u32> = Schedule::default();
        let mut model: BTreeMap<u32, (SlotId, Timer)> = BTreeMap::new();
        let (mut now_us, mut next_name) = (1_700_000_000 * SECOND_US, 0u32);
        let mut insert = |schedule: &mut Schedule<u32>, model: &mut BTreeMap<_, _>, now_us, interval_s, phase_s| {
            let (interval, phase) = (Duration::from_secs(interval_s), Duration::from_secs(phase_s));
            let slot = schedule.insert(now_us, interval, phase, next_name);
            model.insert(next_name, (slot, Timer::new(now_us, interval_s, phase_s)));
            next_name += 1;
        };
        for event in events {
            match event {
                Event::Insert { interval_s, phase_s } => {
                    insert(&mut schedule, &mut model, now_us, interval_s, phase_s % interval_s);
                }
                Event::Remove(n) if !model.is_empty() => {
                    let name = *model.keys().nth(n % model.len()).unwrap();
                    let (slot, _) = model.remove(&name).unwrap();
                    prop_assert_eq!(schedule.remove(slot), Some(name));
                }
                Event::Replace { which, interval_s } if !model.is_empty() => {
                    let name = *model.keys().nth(which % model.len()).unwrap();
                    let (slot, _) = model.remove(&name).unwrap();
                    prop_assert!(schedule.remove(slot).is_some());
                    insert(&mut schedule, &mut model, now_us, interval_s, 0);
                }
                Event::Remove(_) | Event::Replace { .. } => {}
                Event::Pass(secs) => now_us += secs * SECOND_US,
                Event::Set(secs) => {
                    now_us += secs * SECOND_US;
                    schedule.realign(now_us);
                    for (_, timer) in model.values_mut() {
                        if timer.due_us <= now_us {
                            let due_us = timer.due_us;
                            timer.align(now_us);
                            timer.skipped += (timer.due_us - due_us) / timer.interval_us;
                        } else if timer.due_us > now_us + 2 * timer.interval_us {
                            timer.align(now_us);
                        }
                    }
                }
            }
            let mut fired = Vec::new();
            while let Some(due) = schedule.pop_due(now_us) {
                fired.push((*due.value, due.scheduled_at_us, due.skipped));
            }
            let mut expected = Vec::new();
            for (name, (_, timer)) in model.iter_mut().filter(|(_, (_, timer))| timer.due_us <= now_us) {
                let skipped = (now_us - timer.due_us) / timer.interval_us;
                let told = (timer.skipped + skipped) as u64;
                expected.push((*name, timer.due_us + skipped * timer.interval_us, told));
                timer.skipped = 0;
                timer.align(now_us);
            }
            fired.sort_unstable();
            prop_assert_eq!(fired, expected);
            prop_assert_eq!(schedule.len(), model.len(), "each check has exactly one timer");
            prop_assert_eq!(schedule.is_empty(), model.is_empty());
            prop_assert!(model.iter().all(|(name, (slot, _))| schedule.get(*slot) == Some(name)));
            prop_assert_eq!(schedule.next_due_us(), model.values().map(|(_, timer)| timer.due_us).min());
        }
    }
}

#[test]
fn a_check_that_is_replaced_a_thousand_times_keeps_one_timer() {
    let mut schedule = Schedule::default();
    let second = Duration::from_secs(1);
    let mut slot = schedule.insert(0, second, Duration::ZERO, 0);
    for n in 1..=1000 {
        assert_eq!(schedule.remove(slot), Some(n - 1));
        slot = schedule.insert(0, second, Duration::ZERO, n);
    }
    assert_eq!(schedule.len(), 1);
    let fired = std::iter::from_fn(|| schedule.pop_due(SECOND_US).map(|due| *due.value)).count();
    assert_eq!(fired, 1);
}

#[test]
fn a_machine_that_slept_skips_and_counts_and_does_not_burst() {
    let mut schedule = Schedule::default();
    schedule.insert(0, Duration::from_secs(10), Duration::ZERO, "check");
    let hour_us = 3600 * SECOND_US;
    let due = schedule.pop_due(hour_us).unwrap();
    assert_eq!((due.scheduled_at_us, due.skipped), (hour_us, 359));
    assert!(schedule.pop_due(hour_us).is_none());
    assert_eq!(schedule.next_due_us(), Some(hour_us + 10 * SECOND_US));
}

#[test]
fn a_clock_that_is_set_back_a_little_runs_no_slot_twice() {
    let mut schedule = Schedule::default();
    schedule.insert(0, Duration::from_secs(10), Duration::ZERO, "check");
    assert_eq!(schedule.pop_due(100 * SECOND_US).unwrap().scheduled_at_us, 100 * SECOND_US);
    schedule.realign(99 * SECOND_US);
    assert!(schedule.pop_due(100 * SECOND_US).is_none(), "slot 100 was run");
    assert_eq!(schedule.pop_due(110 * SECOND_US).unwrap().scheduled_at_us, 110 * SECOND_US);
    schedule.realign(50 * SECOND_US);
    assert_eq!(schedule.next_due_us(), Some(60 * SECOND_US), "a minute without checks would be worse");
}

#[test]
fn phases_spread_evenly_and_never_change() {
    let interval = Duration::from_secs(60);
    let mut buckets = [0usize; 60];
    for n in 0..60_000 {
        buckets[phase(&format!("check-{n}"), interval).as_secs() as usize] += 1;
    }
    // 1 000 each are expected, with a standard deviation of about 31.
    assert!(buckets.iter().all(|n| (800..1200).contains(n)), "{buckets:?}");
    let pinned = Duration::from_micros(2_947_895);
    assert_eq!(phase("home", interval), pinned, "a changed phase moves every check of every bastion");
}

#[test]
fn a_million_checks_fit() {
    let mut schedule = Schedule::default();
    for n in 0..1_000_000u32 {
        let interval = Duration::from_secs(10);
        schedule.insert(0, interval, Duration::from_micros(u64::from(n) * 10), n);
    }
    assert_eq!(schedule.len(), 1_000_000);
    let mut last = i64::MIN;
    for _ in 0..1_000 {
        let due = schedule.pop_due(20 * SECOND_US).unwrap();
        assert!(due.scheduled_at_us >= last || due.skipped > 0);
        last = due.scheduled_at_us;
    }
}
