//! O5: runs over several endpoints and groups of checks, from the configuration to the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use watchpost_model::{Outcome, RunVerdict, Timestamp, VerdictOf};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::{Behaviour, Server, loopback};

use crate::rig::{apply, due_soon, endpoints, told};
use crate::slow_server::SlowServer;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_1_a_run_over_many_endpoints_has_an_outcome_for_each_and_one_verdict_by_its_rule() {
    // Three endpoints of five pass.
    const RULES: [(&str, u32, &str); 6] = [
        ("all", 5, "fail"),
        ("any", 1, "pass"),
        ("{quorum: 3}", 3, "pass"),
        ("{quorum: 4}", 4, "fail"),
        ("{percent: 60}", 3, "pass"),
        ("{percent: 61}", 4, "fail"),
    ];
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start_everywhere().await.unwrap();
    let ill = Behaviour::SaysAndCloses(b"no".to_vec()).start(LOCALHOST).await.unwrap();
    // Nobody listens on port 1.
    let fifth = SocketAddr::new(LOCALHOST, 1);
    let list = endpoints(well.port(), 3).replace(']', &format!(", \"{}\", \"{fifth}\"]", ill.address()));
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for (i, (rule, _, _)) in RULES.iter().enumerate() {
        yaml += &format!("- {{id: c{i}, tcp: {{address: '{fifth}', expect: ok}}, addresses: {list}, ");
        yaml += &format!("verdict: {rule}, interval: 4s, timeout: 4s}}\n");
    }
    let args = ["--console", "off", "-o", "ndjson"];
    let mut up = Launch::new("up").config(&yaml).args(&args).start_ready().await;
    let seen = || up.verdicts().iter().map(|verdict| verdict.check.to_string()).collect::<BTreeSet<_>>().len();
    until("a verdict of each", SOON, || (seen() == RULES.len()).then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());

    let mut endpoints_of = BTreeMap::new();
    for result in up.results() {
        let endpoints: &mut BTreeSet<String> = endpoints_of.entry(result.run).or_default();
        assert!(endpoints.insert(result.target.endpoint.clone()), "twice: {result:#?}");
    }
    let verdicts = up.verdicts();
    assert_eq!(verdicts.iter().map(|verdict| verdict.run).collect::<BTreeSet<_>>().len(), verdicts.len());
    assert_eq!(endpoints_of.len(), verdicts.len(), "each run has its verdict");
    for verdict in verdicts {
        let (rule, needed, outcome) = RULES[verdict.check.as_str()[1..].parse::<usize>().unwrap()];
        assert_eq!(endpoints_of[&verdict.run].len(), 5);
        assert_eq!((verdict.verdict.to_string().as_str(), verdict.needed), (rule, needed));
        let RunVerdict { total, passed, failed, undecided, .. } = verdict;
        assert_eq!((total, passed, failed, undecided), (5, 3, 2, 0), "{verdict:#?}");
        assert_eq!((verdict.outcome.as_str(), verdict.of), (outcome, VerdictOf::Endpoints), "{verdict:#?}");
        let reason = verdict.reason.map(|reason| (reason.code.to_string(), reason.message));
        let Some((code, message)) = reason else { continue };
        assert_eq!((code.as_str(), outcome), ("verdict_not_met", "fail"));
        assert!(message.contains("too few endpoints passed; the first that did not: 127."), "{message}");
    }
}

/// A Checker and a Runner in two processes, and somebody who hears everything.
struct Apart {
    checker: Watchpost,
    runner: Watchpost,
    observer: Observer,
    _nats: NatsServer,
}

impl Apart {
    async fn start() -> Self {
        let nats = NatsServer::start();
        let observer = Observer::start(&nats.url()).await;
        let start = |role: &str| {
            let launch = Launch::new(role).config("bastion: b1\nchecks: []\n");
            launch.args(&["--bus", &nats.url()]).start_ready()
        };
        let (runner, checker) = (start("runner").await, start("checker").await);
        Self { checker, runner, observer, _nats: nats }
    }

    async fn verdict_of(&self, check: &str) -> Arc<RunVerdict> {
        let find = || self.observer.verdicts().into_iter().find(|verdict| verdict.check.as_str() == check);
        until(&format!("a verdict of {check}"), SOON, find).await
    }

    async fn stop(mut self) {
        assert_eq!(self.checker.stop().await, 0, "{}", self.checker.stderr());
        assert_eq!(self.runner.stop().await, 0, "{}", self.runner.stderr());
        self.observer.catch_up().await;
        assert_eq!(self.observer.assert_at_most_one_result_each(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_the_time_of_a_group_bounds_whatever_is_in_it() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let apart = Apart::start().await;
    let outer = due_soon("outer", MINUTE);
    let member = |id: &str, server: &Server, timeout: &str| {
        let tcp = format!("tcp: {{address: '{}', expect: ok}}", server.address());
        format!("- {{id: {id}, {tcp}, scheduled: false, interval: 2m, timeout: {timeout}}}\n")
    };
    let yaml = format!("bastion: b1\nchecks:\n- {{id: {outer}, group: {{checks: [inner, well]}}, timeout: 1s}}\n")
        + "- {id: inner, group: {checks: [long, short]}, scheduled: false, interval: 2m, timeout: 90s}\n"
        + &member("long", &hangs, "2m")
        + &member("short", &hangs, "400ms")
        + &member("well", &well, "2m");
    apply(&apart.checker, &yaml).await;

    let verdict = apart.verdict_of(&outer).await;
    let us = |at: Timestamp| at.as_microsecond();
    assert!(us(verdict.finished_at) - us(verdict.scheduled_at) < 20_000_000, "as long as its members: {verdict:#?}");
    assert_eq!((verdict.outcome, verdict.total, verdict.passed, verdict.failed), (Outcome::Fail, 2, 1, 1));
    assert_eq!((verdict.parent, verdict.of), (None, VerdictOf::Checks));
    let inner = apart.verdict_of("inner").await;
    assert_eq!((inner.parent, inner.failed), (Some(verdict.run), 2), "{inner:#?}");
    let task = |check: &str| apart.observer.tasks().into_iter().find(|task| task.check.as_str() == check).unwrap();
    // Where its own time is longer, the group's is in force: the same moment, told as a time of day by each.
    let apart_by = us(task("long").deadline).abs_diff(us(task("well").deadline));
    assert!(apart_by < 500_000, "{apart_by} µs");
    let shorter_by = us(task("long").deadline) - us(task("short").deadline);
    assert!((1..=600_000).contains(&shorter_by), "{shorter_by} µs");
    let results = apart.observer.results();
    let outcome = |check: &str| told(results.iter().find(|result| result.check.as_str() == check).unwrap());
    let outcomes = ["long", "short", "well"].map(outcome);
    assert_eq!(outcomes, ["timeout/first_byte_timeout", "timeout/first_byte_timeout", "pass"]);
    until("no connection is open", SOON, || (hangs.counts().open() == 0).then_some(())).await;
    apart.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_the_first_failure_stops_its_siblings_in_another_process() {
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    // Closes without a word, once it is told to.
    let gate = Arc::new(Semaphore::new(0));
    let gated = Arc::clone(&gate);
    let fails = Server::start(LOCALHOST, move |stream| {
        let gate = Arc::clone(&gated);
        async move {
            gate.acquire().await.unwrap().forget();
            drop(stream);
        }
    });
    let fails = fails.await.unwrap();
    let apart = Apart::start().await;
    let id = due_soon("fast", MINUTE);
    let list = endpoints(hangs.port(), 3).replace(']', &format!(", \"{}\"]", fails.address()));
    let tcp = format!("tcp: {{address: '{}', expect: ok}}, addresses: {list}", loopback(0).to_string() + ":1");
    let rules = "policy: fail_fast, interval: 1m, timeout: 1m";
    apply(&apart.checker, &format!("bastion: b1\nchecks:\n- {{id: {id}, {tcp}, {rules}}}\n")).await;
    let all_connected = || hangs.counts().open() == 3 && fails.counts().open() == 1;
    until("all are connected", SOON, || all_connected().then_some(())).await;
    gate.add_permits(1);
    let verdict = apart.verdict_of(&id).await;
    until("no connection is open", SOON, || (hangs.counts().open() == 0).then_some(())).await;

    assert_eq!((verdict.outcome, verdict.failed, verdict.undecided), (Outcome::Fail, 1, 3), "{verdict:#?}");
    let results = apart.observer.results();
    assert_eq!(results.len(), 4);
    let failed = format!("{}", fails.address());
    for result in results {
        if result.target.endpoint == failed {
            assert_eq!(result.outcome, Outcome::Fail, "{result:#?}");
            continue;
        }
        assert_eq!(told(&result), "cancelled/group_failed", "{result:#?}");
        let message = &result.reason.as_ref().unwrap().message;
        assert!(message.starts_with(&format!("{failed} ended as fail")), "the cause is not named: {message}");
        assert!(result.runner.is_some() && result.started_at.is_some(), "{result:#?}");
    }
    apart.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_no_more_endpoints_are_in_flight_than_parallel_says() {
    const ENDPOINTS: usize = 10;
    let target = SlowServer::start(Duration::from_millis(100)).await;
    let list = endpoints(target.port(), ENDPOINTS as u32);
    let yaml = format!(
        "bastion: b1\nchecks:\n- {{id: few, tcp: {{address: '127.0.0.1:1', expect: ok}}, addresses: {list}, \
         parallel: 2, interval: 4s, timeout: 4s}}\n"
    );
    let args = ["--console", "off", "-o", "ndjson"];
    let mut up = Launch::new("up").config(&yaml).args(&args).start_ready().await;
    until("the verdict", SOON, || up.verdicts().pop()).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());
    assert_eq!(target.take_peak(), 2);
    assert_eq!(target.accepted(), up.results().len());
    let verdict = &up.verdicts()[0];
    assert_eq!((verdict.total, verdict.passed, verdict.outcome), (ENDPOINTS as u32, ENDPOINTS as u32, Outcome::Pass));
}
