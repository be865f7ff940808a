//! Actors that panic in the midst of their work.

#[path = "agent_tests/faults.rs"]
mod faults;
#[path = "agent_tests/requests.rs"]
mod requests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, mpsc};
use watchpost_audit::AuditLog;
use watchpost_bus::InProcessBus;
use watchpost_model::{CheckType, Outcome, ReasonCode, Task, TaskResult};
use watchpost_policy::Guard;
use watchpost_probe::{BoxFuture, Probe, Recorder, TargetFinder, Verdict};

use super::*;
use crate::{GroupPolicy, RunItem, RunReport, RunRequest, SystemClock, run_system};

const WORKERS: usize = 2;
const TASKS: usize = 6;
const LIMIT: Duration = Duration::from_secs(2);

/// As `actor.rs` has it: the tenth panic within a minute is survived, and this one is not.
const PANICS_TOO_MANY: usize = 11;

/// Passes once it is let through.
#[derive(Clone)]
struct Gated {
    gate: Arc<Semaphore>,
    started: Arc<AtomicUsize>,
    /// Whether the result of the next one that passes cannot be made.
    poison: Arc<AtomicBool>,
}

impl Probe for Gated {
    fn run<'a>(&'a mut self, _: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async {
            self.started.fetch_add(1, Ordering::SeqCst);
            let permit = self.gate.acquire().await.unwrap();
            permit.forget();
            faults::PANICS_NEXT.set(self.poison.swap(false, Ordering::SeqCst));
            Verdict::pass()
        })
    }
}

struct Rig {
    agent: Agent,
    gate: Arc<Semaphore>,
    started: Arc<AtomicUsize>,
    poison: Arc<AtomicBool>,
}

impl Rig {
    async fn start() -> Self {
        let (bus, clock) = (Arc::new(InProcessBus::new()), Arc::new(SystemClock::default()));
        Self::with(Roles::Both, &[CheckType::Tcp], bus, clock).await
    }

    async fn with(roles: Roles, types: &[CheckType], bus: SharedBus, clock: Arc<dyn Clock>) -> Self {
        let gated = Gated { gate: Arc::new(Semaphore::new(0)), started: Arc::default(), poison: Arc::default() };
        let mut settings = AgentSettings::new("b".parse().unwrap(), "r".parse().unwrap());
        let mut probes = ProbeSet::default();
        for check_type in types {
            let made = gated.clone();
            probes = probes.with(*check_type, Arc::new(move || Box::new(made.clone())));
            let pool = PoolSettings { size: WORKERS, per_check_max: Some(WORKERS), ..PoolSettings::default() };
            settings.pools.insert(*check_type, pool);
        }
        let resolver = Resolver::system();
        let deps = Deps {
            bus,
            clock,
            finder: TargetFinder::standard(&resolver),
            resolver,
            probes,
            audit: AuditLog::off(),
            guard: Guard::local(),
        };
        let Gated { gate, started, poison } = gated;
        Self { agent: Agent::start(settings, roles, deps).await.unwrap(), gate, started, poison }
    }

    async fn panic_dispatcher(&self, check_type: CheckType, with_task_in_hand: bool) {
        self.agent.looked.runner.as_ref().unwrap().panic_dispatcher(check_type, with_task_in_hand).await;
    }

    async fn run(&self) -> mpsc::Receiver<RunReport> {
        let check = |n| format!(r#"{{"id": "c{n}", "tcp": {{"address": "127.0.0.1:9"}}, "addresses": ["127.0.0.1"]}}"#);
        let items = (0..TASKS).map(|n| RunItem::Check(serde_json::from_str(&check(n)).unwrap())).collect();
        let request = RunRequest { items, limit: LIMIT, policy: GroupPolicy::CollectAll };
        self.agent.checker().unwrap().run_now(request).await.unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&AgentStatus, usize) -> bool) {
        for _ in 0..2_000 {
            let status = self.agent.status().await.unwrap();
            if holds(&status, self.started.load(Ordering::SeqCst)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}");
    }

    /// Waits until every worker is home, and counts what was built anew.
    async fn assert_whole(&self, actors_rebuilt: u64) {
        let whole = |status: &AgentStatus, _| status.pools.as_ref().unwrap()[0].idle == WORKERS;
        self.until("every worker is home", whole).await;
        let status = self.agent.status().await.unwrap();
        assert_eq!(status.counts.actors_rebuilt, actors_rebuilt);
        assert_eq!(status.checker.unwrap().outstanding, 0);
    }
}

async fn all(mut reports: mpsc::Receiver<RunReport>) -> Vec<TaskResult> {
    let mut all = Vec::new();
    while let Some(report) = reports.recv().await {
        if let RunReport::Result(result) = report {
            all.push(*result);
        }
    }
    all
}

#[test]
fn guarantee_1_a_dispatcher_that_panics_keeps_its_workers_and_its_tasks() {
    run_system(async {
        let rig = Rig::start().await;
        let results = rig.run().await;
        let waits = |status: &AgentStatus, started| {
            started == WORKERS && status.pools.as_ref().unwrap()[0].waiting == TASKS - WORKERS
        };
        rig.until("some run and the others wait", waits).await;
        rig.panic_dispatcher(CheckType::Tcp, false).await;
        rig.gate.add_permits(TASKS);
        let results = all(results).await;
        assert_eq!(results.len(), TASKS);
        assert!(results.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
        rig.assert_whole(1).await;
    })
    .unwrap();
}

#[test]
fn guarantee_2_a_worker_that_a_panic_took_with_it_is_made_anew_and_its_task_is_lost_not_forgotten() {
    run_system(async {
        let rig = Rig::start().await;
        rig.panic_dispatcher(CheckType::Tcp, true).await;
        let results = rig.run().await;
        rig.gate.add_permits(TASKS);
        let results = all(results).await;
        let (lost, passed): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.outcome == Outcome::Lost);
        assert_eq!((lost.len(), passed.len()), (1, TASKS - 1), "{results:#?}");
        assert!(passed.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
        assert_eq!(lost[0].reason.as_ref().unwrap().code, ReasonCode::RunnerSilent);
        rig.assert_whole(1).await;
        assert_eq!(rig.agent.status().await.unwrap().counts.tasks_unreported, 1);
    })
    .unwrap();
}

#[test]
fn guarantee_1_a_checker_that_panics_knows_every_task_that_it_sent() {
    run_system(async {
        let rig = Rig::start().await;
        let results = rig.run().await;
        rig.until("some run", |_, started| started == WORKERS).await;
        let checker = rig.agent.checker().unwrap();
        checker.panic().await;
        rig.gate.add_permits(WORKERS);
        rig.until("others run", |_, started| started > WORKERS).await;
        checker.panic().await;
        rig.gate.add_permits(TASKS);
        let results = all(results).await;
        assert_eq!(results.len(), TASKS);
        assert!(results.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
        rig.assert_whole(2).await;
        let report = rig.agent.stop(LIMIT).await;
        assert!(report.is_clean(), "{report:?}");
    })
    .unwrap();
}

#[test]
fn an_agent_that_gave_up_an_actor_says_which_so_that_its_process_can_end() {
    run_system(async {
        for broken in ["Checker", "Dispatcher"] {
            let rig = Rig::start().await;
            let whole = tokio::time::timeout(Duration::from_millis(50), rig.agent.broken()).await;
            assert!(whole.is_err(), "nothing is broken yet: {whole:?}");
            for _ in 0..PANICS_TOO_MANY {
                match broken {
                    "Checker" => rig.agent.checker().unwrap().panic().await,
                    _ => rig.panic_dispatcher(CheckType::Tcp, false).await,
                }
            }
            let told = tokio::time::timeout(LIMIT * 10, rig.agent.broken()).await.expect("it is told");
            assert!(matches!(told, AgentError::ActorGone(actor) if actor == broken), "{told}");
            assert_eq!(rig.agent.looked.stats.counts().actors_rebuilt, PANICS_TOO_MANY as u64);
            // What is left of it can still be asked to stop, and says the same.
            let stopped = rig.agent.stop(LIMIT).await;
            assert!(matches!(stopped.gone, Some(AgentError::ActorGone(actor)) if actor == broken), "{stopped:?}");
        }
    })
    .unwrap();
}
