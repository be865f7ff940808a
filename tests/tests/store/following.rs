//! From a key that somebody writes to a check that runs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use watchpost_bus::KvError;
use watchpost_model::{CheckDocument, CheckEventKind, Format, RefusalCode, encode};
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{SOON, until};

use crate::rig::{Events, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_put_runs_within_a_second_and_one_that_is_deleted_stops() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    let mut took = Vec::new();
    for n in 0..5 {
        let begun = Instant::now();
        // Every other one as a control plane in another language would write it.
        let json = rig.check(&format!("c{n}"));
        let value = if n % 2 == 0 {
            json.into_bytes()
        } else {
            encode(&serde_json::from_str::<CheckDocument>(&json).unwrap(), Format::MsgPack)
        };
        let revision = rig.kv.put(&format!("site.c{n}"), Bytes::from(value), None).await.unwrap();
        let event = events.until(CheckEventKind::CheckApplied, &format!("c{n}")).await;
        took.push(begun.elapsed());
        assert_eq!(event.revision, Some(revision));
    }
    // The fastest of several: another process may hold up any one of them.
    assert!(took.iter().min().unwrap() < &Duration::from_secs(1), "{took:?}");

    let observer = Observer::of_results(&rig.server.url()).await;
    let ran = |check: &str| observer.results().iter().filter(|result| result.check.as_str() == check).count();
    until("each runs", SOON, || (0..5).all(|n| ran(&format!("c{n}")) > 0).then_some(())).await;
    rig.kv.delete("site.c0", None).await.unwrap();
    events.until(CheckEventKind::CheckRemoved, "c0").await;
    observer.catch_up().await;
    let (of_0, of_1) = (ran("c0"), ran("c1"));
    until("the others run on", SOON, || (ran("c1") > of_1 + 2).then_some(())).await;
    assert!(ran("c0") <= of_0 + 1, "one that was under way may end, no other begins");

    // And again, under the same name.
    rig.put("site.c0", rig.check("c0")).await;
    events.until(CheckEventKind::CheckApplied, "c0").await;
    until("it runs again", SOON, || (ran("c0") > of_0 + 1).then_some(())).await;
    drop(bastion);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_with_its_reason_and_the_others_go_on() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let file = format!("groups: [eu, all]\nchecks:\n  - {}\n", rig.check("own"));
    let bastion = rig.bastion(&file, &[]).await;
    let group = |id: &str, member: &str| format!(r#"{{"id": "{id}", "group": {{"checks": ["{member}"]}}}}"#);
    for (key, value, code) in [
        ("site.a", "{".to_owned(), RefusalCode::Invalid),
        ("site.a", r#"{"id": "a", "gopher": {}}"#.to_owned(), RefusalCode::Invalid),
        ("eu.a", rig.check("b"), RefusalCode::WrongKey),
        ("all.own", rig.check("own"), RefusalCode::Duplicate),
        ("eu.g", group("g", "nowhere"), RefusalCode::DoesNotFit),
        ("eu.h", group("h", "h"), RefusalCode::DoesNotFit),
    ] {
        let revision = rig.put(key, value).await;
        let event = events.until(CheckEventKind::CheckRefused, key.split_once('.').unwrap().1).await;
        assert_eq!((event.revision, event.refusal.unwrap().code), (Some(revision), code), "{key}");
    }
    // Groups that it belongs to, and one that it does not.
    rig.put("other.web", rig.check("web")).await;
    let revision = rig.put("all.web", rig.check("web")).await;
    let applied = events.until(CheckEventKind::CheckApplied, "web").await;
    assert_eq!((applied.group.unwrap().as_str(), applied.revision), ("all", Some(revision)));
    // One of a group that comes first takes its place, and gives it back.
    rig.put("eu.web", rig.check("web")).await;
    let applied = events.until(CheckEventKind::CheckApplied, "web").await;
    assert_eq!(applied.group.unwrap().as_str(), "eu");
    rig.kv.delete("eu.web", None).await.unwrap();
    let applied = events.until(CheckEventKind::CheckApplied, "web").await;
    assert_eq!(applied.group.unwrap().as_str(), "all");
    // What a group lacked comes, and it comes into force with it.
    rig.put("eu.nowhere", rig.check("nowhere")).await;
    events.until(CheckEventKind::CheckApplied, "g").await;

    let logged = bastion.logged("a check is refused");
    assert!(logged.len() >= 6, "{logged:?}");
    assert!(logged.iter().all(|line| line["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{logged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_check_rests_and_a_group_leaves_it_out() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    let paused = rig.check("a").replace(r#""id""#, r#""paused": true, "id""#);
    rig.put("site.a", paused).await;
    rig.put("site.b", rig.check("b").replace("\"1s\"", "\"1h\"")).await;
    let group = r#"{"id": "g", "group": {"checks": ["a", "b"]}, "interval": "1s", "verdict": {"quorum": 2}}"#;
    rig.put("site.g", group).await;
    events.until(CheckEventKind::CheckApplied, "g").await;
    let observer = Observer::start(&rig.server.url()).await;
    until("the group runs", SOON, || {
        (observer.results().iter().filter(|result| result.check.as_str() == "b").count() > 2).then_some(())
    })
    .await;
    assert!(observer.results().iter().all(|result| result.check.as_str() != "a"), "it is paused");
    // With the other one paused as well nothing of the group is left.
    rig.put("site.b", rig.check("b").replace(r#""id""#, r#""paused": true, "id""#)).await;
    events.until(CheckEventKind::CheckApplied, "b").await;
    rig.put("site.c", rig.check("c")).await;
    events.until(CheckEventKind::CheckApplied, "c").await;
    observer.catch_up().await;
    let of_b = observer.results().iter().filter(|result| result.check.as_str() == "b").count();
    until("another check runs", SOON, || {
        (observer.results().iter().filter(|result| result.check.as_str() == "c").count() > 2).then_some(())
    })
    .await;
    let results = observer.results();
    let runs = |id: &str| results.iter().filter(|result| result.check.as_str() == id).count();
    assert!(runs("a") == 0 && runs("b") <= of_b + 1 && runs("g") == 0, "{results:?}");
    drop(bastion);
}

/// Writes the next number into a check's interval, as often as it is told, whoever else does so.
async fn count_up(rig: &Rig, times: usize) {
    let mut written = 0;
    while written < times {
        let entry = rig.kv.get("site.count").await.unwrap().unwrap();
        let document: CheckDocument = serde_json::from_slice(&entry.value.unwrap()).unwrap();
        let seconds = document.interval.unwrap().get().as_secs();
        let next = rig.check_every("count", &format!("{}s", seconds + 1));
        match rig.kv.put("site.count", next.into(), Some(entry.revision)).await {
            Ok(_) => written += 1,
            Err(KvError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_control_planes_that_race_lose_no_change_of_each_other() {
    let rig = Rig::start().await;
    let mut events: Events = rig.events().await;
    let bastion = rig.bastion("", &[]).await;
    rig.put("site.count", rig.check_every("count", "100s")).await;
    tokio::join!(count_up(&rig, 40), count_up(&rig, 40));
    let last = rig.kv.get("site.count").await.unwrap().unwrap();
    let document: CheckDocument = serde_json::from_slice(&last.value.unwrap()).unwrap();
    assert_eq!(document.interval.unwrap().get().as_secs(), 180);
    // The bastion ends with the last of them.
    while events.until(CheckEventKind::CheckApplied, "count").await.revision != Some(last.revision) {}
    drop(bastion);
}
