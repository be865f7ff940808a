//! Clocks that are set while work is under way, and runs that are due while one is still going.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use watchpost_agent::{Clock, Roles};
use watchpost_bus::Bus;
use watchpost_model::{Format, Outcome, Task, TaskResult, Timestamp, decode};
use watchpost_tests::process::{SOON, until};

use crate::local::{Local, Setup, all, gated, in_system};
use crate::rig::told;
use crate::set_clock::{SetClock, before, slot_after};

const HOUR_US: i64 = 3_600_000_000;
const INTERVAL: Duration = Duration::from_secs(60);
/// How long before a slot the clock is set, so that it is not over before anybody looks.
const LEAD: Duration = Duration::from_secs(1);

/// A check whose runs go on for as long as the test wants, within its interval of a minute.
fn lasting(overlap: &str) -> String {
    let tcp = r#""tcp": {"address": "127.0.0.1:9"}, "addresses": ["127.0.0.1"]"#;
    format!(r#"{{"id": "lasting", {tcp}, "interval": "1m", "timeout": "1m", "overlap": "{overlap}"}}"#)
}

/// An agent whose one check is due in a moment, and the time at which it is.
async fn about_to_fire(mut setup: Setup, overlap: &str) -> (Local, Timestamp) {
    let clock = SetClock::default();
    let slot = clock.slot("lasting", INTERVAL, Duration::ZERO);
    clock.set(before(slot, LEAD));
    setup.clock = clock;
    let local = setup.start().await;
    local.configure(&[lasting(overlap)]).await;
    (local, slot)
}

#[test]
fn a_run_that_is_due_while_one_is_going_is_missed_in_one_record_or_runs_beside_it() {
    side_by_side(
        [("skip", ["missed/still_running", "pass"]), ("allow", ["pass", "pass"])],
        |(overlap, outcomes)| async move {
            let (probes, gate) = gated();
            let (local, first) = about_to_fire(Setup::new(probes, 4), overlap).await;
            gate.until_started(1).await;
            let second = slot_after("lasting", INTERVAL, first, Duration::ZERO);
            local.clock.set(before(second, LEAD));
            if overlap == "skip" {
                local.until_results(1).await;
            } else {
                gate.until_started(2).await;
            }
            gate.open(2);
            let results = local.until_results(2).await;
            assert_eq!(results.iter().map(told).collect::<Vec<_>>(), outcomes, "{overlap}");
            local.until_at_rest().await;
            let results = local.results();
            assert_eq!(results.len(), 2, "{results:#?}");
            let at = |told_as: &str| results.iter().find(|result| told(result) == told_as).unwrap().scheduled_at;
            assert_eq!(at(outcomes[0]), if overlap == "skip" { second } else { at("pass") });
            let mut slots: Vec<_> = results.iter().map(|result| result.scheduled_at).collect();
            slots.sort();
            assert_eq!(slots, [first, second]);
            let missed = u64::from(overlap == "skip");
            let counts = local.status().await.counts;
            assert_eq!(counts.shed.get("still_running").copied().unwrap_or(0), missed);
            assert_eq!((counts.runs, gate.started() as u64), (2, 2 - missed));
        },
    );
}

/// Tries every case in an agent of its own, all at the same time.
fn side_by_side<T, F: Future<Output = ()>>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) -> F) {
    in_system(async { drop(join_all(cases.into_iter().map(test)).await) });
}

#[test]
fn slots_that_were_skipped_and_the_run_after_them_are_told_under_ids_of_their_own() {
    const SKIPPED: u32 = 3;
    in_system(async {
        let (probes, gate) = gated();
        let (local, first) = about_to_fire(Setup::new(probes, 4), "skip").await;
        gate.until_started(1).await;
        // Untried as well, so that both are told by the Checker, under the run's own endpoint.
        let later = slot_after("lasting", INTERVAL, first, INTERVAL * SKIPPED);
        local.clock.set(before(later, LEAD));
        let results = local.until_results(2).await;
        assert_eq!(results.iter().map(told).collect::<Vec<_>>(), ["missed/behind_schedule", "missed/still_running"]);
        assert_eq!(results[0].metrics.get("slots"), Some(&f64::from(SKIPPED)));
        assert_eq!(results[0].run, results[1].run);
        assert_eq!((results[0].scheduled_at, results[1].scheduled_at), (later, later));
        assert_ne!(results[0].task, results[1].task, "JetStream would drop the second one");
        gate.open(1);
        let results = local.until_results(3).await;
        assert_eq!((told(&results[2]).as_str(), results[2].scheduled_at), ("pass", first));
        local.until_at_rest().await;
    });
}

#[test]
fn a_clock_that_is_set_lengthens_and_shortens_neither_the_wait_for_a_worker_nor_the_work() {
    const LIMIT: Duration = Duration::from_secs(2);
    side_by_side([HOUR_US, -HOUR_US], |by_us| async move {
        let (probes, gate) = gated();
        let local = Setup::new(probes, 1).start().await;
        let hangs = r#"{"id": "hangs", "tcp": {"address": "127.0.0.1:9"}, "interval": "5m", "timeout": "5m"}"#;
        let holding = local.run(&[hangs.to_owned()], INTERVAL).await;
        gate.until_started(1).await;
        let waits = hangs.replace("hangs", "waits").replace("5m", "2s");
        let begun = Instant::now();
        let waiting = local.run(std::slice::from_ref(&waits), INTERVAL).await;
        until_waiting(&local, 1).await;
        local.clock.turn(by_us);
        let results = all(waiting).await;
        assert_eq!(results.iter().map(told).collect::<Vec<_>>(), ["cancelled/no_free_worker"], "{by_us} µs");
        let took = begun.elapsed();
        assert!(took >= LIMIT * 9 / 10 && took < SOON, "{by_us} µs: {took:?}");

        // One that finds its worker after the clock was set has what is left of its time, as it was counted before.
        let begun = Instant::now();
        let running = local.run(&[waits], INTERVAL).await;
        until_waiting(&local, 1).await;
        local.clock.turn(-2 * by_us);
        gate.open(1);
        assert_eq!(all(holding).await.iter().map(told).collect::<Vec<_>>(), ["pass"]);
        let results = all(running).await;
        assert_eq!(results.iter().map(told).collect::<Vec<_>>(), ["timeout/first_byte_timeout"], "{by_us} µs");
        let took = begun.elapsed();
        assert!(took >= LIMIT * 9 / 10 && took < SOON, "{by_us} µs: {took:?}");
        local.until_at_rest().await;
    });
}

async fn until_waiting(local: &Local, number: usize) {
    let end = Instant::now() + SOON;
    while local.status().await.pools.unwrap().iter().map(|pool| pool.waiting).sum::<usize>() != number {
        assert!(Instant::now() < end, "the task does not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_clock_that_is_set_lengthens_and_shortens_no_wait_for_an_outcome() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    const GRACE: Duration = Duration::from_secs(1);
    side_by_side([HOUR_US, -HOUR_US], |by_us| async move {
        let (probes, _) = gated();
        let mut setup = Setup::new(probes, 1);
        (setup.roles, setup.answer_grace) = (Roles::Checker, GRACE);
        let clock = SetClock::default();
        let slot = clock.slot("silent", TIMEOUT, Duration::ZERO);
        clock.set(before(slot, LEAD));
        setup.clock = clock;
        let local = setup.start().await;
        // It hears the tasks and says nothing, which is what a Runner that hangs does.
        let mut tasks = local.bus.subscribe("watchpost.b1.task.*", None).await.unwrap();
        let check = r#"{"id": "silent", "tcp": {"address": "127.0.0.1:9"}, "interval": "1s", "timeout": "1s"}"#;
        local.configure(&[check.to_owned()]).await;
        tasks.next().await.unwrap();
        let begun = Instant::now();
        // Nothing more is fired, and what was is not called back.
        local.clock.turn(by_us);
        let lost = |result: &TaskResult| result.outcome == Outcome::Lost;
        let result = until("a lost task", SOON, || local.results().into_iter().find(lost)).await;
        let took = begun.elapsed();
        assert_eq!(told(&result), "lost/runner_silent");
        // The task was sent some moments before it was heard.
        assert!(took >= (TIMEOUT + GRACE) * 3 / 4, "{by_us} µs: {took:?}");
    });
}

#[test]
fn guarantee_3_a_clock_that_is_set_between_two_waves_of_a_run_lengthens_and_shortens_no_deadline() {
    const TIMEOUT: Duration = Duration::from_secs(120);
    side_by_side([HOUR_US, -HOUR_US], |by_us| async move {
        let (probes, gate) = gated();
        let local = Setup::new(probes, 2).start().await;
        let mut tasks = local.bus.subscribe("watchpost.b1.task.*", None).await.unwrap();
        let mut next = async || -> Task {
            let message = tokio::time::timeout(SOON, tasks.next()).await.expect("a task").unwrap();
            decode(&message.payload, Format::MsgPack).unwrap()
        };
        let left_us = |until: Timestamp| until.as_microsecond() - local.clock.now().as_microsecond();
        let tcp = r#""tcp": {"address": "127.0.0.1:9"}, "addresses": ["127.0.0.1", "127.0.0.3"]"#;
        let waves = format!(r#"{{"id": "waves", {tcp}, "parallel": 1, "interval": "5m", "timeout": "2m"}}"#);
        let results = local.run(&[waves], TIMEOUT * 2).await;
        let first = next().await;
        let (work_us, answer_us) = (left_us(first.deadline), left_us(first.answer_by));
        gate.until_started(1).await;
        local.clock.turn(by_us);
        gate.open(1);
        let second = next().await;
        // What is left by the clock as it is now is what was left before, less what has passed.
        let lost_us = work_us - left_us(second.deadline);
        assert!((0..SOON.as_micros() as i64).contains(&lost_us), "{by_us} µs: {lost_us} µs less");
        let lost_us = answer_us - left_us(second.answer_by);
        assert!((0..SOON.as_micros() as i64).contains(&lost_us), "{by_us} µs: {lost_us} µs less");
        gate.open(1);
        assert_eq!(all(results).await.iter().map(told).collect::<Vec<_>>(), ["pass", "pass"]);
    });
}
