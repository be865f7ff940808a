//! No check can starve another of its type, and what is shed is shed where the load comes from, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use watchpost_agent::{Clock, SystemClock};
use watchpost_model::{ReasonCode, TaskClass};
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::{Behaviour, loopback};

use crate::rig::{Order, RunnerRig, apply, due_soon, endpoints, new_run, pool, told, until_health};
use crate::set_clock::slot_after;

/// More than a test has patience for.
const LONG: Duration = Duration::from_secs(300);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_4_a_check_with_2000_endpoints_that_hang_does_not_starve_another() {
    const WORKERS: usize = 8;
    /// One check holds three quarters of the workers.
    const HELD: usize = WORKERS * 3 / 4;
    const QUEUE: usize = 500;
    const ENDPOINTS: usize = 2_000;
    const SMALL: usize = 6;
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    // The big one is due once, and nothing of it is over before the test is. Where it took so long to start that the
    // slot went by, the next one would be too late.
    let list = endpoints(hangs.port(), ENDPOINTS as u32);
    let next_slot = |id: &str| slot_after(id, LONG, SystemClock::default().now(), Duration::ZERO);
    let (big, mut up) = loop {
        let id = due_soon("big", LONG);
        let due = next_slot(&id);
        let big = format!(
            "bastion: b1\npools: {{tcp: {{size: {WORKERS}, queue: {QUEUE}}}}}\nchecks:\n\
             - {{id: {id}, tcp: {{address: '127.0.0.1:1', expect: ok}}, interval: 5m, timeout: 5m, \
             parallel: {ENDPOINTS}, addresses: {list}}}\n",
        );
        let args = ["--console", "127.0.0.1:0", "-o", "ndjson", "--grace", "2s"];
        let up = Launch::new("up").config(&big).args(&args).start_ready().await;
        if next_slot(&id) == due {
            break (big, up);
        }
    };
    until_health(&up, "the big check holds what it may", |health| {
        let pool = pool(health, "tcp");
        let shed = &health["counts"]["shed"]["overloaded"];
        pool["busy"] == HELD && pool["waiting"] == QUEUE && *shed == ENDPOINTS - QUEUE - HELD
    })
    .await;
    // With as much time as a crowded machine may need.
    let small = |i| {
        let id = due_soon(&format!("small{i}"), Duration::from_secs(15));
        format!("- {{id: {id}, tcp: {{address: '{}', expect: ok}}, interval: 15s, timeout: 15s}}\n", well.address())
    };
    apply(&up, &(big + &(0..SMALL).map(small).collect::<String>())).await;
    let small = |up: &Watchpost| {
        let results = up.results().into_iter().filter(|result| result.check.as_str().starts_with("small"));
        results.map(|result| result.check.clone()).collect::<BTreeSet<_>>().len()
    };
    until("a result of each small one", SOON, || (small(&up) == SMALL).then_some(())).await;
    assert_eq!(told_of("small", &up).keys().collect::<Vec<_>>(), ["pass"]);
    assert_eq!(hangs.counts().peak(), HELD);
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    // What did not find room was the big one's own. The rest hung, or waited for those that hang.
    let big = told_of("big", &up);
    assert_eq!(big.get("cancelled/overloaded"), Some(&(ENDPOINTS - QUEUE - HELD)), "{big:?}");
    assert_eq!((big.values().sum::<usize>(), big.len()), (ENDPOINTS, 2), "{big:?}");
}

/// How the tasks of checks whose names begin so ended, and how many.
fn told_of(begin: &str, up: &Watchpost) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let results = up.results().into_iter().filter(|result| result.check.as_str().starts_with(begin));
    results.for_each(|result| *counts.entry(told(&result)).or_default() += 1);
    counts
}

/// An order with a deadline that no test waits for.
fn order(check: &str, address: SocketAddr) -> Order<'_> {
    Order { check, run: new_run(check), address, class: TaskClass::Scheduled, deadline_ms: 60_000 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_4_the_check_that_fills_the_queue_gives_way_and_it_is_counted_by_reason() {
    const QUEUE: usize = 10;
    const SENT: u32 = 20;
    /// One runs, and one more than there is room for gives way to the small check's.
    const SHED: usize = SENT as usize - 1 - QUEUE + 1;
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let rig = RunnerRig::start(&format!("pools: {{tcp: {{size: 2, per_check: 1, queue: {QUEUE}}}}}\n")).await;
    let mut big = Vec::new();
    for number in 0..SENT {
        big.push(rig.send(order("big", SocketAddr::new(loopback(number), hangs.port()))).await);
    }
    let other = rig.send(order("other", SocketAddr::new(loopback(SENT), hangs.port()))).await;
    until_health(&rig.runner, "both workers are out", |health| pool(health, "tcp")["busy"] == 2).await;
    let small = rig.send(order("small", well.address())).await;
    let shed = |health: &serde_json::Value| health["counts"]["shed"]["overloaded"] == SHED;
    let health = until_health(&rig.runner, "somebody gave way", shed).await;
    assert_eq!(pool(&health, "tcp")["waiting"], QUEUE, "{health}");
    rig.cancel(&[other], &[]).await;
    assert_eq!(told(&rig.result(small).await), "pass");
    rig.observer.catch_up().await;
    let results = rig.observer.results();
    let overloaded = results.iter().filter(|result| told(result) == "cancelled/overloaded");
    assert!(overloaded.clone().all(|result| big.contains(&result.task)), "{results:#?}");
    assert_eq!((overloaded.count(), results.len()), (SHED, SHED + 2));

    // A heartbeat goes out at the start, when something changes, and every 15 s. One may have been sent while the small
    // check's still ran.
    let told_of_it = || {
        let heartbeat = rig.observer.heartbeats().pop()?;
        let pool = heartbeat.pools.iter().find(|pool| pool.check_type == watchpost_model::CheckType::Tcp)?;
        let is_counted = heartbeat.shed.get(&ReasonCode::Overloaded).copied() == Some(SHED as u64);
        (is_counted && pool.waiting == QUEUE as u64 - 1).then_some(*pool)
    };
    let pool = until("the next heartbeat", SOON, told_of_it).await;
    assert_eq!((pool.size, pool.idle, pool.busy, pool.rebuilding), (2, 1, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_4_what_somebody_asked_for_goes_before_what_the_schedule_fired() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let rig = RunnerRig::start("pools: {tcp: {size: 1}}\n").await;
    let first = rig.send(order("first", hangs.address())).await;
    // Of the scheduled ones the earliest deadline goes first; whoever asked goes before them with a later one.
    let (mut scheduled, ids) = (Vec::new(), ["a", "b", "c", "d"]);
    for (number, check) in ids.into_iter().enumerate() {
        let deadline_ms = 50_000 - number as i64 * 5_000;
        scheduled.push(rig.send(Order { deadline_ms, ..order(check, well.address()) }).await);
    }
    let asked = rig.send(Order { class: TaskClass::AdHoc, ..order("asked", well.address()) }).await;
    until_health(&rig.runner, "all wait", |health| pool(health, "tcp")["waiting"] == ids.len() + 1).await;
    rig.cancel(&[first], &[]).await;
    until("all results", SOON, || (rig.observer.results().len() == ids.len() + 2).then_some(())).await;
    let order: Vec<_> = rig.observer.results().iter().map(|result| result.task).collect();
    scheduled.reverse();
    assert_eq!(order, [vec![first, asked], scheduled].concat());
}
