//! Many checks, and many changes.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use watchpost_model::{CheckEventKind, ReasonCode};
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{SOON, until};

use crate::rig::{FOLLOWED, Rig};

const INTERVAL_US: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_replaced_a_thousand_times_fires_each_slot_once() {
    const REPLACED: usize = 1_000;
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    // Others run beside it.
    let others = (0..100).map(|n| rig.put_check(n));
    join_all(others).await;
    rig.put("site.replaced", rig.check("replaced")).await;
    events.until(CheckEventKind::CheckApplied, "replaced").await;
    let observer = Observer::start(&rig.server.url()).await;
    let begun = Instant::now();
    let mut last = 0;
    for n in 0..REPLACED {
        // Its interval and its phase stay, everything else is another check each time.
        let check = rig.check("replaced").replace(r#""id""#, &format!(r#""timeout": "{}ms", "id""#, 500 + n % 400));
        last = rig.put("site.replaced", check).await;
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    while events.until(CheckEventKind::CheckApplied, "replaced").await.revision != Some(last) {}
    let took = begun.elapsed();
    let seen = || observer.results().iter().filter(|result| result.check.as_str() == "replaced").count();
    let before = seen();
    until("it runs on", SOON, || (seen() > before + 2).then_some(())).await;

    let results = observer.results();
    let mut slots = BTreeMap::<i64, Vec<_>>::new();
    for result in results.iter().filter(|result| result.check.as_str() == "replaced") {
        slots.entry(result.scheduled_at.as_microsecond()).or_default().push(result);
    }
    let tasks: Vec<_> = observer.tasks().into_iter().filter(|task| task.check.as_str() == "replaced").collect();
    let distinct: HashSet<_> = tasks.iter().map(|task| task.task).collect();
    assert_eq!(distinct.len(), tasks.len(), "no slot was fired twice");
    for (slot, results) in &slots {
        assert_eq!(results.len(), 1, "one outcome for each slot: {slot} {results:?}");
        assert_eq!(slot.rem_euclid(INTERVAL_US), slots.keys().next().unwrap().rem_euclid(INTERVAL_US), "one phase");
    }
    let fell_behind = |slot: &i64| {
        slots[slot].iter().any(|r| r.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::BehindSchedule))
    };
    let at: Vec<i64> = slots.keys().copied().collect();
    for pair in at.windows(2) {
        let is_told = fell_behind(&pair[0]) || fell_behind(&pair[1]);
        assert!(pair[1] - pair[0] == INTERVAL_US || is_told, "a gap from {} to {}", pair[0], pair[1]);
    }
    assert!(at.len() as u64 + 2 >= took.as_secs(), "{} slots in {took:?}", at.len());
    drop(bastion);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_checks_come_into_force_at_once() {
    const CHECKS: usize = 10_000;
    const MEMORY_MAX_KIB: u64 = 1024 * 1024;
    let rig = Rig::start().await;
    for chunk in 0..CHECKS / 100 {
        let puts = (0..100).map(|n| rig.put_rarely(chunk * 100 + n));
        join_all(puts).await;
    }
    let mut events = rig.events().await;
    let begun = Instant::now();
    let mut bastion = rig.launch("", &[]).start_ready().await;
    let followed = bastion.until_logged(FOLLOWED).await;
    let took = begun.elapsed();
    assert_eq!(followed["checks"], CHECKS, "{followed}");
    let mut told = HashSet::new();
    while told.len() < CHECKS {
        let event = events.next().await;
        assert_eq!(event.kind, CheckEventKind::CheckApplied);
        told.insert(event.check);
    }
    // One more among them.
    let mut times = Vec::new();
    for n in 0..5 {
        let begun = Instant::now();
        rig.put(&format!("site.more-{n}"), rig.check(&format!("more-{n}"))).await;
        events.until(CheckEventKind::CheckApplied, &format!("more-{n}")).await;
        times.push(begun.elapsed());
    }
    let one_more = *times.iter().min().unwrap();
    let kib = bastion.resident_kib();
    eprintln!("{CHECKS} checks in force {took:?} after the start, one more after {one_more:?}; {kib} KiB");
    assert!(one_more < Duration::from_secs(1) && kib < MEMORY_MAX_KIB, "{times:?} {kib} KiB");
    assert_eq!(bastion.stop().await, 0);
}

impl Rig {
    async fn put_check(&self, n: usize) {
        self.put(&format!("site.other-{n}"), self.check(&format!("other-{n}"))).await;
    }

    async fn put_rarely(&self, n: usize) {
        self.put(&format!("site.c{n}"), self.check_every(&format!("c{n}"), "24h")).await;
    }
}
