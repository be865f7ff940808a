//! Beginning nothing new for a while.

use std::sync::atomic::Ordering;

use crate::AgentError;
use crate::agent::Looked;

impl Looked {
    /// Begins or ends a drain of this process: its Checker fires nothing, and its Runner takes no task. What was begun
    /// goes on.
    ///
    /// # Errors
    /// When an actor is gone.
    pub(crate) async fn drain(&self, draining: bool) -> Result<(), AgentError> {
        self.draining.store(draining, Ordering::Relaxed);
        if draining {
            self.drain_checker(true).await?;
            self.drain_runner(true).await;
        } else {
            // The Runner first, so that what the Checker fires finds it there.
            self.drain_runner(false).await;
            self.drain_checker(false).await?;
        }
        Ok(())
    }

    /// Whether it was told to begin nothing new.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How many tasks are not over: those that its Checker waits for, or that its Runner has, whichever are more, since
    /// most of them are the same where it is both.
    ///
    /// # Errors
    /// When an actor is gone.
    pub(crate) async fn outstanding(&self) -> Result<usize, AgentError> {
        let sent = match self.checker() {
            Some(checker) => checker.status().await?.outstanding,
            None => 0,
        };
        let accepted = self.runner().map_or(0, |runner| {
            let (open, unsent) = runner.open_and_unsent();
            open + unsent
        });
        Ok(sent.max(accepted))
    }

    async fn drain_checker(&self, draining: bool) -> Result<(), AgentError> {
        match self.checker() {
            Some(checker) => checker.drain(draining).await,
            None => Ok(()),
        }
    }

    async fn drain_runner(&self, draining: bool) {
        if let Some(runner) = self.runner() {
            runner.drain(draining).await;
        }
    }
}
