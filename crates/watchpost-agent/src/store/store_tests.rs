//! A store over a bus of its own process, whose bucket can be taken away and put back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use watchpost_audit::AuditLog;
use watchpost_bus::{
    BoxFuture, Bus, BusError, BusStats, InProcessBus, KeyValue, KvEntry, KvError, KvIdentity, KvLimits, KvUpdate,
    KvWatch, Outgoing, Subscription,
};
use watchpost_model::{
    CheckDocument, CheckEvent, CheckEventKind, CheckId, CheckStored, DeleteCheck, ErrorCode, ErrorReply, Format,
    GetCheck, ListChecks, PauseCheck, PutCheck, Standing, StoreReport, V1, decode,
};
use watchpost_policy::Guard;
use watchpost_probe::{ProbeSet, Resolver, TargetFinder};

use super::*;
use crate::checker::Change;
use crate::{Agent, Deps, Roles, SystemClock, run_system};

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: KvLimits = KvLimits { bytes_max: 64 << 20, value_bytes_max: 1 << 20, history: 1 };
const BUCKET: &str = "CHECKS";

/// A bus whose buckets are those of another bus, which can be exchanged: then every watch ends.
struct Exchanged {
    bus: InProcessBus,
    behind: Arc<Behind>,
}

struct Behind {
    present: Mutex<Arc<InProcessBus>>,
    exchanges: watch::Sender<u64>,
}

impl Exchanged {
    fn exchange(&self, next: InProcessBus) -> Arc<InProcessBus> {
        let before = std::mem::replace(&mut *self.behind.present.lock(), Arc::new(next));
        self.behind.exchanges.send_modify(|n| *n += 1);
        before
    }

    fn put_back(&self, before: Arc<InProcessBus>) {
        *self.behind.present.lock() = before;
        self.behind.exchanges.send_modify(|n| *n += 1);
    }
}

impl Bus for Exchanged {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.publish(message)
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        self.bus.subscribe(filter, queue)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.flush(limit)
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.drain(limit)
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue> {
        Arc::new(Bucket { behind: Arc::clone(&self.behind), bucket: bucket.to_owned() })
    }

    fn new_inbox(&self) -> String {
        self.bus.new_inbox()
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    fn stats(&self) -> BusStats {
        self.bus.stats()
    }
}

struct Bucket {
    behind: Arc<Behind>,
    bucket: String,
}

impl Bucket {
    fn present(&self) -> Arc<dyn KeyValue> {
        self.behind.present.lock().key_value(&self.bucket)
    }
}

impl KeyValue for Bucket {
    fn ensure(&self, limits: KvLimits) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(async move { self.present().ensure(limits).await })
    }

    fn identity(&self) -> BoxFuture<'_, Result<KvIdentity, KvError>> {
        Box::pin(async move { self.present().identity().await })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(async move { self.present().get(key).await })
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move { self.present().put(key, value, expected).await })
    }

    fn delete<'a>(&'a self, key: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<u64, KvError>> {
        Box::pin(async move { self.present().delete(key, expected).await })
    }

    fn watch<'a>(&'a self, filters: &'a [String]) -> BoxFuture<'a, Result<KvWatch, KvError>> {
        Box::pin(async move {
            let exchanges = self.behind.exchanges.subscribe();
            let inner = self.present().watch(filters).await?;
            Ok(KvWatch::new(futures_util::stream::unfold(inner, move |mut inner| {
                let mut exchanges = exchanges.clone();
                async move {
                    let next: Result<KvUpdate, KvError> = tokio::select! {
                        next = inner.next() => next?,
                        _ = exchanges.changed() => Err(BusError::Unavailable { at: "test".to_owned() }.into()),
                    };
                    Some((next, inner))
                }
            })))
        })
    }
}

struct Rig {
    agent: Agent,
    bus: Arc<Exchanged>,
}

impl Rig {
    async fn start(store: StoreSettings) -> Self {
        let behind = Arc::new(Behind { present: Mutex::new(Arc::default()), exchanges: watch::Sender::new(0) });
        let bus = Arc::new(Exchanged { bus: InProcessBus::new(), behind });
        Self::start_on(bus, store).await
    }

    async fn start_on(bus: Arc<Exchanged>, store: StoreSettings) -> Self {
        let mut settings = AgentSettings::new("site".parse().unwrap(), "r".parse().unwrap());
        settings.store = Some(store);
        let deps = Deps {
            bus: Arc::clone(&bus) as SharedBus,
            clock: Arc::new(SystemClock::default()),
            resolver: Resolver::system(),
            finder: TargetFinder::standard(&Resolver::system()),
            probes: ProbeSet::default(),
            audit: AuditLog::off(),
            guard: Guard::local(),
        };
        Self { agent: Agent::start(settings, Roles::Checker, deps).await.unwrap(), bus }
    }

    /// With a bucket, and in the group `eu`.
    async fn following(file: Vec<Check>) -> Self {
        let rig = Self::start(settings(file)).await;
        rig.kv().ensure(LIMITS).await.unwrap();
        rig.until("the store is followed", |report| report.state == StoreState::Following).await;
        rig
    }

    fn store(&self) -> &StoreHandle {
        self.agent.store().unwrap()
    }

    fn kv(&self) -> Arc<dyn KeyValue> {
        self.bus.key_value(BUCKET)
    }

    async fn until(&self, what: &str, holds: impl Fn(&StoreReport) -> bool) -> StoreReport {
        let begun = Instant::now();
        loop {
            let report = self.store().report().await;
            if holds(&report) {
                return report;
            }
            assert!(begun.elapsed() < PATIENCE, "never: {what}; it is {report:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn in_force(&self) -> usize {
        self.agent.checker().unwrap().status().await.unwrap().checks
    }

    async fn put(&self, id: &str, expected_revision: Option<u64>) -> Result<CheckStored, ErrorReply> {
        self.store().put(put(id, "a:1", expected_revision)).await
    }
}

fn settings(file: Vec<Check>) -> StoreSettings {
    let groups = vec!["eu".parse().unwrap()];
    StoreSettings { file, bucket: Some(BUCKET.to_owned()), groups, state_dir: None }
}

fn text(id: &str) -> String {
    format!(r#"{{"id": "{id}", "tcp": {{"address": "127.0.0.1:9"}}, "interval": "1h"}}"#)
}

fn check(id: &str) -> Check {
    serde_json::from_str(&text(id)).unwrap()
}

fn id(id: &str) -> CheckId {
    id.parse().unwrap()
}

fn put(id: &str, address: &str, expected_revision: Option<u64>) -> PutCheck {
    let text = format!(r#"{{"id": "{id}", "tcp": {{"address": "{address}"}}, "interval": "1h"}}"#);
    let check: CheckDocument = serde_json::from_str(&text).unwrap();
    PutCheck { v: V1, request: None, check: Box::new(check), group: None, expected_revision, dry_run: false }
}

fn delete(check: &str, expected_revision: Option<u64>) -> DeleteCheck {
    DeleteCheck { v: V1, request: None, check: id(check), group: None, expected_revision }
}

fn pause(check: &str) -> PauseCheck {
    PauseCheck { v: V1, request: None, check: id(check), group: None, expected_revision: None }
}

fn code<T: std::fmt::Debug>(reply: Result<T, ErrorReply>) -> ErrorCode {
    reply.unwrap_err().code
}

#[test]
fn a_check_that_is_put_runs_when_the_answer_comes_and_who_listens_is_told() {
    run_system(async {
        let rig = Rig::following(vec![]).await;
        let mut events = rig.bus.subscribe("watchpost.site.event.*", None).await.unwrap();
        let stored = rig.put("web", None).await.unwrap();
        let report = stored.report.unwrap();
        assert_eq!((report.standing, report.revision), (Standing::Running, Some(stored.revision)));
        assert_eq!(rig.in_force().await, 1);
        let message = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        let event: CheckEvent = decode(&message.payload, Format::MsgPack).unwrap();
        assert_eq!((event.kind, event.revision), (CheckEventKind::CheckApplied, Some(stored.revision)));
        assert_eq!(event.config_generation, stored.config_generation);

        assert_eq!(code(rig.put("web", Some(0)).await), ErrorCode::Conflict);
        assert_eq!(code(rig.put("web", Some(stored.revision + 1)).await), ErrorCode::Conflict);
        let dry = PutCheck { dry_run: true, ..put("web", "b:1", Some(stored.revision)) };
        assert_eq!(rig.store().put(dry).await.unwrap().revision, stored.revision);
        let dry = PutCheck { dry_run: true, ..put("web", "b:1", Some(0)) };
        assert_eq!(code(rig.store().put(dry).await), ErrorCode::Conflict);
        let next = rig.store().put(put("web", "b:1", Some(stored.revision))).await.unwrap();
        assert!(next.revision > stored.revision && next.config_generation > stored.config_generation);

        let gone = rig.store().delete(delete("web", Some(next.revision))).await.unwrap();
        assert!(gone.report.is_none());
        assert_eq!(rig.in_force().await, 0);
        assert_eq!(code(rig.store().get(GetCheck { v: V1, check: id("web") }).await), ErrorCode::UnknownCheck);
    })
    .unwrap();
}

#[test]
fn what_others_write_into_the_bucket_comes_into_force_and_what_is_wrong_is_refused_alone() {
    run_system(async {
        let rig = Rig::following(vec![check("own")]).await;
        let kv = rig.kv();
        for (key, value) in [
            ("eu.web", text("web")),
            ("site.broken", "{".to_owned()),
            ("site.own", text("own")),
            ("site.other-name", text("web")),
            ("elsewhere.db", text("db")),
            ("eu.not-a.key", text("db")),
        ] {
            kv.put(key, value.into(), None).await.unwrap();
        }
        let report = rig.until("it is judged", |report| report.running + report.refused == 4).await;
        assert_eq!((report.running, report.refused), (1, 3));
        let list = rig.store().list(ListChecks::default()).await.unwrap();
        let standing = list.checks.iter().map(|report| (report.check.as_str(), report.standing));
        assert_eq!(
            standing.collect::<Vec<_>>(),
            [
                ("broken", Standing::Refused),
                ("other-name", Standing::Refused),
                ("own", Standing::Running),
                ("own", Standing::Refused),
                ("web", Standing::Running)
            ]
        );
        let pages = [(None, 2), (Some("other-name"), 2), (Some("own"), 1)];
        for (after, count) in pages {
            let list = ListChecks { after: after.map(id), limit: Some(2), ..ListChecks::default() };
            assert_eq!(rig.store().list(list).await.unwrap().checks.len(), count, "after {after:?}");
        }
        assert_eq!(rig.store().document(&id("web")).await.unwrap().id(), &id("web"));
        // What is the file's is not changed over the bus.
        assert_eq!(code(rig.put("own", None).await), ErrorCode::ReadOnly);
        assert_eq!(code(rig.store().pause(pause("nowhere"), true).await), ErrorCode::UnknownCheck);
        // What would not run is not written.
        let mut group = put("g", "a:1", None);
        *group.check = serde_json::from_str(r#"{"id": "g", "group": {"checks": ["nowhere"]}}"#).unwrap();
        assert_eq!(code(rig.store().put(group).await), ErrorCode::Refused);
        assert!(kv.get("site.g").await.unwrap().is_none());
    })
    .unwrap();
}

#[test]
fn pausing_is_written_and_takes_the_timer_away() {
    run_system(async {
        let rig = Rig::following(vec![]).await;
        let first = rig.put("web", None).await.unwrap();
        let paused = rig.store().pause(pause("web"), true).await.unwrap();
        assert_eq!(paused.report.unwrap().standing, Standing::Paused);
        let again = rig.store().pause(pause("web"), true).await.unwrap();
        assert_eq!((again.revision, first.revision < paused.revision), (paused.revision, true));
        let shown = rig.store().get(GetCheck { v: V1, check: id("web") }).await.unwrap();
        assert!(shown.document.unwrap().paused);
        let wrong = PauseCheck { expected_revision: Some(first.revision), ..pause("web") };
        assert_eq!(code(rig.store().pause(wrong, false).await), ErrorCode::Conflict);
        let resumed = rig.store().pause(pause("web"), false).await.unwrap();
        assert_eq!(resumed.report.unwrap().standing, Standing::Running);
    })
    .unwrap();
}

#[test]
fn a_bucket_that_is_gone_or_made_anew_takes_no_check_with_it() {
    run_system(async {
        let rig = Rig::following(vec![]).await;
        for name in ["a", "b", "c"] {
            rig.put(name, None).await.unwrap();
        }
        let revision = rig.store().report().await.revision;
        let before = rig.bus.exchange(InProcessBus::new());
        let report = rig.until("it is told", |report| report.state == StoreState::NoBucket).await;
        assert!(report.message.unwrap().contains("no bucket"), "it says why");
        assert_eq!((report.orphaned, report.running, rig.in_force().await), (3, 3, 3));
        assert_eq!(code(rig.put("d", None).await), ErrorCode::Unavailable);

        rig.kv().ensure(LIMITS).await.unwrap();
        let report = rig.until("the new bucket is seen", |report| report.state == StoreState::Lost).await;
        assert_eq!((report.orphaned, report.running, rig.in_force().await), (3, 3, 3));
        // One is put again by its last revision, one deleted, one paused, which puts it back.
        let known = rig.store().get(GetCheck { v: V1, check: id("a") }).await.unwrap().report.revision;
        assert_eq!(code(rig.put("a", known.map(|known| known + 1)).await), ErrorCode::Conflict);
        rig.put("a", known).await.unwrap();
        let gone = rig.store().delete(delete("b", None)).await.unwrap();
        assert!(gone.report.is_none());
        let paused = rig.store().pause(pause("c"), true).await.unwrap();
        assert_eq!(paused.report.unwrap().standing, Standing::Paused);
        assert_eq!(rig.in_force().await, 2);

        // The old one comes back, which knows of no deletion.
        rig.bus.put_back(before);
        rig.until("the old one is read", |report| report.state == StoreState::Following && report.running == 3).await;
        assert_eq!(rig.store().report().await.revision, revision);
        assert_eq!(rig.in_force().await, 3);
    })
    .unwrap();
}

#[test]
fn a_restart_without_the_bucket_runs_what_was_there_and_counts_on() {
    run_system(async {
        let folder = std::env::temp_dir().join(format!("watchpost-store-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        let kept = || StoreSettings { state_dir: Some(folder.clone()), ..settings(vec![check("own")]) };
        let bastion = "site".parse().unwrap();
        let rig = Rig::start(kept()).await;
        rig.kv().ensure(LIMITS).await.unwrap();
        rig.until("the store is followed", |report| report.state == StoreState::Following).await;
        rig.put("a", None).await.unwrap();
        let stored = rig.put("b", None).await.unwrap();
        rig.kv().put("site.b", "{".into(), None).await.unwrap();
        rig.until("it is refused", |report| report.refused == 1).await;
        assert!(rig.agent.stop(Duration::from_secs(5)).await.is_clean());
        assert_eq!(stored_checks(&folder, &bastion), 2);
        drop(rig);

        let rig = Rig::start(kept()).await;
        assert_eq!(rig.in_force().await, 3, "before any bus was asked");
        let status = rig.agent.checker().unwrap().status().await.unwrap();
        assert!(status.config_generation > stored.config_generation, "{status:?} {stored:?}");
        rig.until("the bucket is missed", |report| report.state == StoreState::NoBucket && report.orphaned == 2).await;
        // What was refused is gone with it, and what ran in its place is what there is.
        let shown = rig.store().get(GetCheck { v: V1, check: id("b") }).await.unwrap();
        assert_eq!((shown.report.standing, shown.report.revision), (Standing::Orphaned, Some(stored.revision)));
        assert_eq!(rig.in_force().await, 3);
        assert!(rig.agent.stop(Duration::from_secs(5)).await.is_clean());
        drop(rig);

        // A file that cannot be used is put aside and told, and keeps nothing from beginning.
        let file = folder.join("site.checks");
        std::fs::write(&file, "watchpost checks 1\nhalf of it").unwrap();
        assert_eq!(stored_checks(&folder, &bastion), 0);
        let rig = Rig::start(kept()).await;
        assert_eq!(rig.in_force().await, 1);
        assert!(folder.join("site.checks.damaged").exists());
        drop(rig);
        std::fs::remove_dir_all(&folder).ok();
    })
    .unwrap();
}

#[test]
fn one_change_costs_the_checker_the_same_among_ten_thousand_checks_as_among_ten() {
    run_system(async {
        let mut took = Vec::new();
        for count in [10, 10_000] {
            let rig = Rig::start(StoreSettings::default()).await;
            let set = (0..count).map(|n| Arc::new(check(&format!("c{n}")))).collect();
            let checker = rig.agent.checker().unwrap();
            checker.change(Change { set, ..Change::default() }).await.unwrap();
            let mut times = Vec::new();
            for n in 0..100 {
                let set =
                    vec![Arc::new(serde_json::from_str(&text("c7").replace(":9", &format!(":{}", n + 10))).unwrap())];
                let begun = Instant::now();
                let changed = checker.change(Change { set, ..Change::default() }).await.unwrap();
                times.push(begun.elapsed());
                assert_eq!((changed.replaced, changed.unchanged), (1, count - 1));
            }
            times.sort();
            took.push(times[times.len() / 2]);
            eprintln!("one change among {count} checks: {:?}", times[times.len() / 2]);
        }
        // In proportion it would be a thousand times as much.
        assert!(took[1] < took[0] * 10 + Duration::from_millis(1), "{took:?}");
    })
    .unwrap();
}
