//! The verbs of the store, in both formats, over a real server that keeps the bucket.

use std::sync::Arc;

use serde_json::json;
use watchpost_agent::{Agent, AgentSettings, Deps, Roles, StoreSettings, SystemClock, run_system};
use watchpost_audit::AuditLog;
use watchpost_bus::{KvLimits, NatsBus, NatsOptions, SharedBus};
use watchpost_model::{
    CheckList, CheckShown, CheckStored, ErrorCode, GetCheck, ListChecks, PutCheck, Standing, V1, Verb,
};
use watchpost_policy::Guard;
use watchpost_probe::{ProbeOptions, ProbeSet, Resolver, TargetFinder};
use watchpost_tests::nats_server::NatsServer;

use crate::rig::{Asker, until_async};

const BUCKET: &str = "WATCHPOST_CHECKS";

#[test]
fn each_verb_of_the_store_in_both_formats() {
    run_system(async {
        let folder = std::env::temp_dir().join(format!("watchpost-control-js-{}", std::process::id()));
        let nats = NatsServer::start_with(&["-js", "-sd", folder.to_str().unwrap()]);
        tokio::time::timeout(watchpost_tests::process::SOON * 2, verbs(&nats)).await.expect("it comes to its end");
        drop(nats);
        std::fs::remove_dir_all(folder).ok();
    })
    .unwrap();
}

async fn verbs(nats: &NatsServer) {
    let bus: SharedBus = Arc::new(NatsBus::connect(NatsOptions::new([nats.url()])).await.unwrap());
    let limits = KvLimits { bytes_max: 16 << 20, value_bytes_max: 1 << 20, history: 5 };
    bus.key_value(BUCKET).ensure(limits).await.unwrap();
    let mut settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
    settings.store = Some(StoreSettings { bucket: Some(BUCKET.to_owned()), ..StoreSettings::default() });
    let deps = Deps {
        bus: Arc::clone(&bus),
        clock: Arc::new(SystemClock::default()),
        resolver: Resolver::system(),
        probes: ProbeSet::standard(&Resolver::system()),
        finder: TargetFinder::new(&ProbeOptions::new(&Resolver::system())),
        audit: AuditLog::off(),
        guard: Guard::local(),
    };
    let agent = Agent::start(settings, Roles::Both, deps).await.unwrap();
    let asker = Asker::connect(nats).await;
    until_async("the store is followed", async || {
        asker.json("bastion.status", json!({})).await.value()["store"]["state"] == "following"
    })
    .await;

    let document = json!({"id": "c", "tcp": {"address": "127.0.0.1:9"}, "interval": "1h"});
    let put = json!({"v": 1, "request": "p1", "check": document, "expected_revision": 0});
    let stored = asker.json("check.put", put.clone()).await.value();
    assert_eq!((&stored["check"], &stored["group"]), (&"c".into(), &"b1".into()), "{stored}");
    assert_eq!(stored["report"]["standing"], "running", "{stored}");
    // Carried out once: the revision that was expected is not there any more.
    assert_eq!(asker.json("check.put", put).await.value(), stored);
    let racing = json!({"v": 1, "check": document, "expected_revision": 0});
    assert_eq!(asker.json("check.put", racing).await.error().code, ErrorCode::Conflict);

    let ask = PutCheck {
        v: V1,
        request: Some("p2".parse().unwrap()),
        check: serde_json::from_value(document.clone()).unwrap(),
        group: None,
        expected_revision: stored["revision"].as_u64(),
        dry_run: false,
    };
    let again: CheckStored = asker.packed(Verb::CheckPut, &ask).await.packed();
    assert!(Some(again.revision) > stored["revision"].as_u64(), "{again:#?}");
    let twice = futures_util::future::join_all((0..8).map(|_| asker.packed(Verb::CheckPut, &ask))).await;
    assert!(twice.iter().all(|answer| answer.packed::<CheckStored>() == again));

    let shown: CheckShown =
        asker.packed(Verb::CheckGet, &GetCheck { v: V1, check: "c".parse().unwrap() }).await.packed();
    assert_eq!((shown.report.revision, shown.document.unwrap().id.as_str()), (Some(again.revision), "c"));
    let unknown = asker.json("check.get", json!({"v": 1, "check": "none"})).await.error();
    assert_eq!(unknown.code, ErrorCode::UnknownCheck);

    let paused = asker.json("check.pause", json!({"v": 1, "check": "c"})).await.value();
    assert_eq!(paused["report"]["standing"], "paused", "{paused}");
    let resumed = asker.json("check.resume", json!({"v": 1, "check": "c"})).await.value();
    assert_eq!(resumed["report"]["standing"], "running", "{resumed}");

    let list: CheckList = asker.packed(Verb::CheckList, &ListChecks::default()).await.packed();
    assert_eq!((list.checks.len(), list.checks[0].standing), (1, Standing::Running));
    // No payload stands for a list of all.
    let all = asker.send("check.list", async_nats::HeaderMap::new(), Vec::new()).await.value();
    assert_eq!((&all["checks"][0]["check"], &all["store"]["running"]), (&"c".into(), &1.into()), "{all}");

    let gone = asker.json("check.delete", json!({"v": 1, "check": "c"})).await.value();
    assert!(gone.get("report").is_none(), "{gone}");
    until_async("it is gone", async || {
        asker.json("check.list", json!({})).await.value()["checks"].as_array().unwrap().is_empty()
    })
    .await;
    assert!(agent.stop(std::time::Duration::from_secs(5)).await.is_clean());
}
