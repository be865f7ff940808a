//! Whoever asked for runs and went away before the last outcome: nobody waits for what still runs.

use actix::{Addr, Handler, Message};
use tokio::sync::{mpsc, oneshot};
use watchpost_model::{CancelCause, ReasonCode, TaskResult};

use super::Checker;
use super::dispatch::CancelIds;
use super::publish::tell;

/// Tells the Checker when nobody listens to `results` any more. Ends with the request, whose end
/// drops the other half of `ended`: until then it keeps the channel open, which closes after the last outcome.
pub(super) async fn watch(
    id: u64,
    results: mpsc::Sender<TaskResult>,
    ended: oneshot::Receiver<()>,
    checker: Addr<Checker>,
) {
    tokio::select! {
        () = results.closed() => tell(&checker, RequesterGone(id)).await,
        _ = ended => {}
    }
}

/// Whoever asked is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct RequesterGone(u64);

impl Handler<RequesterGone> for Checker {
    type Result = ();

    fn handle(&mut self, RequesterGone(id): RequesterGone, _: &mut Self::Context) {
        self.cancel_runs_of(id);
    }
}

impl Checker {
    /// Cancels what a request still has running. Doing it again does nothing.
    pub(super) fn cancel_runs_of(&mut self, id: u64) {
        let Some(adhoc) = self.adhocs.get_mut(&id) else { return };
        let runs = std::mem::take(&mut adhoc.runs);
        self.cancel(CancelCause::RequesterGone, GONE, CancelIds::Runs(runs));
        self.stop_resolving(|run| run.adhoc == Some(id), ReasonCode::RequesterGone, GONE);
    }
}

/// What is said of a task whose requester is gone.
pub(super) const GONE: &str = "whoever asked is gone";
