//! What a process says of itself, and when.

use std::sync::Arc;

use serde_json::json;
use watchpost_model::Heartbeat;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, until};
use watchpost_tests::tcp_fixture::Behaviour;

use crate::rig::{Asker, Rig};

async fn until_told(observer: &Observer, what: &str, holds: impl Fn(&Heartbeat) -> bool) -> Arc<Heartbeat> {
    until(what, SOON, || observer.heartbeats().into_iter().rev().find(|heartbeat| holds(heartbeat))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_is_told_at_once() {
    let rig = Rig::start("pools: {tcp: {size: 4}}\nchecks: []\n").await;
    let observer = Observer::start(&rig.nats.url()).await;
    rig.asker.json("pool.resize", json!({"v": 1, "type": "tcp", "size": 7})).await.value();
    let resized = until_told(&observer, "the pool's new size", |heartbeat| {
        heartbeat.pools.iter().any(|pool| pool.check_type.as_str() == "tcp" && pool.target == 7)
    })
    .await;
    assert!(resized.message.as_ref().is_some_and(|told| told.contains("no checks")), "{resized:#?}");
    assert!(!resized.draining);
    rig.asker.json("bastion.drain", json!({})).await.value();
    let drains = until_told(&observer, "the drain", |heartbeat| heartbeat.draining).await;
    assert_eq!(drains.instance, resized.instance);
    assert!(drains.message.as_ref().is_some_and(|told| told.contains("drain")), "{drains:#?}");
    rig.asker.json("bastion.undrain", json!({})).await.value();
    let last = drains.sent_at;
    until_told(&observer, "the end of the drain", |heartbeat| !heartbeat.draining && heartbeat.sent_at > last).await;
    // What came in between were the changes alone: less than fifteen seconds have gone by.
    let heartbeats = observer.heartbeats();
    for pair in heartbeats.windows(2) {
        let apart_us = pair[1].sent_at.as_microsecond() - pair[0].sent_at.as_microsecond();
        assert!(apart_us > 500_000, "{heartbeats:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_tells_how_late_it_is_and_what_went_wrong() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start("127.0.0.1".parse().unwrap()).await.unwrap();
    let nats = watchpost_tests::nats_server::NatsServer::start();
    let config = format!("bastion: b1\nchecks:\n- {{id: c, tcp: {{address: '{}'}}, interval: 1s}}\n", server.address());
    let checker = Launch::new("checker").config(&config).args(&["--bus", &nats.url()]).start_ready().await;
    let asker = Asker::connect(&nats).await;
    // Nobody runs its tasks.
    crate::rig::until_async("that is told", async || {
        let status = asker.json("bastion.status", json!({})).await.value();
        let errors = status["last_errors"].as_array().cloned().unwrap_or_default();
        errors.iter().any(|error| error["message"].as_str().unwrap().contains("no Runner listens"))
    })
    .await;
    let status = asker.json("bastion.status", json!({})).await.value();
    let error = &status["last_errors"][0];
    assert!(error["count"].as_u64().unwrap() >= 1 && error["at"].is_string(), "{error}");
    assert_eq!(status["roles"], json!(["checker"]));
    assert!(status.get("runner").is_none() && status.get("message").is_none(), "{status}");
    assert_eq!(status["checks"], 1);
    assert!(status["outbox"]["waiting"].is_u64() && status["outbox"]["dropped"].is_u64(), "{status}");
    // This server has no JetStream, so nobody tells the time.
    assert!(status.get("clock_offset_us").is_none(), "{status}");
    crate::rig::until_async("a lag is told", async || {
        let status = asker.json("bastion.status", json!({})).await.value();
        let told = |field: &str| status[field].as_u64();
        let ordered = told("scheduling_lag_p99_us") <= told("scheduling_lag_us");
        assert!(ordered, "{status}");
        told("scheduling_lag_us").is_some() && status["uptime_s"].as_u64() >= Some(1)
    })
    .await;
    drop(checker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_tells_the_time_tells_how_far_off_the_clock_is() {
    let store = std::env::temp_dir().join(format!("watchpost-js-{}", std::process::id()));
    let nats = watchpost_tests::nats_server::NatsServer::start_with(&["-js", "-sd", store.to_str().unwrap()]);
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let stream = async_nats::jetstream::stream::Config {
        name: "WATCHPOST_RESULTS".to_owned(),
        subjects: vec!["watchpost.*.result.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.unwrap();
    let args = ["--bus", &nats.url()];
    let bastion = Launch::new("bastion").config("bastion: b1\nchecks: []\n").args(&args).start_ready().await;
    let asker = Asker::connect(&nats).await;
    crate::rig::until_async("the offset is told", async || {
        let status = asker.json("bastion.status", json!({})).await.value();
        // Both clocks are this machine's. The figure is exact to half a round trip, which may be half a second.
        status["clock_offset_us"].as_i64().is_some_and(|offset| offset.abs() <= 500_000)
    })
    .await;
    drop(bastion);
    std::fs::remove_dir_all(store).ok();
}
