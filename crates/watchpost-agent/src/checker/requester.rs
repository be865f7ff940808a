//! Whoever asked for runs and went away before the last outcome: nobody waits for what still runs.

use tokio::sync::{mpsc, oneshot};

use super::Event;
use crate::RunReport;

/// Tells the Checker when nobody listens to `results` any more. Ends with the request, whose end
/// drops the other half of `ended`: until then it keeps the channel open, which closes after the last outcome.
pub(super) async fn watch(
    id: u64,
    results: mpsc::Sender<RunReport>,
    ended: oneshot::Receiver<()>,
    checker: mpsc::WeakSender<Event>,
) {
    tokio::select! {
        biased;
        _ = ended => {}
        () = results.closed() => super::publish::tell(&checker, Event::RequesterGone(id)).await,
    }
}

/// What is said of a task whose requester is gone.
pub(super) const GONE: &str = "whoever asked is gone";
