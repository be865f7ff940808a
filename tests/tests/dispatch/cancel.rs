//! A cancel stops the work wherever it runs: its connection closes, its worker is home, its outcome is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use watchpost_model::{Outcome, TaskClass, TaskResult};
use watchpost_probe::{ProbeSet, Resolver};
use watchpost_tests::process::{Launch, SOON, until};
use watchpost_tests::tcp_fixture::{Behaviour, Server, loopback};

use crate::local::{Setup, in_system};
use crate::rig::{Order, RunnerRig, apply, due_soon, new_run, pool, told, until_health};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;
/// How often the time from a cancel to the closed connection is measured.
const ROUNDS: usize = 20;
/// What half of the measurements must keep. They take some ms on an idle machine.
const SWIFT: Duration = Duration::from_millis(100);

fn order(check: &str, run: watchpost_model::RunId, address: SocketAddr) -> Order<'_> {
    Order { check, run, address, class: TaskClass::Scheduled, deadline_ms: MINUTE_MS }
}

async fn until_open(server: &Server, number: usize) {
    until(&format!("{number} open connections"), SOON, || (server.counts().open() == number).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_cancel_over_the_bus_stops_the_very_task_and_no_other() {
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    let rig = RunnerRig::start("pools: {tcp: {size: 8}}\n").await;
    let address = |number| SocketAddr::new(loopback(number), hangs.port());
    let (one, other) = (new_run("one"), new_run("other"));
    let mut tasks = Vec::new();
    for (number, run) in [one, one, other, other].into_iter().enumerate() {
        tasks.push(rig.send(order("c", run, address(number as u32))).await);
    }
    until_open(&hangs, 4).await;

    rig.cancel(&tasks[..1], &[]).await;
    let stopped = rig.result(tasks[0]).await;
    assert_eq!(told(&stopped), "cancelled/cancelled_on_request", "{stopped:#?}");
    assert_eq!(stopped.reason.unwrap().message, "the test asked");
    assert_eq!((stopped.target.address, stopped.started_at.is_some()), (Some(address(0)), true));
    until_open(&hangs, 3).await;
    assert_eq!(rig.pool().await["busy"], 3);

    rig.cancel(&[], &[other]).await;
    for task in &tasks[2..] {
        assert_eq!(told(&rig.result(*task).await), "cancelled/cancelled_on_request");
    }
    until_open(&hangs, 1).await;
    let health = rig.runner.health().await;
    assert_eq!((&pool(&health, "tcp")["busy"], &pool(&health, "tcp")["idle"]), (&1.into(), &7.into()));
    // What is cancelled already, and what nobody knows, changes nothing.
    rig.cancel(&tasks[..1], &[other, new_run("unknown")]).await;
    rig.observer.catch_up().await;
    assert_eq!(rig.observer.results().len(), 3);
    assert_eq!(rig.observer.unanswered().len(), 1, "the neighbour goes on");
    assert_eq!(hangs.counts().open(), 1);

    // Tasks and requests to cancel them come on two subscriptions: whichever is read first, the task ends so.
    let ahead = new_run("ahead");
    rig.cancel(&[], &[ahead]).await;
    let late = rig.send(order("c", ahead, address(9))).await;
    assert_eq!(told(&rig.result(late).await), "cancelled/cancelled_on_request");
    until_open(&hangs, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_cancel_over_the_bus_closes_the_connection_at_once() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let rig = RunnerRig::start("pools: {tcp: {size: 2}}\n").await;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let run = new_run("c");
        let task = rig.send(order("c", run, hangs.address())).await;
        until_open(&hangs, 1).await;
        let begun = Instant::now();
        rig.cancel(&[], &[run]).await;
        took.push(closed(&hangs, begun).await);
        assert_eq!(told(&rig.result(task).await), "cancelled/cancelled_on_request");
    }
    report("from a cancel on NATS to the closed connection", &mut took);
    until_health(&rig.runner, "every worker is home", |health| pool(health, "tcp")["idle"] == 2).await;
}

#[test]
fn guarantee_3_a_requester_that_goes_away_closes_the_connection_at_once() {
    in_system(async {
        let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
        let local = Setup::new(ProbeSet::standard(&Resolver::system()), 2).start().await;
        let tcp = format!(r#""tcp": {{"address": "{}", "expect": "ok"}}"#, hangs.address());
        let check = format!(r#"{{"id": "c", {tcp}, "interval": "5m", "timeout": "1m"}}"#);
        let mut took = Vec::new();
        for round in 1..=ROUNDS {
            let requester = local.run(std::slice::from_ref(&check), MINUTE).await;
            until_open(&hangs, 1).await;
            let begun = Instant::now();
            drop(requester);
            took.push(closed(&hangs, begun).await);
            let results = local.until_results(round).await;
            assert_eq!(told(&results[round - 1]), "cancelled/requester_gone");
        }
        report("from a requester that goes away to the closed connection", &mut took);
        let status = local.until_at_rest().await;
        assert_eq!(status.counts.tasks_unreported, 0);
    });
}

/// How long it takes until no connection is open any more.
async fn closed(server: &Server, begun: Instant) -> Duration {
    while server.counts().open() > 0 {
        assert!(begun.elapsed() < SOON, "the connection stays open");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

#[expect(clippy::print_stderr, reason = "a figure for whoever reads the test's output")]
fn report(what: &str, took: &mut [Duration]) {
    took.sort();
    let median = took[took.len() / 2];
    eprintln!("{what}: median {median:.1?}, longest {:.1?}", took[took.len() - 1]);
    assert!(median < SWIFT, "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_check_that_is_replaced_or_removed_stops_and_its_neighbour_goes_on() {
    let targets = [
        Behaviour::Silent.start(LOCALHOST).await.unwrap(),
        Behaviour::Silent.start(LOCALHOST).await.unwrap(),
        Behaviour::Silent.start(LOCALHOST).await.unwrap(),
    ];
    let args = ["--console", "127.0.0.1:0", "-o", "ndjson", "--grace", "2s"];
    let mut up = Launch::new("up").config("bastion: b1\nchecks: []\n").args(&args).start_ready().await;
    let ids = ["replaced", "removed", "neighbour"].map(|begin| due_soon(begin, MINUTE));
    let check = |number: usize, timeout: &str| {
        let tcp = format!("tcp: {{address: '{}', expect: ok}}", targets[number].address());
        format!("- {{id: {}, {tcp}, interval: 1m, timeout: {timeout}}}\n", ids[number])
    };
    let checks = |all: &[String]| format!("bastion: b1\nchecks:\n{}", all.concat());
    apply(&up, &checks(&[check(0, "1m"), check(1, "1m"), check(2, "1m")])).await;
    for target in &targets {
        until_open(target, 1).await;
    }
    apply(&up, &checks(&[check(0, "59s"), check(2, "1m")])).await;
    until_open(&targets[0], 0).await;
    until_open(&targets[1], 0).await;
    let of = |number: usize, result: &TaskResult| result.check.as_str() == ids[number];
    for number in [0, 1] {
        let find = || up.results().into_iter().find(|result| of(number, result));
        let result = until("its result", SOON, find).await;
        assert_eq!(told(&result), "cancelled/check_changed", "{result:#?}");
    }
    let health = until_health(&up, "one runs", |health| pool(health, "tcp")["busy"] == 1).await;
    assert_eq!(health["checker"]["outstanding"], 1, "{health}");
    assert_eq!(targets[2].counts().open(), 1, "the neighbour goes on");

    // It has a minute yet, and the stop two seconds.
    let begun = Instant::now();
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    until_open(&targets[2], 0).await;
    let results = up.results();
    assert_eq!(results.len(), 3, "{results:#?}");
    assert_eq!(told(results.iter().find(|result| of(2, result)).unwrap()), "cancelled/shutting_down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_task_that_comes_after_its_deadline_never_reaches_its_target() {
    let target = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let rig = RunnerRig::start("").await;
    let late = rig.send(Order { deadline_ms: -1, ..order("late", new_run("late"), target.address()) }).await;
    let result = rig.result(late).await;
    assert_eq!(told(&result), "cancelled/deadline_passed", "{result:#?}");
    assert_eq!((result.outcome, result.started_at), (Outcome::Cancelled, None));
    // One that is in time shows that the way to the target is open.
    let timely = rig.send(order("timely", new_run("timely"), target.address())).await;
    assert_eq!(told(&rig.result(timely).await), "pass");
    assert_eq!(target.counts().accepted(), 1);
    assert_eq!(rig.runner.health().await["counts"]["shed"]["deadline_passed"], 1);
}
