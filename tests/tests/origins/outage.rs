//! The bus goes away in mid-run and comes back: what could not be sent is told, and work goes on by itself.

use std::time::Duration;

use serde_json::Value;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_stop_of_the_bus_is_told_and_survived() {
    let mut nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let server = HttpFixture::start("target").await.unwrap();
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..20 {
        let url = format!("http://{}/slow?ms=100", server.address());
        yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 1s, timeout: 1s}}\n");
    }
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    let mut bastion = Launch::new("bastion").config(&yaml).args(&args).start_ready().await;
    until("results", SOON, || (observer.results().len() > 20).then_some(())).await;

    nats.stop();
    let unpublished = |line: &Value| line["message"] == "a result was not published" && line["outcome"] == "missed";
    let told = until("missed tasks in the log", SOON, || bastion.log().into_iter().find(unpublished)).await;
    assert!(told["error"].as_str().unwrap().contains(&nats.address()), "{told}");
    let health = until_health(&bastion, |health| health["checker"]["outcomes"]["missed"].as_u64() > Some(10)).await;
    assert_eq!((&health["status"], &health["bus"]["connected"]), (&"bus_unavailable".into(), &false.into()));

    nats.restart_on_same_port();
    let observer = Observer::start(&nats.url()).await;
    until("results as before", SOON, || (observer.results().len() > 20).then_some(())).await;
    let health = until_health(&bastion, |health| health["status"] == "ok").await;
    assert!(health["bus"]["reconnects"].as_u64() >= Some(1), "{health}");

    // Each run had its outcome, whether or not anybody could be told.
    std::fs::write(bastion.folder().join(Launch::CONFIG), "bastion: b1\nchecks: []\n").unwrap();
    bastion.signal("HUP");
    let at_rest = |health: &Value| health["checker"]["checks"] == 0 && health["checker"]["outstanding"] == 0;
    let health = until_health(&bastion, at_rest).await;
    let outcomes: u64 = health["checker"]["outcomes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(health["counts"]["runs"], outcomes, "{health}");
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
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
