//! The bus goes away in mid-run and comes back: what could not be sent is told, and work goes on by itself.

use std::time::Duration;

use serde_json::Value;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

const CHECKS: usize = 20;

fn config(server: &HttpFixture) -> String {
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..CHECKS {
        let url = format!("http://{}/slow?ms=100", server.address());
        yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 1s, timeout: 1s}}\n");
    }
    yaml
}

/// Checker and Runner apart have no other way to each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_the_bus_is_told_and_survived() {
    let mut nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let server = HttpFixture::start("target").await.unwrap();
    let mut runner = Launch::new("runner").args(&["--bus", &nats.url(), "--bastion", "b1"]).start_ready().await;
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    let mut checker = Launch::new("checker").config(&config(&server)).args(&args).start_ready().await;
    until("results", SOON, || (observer.results().len() > CHECKS).then_some(())).await;

    nats.stop();
    let unpublished = |line: &Value| line["message"] == "a result was not published" && line["outcome"] == "missed";
    let told = until("missed tasks in the log", SOON, || checker.log().into_iter().find(unpublished)).await;
    assert!(told["error"].as_str().unwrap().contains(&nats.address()), "{told}");
    let health = until_health(&checker, |health| health["checker"]["outcomes"]["missed"].as_u64() > Some(10)).await;
    assert_eq!((&health["status"], &health["bus"]["connected"]), (&"bus_unavailable".into(), &false.into()));

    nats.restart_on_same_port();
    is_as_before(&nats, &checker).await;
    assert_eq!(checker.stop().await, 0, "{}", checker.stderr());
    assert_eq!(runner.stop().await, 0, "{}", runner.stderr());
}

/// Checker and Runner in one process go on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_5_a_bastion_checks_on_while_its_bus_is_away() {
    let mut nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let server = HttpFixture::start("target").await.unwrap();
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    let mut bastion = Launch::new("bastion").config(&config(&server)).args(&args).start_ready().await;
    until("results", SOON, || (observer.results().len() > CHECKS).then_some(())).await;

    nats.stop();
    let away = until_health(&bastion, |health| health["bus"]["connected"] == false).await;
    assert_eq!(away["status"], "bus_unavailable");
    let passed = |health: &Value| health["checker"]["outcomes"]["pass"].as_u64().unwrap();
    let health = until_health(&bastion, |health| passed(health) >= passed(&away) + 3 * CHECKS as u64).await;
    assert_eq!(health["checker"]["outcomes"]["missed"], 0, "{health}");

    nats.restart_on_same_port();
    is_as_before(&nats, &bastion).await;
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
}

/// Waits for results as before, then takes the checks away: each run has had its outcome, whether or not anybody could be told.
async fn is_as_before(nats: &NatsServer, checker: &Watchpost) {
    let observer = Observer::start(&nats.url()).await;
    until("results as before", SOON, || (observer.results().len() > CHECKS).then_some(())).await;
    let health = until_health(checker, |health| health["status"] == "ok").await;
    assert!(health["bus"]["reconnects"].as_u64() >= Some(1), "{health}");

    std::fs::write(checker.folder().join(Launch::CONFIG), "bastion: b1\nchecks: []\n").unwrap();
    checker.signal("HUP");
    let at_rest = |health: &Value| health["checker"]["checks"] == 0 && health["checker"]["outstanding"] == 0;
    let health = until_health(checker, at_rest).await;
    let outcomes: u64 = health["checker"]["outcomes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(health["counts"]["runs"], outcomes, "{health}");
}

async fn until_health(watchpost: &Watchpost, holds: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let health = watchpost.health().await;
            if holds(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, found).await.expect("a state of health")
}
