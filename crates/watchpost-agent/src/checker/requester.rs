//! Whoever asked for runs and went away before the last outcome: nobody waits for what still runs.

use tokio::sync::{mpsc, oneshot};

use super::Event;
use crate::RunReport;

/// Tells the Checker when nobody listens to `results` any more, or `cancelled` yields. Ends with the request, whose end
/// drops the other half of `ended`: until then it keeps the channel open, which closes after the last outcome.
pub(super) async fn watch(
    id: u64,
    results: mpsc::Sender<RunReport>,
    mut ended: oneshot::Receiver<()>,
    cancelled: Option<oneshot::Receiver<()>>,
    checker: mpsc::WeakSender<Event>,
) {
    let cancelled = async {
        let said = match cancelled {
            Some(cancelled) => cancelled.await.is_ok(),
            None => false,
        };
        if !said {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        _ = &mut ended => return,
        () = results.closed() => return super::publish::tell(&checker, Event::RequesterGone(id)).await,
        () = cancelled => super::publish::tell(&checker, Event::RequestCancelled(id)).await,
    }
    // It may still go away while what runs is being stopped. Nothing more is to be told then, but the channel
    // must not be kept open beyond the request.
    let _over = ended.await;
}

/// What is said of a task whose requester wants no more of it.
pub(super) const CANCELLED: &str = "whoever asked for it cancelled it";

/// What is said of a task whose requester is gone.
pub(super) const GONE: &str = "whoever asked is gone";
