//! Tests on request: each outcome as it comes, and nothing that goes on when nobody wants it any more.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use watchpost_model::{ErrorCode, Format, TestCheck, TestReport, TestReportKind, V1, decode, encode};
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::rig::{Rig, next, subject, to_its_end, until_async};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn says_ok_everywhere() -> Server {
    Behaviour::SaysAndCloses(b"ok".to_vec()).start_everywhere().await.unwrap()
}

fn endpoints(server: &Server, number: usize) -> Vec<String> {
    (1..=number).map(|i| format!("127.0.0.{i}:{}", server.port())).collect()
}

/// A check of this many endpoints of a server.
fn document(server: &Server, number: usize) -> Value {
    let tcp = json!({"address": format!("127.0.0.1:{}", server.port()), "expect": "ok"});
    json!({"id": "c", "tcp": tcp, "addresses": endpoints(server, number), "interval": "5m", "timeout": "1m"})
}

fn kinds(reports: &[Value]) -> Vec<&str> {
    reports.iter().map(|report| report["kind"].as_str().unwrap()).filter(|kind| *kind != "going").collect()
}

async fn until_open(server: &Server, number: usize) {
    until_async(&format!("{number} open connections"), async || server.counts().open() == number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_outcome_is_told_as_it_comes_and_then_the_end() {
    let server = says_ok_everywhere().await;
    let config = format!("checks:\n- {{id: stored, tcp: {{address: '{}'}}, scheduled: false}}\n", server.address());
    let rig = Rig::start(&config).await;
    let ask = json!({"v": 1, "document": document(&server, 3), "max_endpoints": 3});
    let reports = to_its_end(&mut rig.asker.stream("check.test", ask).await).await;
    assert_eq!(kinds(&reports), ["begun", "result", "result", "result", "verdict", "end"]);
    let end = &reports.last().unwrap()["end"];
    assert_eq!(*end, json!({"passed": true, "results": 3}));
    let results = reports.iter().filter(|report| report["kind"] == "result");
    assert!(results.into_iter().all(|report| report["run"] == report["result"]["run"] && report["check"] == "c"));
    // One that is there already, by its name, and in the other format.
    let inbox = rig.asker.client.new_inbox();
    let mut heard = rig.asker.client.subscribe(inbox.clone()).await.unwrap();
    let ask = TestCheck {
        v: V1,
        request: None,
        check: Some("stored".parse().unwrap()),
        document: None,
        limit_ms: Some(20_000),
        max_endpoints: None,
    };
    let payload = encode(&ask, Format::MsgPack).into();
    rig.asker.client.publish_with_reply(subject("check.test"), inbox, payload).await.unwrap();
    let mut reports = Vec::<TestReport>::new();
    while reports.last().is_none_or(|report| report.kind != TestReportKind::End) {
        reports.push(decode(&next(&mut heard).await.payload, Format::MsgPack).unwrap());
    }
    assert!(reports.last().unwrap().end.as_ref().unwrap().passed, "{reports:#?}");
    let last = rig.asker.json("result.last", json!({"v": 1, "check": "stored"})).await.value();
    assert_eq!(last["results"].as_array().unwrap().len(), 1, "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_test_that_is_cancelled_leaves_nothing_running() {
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let mut heard = rig.asker.stream("check.test", json!({"v": 1, "document": document(&hangs, 8)})).await;
    let begun = next(&mut heard).await;
    until_open(&hangs, 8).await;
    rig.asker.client.publish(begun.reply.unwrap(), "cancel".into()).await.unwrap();
    let mut reports = vec![serde_json::from_slice::<Value>(&begun.payload).unwrap()];
    while reports.last().unwrap()["kind"] != "end" {
        reports.push(serde_json::from_slice(&next(&mut heard).await.payload).unwrap());
    }
    let told: Vec<&Value> = reports.iter().filter(|report| report["kind"] == "result").collect();
    assert_eq!(told.len(), 8);
    for report in told {
        assert_eq!(report["result"]["reason"]["code"], "cancelled_on_request", "{report}");
    }
    let end = &reports.last().unwrap()["end"];
    assert_eq!((&end["passed"], &end["results"], &end["cut_off"]), (&false.into(), &8.into(), &"cancelled".into()));
    until_open(&hangs, 0).await;
    assert_eq!(hangs.counts().accepted(), 8);
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    assert_eq!(status["outstanding"], 0, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_a_requester_that_goes_away_leaves_nothing_running() {
    let hangs = Behaviour::Silent.start_everywhere().await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let mut heard = rig.asker.stream("check.test", json!({"v": 1, "document": document(&hangs, 8)})).await;
    next(&mut heard).await;
    until_open(&hangs, 8).await;
    heard.unsubscribe().await.unwrap();
    until_open(&hangs, 0).await;
    until_async("the bastion is at rest", async || {
        rig.asker.json("bastion.status", json!({})).await.value()["outstanding"] == 0
    })
    .await;
    assert_eq!(hangs.counts().accepted(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_3_nothing_is_run_where_there_are_more_endpoints_than_were_wanted() {
    let server = says_ok_everywhere().await;
    let config = format!(
        "checks:\n- {{id: a, tcp: {{address: '{0}'}}, addresses: [{1}], scheduled: false}}\n\
         - {{id: b, tcp: {{address: '{0}'}}, scheduled: false}}\n\
         - {{id: both, group: {{checks: [a, b]}}, scheduled: false}}\n",
        server.address(),
        endpoints(&server, 3).iter().map(|e| format!("'{e}'")).collect::<Vec<_>>().join(", ")
    );
    let rig = Rig::start(&config).await;
    let targets: Vec<Value> = endpoints(&server, 3).iter().map(|address| json!({"address": address})).collect();
    let templated = json!({"id": "t", "tcp": {"address": "{{target.address}}"}, "targets": {"static": targets}});
    let cases = [
        (json!({"v": 1, "document": document(&server, 5), "max_endpoints": 4}), 5),
        (json!({"v": 1, "document": templated, "max_endpoints": 2}), 3),
        (json!({"v": 1, "check": "both", "max_endpoints": 3}), 4),
        (json!({"v": 1, "document": {"id": "g", "group": {"checks": ["both", "b"]}}, "max_endpoints": 4}), 5),
    ];
    for (ask, number) in cases {
        let reports = to_its_end(&mut rig.asker.stream("check.test", ask.clone()).await).await;
        let end = &reports.last().unwrap()["end"];
        assert_eq!(
            (&end["cut_off"], &end["results"]),
            (&"too_many_endpoints".into(), &0.into()),
            "{ask}: {reports:#?}"
        );
        assert!(end["message"].as_str().unwrap().contains(&format!("there are {number} endpoints")), "{end}");
    }
    assert_eq!(server.counts().accepted(), 0);
    let reports =
        to_its_end(&mut rig.asker.stream("check.test", json!({"v": 1, "check": "both", "max_endpoints": 4})).await)
            .await;
    assert_eq!(reports.last().unwrap()["end"], json!({"passed": true, "results": 4}), "{reports:#?}");
    assert_eq!(server.counts().accepted(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_held_to_what_a_stored_check_is() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start(LOCALHOST).await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let tcp = json!({"address": server.address()});
    let cases = [
        (json!({"id": "c"}), ErrorCode::BadPayload, "it has no type"),
        (json!({"id": "c", "tcp": tcp, "sips": 1}), ErrorCode::BadPayload, "sips"),
        (json!({"id": "c", "tcp": tcp, "interval": "1s", "timeout": "2s"}), ErrorCode::BadPayload, "timeout"),
        (json!({"id": "c", "tcp": tcp, "expect": {"expressions": ["1 +"]}}), ErrorCode::BadPayload, "check.test"),
        (json!({"id": "g", "group": {"checks": ["nobody"]}}), ErrorCode::Refused, "nobody"),
        (json!({"id": "g", "group": {"checks": ["g"]}}), ErrorCode::Refused, "g"),
    ];
    for (document, code, part) in cases {
        let error = rig.asker.json("check.test", json!({"v": 1, "document": document})).await.error();
        assert!(error.code == code && error.message.contains(part), "{document}: {error:?}");
    }
    let unknown = rig.asker.json("check.test", json!({"v": 1, "check": "nobody"})).await.error();
    assert_eq!((unknown.code, unknown.field.as_deref()), (ErrorCode::UnknownCheck, Some("check")));
    for bad in [
        json!({"v": 1}),
        json!({"v": 1, "check": "c", "document": {"id": "c", "tcp": tcp}}),
        json!({"v": 1, "check": "c", "limit_ms": 99}),
        json!({"v": 1, "check": "c", "max_endpoints": 0}),
    ] {
        assert_eq!(rig.asker.json("check.test", bad).await.error().code, ErrorCode::BadPayload);
    }
    assert_eq!(server.counts().accepted(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_takes_its_time_is_told_to_go_on_and_ends_by_its_limit() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let rig = Rig::start("checks: []\n").await;
    let ask = json!({"v": 1, "document": document(&hangs, 1), "limit_ms": 2_500});
    let reports = to_its_end(&mut rig.asker.stream("check.test", ask).await).await;
    assert!(reports.iter().any(|report| report["kind"] == "going"), "{reports:#?}");
    let result = reports.iter().find(|report| report["kind"] == "result").unwrap();
    assert_eq!(result["result"]["outcome"], "timeout", "{result}");
    assert_eq!(reports.last().unwrap()["end"], json!({"passed": false, "results": 1}));
    until_open(&hangs, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_a_test_and_says_why() {
    let hangs = Behaviour::Silent.start(LOCALHOST).await.unwrap();
    let mut rig = Rig::start("grace: 2s\nchecks: []\n").await;
    let mut heard = rig.asker.stream("check.test", json!({"v": 1, "document": document(&hangs, 1)})).await;
    until_open(&hangs, 1).await;
    rig.bastion.signal("TERM");
    let reports = to_its_end(&mut heard).await;
    assert_eq!(reports.last().unwrap()["end"]["cut_off"], "shutting_down", "{reports:#?}");
    assert_eq!(rig.bastion.ended(watchpost_tests::process::SOON).await, 0, "{}", rig.bastion.stderr());
}
