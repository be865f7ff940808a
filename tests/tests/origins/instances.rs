//! O4: a service with three instances once showed three responses, all from the same instance, and
//! a worker was used twice while another was never given back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::{Handler, HttpFixture};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, Watchpost, until};

use crate::agent::told;

const NAMES: [&str; 3] = ["red", "green", "blue"];
/// 500 checks, each every 6 s, are 83 runs a second whose 250 tasks meet in a small pool. The long
/// interval leaves room for a machine that is busy with other things.
const CHECKS: usize = 500;
const INTERVAL: &str = "6s";
const RUNS: usize = 2_000;
const WORKERS: usize = 4;
/// How long each instance thinks before it answers.
const ANSWER_MS: u64 = 4;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_three_instances_behind_one_name() {
    let (port, _serving) = instances_on_one_port().await;
    let ips: Vec<IpAddr> = (1..=3).map(instance_ip).collect();
    let dns = DnsServer::start(&[("svc.example", ips.as_slice())]).await.unwrap();
    let settings = format!("dns: {{nameservers: ['{}']}}\n", dns.address());
    let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).zip(NAMES).collect();
    each_response_comes_from_its_own_instance(&settings, &format!("svc.example:{port}"), "all", addresses).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_three_instances_in_a_list() {
    let mut instances = Vec::new();
    for name in NAMES {
        instances.push(HttpFixture::start(name).await.unwrap());
    }
    let addresses: BTreeMap<SocketAddr, &str> = instances.iter().map(HttpFixture::address).zip(NAMES).collect();
    let list: Vec<String> = addresses.keys().map(|address| format!("'{address}'")).collect();
    each_response_comes_from_its_own_instance("", "svc.example", &format!("[{}]", list.join(", ")), addresses).await;
}

async fn each_response_comes_from_its_own_instance(
    settings: &str,
    host: &str,
    addresses: &str,
    instances: BTreeMap<SocketAddr, &str>,
) {
    let nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let mut runner = Launch::new("runner")
        .config(&format!("bastion: b1\npools: {{http: {{size: {WORKERS}}}}}\n"))
        .args(&["--bus", &nats.url(), "--console", "127.0.0.1:0", "--grace", "60s"])
        .log("warn,watchpost=info,watchpost_agent=debug,watchpost_console=info")
        .start_ready()
        .await;
    let mut checks = format!("bastion: b1\n{settings}checks:\n");
    for i in 0..CHECKS {
        checks += &format!(
            "- {{id: c{i}, http: {{url: 'http://{host}/slow?ms={ANSWER_MS}'}}, addresses: {addresses}, interval: {INTERVAL}, timeout: {INTERVAL}}}\n"
        );
    }
    let mut checker =
        Launch::new("checker").config(&checks).args(&["--bus", &nats.url(), "--grace", "60s"]).start_ready().await;

    let complete_runs = || {
        let complete =
            |results: &[std::sync::Arc<TaskResult>]| results.iter().all(|result| result.outcome == Outcome::Pass);
        observer
            .results_by_run()
            .values()
            .filter(|results| results.len() == NAMES.len())
            .filter(|results| complete(results))
            .count()
    };
    let waiting_max = pool_stays_whole(&runner, async {
        // A machine that is busy with other things takes more runs to complete as many.
        let enough = || observer.results().len() >= RUNS * NAMES.len() && complete_runs() >= RUNS;
        until("enough runs", LIMIT, || enough().then_some(())).await;
        // The Checker first: what it has sent is still run.
        assert_eq!(checker.stop().await, 0, "{}", checker.stderr());
    })
    .await;
    assert_eq!(runner.stop().await, 0, "{}", runner.stderr());
    observer.catch_up().await;

    let unanswered = observer.assert_at_most_one_result_each();
    assert!(unanswered.is_empty(), "{unanswered:#?}");
    let mut complete_runs = 0;
    for results in observer.results_by_run().values() {
        let tried: BTreeSet<_> = results.iter().filter_map(|result| result.target.address).collect();
        assert_eq!(tried, instances.keys().copied().collect(), "{results:#?}");
        assert_eq!(results.len(), NAMES.len(), "{results:#?}");
        let responses = results.iter().filter(|result| answered_by_its_instance(result, &instances));
        complete_runs += usize::from(responses.count() == NAMES.len());
    }
    assert!(complete_runs >= RUNS, "{complete_runs} runs with three responses");
    let waited = observer.results().iter().filter(|result| result.queue_wait_us > 0).count();
    assert!(waited > 0, "the pool was never smaller than its load (most seen waiting: {waiting_max})");
    let started = observer.results().iter().filter(|result| result.started_at.is_some()).count();
    assert_eq!(workers_taken_and_returned(&runner.log()), started);
}

/// Asserts that a response is that of the instance at the result's address. Without one it must be
/// the machine that is too busy: the task got no worker in time, or too late.
fn answered_by_its_instance(result: &TaskResult, instances: &BTreeMap<SocketAddr, &str>) -> bool {
    if result.outcome != Outcome::Pass {
        let told = told(result);
        assert!(told.starts_with("timeout/") || told == "cancelled/no_free_worker", "{result:#?}");
        return false;
    }
    let instance = result.http.as_ref().map(|http| http.headers["x-instance"].as_str());
    assert_eq!(instance, Some(instances[&result.target.address.unwrap()]), "{result:#?}");
    true
}

/// Asks the Runner for its pools until `meanwhile` is over; gives the most tasks that were seen to wait.
async fn pool_stays_whole(runner: &Watchpost, meanwhile: impl Future<Output = ()>) -> u64 {
    let mut waiting_max = 0;
    tokio::pin!(meanwhile);
    loop {
        let health = runner.health().await;
        let pools = health["pools"].as_array().unwrap();
        for pool in pools {
            let number = |key: &str| pool[key].as_u64().unwrap();
            assert_eq!(number("idle") + number("busy"), number("size"), "{health}");
            waiting_max = waiting_max.max(number("waiting"));
        }
        assert_eq!(pools[0]["size"], WORKERS, "{health}");
        tokio::select! {
            () = &mut meanwhile => return waiting_max,
            () = tokio::time::sleep(Duration::from_millis(25)) => {}
        }
    }
}

/// Reads from the Runner's log that each worker is taken and returned in turn, with the same task,
/// and that no task is taken twice. Gives how many were.
fn workers_taken_and_returned(log: &[Value]) -> usize {
    let mut held_by = BTreeMap::<(String, u64), String>::new();
    let mut taken = HashMap::<String, usize>::new();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    for line in log {
        let worker = || (text(line, "check_type"), line["worker"].as_u64().unwrap());
        match line["message"].as_str() {
            Some("worker taken") => {
                let task = text(line, "task");
                let before = held_by.insert(worker(), task.clone());
                assert_eq!(before, None, "a worker was taken that was out: {line}");
                let times = taken.entry(task).or_default();
                *times += 1;
                assert_eq!(*times, 1, "a task was started twice: {line}");
            }
            Some("worker returned") => {
                assert_eq!(held_by.remove(&worker()), Some(text(line, "task")), "{line}");
            }
            _ => {}
        }
    }
    assert!(held_by.is_empty(), "workers that never came home: {held_by:?}");
    taken.len()
}

fn instance_ip(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Three servers on the same port of 127.0.0.1, .2 and .3, as instances behind one name have it.
async fn instances_on_one_port() -> (u16, JoinSet<()>) {
    loop {
        let first = TcpListener::bind((instance_ip(1), 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let (second, third) =
            (TcpListener::bind((instance_ip(2), port)).await, TcpListener::bind((instance_ip(3), port)).await);
        // Somebody else may have the port on the other addresses: then another one.
        let (Ok(second), Ok(third)) = (second, third) else { continue };
        let mut serving = JoinSet::new();
        for (listener, name) in [first, second, third].into_iter().zip(NAMES) {
            serving.spawn(serve(listener, name));
        }
        return (port, serving);
    }
}

async fn serve(listener: TcpListener, name: &'static str) {
    let handler = Arc::new(Handler::new(name));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let handler = Arc::clone(&handler);
                connections.spawn(async move { handler.handle(stream).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
