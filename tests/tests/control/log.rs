//! Logging more for a while, on request.

use serde_json::json;
use watchpost_model::ErrorCode;
use watchpost_tests::process::{SOON, until};

use crate::rig::Rig;

const BACK: &str = "what is logged is what it was at the start again";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_changes_on_request_and_goes_back_by_itself() {
    let rig = Rig::start("checks: []\n").await;
    let debug = || rig.bastion.log().iter().filter(|line| line["level"] == "DEBUG").count();
    let unknown = async || rig.asker.json("check.eat", json!({})).await.error();
    unknown().await;
    assert_eq!(debug(), 0);
    let told = rig.asker.json("bastion.log_level", json!({"v": 1, "filter": "debug", "for_s": 2})).await.value();
    assert_eq!((&told["filter"], &told["runner"]), (&"debug".into(), &"r1".into()), "{told}");
    assert!(told["until"].as_str().unwrap() > "2026", "{told}");
    unknown().await;
    until("a line of that level", SOON, || (debug() > 0).then_some(())).await;
    let strangers = |line: &serde_json::Value| !line["target"].as_str().unwrap_or("watchpost").starts_with("watchpost");
    assert!(!rig.bastion.log().iter().any(|line| line["level"] == "DEBUG" && strangers(line)));
    rig.bastion.until_logged(BACK).await;
    let before = debug();
    unknown().await;
    assert_eq!(rig.asker.json("bastion.status", json!({})).await.value()["draining"], false);
    assert_eq!(debug(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_log_is_not_for_the_bus_to_ask() {
    let rig = Rig::start("checks: []\n").await;
    for bad in ["h2=trace", "hyper=debug", "trace,rustls=trace", "loud", "", "watchpost_agent"] {
        let error = rig.asker.json("bastion.log_level", json!({"v": 1, "filter": bad})).await.error();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadPayload, Some("filter")), "{bad}: {error:?}");
    }
    let error = rig.asker.json("bastion.log_level", json!({"v": 1, "filter": "info", "for_s": 0})).await.error();
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadPayload, Some("for_s")));
}
