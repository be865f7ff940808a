//! What a stop promises, one by one and over random sequences of events.

use std::time::Duration;

use proptest::prelude::*;
use watchpost_core::DrainPhase::{Accepting, Cancelling, Done, Draining, Expired, Flushing};
use watchpost_core::{Drain, Tick};

fn begun() -> Drain {
    let mut drain = Drain::default();
    drain.begin(Tick::ZERO, Duration::from_secs(4));
    drain
}

#[test]
fn o2_what_runs_may_finish_then_is_cancelled_then_sent() {
    let mut drain = begun();
    assert_eq!(drain.next_wake(), Some(Tick::from_secs(3)));
    assert_eq!(drain.advance(Tick::from_secs(1), 2, false), Draining);
    assert_eq!(drain.advance(Tick::from_secs(3), 2, false), Cancelling);
    assert_eq!(drain.next_wake(), Some(Tick::from_secs(4)));
    assert_eq!(drain.advance(Tick::from_secs(3), 0, false), Flushing);
    assert_eq!(drain.next_wake(), Some(Tick::from_secs(4)));
    assert_eq!(drain.advance(Tick::from_secs(3), 0, true), Done);
    assert_eq!((drain.next_wake(), drain.phase()), (None, Done));
}

#[test]
fn o2_the_grace_ends_it_whatever_is_left() {
    for (open, sent) in [(1, true), (1, false), (0, false)] {
        let mut drain = begun();
        assert_eq!(drain.advance(Tick::from_secs(4), open, sent), Expired);
        assert_eq!(drain.advance(Tick::from_secs(5), 0, true), Expired, "it never goes back");
    }
}

#[test]
fn a_second_begin_does_not_extend_the_grace() {
    let mut drain = begun();
    drain.begin(Tick::from_secs(3), Duration::from_secs(100));
    assert_eq!(drain.advance(Tick::from_secs(4), 1, false), Expired);
}

#[test]
fn the_time_for_cancelling_is_a_quarter_of_the_grace_and_a_second_at_most() {
    for (grace_ms, cancel_at_ms) in [(0, 0), (4, 3), (4_000, 3_000), (5_000, 4_000), (60_000, 59_000)] {
        let mut drain = Drain::default();
        drain.begin(Tick::from_secs(1), Duration::from_millis(grace_ms));
        assert_eq!(drain.next_wake(), Some(Tick::from_secs(1).after(Duration::from_millis(cancel_at_ms))));
    }
}

#[derive(Debug, Clone)]
enum Event {
    Begin { grace_ms: u64 },
    Pass { ms: u64 },
    PassToWake,
    Advance { open: usize, sent: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (0u64..10_000).prop_map(|grace_ms| Event::Begin { grace_ms }),
        3 => (0u64..1_500).prop_map(|ms| Event::Pass { ms }),
        1 => Just(Event::PassToWake),
        6 => (0usize..3, any::<bool>()).prop_map(|(open, sent)| Event::Advance { open, sent }),
    ]
}

proptest! {
    #[test]
    fn guarantee_6_a_stop_never_goes_back_and_is_over_when_the_grace_is(
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let mut drain = Drain::default();
        let mut now = Tick::ZERO;
        let mut expires_at = None;
        for event in events {
            let before = drain.phase();
            match event {
                Event::Begin { grace_ms } => {
                    let grace = Duration::from_millis(grace_ms);
                    drain.begin(now, grace);
                    expires_at = expires_at.or(Some(now.after(grace)));
                }
                Event::Pass { ms } => now = now.after(Duration::from_millis(ms)),
                Event::PassToWake => now = drain.next_wake().map_or(now, |wake| wake.max(now)),
                Event::Advance { open, sent } => {
                    let phase = drain.advance(now, open, sent);
                    prop_assert_eq!(phase, drain.phase());
                    let Some(expires_at) = expires_at else {
                        prop_assert_eq!(phase, Accepting);
                        continue;
                    };
                    let over = matches!(phase, Done | Expired);
                    prop_assert!(over || now < expires_at, "the grace is over and {phase:?}");
                    prop_assert!(phase != Expired || now >= expires_at, "it expired too early");
                    prop_assert!(over || open > 0 || !sent, "everything is out and {phase:?}");
                    prop_assert!(before == Done || phase != Done || (open == 0 && sent), "not everything is out");
                }
            }
            prop_assert!(drain.phase() >= before, "it went back from {before:?}");
            // Whoever wakes when told and finds nothing done sees it to its end.
            let mut left = drain.clone();
            for _ in 0..3 {
                let Some(wake) = left.next_wake() else { break };
                prop_assert!(expires_at.is_some_and(|expires_at| wake <= expires_at));
                left.advance(wake.max(now), 1, false);
            }
            prop_assert!(matches!(left.phase(), Accepting | Done | Expired), "{:?} does not end", left.phase());
        }
    }
}
