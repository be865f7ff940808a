//! The tasks that carry things between the bus and the actors, and what becomes known when one dies.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::AgentError;

/// Starts such tasks, and hears when one panicked: without it the agent would look alive and do nothing.
#[derive(Clone)]
pub(crate) struct Helpers(Arc<watch::Sender<Option<&'static str>>>);

impl Default for Helpers {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Helpers {
    /// Starts one, which is called `name` if it panics.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let died = Arc::clone(&self.0);
        tokio::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task of the agent panicked, which is a defect of Watchpost");
                died.send_replace(Some(name));
            }
        })
    }

    /// Waits until one has panicked.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn broken(&self) -> AgentError {
        let mut died = self.0.subscribe();
        match died.wait_for(Option::is_some).await {
            Ok(name) => AgentError::HelperGone(name.unwrap_or_default()),
            // Not while `self` holds the sender.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_helper_that_panics_is_heard_of_and_one_that_ends_is_not() {
        let helpers = Helpers::default();
        helpers.spawn("quiet", async {});
        helpers.spawn("loud", async { panic!("as the test asked") });
        assert!(matches!(helpers.broken().await, AgentError::HelperGone("loud")));
    }
}
