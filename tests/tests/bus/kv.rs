//! What a bucket must do, over NATS and in process, and what can happen to one over NATS alone.

use std::time::Duration;

use bytes::Bytes;
use watchpost_bus::{
    Bus, BusError, KvEntry, KvError, KvLimits, KvUpdate, KvWatch, NatsBus, NatsCredentials, NatsOptions, Outgoing,
    request,
};
use watchpost_tests::nats_server::NatsServer;

use crate::rig::{PATIENCE, Rig, bounded, eventually};

pub const LIMITS: KvLimits = KvLimits { bytes_max: 4 << 20, value_bytes_max: 4096, history: 1 };

/// One update after the other, as text: `key@revision=value`, `key@revision gone`, `current`.
async fn next(watch: &mut KvWatch) -> String {
    match tokio::time::timeout(PATIENCE, watch.next()).await.expect("an update in time").expect("an update").unwrap() {
        KvUpdate::Current => "current".to_owned(),
        KvUpdate::Entry(KvEntry { key, revision, value: Some(value) }) => {
            format!("{key}@{revision}={}", String::from_utf8_lossy(&value))
        }
        KvUpdate::Entry(KvEntry { key, revision, value: None }) => format!("{key}@{revision} gone"),
    }
}

async fn failure(watch: &mut KvWatch) -> KvError {
    loop {
        let next = tokio::time::timeout(PATIENCE * 2, watch.next()).await.expect("an end in time");
        match next.expect("an error before the end") {
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn all() -> Vec<String> {
    vec![">".to_owned()]
}

pub async fn contract_kv_a_missing_bucket_is_told(rig: Rig) {
    let kv = rig.bus.key_value("NONE");
    let is_missing = |error: KvError| matches!(error, KvError::NoBucket { bucket } if bucket == "NONE");
    assert!(is_missing(kv.identity().await.unwrap_err()));
    assert!(is_missing(kv.get("a.b").await.unwrap_err()));
    assert!(is_missing(kv.put("a.b", Bytes::new(), None).await.unwrap_err()));
    assert!(is_missing(kv.delete("a.b", None).await.unwrap_err()));
    assert!(is_missing(kv.watch(&all()).await.unwrap_err()));
    let made = kv.ensure(LIMITS).await.unwrap();
    assert_eq!((made.revision, kv.identity().await.unwrap()), (0, made));
    kv.put("a.b", "x".into(), None).await.unwrap();
    // Made once, it stays as it is.
    assert_eq!(kv.ensure(KvLimits { history: 5, ..LIMITS }).await.unwrap().created_us, made.created_us);
    assert_eq!(rig.other.key_value("NONE").identity().await.unwrap().revision, 1);
}

pub async fn contract_kv_revisions_count_up_and_guard_against_others(rig: Rig) {
    let (kv, other) = (rig.bus.key_value("B"), rig.other.key_value("B"));
    kv.ensure(LIMITS).await.unwrap();
    assert_eq!(kv.get("g.a").await.unwrap(), None);
    assert_eq!(kv.put("g.a", "1".into(), Some(0)).await.unwrap(), 1);
    let conflict = |error: KvError| matches!(error, KvError::Conflict { key, .. } if key == "g.a");
    assert!(conflict(other.put("g.a", "2".into(), Some(0)).await.unwrap_err()));
    assert!(conflict(other.delete("g.a", Some(7)).await.unwrap_err()));
    assert_eq!(other.put("g.b", "2".into(), None).await.unwrap(), 2);
    assert_eq!(other.put("g.a", "3".into(), Some(1)).await.unwrap(), 3);
    assert!(conflict(kv.put("g.a", "4".into(), Some(1)).await.unwrap_err()));
    let entry = |revision, value: Option<&'static str>| {
        Some(KvEntry { key: "g.a".to_owned(), revision, value: value.map(Bytes::from) })
    };
    assert_eq!(kv.get("g.a").await.unwrap(), entry(3, Some("3")));
    assert_eq!(kv.delete("g.a", Some(3)).await.unwrap(), 4);
    assert_eq!(other.get("g.a").await.unwrap(), entry(4, None));
    // What is deleted counts as nothing, and its deletion as a revision.
    assert_eq!(kv.put("g.a", "5".into(), Some(0)).await.unwrap(), 5);
    assert_eq!(kv.delete("g.a", None).await.unwrap(), 6);
    assert_eq!(kv.put("g.a", "".into(), Some(6)).await.unwrap(), 7);
    assert_eq!(kv.get("g.a").await.unwrap(), entry(7, Some("")));
    // A key that was never there can be deleted.
    assert_eq!(kv.delete("g.never", None).await.unwrap(), 8);
    assert_eq!(kv.delete("g.never", Some(0)).await.unwrap(), 9);
    assert_eq!(kv.identity().await.unwrap().revision, 9);
}

pub async fn contract_kv_a_watch_yields_what_is_there_then_every_change(rig: Rig) {
    let (kv, other) = (rig.bus.key_value("B"), rig.other.key_value("B"));
    kv.ensure(LIMITS).await.unwrap();
    let mut empty = kv.watch(&all()).await.unwrap();
    assert_eq!(next(&mut empty).await, "current");
    for (key, value) in [("g.a", "1"), ("h.a", "2"), ("g.b", "3"), ("g.a", "4")] {
        other.put(key, value.into(), None).await.unwrap();
    }
    other.delete("g.b", None).await.unwrap();
    let mut filtered = kv.watch(&["g.*".to_owned(), "i.*".to_owned()]).await.unwrap();
    for expected in ["g.a@4=4", "g.b@5 gone", "current"] {
        assert_eq!(next(&mut filtered).await, expected);
    }
    let mut one = kv.watch(&["h.*".to_owned()]).await.unwrap();
    assert_eq!([next(&mut one).await, next(&mut one).await], ["h.a@2=2", "current"]);
    for (key, value) in [("h.b", "6"), ("g.c", "7"), ("i.a", "8")] {
        other.put(key, value.into(), None).await.unwrap();
    }
    assert_eq!([next(&mut filtered).await, next(&mut filtered).await], ["g.c@7=7", "i.a@8=8"]);
    assert_eq!(next(&mut one).await, "h.b@6=6");
    // It sees the last revision of each key, whichever of those before it it has seen.
    let mut seen = String::new();
    while seen != "i.a@8=8" {
        seen = next(&mut empty).await;
    }
    // None of it is there for a filter that takes nothing in.
    let mut nothing = kv.watch(&["nowhere.*".to_owned()]).await.unwrap();
    assert_eq!(next(&mut nothing).await, "current");
}

pub async fn contract_kv_a_watch_of_many_keys_misses_none(rig: Rig) {
    const KEYS: usize = 3_000;
    let kv = rig.bus.key_value("B");
    kv.ensure(LIMITS).await.unwrap();
    let writer = async {
        for n in 0..KEYS {
            kv.put(&format!("g.k{n}"), n.to_string().into(), None).await.unwrap();
        }
    };
    let watcher = async {
        let mut watch = kv.watch(&all()).await.unwrap();
        let (mut keys, mut last) = (std::collections::BTreeSet::new(), 0);
        while keys.len() < KEYS {
            let next = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
            if let KvUpdate::Entry(entry) = next {
                assert!(entry.revision > last, "in the order of their revisions");
                last = entry.revision;
                keys.insert(entry.key);
            }
        }
    };
    tokio::join!(writer, watcher);
    let mut again = kv.watch(&all()).await.unwrap();
    for n in 0..KEYS {
        assert_eq!(next(&mut again).await, format!("g.k{n}@{}={n}", n + 1));
    }
    assert_eq!(next(&mut again).await, "current");
}

pub async fn contract_kv_what_is_too_large_or_misnamed_is_refused(rig: Rig) {
    let kv = rig.bus.key_value("B");
    kv.ensure(LIMITS).await.unwrap();
    let large = Bytes::from(vec![b'x'; 4096]);
    kv.put("g.a", large, None).await.unwrap();
    let error = kv.put("g.a", vec![b'x'; 8192].into(), None).await.unwrap_err();
    assert!(matches!(&error, KvError::Full { key, .. } if key == "g.a"), "{error}");
    if rig.server.is_some() {
        let error = kv.put("g.a", vec![b'x'; 2 << 20].into(), None).await.unwrap_err();
        assert!(matches!(error, KvError::Bus(BusError::TooLarge { .. })), "{error}");
    }
    for wrong in ["", ".", "a.", "a..b", "a b", "a.*", ">", "ä", &"x".repeat(300)] {
        assert!(matches!(kv.get(wrong).await.unwrap_err(), KvError::Key { .. }), "{wrong}");
        assert!(matches!(kv.put(wrong, Bytes::new(), None).await.unwrap_err(), KvError::Key { .. }), "{wrong}");
    }
    assert!(matches!(kv.watch(&["a.>.b".to_owned()]).await.unwrap_err(), KvError::Key { .. }));
    for wrong in ["", "a.b", "a b", "*"] {
        let error = rig.bus.key_value(wrong).ensure(LIMITS).await.unwrap_err();
        assert!(matches!(error, KvError::Name { .. }), "{wrong}: {error}");
    }
    let small = rig.bus.key_value("SMALL");
    small.ensure(KvLimits { bytes_max: 8192, ..LIMITS }).await.unwrap();
    let mut written = 0;
    let error = loop {
        match small.put(&format!("g.k{written}"), vec![b'x'; 3000].into(), None).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, KvError::Full { .. }) && written <= 2, "{written} {error}");
}

pub async fn contract_kv_a_closed_bus_has_no_buckets(rig: Rig) {
    let kv = rig.bus.key_value("B");
    kv.ensure(LIMITS).await.unwrap();
    rig.bus.drain(PATIENCE).await.unwrap();
    assert!(matches!(kv.get("a.b").await.unwrap_err(), KvError::Bus(BusError::Closed)));
}

async fn connected(server: &NatsServer) -> NatsBus {
    NatsBus::connect(NatsOptions::new([server.url()])).await.unwrap()
}

fn jetstream() -> NatsServer {
    NatsServer::start_with(&["-js", "-sd", "jetstream"])
}

/// Asks JetStream something that no bastion does.
async fn administer(bus: &dyn Bus, what: &str, question: &str) {
    let answer = request(bus, Outgoing::new(format!("$JS.API.{what}"), question.to_owned()), PATIENCE).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer.get("error").is_none(), "{what}: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_jetstream_has_no_buckets() {
    bounded(async {
        let server = NatsServer::start();
        let bus = connected(&server).await;
        let kv = bus.key_value("B");
        assert!(matches!(kv.identity().await.unwrap_err(), KvError::Unsupported));
        assert!(matches!(kv.ensure(LIMITS).await.unwrap_err(), KvError::Unsupported));
        assert!(matches!(kv.put("a.b", Bytes::new(), None).await.unwrap_err(), KvError::Unsupported));
        assert!(matches!(kv.watch(&all()).await.unwrap_err(), KvError::Unsupported));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_is_a_deletion_and_a_bucket_that_is_deleted_ends_its_watches() {
    bounded(async {
        let server = jetstream();
        let bus = connected(&server).await;
        let kv = bus.key_value("B");
        kv.ensure(LIMITS).await.unwrap();
        let mut watch = kv.watch(&all()).await.unwrap();
        assert_eq!(next(&mut watch).await, "current");
        kv.put("g.a", "1".into(), None).await.unwrap();
        assert_eq!(next(&mut watch).await, "g.a@1=1");
        // As clients purge a key: its history goes, and a mark stays.
        let headers = watchpost_bus::Headers::new().with("KV-Operation", "PURGE").with("Nats-Rollup", "sub");
        let purge = Outgoing::new("$KV.B.g.a", "").headers(headers);
        request(&bus, purge, PATIENCE).await.unwrap();
        assert_eq!(next(&mut watch).await, "g.a@2 gone");
        assert_eq!(kv.get("g.a").await.unwrap().unwrap().value, None);
        administer(&bus, "STREAM.DELETE.KV_B", "").await;
        assert!(matches!(failure(&mut watch).await, KvError::Failed { .. }));
        assert!(matches!(kv.watch(&all()).await.unwrap_err(), KvError::NoBucket { .. }));
        // A stream that was emptied keeps neither keys nor deletions.
        let made = kv.ensure(LIMITS).await.unwrap();
        kv.put("g.a", "1".into(), None).await.unwrap();
        administer(&bus, "STREAM.PURGE.KV_B", "").await;
        assert_eq!(kv.get("g.a").await.unwrap(), None);
        assert_eq!(kv.identity().await.unwrap().created_us, made.created_us);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_ends_watches_and_what_it_kept_is_there_again() {
    bounded(async {
        let mut server = jetstream();
        let bus = connected(&server).await;
        let kv = bus.key_value("B");
        let made = kv.ensure(LIMITS).await.unwrap();
        kv.put("g.a", "1".into(), None).await.unwrap();
        let mut watch = kv.watch(&all()).await.unwrap();
        assert_eq!([next(&mut watch).await, next(&mut watch).await], ["g.a@1=1", "current"]);
        server.restart_on_same_port();
        assert!(matches!(failure(&mut watch).await, KvError::Bus(BusError::Unavailable { .. })));
        eventually("the bucket is there again", async || kv.identity().await.is_ok()).await;
        assert_eq!(kv.identity().await.unwrap().created_us, made.created_us);
        let mut watch = kv.watch(&all()).await.unwrap();
        assert_eq!([next(&mut watch).await, next(&mut watch).await], ["g.a@1=1", "current"]);
        assert_eq!(kv.put("g.a", "2".into(), Some(1)).await.unwrap(), 2);
        assert_eq!(next(&mut watch).await, "g.a@2=2");

        // And without what it kept.
        server.stop();
        std::fs::remove_dir_all(server.folder().join("jetstream")).unwrap();
        server.restart_on_same_port();
        assert!(matches!(failure(&mut watch).await, KvError::Bus(BusError::Unavailable { .. })));
        eventually("the bucket is missed", async || matches!(kv.identity().await, Err(KvError::NoBucket { .. }))).await;
        let again = kv.ensure(LIMITS).await.unwrap();
        assert!(again.created_us > made.created_us && again.revision == 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_permit_is_told_at_once() {
    const CONFIG: &str = r#"
        jetstream: {store_dir: "jetstream"}
        authorization: {users: [
            {user: admin, password: a}
            {user: bastion, password: b, permissions: {
                publish: ["_INBOX.>", "$JS.API.STREAM.INFO.KV_B", "$JS.API.STREAM.MSG.GET.KV_B", "$KV.B.own.>",
                          "$JS.API.CONSUMER.CREATE.KV_B.*.$KV.B.own.>", "$JS.FC.>"]
                subscribe: ["_INBOX.>"]
            }}
        ]}
    "#;
    bounded(async {
        let server = NatsServer::start_with_config(CONFIG, &[]);
        let connect = async |user: &str, password: &str| {
            let mut options = NatsOptions::new([server.url()]);
            options.credentials =
                Some(NatsCredentials::UserPassword { user: user.to_owned(), password: password.into() });
            NatsBus::connect(options).await.unwrap()
        };
        let (admin, bastion) = (connect("admin", "a").await, connect("bastion", "b").await);
        admin.key_value("B").ensure(LIMITS).await.unwrap();
        let kv = bastion.key_value("B");
        let begun = std::time::Instant::now();
        let forbidden = |error: KvError| matches!(error, KvError::Forbidden { .. });
        kv.put("own.a", "1".into(), None).await.unwrap();
        assert!(forbidden(kv.put("other.a", "1".into(), None).await.unwrap_err()));
        assert!(forbidden(kv.delete("other.a", None).await.unwrap_err()));
        let mut watch = kv.watch(&["own.*".to_owned()]).await.unwrap();
        assert_eq!([next(&mut watch).await, next(&mut watch).await], ["own.a@1=1", "current"]);
        let error = kv.watch(&["other.*".to_owned()]).await.unwrap_err();
        assert!(error.to_string().contains("permissions of our user"), "{error}");
        assert!(forbidden(bastion.key_value("C").identity().await.unwrap_err()));
        assert!(forbidden(bastion.key_value("B2").ensure(LIMITS).await.unwrap_err()));
        // None of these waited for an answer that never comes.
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_in_the_background_subscribes_with_its_first_connection() {
    bounded(async {
        let mut server = jetstream();
        let (url, patience) = (server.url(), PATIENCE);
        server.stop();
        let bus = NatsBus::connect_in_background(NatsOptions::new([url])).unwrap();
        assert!(!bus.is_connected());
        let mut early = bus.subscribe("early.>", None).await.unwrap();
        let unavailable = |error: BusError| matches!(error, BusError::Unavailable { .. });
        assert!(unavailable(bus.publish(Outgoing::new("early.a", "lost")).await.unwrap_err()));
        let kv = bus.key_value("B");
        assert!(matches!(kv.identity().await.unwrap_err(), KvError::Bus(BusError::Unavailable { .. })));
        server.restart_on_same_port();
        eventually("it connects", async || bus.is_connected()).await;
        assert_eq!(bus.stats().reconnects, 0);
        let other = connected(&server).await;
        eventually("the subscription is in force", async || {
            other.publish(Outgoing::new("early.b", "x").reply_to(other.new_inbox())).await.unwrap();
            tokio::time::timeout(Duration::from_millis(50), early.next()).await.is_ok()
        })
        .await;
        assert!(kv.ensure(LIMITS).await.is_ok());
        drop(server);
        eventually("the connection is lost", async || !bus.is_connected()).await;
        // From now on it is a bus like any other.
        assert!(unavailable(bus.subscribe("late", None).await.unwrap_err()));
        bus.drain(patience).await.ok();
        assert!(tokio::time::timeout(patience, async { while early.next().await.is_some() {} }).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_bus_in_the_background_can_be_dropped_before_it_connects() {
    bounded(async {
        let mut server = jetstream();
        let url = server.url();
        server.stop();
        let bus = NatsBus::connect_in_background(NatsOptions::new([url])).unwrap();
        let mut waiting = bus.subscribe("a", None).await.unwrap();
        drop(bus);
        assert!(waiting.next().await.is_none());
        assert!(matches!(
            NatsBus::connect_in_background(NatsOptions::new(["http://x"])),
            Err(BusError::Settings { .. })
        ));
    })
    .await;
}
