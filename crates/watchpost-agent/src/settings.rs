//! What an agent can be told.

use std::collections::BTreeMap;
use std::time::Duration;

use watchpost_model::{BastionId, CheckType, RunnerId, SubjectPrefix};

use crate::{StoreSettings, TrustSettings};

/// The settings of one agent.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The first part of every subject.
    pub prefix: SubjectPrefix,
    /// Whose checks these are.
    pub bastion: BastionId,
    /// What this process's Runner is called in results.
    pub runner: RunnerId,
    /// Worker pools that differ from [`PoolSettings::default`].
    pub pools: BTreeMap<CheckType, PoolSettings>,
    /// How long a task may wait for a free worker.
    pub wait_max: Duration,
    /// How long after a task's deadline its outcome is waited for before it counts as lost.
    pub answer_grace: Duration,
    /// Where its Checker has its checks from; `None` where they are handed to it by
    /// [`CheckerHandle::replace_checks`](crate::CheckerHandle::replace_checks).
    pub store: Option<StoreSettings>,
    /// Whose checks it runs; `None` for everybody's who can write to the bus.
    pub trust: Option<TrustSettings>,
}

impl AgentSettings {
    /// Settings for `bastion` with every default.
    pub fn new(bastion: BastionId, runner: RunnerId) -> Self {
        Self {
            prefix: SubjectPrefix::default(),
            bastion,
            runner,
            pools: BTreeMap::new(),
            wait_max: Duration::from_secs(30),
            answer_grace: Duration::from_secs(2),
            store: None,
            trust: None,
        }
    }

    /// The pool of one type.
    pub fn pool(&self, check_type: CheckType) -> PoolSettings {
        self.pools.get(&check_type).copied().unwrap_or_default()
    }
}

/// The settings of one worker pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// How many workers it has: how many checks of the type run at the same time.
    pub size: usize,
    /// How many tasks may wait for a worker. One more is cancelled as overloaded.
    pub queue_max: usize,
    /// How many workers one check may hold at a time, so that a check with many endpoints leaves some to
    /// the others; [`PoolSettings::per_check_max`] says how many where this is `None`.
    pub per_check_max: Option<usize>,
}

impl PoolSettings {
    /// The largest pool.
    pub const SIZE_MAX: usize = 10_000;

    /// How many workers one check may hold at a time: as set, or three quarters of them; at least 1, at most all.
    pub fn per_check_max(&self) -> usize {
        self.per_check_max.unwrap_or(self.size * 3 / 4).clamp(1, self.size.max(1))
    }
}

impl Default for PoolSettings {
    /// 64 workers, 10 000 waiting. A worker at rest is a few hundred bytes, and one that waits for
    /// a slow target costs a socket, so the size is set by what a customer's network should bear at once
    /// (docs/benchmarks.md has throughput by size).
    fn default() -> Self {
        Self { size: 64, queue_max: 10_000, per_check_max: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_leaves_a_quarter_of_the_workers_to_others_unless_told_otherwise() {
        for (size, set, max) in [
            (64, None, 48),
            (4, None, 3),
            (1, None, 1),
            (3, None, 2),
            (2, None, 1),
            (8, Some(8), 8),
            (8, Some(1), 1),
            (4, Some(8), 4),
        ] {
            let pool = PoolSettings { size, per_check_max: set, ..PoolSettings::default() };
            assert_eq!(pool.per_check_max(), max, "{size} {set:?}");
        }
    }
}
