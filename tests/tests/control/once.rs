//! A request that changes something is carried out once, however often it comes.

use std::net::{IpAddr, Ipv4Addr};

use async_nats::HeaderMap;
use serde_json::{Value, json};
use watchpost_model::{ErrorCode, PoolResized, ResizePool, V1, Verb};
use watchpost_tests::tcp_fixture::Behaviour;

use crate::rig::{Rig, to_its_end};

const POOLS: &str = "pools: {tcp: {size: 4}}\nchecks: []\n";

async fn size_of_tcp(rig: &Rig) -> Value {
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    status["pools"].as_array().unwrap().iter().find(|pool| pool["type"] == "tcp").unwrap()["target"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_7_a_request_that_comes_again_is_answered_the_same_and_not_carried_out_again() {
    let rig = Rig::start(POOLS).await;
    let six = json!({"v": 1, "request": "q1", "type": "tcp", "size": 6});
    let first = rig.asker.json("pool.resize", six.clone()).await.value();
    rig.asker.json("pool.resize", json!({"v": 1, "type": "tcp", "size": 8})).await.value();
    assert_eq!(rig.asker.json("pool.resize", six).await.value(), first);
    // The same in the other format, since it says the same.
    let packed = ResizePool {
        v: V1,
        request: Some("q1".parse().unwrap()),
        check_type: "tcp".parse().unwrap(),
        size: 6,
        per_check: None,
        runner: None,
    };
    let again: PoolResized = rig.asker.packed(Verb::PoolResize, &packed).await.packed();
    assert_eq!(serde_json::to_value(again).unwrap(), first);
    assert_eq!(size_of_tcp(&rig).await, 8);
    let other = rig.asker.json("pool.resize", json!({"v": 1, "request": "q1", "type": "tcp", "size": 7})).await.error();
    assert_eq!(other.code, ErrorCode::Conflict);
    assert_eq!(size_of_tcp(&rig).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_7_the_header_by_which_duplicates_are_known_names_a_request_too() {
    let rig = Rig::start(POOLS).await;
    let named = || {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", "q2");
        headers
    };
    let six = json!({"v": 1, "type": "tcp", "size": 6}).to_string().into_bytes();
    let first = rig.asker.send("pool.resize", named(), six.clone()).await.value();
    rig.asker.json("pool.resize", json!({"v": 1, "type": "tcp", "size": 8})).await.value();
    assert_eq!(rig.asker.send("pool.resize", named(), six).await.value(), first);
    assert_eq!(size_of_tcp(&rig).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_7_twenty_of_the_same_at_a_time_have_one_answer() {
    let rig = Rig::start(POOLS).await;
    let ask = json!({"v": 1, "request": "q3", "type": "tcp", "size": 6});
    let answers = futures_util::future::join_all((0..20).map(|_| rig.asker.json("pool.resize", ask.clone()))).await;
    let first = answers[0].value();
    assert!(answers.iter().all(|answer| answer.value() == first));
    let stats = rig.asker.client.request("$SRV.STATS.watchpost", "".into()).await.unwrap();
    let stats: Value = serde_json::from_slice(&stats.payload).unwrap();
    let resize = stats["endpoints"].as_array().unwrap().iter().find(|one| one["name"] == "pool-resize").unwrap();
    assert_eq!((&resize["num_requests"], &resize["num_errors"]), (&20.into(), &0.into()), "{resize}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_7_a_test_that_is_asked_for_twice_runs_once() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let document = json!({"id": "c", "tcp": {"address": server.address(), "expect": "ok"}});
    let ask = json!({"v": 1, "request": "t1", "document": document});
    let reports = to_its_end(&mut rig.asker.stream("check.test", ask.clone()).await).await;
    assert_eq!(reports.last().unwrap()["end"]["passed"], true);
    assert_eq!(rig.asker.json("check.test", ask).await.error().code, ErrorCode::Conflict);
    assert_eq!(server.counts().accepted(), 1);
}
