//! Jobs that report in by themselves.

use std::time::Duration;

use proptest::prelude::*;
use watchpost_core::{BeatLimits, Beats, Pulse, Tick};

const MINUTE: Duration = Duration::from_secs(60);
const LIMITS: BeatLimits = BeatLimits { period: Duration::from_secs(300), grace: MINUTE };

fn at(secs: u64) -> Tick {
    Tick::from_secs(1_000 + secs)
}

#[test]
fn a_job_is_pending_until_it_could_have_beaten_and_then_silent() {
    let mut beats = Beats::<()>::new(LIMITS, at(0));
    assert_eq!(beats.next_news(at(0)), Some(at(360)));
    for (secs, pulse) in [(0, Pulse::Pending), (359, Pulse::Pending), (360, Pulse::Silent), (9_999, Pulse::Silent)] {
        assert_eq!(beats.pulse(at(secs)), pulse, "{secs}");
        assert_eq!(beats.is_news(at(secs)), pulse == Pulse::Silent, "{secs}");
    }
    assert_eq!(beats.tell(at(360), true), Pulse::Silent);
    assert_eq!((beats.is_news(at(400)), beats.next_news(at(400))), (false, None));
}

#[test]
fn each_beat_puts_silence_off() {
    let mut beats = Beats::new(LIMITS, at(0));
    beats.beat(at(100), false, 'a');
    assert!(beats.is_news(at(100)), "it was pending until now");
    beats.tell(at(100), true);
    for secs in [200, 559, 900, 1_259] {
        assert_eq!(beats.pulse(at(secs)), Pulse::Beating, "{secs}");
        beats.beat(at(secs), false, 'b');
        assert!(!beats.is_news(at(secs)), "{secs}");
    }
    assert_eq!(beats.next_news(at(1_259)), Some(at(1_619)));
    assert_eq!(beats.last(at(1_300)), Some((Duration::from_secs(41), &'b')));
    assert_eq!((beats.pulse(at(1_618)), beats.pulse(at(1_619))), (Pulse::Beating, Pulse::Silent));
    assert_eq!(beats.quiet_for(at(1_619)), Duration::from_secs(360));
    beats.tell(at(1_619), true);
    // And it is heard again.
    beats.beat(at(2_000), false, 'c');
    assert!(beats.is_news(at(2_000)));
}

#[test]
fn a_failure_holds_until_a_good_beat_or_silence() {
    let mut beats = Beats::new(LIMITS, at(0));
    beats.beat(at(10), true, ());
    assert_eq!((beats.pulse(at(10)), beats.is_news(at(10))), (Pulse::Failing, true));
    beats.tell(at(10), true);
    beats.beat(at(20), true, ());
    assert!(!beats.is_news(at(20)), "that is known");
    beats.beat(at(30), false, ());
    assert_eq!((beats.pulse(at(30)), beats.is_news(at(30))), (Pulse::Beating, true));
    beats.tell(at(30), true);
    beats.beat(at(40), true, ());
    assert_eq!(beats.pulse(at(400)), Pulse::Silent);
}

#[test]
fn news_are_apart_however_often_a_job_changes_its_mind() {
    let mut beats = Beats::new(LIMITS, at(0));
    beats.beat(at(10), true, ());
    beats.tell(at(10), true);
    let soon = at(10).after(Duration::from_millis(300));
    beats.beat(soon, false, ());
    assert_eq!((beats.is_news(soon), beats.next_news(soon)), (false, Some(at(11))));
    assert!(beats.is_news(at(11)));
    // Told by the schedule meanwhile, it is no news.
    beats.tell(soon, false);
    assert!(!beats.is_news(at(11)));
}

#[test]
fn silence_soon_after_news_is_told_when_the_next_may_be() {
    let limits = BeatLimits { period: Duration::from_millis(400), grace: Duration::ZERO };
    let mut beats = Beats::new(limits, at(9));
    beats.beat(at(10), true, ());
    beats.tell(at(10), true);
    assert_eq!(beats.next_news(at(10)), Some(at(11)));
    let silent = at(10).after(limits.period);
    assert_eq!((beats.pulse(silent), beats.is_news(silent), beats.is_news(at(11))), (Pulse::Silent, false, true));
}

#[test]
fn a_job_that_begins_has_not_beaten() {
    let mut beats = Beats::new(LIMITS, at(0));
    beats.begin(at(5));
    assert_eq!(beats.running_for(at(25)), Some(Duration::from_secs(20)));
    assert_eq!(beats.pulse(at(360)), Pulse::Silent);
    beats.beat(at(361), false, ());
    assert_eq!(beats.running_for(at(400)), None);
}

#[test]
fn other_limits_hold_for_what_was_heard() {
    let mut beats = Beats::new(LIMITS, at(0));
    beats.beat(at(0), false, ());
    beats.tell(at(0), true);
    beats.set_limits(BeatLimits { period: MINUTE, grace: Duration::ZERO });
    assert_eq!(beats.limits().period, MINUTE);
    assert_eq!((beats.pulse(at(59)), beats.pulse(at(60))), (Pulse::Beating, Pulse::Silent));
    assert_eq!(beats.next_news(at(59)), Some(at(60)));
}

#[test]
fn beats_are_bounded_in_number() {
    let mut beats = Beats::<()>::new(LIMITS, at(0));
    let admitted = (0..1_000).filter(|_| beats.admit(at(0))).count();
    assert_eq!(admitted, 20);
    // Five a second after that.
    let admitted = (1..=100u64).filter(|tenth| beats.admit(at(0).after(Duration::from_millis(100 * tenth)))).count();
    assert_eq!(admitted, 50);
    assert_eq!((0..100).filter(|_| beats.admit(at(3_600))).count(), 20);
    // However the time between them is cut up.
    let every_150_ms = |n: u64| at(3_600).after(Duration::from_millis(150 * n));
    assert_eq!((1..=40u64).filter(|n| beats.admit(every_150_ms(*n))).count(), 30);
}

proptest! {
    /// Whatever comes when: news differ from what was told, are apart, and silence is told when it is there.
    #[test]
    fn news_follow_the_pulse(steps in prop::collection::vec((0u64..400_000, 0u8..4), 1..60)) {
        let mut beats = Beats::new(LIMITS, at(0));
        let (mut now, mut told, mut news_at) = (at(0), Pulse::Pending, None::<Tick>);
        for (later_ms, what) in steps {
            let next = now.after(Duration::from_millis(later_ms));
            // Whoever wakes when told to hears of everything between.
            while let Some(wake) = beats.next_news(now).filter(|wake| *wake <= next) {
                prop_assert!(wake >= now, "{wake:?} {beats:?}");
                now = wake;
                if !beats.is_news(wake) {
                    // What was put off holds no more.
                    prop_assert_eq!(beats.pulse(wake), told);
                    continue;
                }
                prop_assert!(news_at.is_none_or(|at| wake.since(at) >= Duration::from_secs(1)));
                let pulse = beats.tell(wake, true);
                prop_assert_ne!(pulse, told);
                (told, news_at) = (pulse, Some(wake));
            }
            now = next;
            match what {
                0 => beats.beat(now, false, ()),
                1 => beats.beat(now, true, ()),
                2 => beats.begin(now),
                _ => told = beats.tell(now, false),
            }
            let silent = beats.quiet_for(now) >= LIMITS.period + LIMITS.grace;
            prop_assert_eq!(beats.pulse(now) == Pulse::Silent, silent);
        }
    }
}
