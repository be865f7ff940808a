//! Whoever asked for runs and went away before the last outcome: nobody waits for what still runs.

use tokio::sync::{mpsc, oneshot};
use watchpost_model::TaskResult;

use super::Event;

/// Tells the Checker when nobody listens to `results` any more. Ends with the request, whose end
/// drops the other half of `ended`: until then it keeps the channel open, which closes after the last outcome.
pub(super) async fn watch(
    id: u64,
    results: mpsc::Sender<TaskResult>,
    ended: oneshot::Receiver<()>,
    checker: mpsc::WeakSender<Event>,
) {
    tokio::select! {
        () = results.closed() => super::publish::tell(&checker, Event::RequesterGone(id)).await,
        _ = ended => {}
    }
}

/// What is said of a task whose requester is gone.
pub(super) const GONE: &str = "whoever asked is gone";
