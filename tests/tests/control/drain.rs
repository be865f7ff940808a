//! A drain: nothing new begins, nothing is lost, and nothing false is told of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use watchpost_model::{ErrorCode, TaskResult};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::Behaviour;

use crate::rig::{Asker, to_its_end};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// So many checks that tasks are on their way at any moment.
const CHECKS: usize = 120;
const ROUNDS: usize = 6;

struct Site {
    processes: Vec<Watchpost>,
    asker: Asker,
    observer: Observer,
    _nats: NatsServer,
}

impl Site {
    /// A Checker and two Runners, each a process of its own.
    async fn start(checks: &str) -> Self {
        let nats = NatsServer::start();
        let observer = Observer::start(&nats.url()).await;
        let config = format!("bastion: b1\nchecks:\n{checks}");
        let mut processes = Vec::new();
        for runner in ["r1", "r2"] {
            let args = ["--bus", &nats.url(), "--runner", runner];
            processes.push(Launch::new("runner").config("bastion: b1\nchecks: []\n").args(&args).start_ready().await);
        }
        let args = ["--bus", &nats.url()];
        processes.push(Launch::new("checker").config(&config).args(&args).start_ready().await);
        Self { processes, asker: Asker::connect(&nats).await, observer, _nats: nats }
    }

    async fn until_passed(&self, number: usize) {
        let passed = || self.observer.results().iter().filter(|result| result.outcome.as_str() == "pass").count();
        let wanted = passed() + number;
        until("checks go on", SOON, || (passed() >= wanted).then_some(())).await;
    }

    /// Every task that was published so far, once all of them have their result.
    async fn settled(&self) -> BTreeMap<String, Arc<TaskResult>> {
        self.observer.catch_up().await;
        let sent = self.observer.tasks();
        until("every task has its result", SOON, || {
            let told = self.observer.results_by_task();
            sent.iter().all(|task| told.contains_key(&task.task)).then_some(())
        })
        .await;
        self.observer.assert_at_most_one_result_each();
        let results = self.observer.results_by_task();
        sent.iter().map(|task| (task.task.to_string(), Arc::clone(&results[&task.task][0]))).collect()
    }
}

fn checks(address: std::net::SocketAddr) -> String {
    let check = |i: usize| format!("- {{id: c{i}, tcp: {{address: '{address}', expect: ok}}, interval: 1s}}\n");
    (0..CHECKS).map(check).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_6_runners_that_drain_in_turn_lose_no_task() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let mut site = Site::start(&checks(server.address())).await;
    site.until_passed(CHECKS).await;
    let runner_of = |result: &TaskResult| result.runner.as_ref().map(ToString::to_string);
    for round in 0..ROUNDS {
        let (leaves, stays) = if round % 2 == 0 { ("r1", "r2") } else { ("r2", "r1") };
        let told = site.asker.json("bastion.drain", json!({"v": 1, "runner": leaves})).await.value();
        assert_eq!((&told["draining"], &told["runner"]), (&true.into(), &leaves.into()), "{told}");
        // What is sent from now on is the other's.
        site.observer.catch_up().await;
        let before = site.settled().await;
        site.until_passed(CHECKS).await;
        let after = site.settled().await;
        let fresh = after.iter().filter(|(task, _)| !before.contains_key(*task));
        for (_, result) in fresh {
            assert_eq!(runner_of(result).as_deref(), Some(stays), "{result:#?}");
        }
        let told = site.asker.json("bastion.undrain", json!({"v": 1, "runner": leaves})).await.value();
        assert_eq!(told["draining"], false, "{told}");
    }
    // Both take part again.
    let seen = site.observer.results().len();
    until("results of both", SOON, || {
        let fresh = site.observer.results().split_off(seen);
        ["r1", "r2"].iter().all(|name| fresh.iter().any(|r| runner_of(r).as_deref() == Some(name))).then_some(())
    })
    .await;
    for process in site.processes.iter_mut().rev() {
        assert_eq!(process.stop().await, 0, "{}", process.stderr());
    }
    for result in site.settled().await.values() {
        // The last of them may have been cut off by the stop.
        let stopped = result.reason.as_ref().is_some_and(|reason| reason.code.as_str() == "shutting_down");
        assert!(result.outcome.as_str() == "pass" || stopped, "{result:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checker_that_drains_fires_nothing_and_misses_nothing() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let site = Site::start(&checks(server.address())).await;
    site.until_passed(CHECKS).await;
    let told = site.asker.all("bastion.drain", json!({}), 3).await;
    assert!(told.iter().all(|answer| answer["draining"] == true), "{told:#?}");
    until("all of them say so", SOON, || {
        let drain = site.observer.heartbeats().into_iter().filter(|heartbeat| heartbeat.draining);
        let drain: std::collections::BTreeSet<_> = drain.map(|heartbeat| heartbeat.instance).collect();
        (drain.len() == 3).then_some(())
    })
    .await;
    site.settled().await;
    let (tasks, results) = (site.observer.tasks().len(), site.observer.results().len());
    // Nothing is what happens in more than two intervals of every check.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    site.observer.catch_up().await;
    assert_eq!((site.observer.tasks().len(), site.observer.results().len()), (tasks, results));
    let test = json!({"v": 1, "check": "c0"});
    assert_eq!(site.asker.json("check.test", test.clone()).await.error().code, ErrorCode::Unavailable);
    let told = site.asker.all("bastion.undrain", json!({}), 3).await;
    assert!(told.iter().all(|answer| answer["draining"] == false), "{told:#?}");
    site.until_passed(CHECKS).await;
    // Slots that nobody wanted are not told as missed.
    let others: Vec<_> =
        site.observer.results().into_iter().filter(|result| result.outcome.as_str() != "pass").collect();
    assert!(others.is_empty(), "{others:#?}");
    let reports = to_its_end(&mut site.asker.stream("check.test", test).await).await;
    assert_eq!(reports.last().unwrap()["end"]["passed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_when_a_drain_begins_runs_to_its_end() {
    let slow = Behaviour::Trickles(b"....ok".to_vec(), Duration::from_millis(200)).start(LOCALHOST).await.unwrap();
    let site = Site::start("").await;
    let document =
        json!({"id": "c", "tcp": {"address": slow.address(), "expect": "ok"}, "interval": "1m", "timeout": "30s"});
    let mut heard = site.asker.stream("check.test", json!({"v": 1, "document": document})).await;
    until("it runs", SOON, || (slow.counts().open() == 1).then_some(())).await;
    let told = site.asker.all("bastion.drain", json!({}), 3).await;
    assert!(told.iter().any(|answer| answer["outstanding"] == 1), "{told:#?}");
    let reports = to_its_end(&mut heard).await;
    assert_eq!(reports.last().unwrap()["end"], json!({"passed": true, "results": 1}), "{reports:#?}");
}
