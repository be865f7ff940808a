//! Each verb in both formats, and what is answered to what is none.

use std::net::{IpAddr, Ipv4Addr};

use async_nats::HeaderMap;
use serde_json::{Value, json};
use watchpost_model::{
    AskLast, AskStatus, CancelCause, CancelTasks, Drain, Drained, ErrorCode, Heartbeat, LastResults, PoolResized,
    ResizePool, TasksCancelled, V1, Verb,
};
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::rig::{Rig, next, until_async};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn says_ok() -> Server {
    Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_is_told_in_the_format_of_the_question() {
    let rig = Rig::start("checks: []\n").await;
    let told = rig.asker.json("bastion.status", json!({})).await.value();
    assert_eq!((&told["bastion"], &told["runner"], &told["checks"]), (&"b1".into(), &"r1".into(), &0.into()), "{told}");
    assert_eq!(told["roles"], json!(["checker", "runner"]), "{told}");
    // No payload at all may come from a person at a terminal.
    let empty = rig.asker.send("bastion.status", HeaderMap::new(), Vec::new()).await.value();
    assert_eq!(empty["instance"], told["instance"], "{empty}");
    let packed: Heartbeat = rig.asker.packed(Verb::BastionStatus, &AskStatus::default()).await.packed();
    assert_eq!(packed.instance.unwrap().to_string(), told["instance"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_results_of_a_check_are_one_for_each_endpoint() {
    let server = says_ok().await;
    let addresses: Vec<String> = (1..=10).map(|i| format!("127.0.0.{i}:{}", server.port())).collect();
    let everywhere = Behaviour::SaysAndCloses(b"ok".to_vec()).start_everywhere().await.unwrap();
    let many: Vec<String> = (1..=10).map(|i| format!("\"127.0.0.{i}:{}\"", everywhere.port())).collect();
    let rig = Rig::start(&format!(
        "checks:\n- {{id: one, tcp: {{address: '{}', expect: ok}}, interval: 1s}}\n\
         - {{id: many, tcp: {{address: '{}', expect: ok}}, addresses: [{}], interval: 1s}}\n",
        server.address(),
        addresses[0],
        many.join(", ")
    ))
    .await;
    let asker = &rig.asker;
    until_async("both have run", async || {
        let all = [("one", 1), ("many", 8)].map(|(check, number)| async move {
            let last = asker.json("result.last", json!({"v": 1, "check": check})).await.value();
            last["results"].as_array().unwrap().len() == number
        });
        futures_util::future::join_all(all).await.into_iter().all(|there| there)
    })
    .await;
    let one: LastResults =
        asker.packed(Verb::ResultLast, &AskLast { v: V1, check: "one".parse().unwrap() }).await.packed();
    assert_eq!((one.results.len(), one.results[0].outcome.as_str()), (1, "pass"));
    assert!(one.verdict.is_none());
    let many = asker.json("result.last", json!({"v": 1, "check": "many"})).await.value();
    assert_eq!(many["verdict"]["total"], 10, "{many}");
    let endpoints: std::collections::BTreeSet<&str> = many["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["target"]["endpoint"].as_str().unwrap())
        .collect();
    assert_eq!(endpoints.len(), 8, "{many}");
    let unknown = asker.json("result.last", json!({"v": 1, "check": "none"})).await.error();
    assert_eq!((unknown.code, unknown.field.as_deref()), (ErrorCode::UnknownCheck, Some("check")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_is_answered_with_how_much_it_stopped() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let document =
        json!({"id": "c", "tcp": {"address": hangs.address(), "expect": "ok"}, "interval": "5m", "timeout": "1m"});
    let mut heard = rig.asker.stream("check.test", json!({"v": 1, "document": document})).await;
    until_async("it runs", async || hangs.counts().open() == 1).await;
    let mut tasks = rig.asker.client.subscribe("watchpost.b1.result.c").await.unwrap();
    rig.asker.client.flush().await.unwrap();
    let nothing =
        CancelTasks { v: V1, cause: CancelCause::Requested, message: String::new(), runs: vec![], tasks: vec![] };
    let told: TasksCancelled = rig.asker.packed(Verb::TaskCancel, &nothing).await.packed();
    assert_eq!((told.runner.as_str(), told.tasks), ("r1", 0));
    // Which run it is, its requester hears only with its result. The tasks of every run are in what the bastion sends.
    let begun: Value = serde_json::from_slice(&next(&mut heard).await.payload).unwrap();
    assert_eq!(begun["kind"], "begun");
    let bad = rig.asker.json("task.cancel", json!({"v": 1, "cause": "whim"})).await.error();
    assert_eq!(bad.code, ErrorCode::BadPayload);
    drop(heard);
    // Whoever asked is gone: it is stopped by that.
    let result: Value = {
        let message = next(&mut tasks).await;
        let result: watchpost_model::TaskResult =
            watchpost_model::decode(&message.payload, watchpost_model::Format::MsgPack).unwrap();
        serde_json::to_value(&result).unwrap()
    };
    assert_eq!(result["reason"]["code"], "requester_gone", "{result}");
    let again = rig
        .asker
        .json("task.cancel", json!({"v": 1, "cause": "requested", "message": "m", "runs": [result["run"]]}))
        .await
        .value();
    assert_eq!((&again["runner"], &again["tasks"]), (&"r1".into(), &0.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_by_its_run_stops_the_tasks_of_it() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let mut published = rig.asker.client.subscribe("watchpost.b1.task.*").await.unwrap();
    rig.asker.client.flush().await.unwrap();
    let document =
        json!({"id": "c", "tcp": {"address": hangs.address(), "expect": "ok"}, "interval": "5m", "timeout": "1m"});
    let mut heard = rig.asker.stream("check.test", json!({"v": 1, "document": document})).await;
    let task: watchpost_model::Task =
        watchpost_model::decode(&next(&mut published).await.payload, watchpost_model::Format::MsgPack).unwrap();
    until_async("it runs", async || hangs.counts().open() == 1).await;
    let cancel = json!({"v": 1, "cause": "requested", "message": "enough of it", "runs": [task.run]});
    let told = rig.asker.json("task.cancel", cancel).await.value();
    assert_eq!(told["tasks"], 1, "{told}");
    let reports = crate::rig::to_its_end(&mut heard).await;
    let result = reports.iter().find(|report| report["kind"] == "result").unwrap();
    assert_eq!(result["result"]["reason"], json!({"code": "cancelled_on_request", "message": "enough of it"}));
    until_async("its connection is closed", async || hangs.counts().open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_takes_another_size_and_says_so() {
    let rig = Rig::start("pools: {tcp: {size: 4}}\nchecks: []\n").await;
    let told = rig.asker.json("pool.resize", json!({"v": 1, "type": "tcp", "size": 9, "per_check": 5})).await.value();
    assert_eq!(
        (&told["pool"]["type"], &told["pool"]["target"], &told["pool"]["size"]),
        (&"tcp".into(), &9.into(), &9.into()),
        "{told}"
    );
    let ask = ResizePool {
        v: V1,
        request: None,
        check_type: "tcp".parse().unwrap(),
        size: 2,
        per_check: None,
        runner: Some("r1".parse().unwrap()),
    };
    let told: PoolResized = rig.asker.packed(Verb::PoolResize, &ask).await.packed();
    assert_eq!((told.runner.as_str(), told.pool.target), ("r1", 2));
    for bad in [
        json!({"v": 1, "type": "tcp", "size": 0}),
        json!({"v": 1, "type": "tcp", "size": 10_001}),
        json!({"v": 1, "type": "teapot", "size": 1}),
        json!({"v": 1, "type": "tcp"}),
    ] {
        assert_eq!(rig.asker.json("pool.resize", bad).await.error().code, ErrorCode::BadPayload);
    }
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    let pool = status["pools"].as_array().unwrap().iter().find(|pool| pool["type"] == "tcp").unwrap().clone();
    assert_eq!((&pool["target"], &pool["size"], &pool["idle"]), (&2.into(), &2.into(), &2.into()), "{pool}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_meant_for_another_process_is_not_answered_by_this_one() {
    let rig = Rig::start("checks: []\n").await;
    let mut heard = rig.asker.stream("bastion.drain", json!({"v": 1, "runner": "r2"})).await;
    let told = rig.asker.json("bastion.drain", json!({"v": 1, "runner": "r1"})).await.value();
    assert_eq!((&told["draining"], &told["runner"]), (&true.into(), &"r1".into()), "{told}");
    let ask = Drain { v: V1, request: None, runner: None };
    let told: Drained = rig.asker.packed(Verb::BastionUndrain, &ask).await.packed();
    assert!(!told.draining);
    // Requests are answered by tasks of their own: this one had all the time that the two others took.
    assert!(futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut heard)).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_answered_with_an_error() {
    let rig = Rig::start("checks: []\n").await;
    let unknown = rig.asker.json("check.eat", json!({"v": 1})).await.error();
    assert_eq!(unknown.code, ErrorCode::UnknownVerb);
    assert!(unknown.message.contains("check.eat") && unknown.message.contains("check.put"), "{unknown:?}");
    let version = rig.asker.json("bastion.status", json!({"v": 2})).await.error();
    assert_eq!(version.code, ErrorCode::UnknownVersion);
    let missing = rig.asker.send("result.last", HeaderMap::new(), Vec::new()).await.error();
    assert_eq!((missing.code, missing.field.as_deref()), (ErrorCode::BadPayload, Some("v")));
    let large = rig.asker.send("result.last", HeaderMap::new(), vec![b'x'; 8_000]).await.error();
    assert_eq!(large.code, ErrorCode::TooLarge);
    let mut named = HeaderMap::new();
    named.insert("Nats-Msg-Id", "n".repeat(65).as_str());
    let long = rig.asker.send("bastion.undrain", named, b"{}".to_vec()).await.error();
    assert!(long.code == ErrorCode::BadPayload && long.message.contains("Nats-Msg-Id"), "{long:?}");
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    assert_eq!(status["draining"], false);
}
