//! Saying regularly that this process lives, and how it stands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use watchpost_bus::{Headers, Outgoing};
use watchpost_model::{
    BusReport, Format, Heartbeat, Outcome, PoolReport, ReasonCode, Role, Subjects, Timestamp, V1, encode, header,
};

use crate::agent::Looked;
use crate::{AgentStatus, PoolStatus};

/// How often (architecture.md, "Contract").
const EVERY: Duration = Duration::from_secs(15);

/// Publishes a heartbeat at once and then regularly, until it is dropped or an actor is gone.
pub(crate) async fn beat(looked: Arc<Looked>) {
    let subject = Subjects::new(&looked.settings.prefix, &looked.settings.bastion).heartbeat();
    let started_at = looked.clock.now();
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let Ok(status) = looked.status().await else { return };
        let heartbeat = heartbeat(&looked, started_at, &status);
        let headers = Headers::new().with(header::CONTENT_TYPE, Format::MsgPack.content_type());
        let message = Outgoing::new(subject.clone(), Bytes::from(encode(&heartbeat, Format::MsgPack))).headers(headers);
        // One that is late says nothing: the next one is fresher, so it is not tried again.
        if let Err(error) = looked.bus.publish(message).await {
            looked.stats.heartbeats_unsent.increment();
            tracing::debug!(%error, "a heartbeat was not sent");
        }
    }
}

fn heartbeat(looked: &Looked, started_at: Timestamp, status: &AgentStatus) -> Heartbeat {
    let mut roles = Vec::new();
    roles.extend(status.checker.map(|_| Role::Checker));
    roles.extend(status.pools.as_ref().map(|_| Role::Runner));
    let counted = Outcome::ALL.into_iter().zip(status.counts.outcomes).filter(|(_, n)| *n > 0);
    Heartbeat {
        v: V1,
        bastion: looked.settings.bastion.clone(),
        runner: status.pools.as_ref().map(|_| looked.settings.runner.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles,
        started_at,
        sent_at: looked.clock.now(),
        config_generation: status.checker.map(|checker| checker.config_generation),
        checks: status.checker.map(|checker| checker.checks as u64),
        outstanding: status.checker.map(|checker| checker.outstanding as u64),
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
            reconnects: status.bus.reconnects,
        },
    }
}

fn pool_report(pool: &PoolStatus) -> PoolReport {
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
