//! What the console tells of an agent, and tells it.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;
use watchpost_agent::{Agent, AgentStatus};
use watchpost_console::{BeatAnswer, BeatSink, Health, HealthSource};
use watchpost_model::{Beat, CheckId, ErrorCode, ErrorReply, Outcome, V1};

/// An agent, for the console.
pub struct AgentHealth(pub Arc<Agent>);

impl HealthSource for AgentHealth {
    fn health(&self) -> Pin<Box<dyn Future<Output = Health> + Send + '_>> {
        Box::pin(async {
            match self.0.status().await {
                Ok(status) => self.health_of(&status),
                Err(error) => {
                    Health { healthy: false, status: "broken", details: json!({ "detail": error.to_string() }) }
                }
            }
        })
    }
}

impl BeatSink for AgentHealth {
    fn beat(&self, check: CheckId, beat: Beat) -> Pin<Box<dyn Future<Output = BeatAnswer> + Send + '_>> {
        let refused = |code, message: String| ErrorReply { v: V1, code, message, field: None };
        Box::pin(async move {
            let Some(checker) = self.0.checker() else {
                let message = "this process has no Checker: beats go to the one of the bastion, or over the bus";
                return Err(refused(ErrorCode::Unavailable, message.to_owned()));
            };
            let answer = checker.beat(check, beat).await.map_err(|e| refused(ErrorCode::Unavailable, e.to_string()))?;
            answer.map_err(|e| refused(e.code, e.message))
        })
    }
}

impl AgentHealth {
    fn health_of(&self, status: &AgentStatus) -> Health {
        let settings = self.0.settings();
        let counts = &status.counts;
        let outcomes: serde_json::Map<_, _> = Outcome::ALL
            .iter()
            .zip(counts.outcomes)
            .map(|(outcome, n)| (outcome.as_str().to_owned(), n.into()))
            .collect();
        let pools: Option<Vec<_>> = status.pools.as_ref().map(|pools| {
            let shown = pools.iter().map(|pool| {
                json!({
                    "check_type": pool.check_type,
                    "size": pool.size,
                    "target": pool.target,
                    "idle": pool.idle,
                    "busy": pool.busy,
                    "rebuilding": pool.rebuilding,
                    "waiting": pool.waiting,
                })
            });
            shown.collect()
        });
        let checker = status.checker.map(|checker| {
            json!({
                "checks": checker.checks,
                "outstanding": checker.outstanding,
                "config_generation": checker.config_generation,
                "sources": checker.sources,
                "sources_degraded": checker.sources_degraded,
                "outcomes": outcomes,
            })
        });
        Health {
            healthy: status.bus_connected,
            status: if status.bus_connected { "ok" } else { "bus_unavailable" },
            details: json!({
                "version": env!("CARGO_PKG_VERSION"),
                "bastion": settings.bastion,
                "runner": settings.runner,
                "checker": checker,
                "pools": pools,
                "bus": {
                    "connected": status.bus_connected,
                    "published": status.bus.published,
                    "received": status.bus.received,
                    "dropped_slow_consumer": status.bus.dropped_slow_consumer,
                    "refused": status.bus.refused,
                    "reconnects": status.bus.reconnects,
                },
                "counts": {
                    "runs": counts.runs,
                    "tasks_published": counts.tasks_published,
                    "tasks_accepted": counts.tasks_accepted,
                    "tasks_duplicate": counts.tasks_duplicate,
                    "tasks_unreported": counts.tasks_unreported,
                    "answers_not_open": counts.answers_not_open,
                    "payloads_refused": counts.payloads_refused,
                    "results_unsent": counts.results_unsent,
                    "results_late": counts.results_late,
                    "panics": counts.panics,
                    "actors_rebuilt": counts.actors_rebuilt,
                    "source_failures": counts.source_failures,
                    "shed": counts.shed,
                },
            }),
        }
    }
}
