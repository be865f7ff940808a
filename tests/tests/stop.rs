//! O2: a stop loses nothing that was promised. Each published task has its one outcome on the bus, or
//! is named by the process that had to abandon it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use watchpost_model::{Outcome, Reason, ReasonCode, TaskId};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

/// A grace that no test here means to use up.
const AMPLE: &str = "60s";

/// Checks that are under way at every moment: some answer at once, some after a while, some never.
fn lively(server: &HttpFixture) -> String {
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..60 {
        let path = ["ok", "slow?ms=400", "hang"][i % 3];
        let url = format!("http://{}/{path}", server.address());
        yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 1s, timeout: 1s}}\n");
    }
    yaml
}

/// Checks that hang for longer than any test runs, so many that one fires within the first moments.
fn hanging(server: &HttpFixture) -> String {
    let url = format!("http://{}/hang", server.address());
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..200 {
        yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 2m, timeout: 2m}}\n");
    }
    yaml
}

/// A bus, a target, and somebody who notes what passes.
struct Rig {
    nats: NatsServer,
    observer: Observer,
    server: HttpFixture,
}

impl Rig {
    async fn new() -> Self {
        let nats = NatsServer::start();
        let observer = Observer::start(&nats.url()).await;
        Self { nats, observer, server: HttpFixture::start("target").await.unwrap() }
    }

    async fn start(&self, role: &str, config: &str, args: &[&str]) -> Watchpost {
        Launch::new(role).config(config).args(&["--bus", &self.nats.url()]).args(args).start_ready().await
    }

    /// Until plenty has been done and plenty is under way.
    async fn until_in_mid_check(&self) {
        let lively = || self.observer.results().len() > 80 && self.observer.unanswered().len() > 10;
        until("many tasks are done and many are under way", SOON, || lively().then_some(())).await;
    }

    /// Asserts that each task has its one outcome, or is named in the report of one of `stopped`.
    async fn assert_all_accounted_for(&self, stopped: &[&Watchpost]) {
        self.observer.catch_up().await;
        let named: HashSet<TaskId> = stopped.iter().flat_map(|watchpost| abandoned(watchpost)).collect();
        for task in self.observer.assert_at_most_one_result_each() {
            assert!(named.contains(&task.task), "no outcome, and not named: {task:#?}");
        }
    }
}

fn abandoned(watchpost: &Watchpost) -> Vec<TaskId> {
    let task = |line: &serde_json::Value| line["task"].as_str().unwrap().parse().unwrap();
    watchpost.logged("abandoned").iter().map(task).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_a_bastion_in_mid_check_settles_every_task() {
    let rig = Rig::new().await;
    let mut bastion = rig.start("bastion", &lively(&rig.server), &["--grace", AMPLE]).await;
    rig.until_in_mid_check().await;
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
    rig.assert_all_accounted_for(&[]).await;
    // What ran was given the time to end by itself. (A machine that is too busy may have cancelled some for other reasons.)
    let results = rig.observer.results();
    let is_cut_off = |reason: &Reason| reason.code == ReasonCode::ShuttingDown;
    let cut_off: Vec<_> = results.iter().filter(|result| result.reason.as_ref().is_some_and(is_cut_off)).collect();
    assert!(cut_off.is_empty(), "{cut_off:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_with_a_short_grace_cancels_what_runs_and_reports_it() {
    let rig = Rig::new().await;
    let config = lively(&rig.server).replace("interval: 1s, timeout: 1s", "interval: 20s, timeout: 20s");
    let mut bastion = rig.start("bastion", &config, &["--grace", "4s"]).await;
    let hang = |task: &watchpost_model::Task| task.probe.target_name().ends_with("/hang");
    let hangs = || rig.observer.unanswered().iter().filter(|task| hang(task)).count() >= 3;
    until("some tasks hang", SOON, || hangs().then_some(())).await;
    let begun = Instant::now();
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    rig.assert_all_accounted_for(&[]).await;
    let tasks = rig.observer.tasks();
    let results = rig.observer.results_by_task();
    for task in tasks.iter().filter(|task| hang(task)) {
        let result = &results[&task.task][0];
        let code = result.reason.as_ref().unwrap().code.as_str();
        assert_eq!((result.outcome, code), (Outcome::Cancelled, "shutting_down"), "{result:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_a_checker_then_its_runner_settles_every_task() {
    let rig = Rig::new().await;
    let mut runner = rig.start("runner", "bastion: b1\n", &["--grace", AMPLE]).await;
    let mut checker = rig.start("checker", &lively(&rig.server), &["--grace", AMPLE]).await;
    rig.until_in_mid_check().await;
    assert_eq!(checker.stop().await, 0, "{}", checker.stderr());
    assert_eq!(runner.stop().await, 0, "{}", runner.stderr());
    rig.assert_all_accounted_for(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_a_runner_under_a_checker_loses_no_task() {
    let nats = NatsServer::start();
    // Whoever listened to tasks as well would be taken for a Runner by the server.
    let observer = Observer::of_results(&nats.url()).await;
    let rig = Rig { nats, observer, server: HttpFixture::start("target").await.unwrap() };
    let mut runner = rig.start("runner", "bastion: b1\n", &["--grace", AMPLE]).await;
    let mut checker = rig.start("checker", &lively(&rig.server), &["--grace", AMPLE]).await;
    let count = |outcome| rig.observer.results().iter().filter(|result| result.outcome == outcome).count();
    until("many results", SOON, || (count(Outcome::Pass) > 80).then_some(())).await;
    // The Checker goes on and sends tasks to nobody.
    assert_eq!(runner.stop().await, 0, "{}", runner.stderr());
    until("tasks that nobody takes", SOON, || (count(Outcome::Missed) > 80).then_some(())).await;
    assert_eq!(checker.stop().await, 0, "{}", checker.stderr());

    rig.observer.catch_up().await;
    rig.observer.assert_at_most_one_result_each();
    assert_eq!(count(Outcome::Lost), 0, "a Runner that stops in order loses nothing");
    // Each slot from a check's first to its last has its result.
    let mut slots = BTreeMap::<String, BTreeSet<i64>>::new();
    for result in rig.observer.results() {
        slots.entry(result.check.to_string()).or_default().insert(result.scheduled_at.as_microsecond());
    }
    for (check, slots) in slots {
        let seconds = (slots.last().unwrap() - slots.first().unwrap()) / 1_000_000;
        assert_eq!(slots.len() as i64, seconds + 1, "check {check}: {slots:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_without_an_answering_bus_names_what_it_abandons() {
    for role in ["bastion", "apart"] {
        let rig = Rig::new().await;
        let grace = ["--grace", "1500ms"];
        let mut processes = if role == "bastion" {
            vec![rig.start("bastion", &lively(&rig.server), &grace).await]
        } else {
            let runner = rig.start("runner", "bastion: b1\n", &grace).await;
            vec![rig.start("checker", &lively(&rig.server), &grace).await, runner]
        };
        rig.until_in_mid_check().await;
        rig.nats.pause();
        for watchpost in &mut processes {
            assert_eq!(watchpost.stop().await, 3, "{role}: {}", watchpost.stderr());
            assert!(!watchpost.logged("the grace is over").is_empty(), "{role}: {}", watchpost.stderr());
        }
        assert!(!abandoned(&processes[0]).is_empty(), "{role}: {}", processes[0].stderr());
        rig.nats.resume();
        rig.assert_all_accounted_for(&processes.iter().collect::<Vec<_>>()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_is_forced_by_a_second_signal() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let rig = Rig::new().await;
        let mut bastion = rig.start("bastion", &hanging(&rig.server), &["--grace", "2m"]).await;
        until("a task hangs", Duration::from_secs(60), || (!rig.observer.tasks().is_empty()).then_some(())).await;
        bastion.signal(first);
        bastion.until_logged("the Checker stops").await;
        // Signals that follow at once are taken for echoes of the first; this one is meant.
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(bastion.try_code(), None, "{first}: it was to wait for what hangs");
        let begun = Instant::now();
        bastion.signal(second);
        assert_eq!(bastion.ended(SOON).await, 3, "{first} {second}: {}", bastion.stderr());
        assert!(begun.elapsed() < Duration::from_secs(10), "{first} {second}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_up_on_the_bus_in_process_prints_every_outcome() {
    for signal in ["TERM", "INT"] {
        let server = HttpFixture::start("target").await.unwrap();
        let args = ["--console", "off", "-o", "ndjson", "--grace", AMPLE];
        let mut up = Launch::new("up").config(&lively(&server)).args(&args).start_ready().await;
        until("many results", SOON, || (up.results().len() > 60).then_some(())).await;
        up.signal(signal);
        assert_eq!(up.ended(SOON).await, 0, "{}", up.stderr());
        let results = up.results();
        let tasks: HashSet<TaskId> = results.iter().map(|result| result.task).collect();
        assert_eq!(tasks.len(), results.len(), "a task has two results");
        // The last line tells how many there were: none was lost on the way to stdout.
        let told = up.log().into_iter().find_map(|line| line["results"].as_u64()).expect("the tally");
        assert_eq!(told, results.len() as u64);
        // Each one was expected by the Checker: its requests and the results agree.
        assert_eq!(server.counts().accepted(), results.len(), "{}", up.stderr());
    }
}
