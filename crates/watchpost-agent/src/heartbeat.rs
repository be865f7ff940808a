//! Saying regularly that this process lives, and how it stands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use watchpost_audit::AuditStatus;
use watchpost_bus::{Headers, Outgoing};
use watchpost_model::{
    AuditReport, BusReport, CheckType, Format, Heartbeat, OutboxReport, Outcome, PolicyReport, PoolReport, ReasonCode,
    Role, StoreReport, StoreState, Subjects, V1, encode, header, shorten,
};
use watchpost_policy::Standing;

use crate::agent::Looked;
use crate::lag::LagReport;
use crate::{AgentStatus, PoolStatus};

/// How often (architecture.md, "Contract").
const EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether there is news, and so how often there may be a heartbeat.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is told at once when it changes.
#[derive(PartialEq, Eq)]
struct News {
    generation: Option<u64>,
    store: Option<StoreState>,
    draining: bool,
    targets: Vec<(CheckType, usize)>,
    /// Whether there are any checks.
    idles: bool,
    policy: Standing,
    /// Whether the audit log can be written, and whether anything is missing from it.
    audit: Option<(bool, bool)>,
}

/// Publishes a heartbeat at once and then regularly, and when there is news, until it is dropped or an actor is gone.
pub(crate) async fn beat(looked: Arc<Looked>) {
    let subject = Subjects::new(&looked.settings.prefix, &looked.settings.bastion).heartbeat();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut told, mut due) = (None, Instant::now());
    loop {
        looks.tick().await;
        let Ok(status) = looked.status().await else { return };
        let store = looked.store_report().await;
        let news = Some(News::of(&looked, &status, store.as_ref()));
        // At the look that is nearest to its time.
        let now = Instant::now();
        let is_due = now + LOOK_EVERY / 2 >= due;
        if !is_due && news == told {
            continue;
        }
        told = news;
        if is_due {
            // One that is late does not hurry those after it.
            due = now + EVERY;
        }
        let heartbeat = heartbeat_with(&looked, &status, store, looked.stats.lag.take());
        let headers = Headers::new().with(header::CONTENT_TYPE, Format::MsgPack.content_type());
        let message = Outgoing::new(subject.clone(), Bytes::from(encode(&heartbeat, Format::MsgPack))).headers(headers);
        // One that is late says nothing: the next one is fresher, so it is not tried again.
        if let Err(error) = looked.bus.publish(message).await {
            looked.stats.heartbeats_unsent.increment();
            looked.trouble("a heartbeat was not sent", &error);
            tracing::debug!(%error, "a heartbeat was not sent");
        }
    }
}

impl News {
    fn of(looked: &Looked, status: &AgentStatus, store: Option<&StoreReport>) -> Self {
        Self {
            generation: status.checker.map(|checker| checker.config_generation),
            store: store.map(|store| store.state),
            draining: looked.is_draining(),
            targets: status.pools.iter().flatten().map(|pool| (pool.check_type, pool.target)).collect(),
            idles: status.checker.is_some_and(|checker| checker.checks == 0),
            policy: looked.guard.standing(),
            audit: looked.audit.status().map(|audit| (audit.failing.is_some(), audit.dropped > 0)),
        }
    }
}

/// How this process stands now.
pub(crate) async fn heartbeat(looked: &Looked, status: &AgentStatus, lag: Option<LagReport>) -> Heartbeat {
    heartbeat_with(looked, status, looked.store_report().await, lag)
}

fn heartbeat_with(
    looked: &Looked,
    status: &AgentStatus,
    store: Option<StoreReport>,
    lag: Option<LagReport>,
) -> Heartbeat {
    let mut roles = Vec::new();
    roles.extend(status.checker.map(|_| Role::Checker));
    roles.extend(status.pools.as_ref().map(|_| Role::Runner));
    let counted = Outcome::ALL.into_iter().zip(status.counts.outcomes).filter(|(_, n)| *n > 0);
    let unsent = looked.runner().map_or(0, |runner| runner.open_and_unsent().1);
    let waiting = status.checker.map_or(0, |checker| checker.unpublished) + unsent;
    let groups = store.as_ref().map(|store| store.groups.clone()).unwrap_or_default();
    Heartbeat {
        v: V1,
        bastion: looked.settings.bastion.clone(),
        runner: status.pools.as_ref().map(|_| looked.settings.runner.clone()),
        instance: Some(looked.instance),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles,
        started_at: looked.started_at,
        sent_at: looked.clock.now(),
        uptime_s: looked.clock.tick().since(looked.started).as_secs(),
        groups,
        draining: looked.is_draining(),
        message: message(looked, status, store.as_ref()),
        store,
        config_generation: status.checker.map(|checker| checker.config_generation),
        checks: status.checker.map(|checker| checker.checks as u64),
        outstanding: status.checker.map(|checker| checker.outstanding as u64),
        scheduling_lag_us: lag.map(|lag| lag.max_us),
        scheduling_lag_p99_us: lag.map(|lag| lag.p99_us),
        sources: status.checker.map(|checker| checker.sources as u64),
        sources_degraded: status.checker.map(|checker| checker.sources_degraded as u64),
        pools: status.pools.iter().flatten().map(pool_report).collect(),
        outcomes: counted.collect(),
        shed: status.counts.shed.iter().map(|(code, n)| (ReasonCode::from(*code), *n)).collect(),
        actors_rebuilt: status.counts.actors_rebuilt,
        bus: BusReport {
            published: status.bus.published,
            received: status.bus.received,
            dropped_slow_consumer: status.bus.dropped_slow_consumer,
            refused: status.bus.refused,
            forbidden: status.bus.forbidden,
            reconnects: status.bus.reconnects,
        },
        outbox: OutboxReport {
            waiting: waiting as u64 + status.bus.kept,
            dropped: status.counts.results_unsent + status.counts.results_late + status.bus.kept_dropped,
        },
        last_errors: looked.stats.troubles.latest(),
        clock_offset_us: looked.clock_offset.get(),
        policy: Some(policy_report(looked.guard.standing())),
        audit: looked.audit.status().map(audit_report),
    }
}

/// Why it runs nothing by itself, where it does not.
fn message(looked: &Looked, status: &AgentStatus, store: Option<&StoreReport>) -> Option<String> {
    if looked.is_draining() {
        return Some("it was told to drain: it begins nothing new until it is told to go on".to_owned());
    }
    let checks = status.checker?.checks as u64;
    if checks == 0 {
        return Some("it has no checks: nothing is checked".to_owned());
    }
    let all_paused = store.is_some_and(|store| store.paused == checks);
    all_paused.then(|| match checks {
        1 => "its only check is paused: nothing is checked".to_owned(),
        several => format!("all of its {several} checks are paused: nothing is checked"),
    })
}

fn audit_report(AuditStatus { head, dropped, failing }: AuditStatus) -> AuditReport {
    let failing = failing.map(|why| shorten(&why, PolicyReport::BROKEN_CHARS_MAX).into_owned());
    AuditReport { seq: head.seq, hash: head.hash_text(), dropped, failing }
}

pub(crate) fn policy_report(Standing { source, sha256, broken }: Standing) -> PolicyReport {
    let broken = broken.map(|why| shorten(&why, PolicyReport::BROKEN_CHARS_MAX).into_owned());
    PolicyReport { source, sha256, broken }
}

pub(crate) fn pool_report(pool: &PoolStatus) -> PoolReport {
    PoolReport {
        check_type: pool.check_type,
        size: pool.size as u64,
        target: pool.target as u64,
        idle: pool.idle as u64,
        busy: pool.busy as u64,
        rebuilding: pool.rebuilding as u64,
        waiting: pool.waiting as u64,
    }
}
