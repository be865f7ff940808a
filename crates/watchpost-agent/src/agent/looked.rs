//! Looking at an agent.

use std::fmt::Display;

use watchpost_model::{BastionId, RunnerId, StoreReport};

use super::{AgentStatus, Looked};
use crate::runner::Runner;
use crate::{AgentError, CheckerHandle, StoreHandle};

impl Looked {
    pub(crate) fn checker(&self) -> Option<&CheckerHandle> {
        self.checker.as_ref()
    }

    pub(crate) fn runner(&self) -> Option<&Runner> {
        self.runner.as_ref()
    }

    pub(crate) fn store(&self) -> Option<&StoreHandle> {
        self.store.as_ref()
    }

    /// How the store stands, where there is one.
    pub(crate) async fn store_report(&self) -> Option<StoreReport> {
        match &self.store {
            Some(store) => Some(store.report().await),
            None => None,
        }
    }

    /// What the bastion is called, and the process's Runner, where it has one.
    pub(crate) fn names(&self) -> (BastionId, Option<RunnerId>) {
        (self.settings.bastion.clone(), self.runner.as_ref().map(|_| self.settings.runner.clone()))
    }

    /// Whether this is the process of that Runner.
    pub(crate) fn is_runner(&self, runner: &RunnerId) -> bool {
        self.runner.is_some() && self.settings.runner == *runner
    }

    /// Something went wrong in the process itself.
    pub(crate) fn trouble(&self, kind: &'static str, detail: &dyn Display) {
        self.stats.troubles.note(self.clock.now(), kind, detail);
    }

    pub(crate) async fn status(&self) -> Result<AgentStatus, AgentError> {
        let checker = match &self.checker {
            Some(checker) => Some(checker.status().await?),
            None => None,
        };
        let pools = match &self.runner {
            Some(runner) => Some(runner.pools().await?),
            None => None,
        };
        Ok(AgentStatus {
            checker,
            pools,
            bus_connected: self.bus.is_connected(),
            bus: self.bus.stats(),
            counts: self.stats.counts(),
        })
    }
}
