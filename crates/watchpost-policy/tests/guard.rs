//! What the guard counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use watchpost_policy::{Effect, Entering, Guard, Limits, Own, Permit, Policy, PolicyFile, Standing};

const SECOND: Duration = Duration::from_secs(1);

fn guard(limits: &str) -> Guard {
    let limits: Limits = serde_json::from_str(limits).unwrap();
    let file = PolicyFile { limits, default: Effect::Allow, ..PolicyFile::default() };
    Guard::new(Policy::try_from(file).unwrap(), Own::default(), "test")
}

fn limited(guard: &Guard, concurrency: Option<u32>) {
    let file = PolicyFile { limits: Limits { concurrency, ..Limits::default() }, ..PolicyFile::default() };
    let standing = Standing { source: "test".to_owned(), sha256: None, broken: None };
    guard.replace(Policy::try_from(file).unwrap(), standing);
}

fn endpoint(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, (n >> 8) as u8, (n & 255) as u8], 80))
}

#[test]
fn after_a_pause_a_period_s_count_comes_at_once_and_the_rest_evenly() {
    let guard = guard(r#"{"per_endpoint": "10/s"}"#);
    let now = Instant::now();
    let mut waits = (0..12).map(|_| guard.admit(endpoint(1), now, SECOND).unwrap());
    for _ in 0..10 {
        assert_eq!(waits.next().unwrap(), Duration::ZERO);
    }
    assert_eq!(waits.next().unwrap(), SECOND / 10);
    assert_eq!(waits.next().unwrap(), SECOND / 5);
    // Another endpoint has a rate of its own.
    assert_eq!(guard.admit(endpoint(2), now, SECOND).unwrap(), Duration::ZERO);
    // The same address written as IPv6 has not.
    let mapped = SocketAddr::new("::ffff:10.0.0.1".parse().unwrap(), 80);
    assert_eq!(guard.admit(mapped, now, SECOND).unwrap(), SECOND * 3 / 10);
}

#[test]
fn who_would_wait_too_long_is_refused_and_takes_no_place() {
    let guard = guard(r#"{"overall": "2/s", "per_endpoint": "100/s"}"#);
    let now = Instant::now();
    for _ in 0..2 {
        assert_eq!(guard.admit(endpoint(1), now, Duration::ZERO).unwrap(), Duration::ZERO);
    }
    for n in 0..5 {
        let refused = guard.admit(endpoint(n), now, SECOND / 4).unwrap_err();
        assert_eq!(refused.rule, "limits.overall");
        assert!(refused.message.contains("permits 2/s") && refused.message.contains("0.5 s"), "{}", refused.message);
    }
    assert_eq!(guard.admit(endpoint(1), now + SECOND / 2, Duration::ZERO).unwrap(), Duration::ZERO);
}

#[test]
fn endpoints_that_are_quiet_make_room_for_others_and_a_flood_of_them_is_refused() {
    let guard = guard(r#"{"per_endpoint": "1/h"}"#);
    let now = Instant::now();
    let many = |from: u32| (from..).map(|n| SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 80)));
    let admitted = many(0).take_while(|endpoint| guard.admit(*endpoint, now, Duration::ZERO).is_ok()).count();
    assert_eq!(admitted, 16_384);
    let refused = guard.admit(many(900_000).next().unwrap(), now, Duration::ZERO).unwrap_err();
    assert!(refused.message.contains("one too many"), "{}", refused.message);
    // An hour later all of them have been quiet for long enough.
    let later = now + Duration::from_secs(3601);
    assert!(guard.admit(many(900_000).next().unwrap(), later, Duration::ZERO).is_ok());
}

/// What an hour's rate has used up would keep everybody waiting for most of that hour.
#[test]
fn rates_that_are_changed_begin_anew() {
    let guard = guard(r#"{"overall": "1/h", "per_endpoint": "1/h"}"#);
    let now = Instant::now();
    let limited = |limits: &str| {
        let limits = serde_json::from_str(limits).unwrap();
        let file = PolicyFile { limits, default: Effect::Allow, ..PolicyFile::default() };
        let standing = Standing { source: "test".to_owned(), sha256: None, broken: None };
        guard.replace(Policy::try_from(file).unwrap(), standing);
    };
    assert_eq!(guard.admit(endpoint(1), now, SECOND).unwrap(), Duration::ZERO);
    // The same rates are the same account.
    limited(r#"{"overall": "1/h", "per_endpoint": "1/h", "concurrency": 7}"#);
    assert!(guard.admit(endpoint(1), now, SECOND).is_err());
    limited(r#"{"overall": "100/s", "per_endpoint": "1/h"}"#);
    assert_eq!(guard.admit(endpoint(1), now, SECOND).unwrap_err().rule, "limits.per_endpoint");
    assert_eq!(guard.admit(endpoint(2), now, SECOND).unwrap(), Duration::ZERO);
    limited(r#"{"overall": "100/s", "per_endpoint": "100/s"}"#);
    assert_eq!(guard.admit(endpoint(1), now, SECOND).unwrap(), Duration::ZERO);
}

proptest! {
    /// However they come, no more go out within a period than the rate has twice, and never more than it has evenly
    /// beyond one period's count.
    #[test]
    fn a_rate_holds_however_they_come(gaps in prop::collection::vec(0..400_u64, 1..200)) {
        let guard = guard(r#"{"overall": "10/s"}"#);
        let begun = Instant::now();
        let (mut now, mut went) = (begun, Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap);
            if let Ok(wait) = guard.admit(endpoint(1), now, SECOND) {
                went.push(now + wait);
            }
        }
        for (i, first) in went.iter().enumerate() {
            for (n, last) in went[i..].iter().enumerate() {
                let spent = last.duration_since(*first).as_secs_f64();
                prop_assert!((n + 1) as f64 <= 10.0 * spent + 10.0 + 1e-6, "{} within {spent} s", n + 1);
            }
        }
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(entering: &mut std::pin::Pin<&mut Entering>, woken: &Arc<Woken>) -> Poll<Permit> {
    entering.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))))
}

#[test]
fn who_comes_first_goes_first_and_nobody_overtakes() {
    let guard = guard(r#"{"concurrency": 1}"#);
    let woken: Vec<Arc<Woken>> = (0..4).map(|_| Arc::default()).collect();
    let (mut a, mut b, mut c) = (pin!(guard.enter()), pin!(guard.enter()), pin!(guard.enter()));
    let Poll::Ready(permit) = poll(&mut a, &woken[0]) else { panic!("there is room") };
    assert!(poll(&mut b, &woken[1]).is_pending());
    assert!(poll(&mut c, &woken[2]).is_pending());
    assert_eq!(guard.under_way(), 1);
    drop(permit);
    assert_eq!(woken[1].0.load(Ordering::SeqCst), 1);
    assert_eq!(woken[2].0.load(Ordering::SeqCst), 0);
    // Whoever comes now waits, though the one that was let in does not know it yet.
    let mut late = pin!(guard.enter());
    assert!(poll(&mut late, &woken[3]).is_pending());
    let Poll::Ready(permit) = poll(&mut b, &woken[1]) else { panic!("it was let in") };
    drop(permit);
    assert!(poll(&mut c, &woken[2]).is_ready());
}

#[test]
fn who_stops_waiting_gives_up_its_place() {
    let guard = guard(r#"{"concurrency": 1}"#);
    let woken = Arc::<Woken>::default();
    let mut held = pin!(guard.enter());
    let Poll::Ready(permit) = poll(&mut held, &woken) else { panic!("there is room") };
    // One goes before it is let in, one after, without having looked.
    {
        let mut before = pin!(guard.enter());
        assert!(poll(&mut before, &woken).is_pending());
    }
    {
        let mut after = pin!(guard.enter());
        assert!(poll(&mut after, &woken).is_pending());
        drop(permit);
        assert_eq!(guard.under_way(), 1, "it is let in");
    }
    assert_eq!(guard.under_way(), 0);
    assert!(poll(&mut pin!(guard.enter()), &woken).is_ready());
}

#[test]
fn another_limit_lets_in_as_many_as_it_has_room_for() {
    let guard = guard(r#"{"concurrency": 1}"#);
    let woken = Arc::<Woken>::default();
    let mut all: Vec<_> = (0..4).map(|_| Box::pin(guard.enter())).collect();
    let mut permits = Vec::new();
    for entering in &mut all {
        if let Poll::Ready(permit) = poll(&mut entering.as_mut(), &woken) {
            permits.push(permit);
        }
    }
    assert_eq!(permits.len(), 1);
    limited(&guard, Some(3));
    assert_eq!((guard.under_way(), woken.0.load(Ordering::SeqCst)), (3, 2));
    limited(&guard, Some(2));
    drop(permits.pop());
    // Two that were let in are still there: the fourth waits.
    assert_eq!(guard.under_way(), 2);
    limited(&guard, None);
    assert_eq!(guard.under_way(), 3);
    let ready = all.iter_mut().skip(1).filter_map(|entering| match poll(&mut entering.as_mut(), &woken) {
        Poll::Ready(permit) => Some(permit),
        Poll::Pending => None,
    });
    assert_eq!(ready.collect::<Vec<_>>().len(), 3);
    assert_eq!(guard.under_way(), 0);
}

#[test]
fn many_at_once_never_exceed_the_limit_and_all_get_through() {
    let guard = guard(r#"{"concurrency": 3}"#);
    let (inside, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let permit = wait(guard.enter());
                    let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(done.load(Ordering::SeqCst), 4_000);
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(guard.under_way(), 0);
}

/// Waits on this thread.
fn wait(entering: Entering) -> Permit {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut entering = pin!(entering);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match entering.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(permit) => return permit,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_broken_file_is_told_and_the_policy_in_force_stays() {
    let guard = guard("{}");
    guard.tell_broken(Some("p.yaml:1:1: broken".to_owned()));
    assert_eq!(guard.standing().broken.as_deref(), Some("p.yaml:1:1: broken"));
    assert!(guard.policy().limits().overall.is_none());
    limited(&guard, Some(1));
    assert_eq!(guard.standing().broken, None);
}

#[test]
#[ignore = "prints how long a judgement takes"]
fn how_long_a_judgement_takes() {
    use watchpost_model::CheckType;
    use watchpost_policy::{Dial, Purpose, Transport};
    let networks: Vec<String> = (0..200).map(|n| format!("\"10.{n}.0.0/17\"")).collect();
    let rule = |n| {
        format!(
            r#"{{"name": "r{n}", "deny": {{"types": ["http"], "networks": [{}], "ports": [9]}}}}"#,
            networks.join(",")
        )
    };
    let rules: Vec<String> = (0..20).map(rule).collect();
    let text = format!(r#"{{"rules": [{}, {{"name": "all", "allow": {{}}}}]}}"#, rules.join(","));
    let policy = Policy::try_from(serde_json::from_str::<PolicyFile>(&text).unwrap()).unwrap();
    for (name, policy) in [("strict", Policy::strict()), ("20 rules", policy)] {
        let guard = Guard::new(policy, Own::default(), "test");
        let dial = Dial {
            check_type: CheckType::Http,
            host: Some("api.corp.example"),
            address: endpoint(1),
            transport: Transport::Tcp,
            purpose: Purpose::Target,
            method: Some("GET"),
        };
        let begun = Instant::now();
        for _ in 0..1_000_000 {
            std::hint::black_box(guard.judge_dial(std::hint::black_box(&dial))).unwrap();
        }
        println!("{name}: {} ns", begun.elapsed().as_nanos() / 1_000_000);
    }
}
