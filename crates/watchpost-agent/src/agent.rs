//! One agent: the roles that run in this process, from start to stop.

mod looked;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use watchpost_audit::{AuditEvent, AuditLog};
use watchpost_bus::{BusStats, SharedBus};
use watchpost_core::Tick;
use watchpost_model::{BastionGroup, CheckType, InstanceId, Subjects, Timestamp};
use watchpost_policy::Guard;
use watchpost_probe::{ProbeSet, Resolver, TargetFinder};

use crate::abandoned::RoleStop;
use crate::checker::{self, CheckerContext, Lasts};
use crate::control::{Aiming, ClockOffset, Control, LogControl, Tally, follow_clock};
use crate::discovery::Discovery;
use crate::heartbeat;
use crate::helpers::Helpers;
use crate::runner::{Admissions, Runner, RunnerContext};
use crate::store::{self, StoreContext, StoreHandle};
use crate::trust::{Trust, TrustContext};
use crate::{
    Abandoned, AgentError, AgentSettings, CheckerHandle, CheckerStatus, Clock, Counts, PoolSettings, PoolStatus, Stats,
    StoreSettings,
};

/// The most of a stop's grace that is kept for the Runner after the Checker has stopped.
const RUNNER_SHARE_MAX: Duration = Duration::from_millis(500);
/// How long a stop waits for the answers to requests whose work is over.
const ANSWERS_LIMIT: Duration = Duration::from_millis(500);
/// How much of a stop's grace the disk may take, and how long it may where there is none.
const STORE_SHARE_MAX: Duration = Duration::from_secs(2);
const STORE_SHARE_MIN: Duration = Duration::from_millis(100);
/// How often it is looked whether every actor is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Which roles an agent plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// Checker and Runner in one process.
    Both,
    /// The Checker alone.
    Checker,
    /// A Runner alone.
    Runner,
}

impl Roles {
    /// The word for them: `bastion`, `checker` or `runner`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "bastion",
            Self::Checker => "checker",
            Self::Runner => "runner",
        }
    }
}

/// What an agent works with.
#[derive(Clone)]
pub struct Deps {
    /// How its parts talk.
    pub bus: SharedBus,
    /// Where its time comes from.
    pub clock: Arc<dyn Clock>,
    /// Resolves the names of checks that ask for all addresses.
    pub resolver: Resolver,
    /// Looks out for the targets of checks that have a source of them.
    pub finder: TargetFinder,
    /// What its Runner can check.
    pub probes: ProbeSet,
    /// Writes down what is asked of it, and what it does.
    pub audit: AuditLog,
    /// What the customer's policy permits; the probes and the finder ask the same one.
    pub guard: Guard,
}

/// The roles that run in this process. Lives inside of [`run_system`](crate::run_system).
pub struct Agent {
    looked: Arc<Looked>,
    control: Control,
    /// What looks at it from time to time.
    watchers: [tokio::task::JoinHandle<()>; 2],
}

/// A name for this life of the process.
pub fn new_instance() -> InstanceId {
    InstanceId::from_uuid(uuid::Uuid::now_v7())
}

/// What there is to be looked at.
pub(crate) struct Looked {
    pub(crate) settings: AgentSettings,
    pub(crate) bus: SharedBus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) helpers: Helpers,
    /// This life of the process, and when it began.
    pub(crate) instance: InstanceId,
    pub(crate) started_at: Timestamp,
    pub(crate) started: Tick,
    /// Whether it was told to begin nothing new.
    pub(crate) draining: AtomicBool,
    /// The last results of each check.
    pub(crate) lasts: Arc<Lasts>,
    pub(crate) audit: AuditLog,
    pub(crate) guard: Guard,
    /// Held by whoever wants no task to be published for a moment.
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
    pub(crate) aiming: Aiming,
    pub(crate) clock_offset: ClockOffset,
    checker: Option<CheckerHandle>,
    store: Option<StoreHandle>,
    runner: Option<Runner>,
    /// Whose checks are run, where not everybody's are.
    pub(crate) trust: Option<Arc<Trust>>,
}

/// How an agent stands.
#[derive(Debug, Clone)]
pub struct AgentStatus {
    /// The Checker, where it plays that role.
    pub checker: Option<CheckerStatus>,
    /// The pools of the Runner, where it plays that role.
    pub pools: Option<Vec<PoolStatus>>,
    /// Whether there is a connection to the bus.
    pub bus_connected: bool,
    /// What the bus counted.
    pub bus: BusStats,
    /// What the agent counted.
    pub counts: Counts,
}

/// How a stop ended.
#[derive(Debug, Default)]
pub struct StopReport {
    /// Tasks whose outcome was not seen or not sent when the grace was over.
    pub abandoned: Vec<Abandoned>,
    /// Whether everything that was published has left the process.
    pub flushed: bool,
    /// Which part of the agent was not there any more to be stopped, which is a defect of Watchpost.
    pub gone: Option<AgentError>,
}

impl StopReport {
    /// Whether everything that was promised was kept.
    pub fn is_clean(&self) -> bool {
        self.flushed && self.abandoned.is_empty() && self.gone.is_none()
    }
}

/// Whom the process trusts, where it does not trust everybody.
fn trust(
    settings: &AgentSettings,
    roles: Roles,
    store: Option<&StoreSettings>,
    deps: &Deps,
) -> Result<Option<Arc<Trust>>, AgentError> {
    let Some(trust) = settings.trust.clone() else { return Ok(None) };
    let mut groups = vec![BastionGroup::from(&settings.bastion)];
    groups.extend(store.iter().flat_map(|store| store.groups.iter().cloned()));
    // Runners of one bastion may share a directory with each other and with the Checker.
    let name = match roles {
        Roles::Both | Roles::Checker => format!("{}.revisions", settings.bastion),
        Roles::Runner => format!("{}.{}.revisions", settings.bastion, settings.runner),
    };
    let folder = store.and_then(|store| store.state_dir.clone());
    let cx = TrustContext {
        groups,
        has_store: roles != Roles::Runner,
        file: folder.as_ref().map(|folder| folder.join(name)),
        clock: Arc::clone(&deps.clock),
        audit: deps.audit.clone(),
        resolver: deps.resolver.clone(),
        finder: deps.finder.clone(),
    };
    let opened = Trust::open(trust, cx);
    let opened = opened.map_err(|source| AgentError::StateDir { path: folder.unwrap_or_default(), source });
    opened.map(|trust| Some(Arc::new(trust)))
}

impl Agent {
    /// Starts the roles. Everything is subscribed before it returns: tasks may be sent.
    ///
    /// # Errors
    /// When a subscription or the timer's thread fails.
    pub async fn start(mut settings: AgentSettings, roles: Roles, deps: Deps) -> Result<Self, AgentError> {
        let to_store = settings.store.take();
        let stats = Arc::new(Stats::default());
        let helpers = Helpers::default();
        let subjects = Subjects::new(&settings.prefix, &settings.bastion);
        let (started_at, started) = (deps.clock.now(), deps.clock.tick());
        let (tally, lasts, gate) = (Arc::<Tally>::default(), Arc::<Lasts>::default(), Arc::default());
        deps.audit.record(AuditEvent::Started {
            role: roles.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let discovery =
            Discovery::new(deps.finder.clone(), Arc::clone(&deps.clock), Arc::clone(&stats), helpers.clone());
        let trust = trust(&settings, roles, to_store.as_ref(), &deps)?;
        if let Some(trust) = &trust {
            helpers.spawn("trust", Arc::clone(trust).keep());
        }
        // The Runner first, so that a Checker in the same process finds it listening.
        let runner = match roles {
            Roles::Checker => None,
            Roles::Both | Roles::Runner => {
                let cx = RunnerContext {
                    settings: settings.clone(),
                    subjects: subjects.clone(),
                    clock: Arc::clone(&deps.clock),
                    bus: Arc::clone(&deps.bus),
                    stats: Arc::clone(&stats),
                    admissions: Admissions::new(Arc::clone(&stats)),
                    helpers: helpers.clone(),
                    tally: Arc::clone(&tally),
                    audit: deps.audit.clone(),
                    trust: trust.clone(),
                };
                Some(Runner::start(cx, &deps.probes).await?)
            }
        };
        let checker = match roles {
            Roles::Runner => None,
            Roles::Both | Roles::Checker => {
                let cx = CheckerContext {
                    settings: settings.clone(),
                    subjects: subjects.clone(),
                    clock: Arc::clone(&deps.clock),
                    bus: Arc::clone(&deps.bus),
                    resolver: deps.resolver.clone(),
                    discovery: discovery.clone(),
                    stats: Arc::clone(&stats),
                    helpers: helpers.clone(),
                    lasts: Arc::clone(&lasts),
                    gate: Arc::clone(&gate),
                    trust: trust.clone(),
                };
                Some(checker::start(cx).await?)
            }
        };
        let store = match (&checker, to_store) {
            (Some(checker), Some(to_store)) => {
                let cx = StoreContext {
                    settings: settings.clone(),
                    subjects,
                    bus: Arc::clone(&deps.bus),
                    clock: Arc::clone(&deps.clock),
                    checker: checker.clone(),
                    helpers: helpers.clone(),
                    audit: deps.audit.clone(),
                    trust: trust.clone(),
                };
                Some(store::start(cx, to_store).await?)
            }
            _ => None,
        };
        let looked = Arc::new(Looked {
            settings,
            bus: deps.bus,
            clock: deps.clock,
            stats,
            helpers,
            instance: deps.audit.instance().unwrap_or_else(new_instance),
            started_at,
            started,
            draining: AtomicBool::new(false),
            lasts,
            audit: deps.audit,
            guard: deps.guard,
            gate,
            aiming: Aiming { resolver: deps.resolver, discovery },
            clock_offset: ClockOffset::default(),
            checker,
            store,
            runner,
            trust,
        });
        let control = Control::start(&looked, tally).await;
        let watchers = [
            looked.helpers.spawn("heartbeat", heartbeat::beat(Arc::clone(&looked))),
            looked.helpers.spawn("clock offset", follow_clock(Arc::clone(&looked))),
        ];
        Ok(Self { looked, control, watchers })
    }

    /// Hands over what requests to log more or less act on. Without it they are refused.
    pub fn set_log_control(&self, log: Arc<dyn LogControl>) {
        self.control.set_log(log);
    }

    /// Talks to the Checker, where there is one.
    pub fn checker(&self) -> Option<&CheckerHandle> {
        self.looked.checker.as_ref()
    }

    /// Talks to the store of checks, where there is a Checker whose settings name one.
    pub fn store(&self) -> Option<&StoreHandle> {
        self.looked.store.as_ref()
    }

    /// The agent's settings, without what its store was to begin with.
    pub fn settings(&self) -> &AgentSettings {
        &self.looked.settings
    }

    /// How it stands.
    ///
    /// # Errors
    /// When an actor is gone.
    pub async fn status(&self) -> Result<AgentStatus, AgentError> {
        self.looked.status().await
    }

    /// Gives the Runner's pools the sizes that `pools` has for them, or the default, while they work: `size` and
    /// `per_check_max`. The length of a queue is taken at the start alone. Without a Runner nothing happens.
    ///
    /// # Errors
    /// When an actor is gone.
    pub async fn resize_pools(&self, pools: &BTreeMap<CheckType, PoolSettings>) -> Result<(), AgentError> {
        match &self.looked.runner {
            Some(runner) => runner.resize(pools).await,
            None => Ok(()),
        }
    }

    /// Waits until an actor or a task of the agent is gone, which only a defect of Watchpost can bring about.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn broken(&self) -> AgentError {
        let actors = async {
            loop {
                if let Err(error) = self.status().await {
                    return error;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            biased;
            error = actors => error,
            error = self.looked.helpers.broken() => error,
        }
    }

    /// Stops within `grace`: the Checker first, so that what it has sent can still be run, then the Runner.
    /// What is not there any more to be stopped keeps the rest from nothing, and is named.
    pub async fn stop(&self, grace: Duration) -> StopReport {
        self.control.stop();
        self.watchers.iter().for_each(tokio::task::JoinHandle::abort);
        let looked = &*self.looked;
        let begun = looked.clock.tick();
        if let Some(store) = &looked.store {
            // The disk may hang; then it has what was written a second before.
            let limit = (grace / 4).clamp(STORE_SHARE_MIN, STORE_SHARE_MAX);
            if tokio::time::timeout(limit, store.stop()).await.is_err() {
                tracing::warn!(?limit, "the checks could not be kept on disk in time");
            }
        }
        if let Some(trust) = &looked.trust {
            let limit = (grace / 4).clamp(STORE_SHARE_MIN, STORE_SHARE_MAX);
            if tokio::time::timeout(limit, trust.write()).await.is_err() {
                tracing::warn!(?limit, "the revisions of checks could not be kept on disk in time");
            }
        }
        let mut report = StopReport { abandoned: Vec::new(), flushed: true, gone: None };
        let mut add = |role: RoleStop| {
            report.flushed &= role.flushed;
            report.abandoned.extend(role.abandoned);
            report.gone = report.gone.take().or(role.gone);
        };
        if let Some(checker) = &looked.checker {
            // Some of the grace is the Runner's, whatever the Checker still waits for.
            let for_runner = if looked.runner.is_some() { (grace / 8).min(RUNNER_SHARE_MAX) } else { Duration::ZERO };
            let left = grace.saturating_sub(looked.clock.tick().since(begun));
            let stopped = checker.stop(left.saturating_sub(for_runner)).await;
            add(stopped.unwrap_or_else(|gone| RoleStop { gone: Some(gone), ..RoleStop::default() }));
        }
        if let Some(runner) = &looked.runner {
            let left = grace.saturating_sub(looked.clock.tick().since(begun));
            add(runner.stop(left).await);
        }
        let left = grace.saturating_sub(looked.clock.tick().since(begun));
        self.control.finished(left.min(ANSWERS_LIMIT)).await;
        looked.audit.record(AuditEvent::Stopped);
        // A task that both roles know of is named once, by the one who was to run it.
        let mut seen = std::collections::HashSet::new();
        report.abandoned.reverse();
        report.abandoned.retain(|abandoned| seen.insert(abandoned.task));
        report
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // They hold what they look at, and would keep that alive.
        self.watchers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
