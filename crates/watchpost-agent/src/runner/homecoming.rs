//! From the end of a task back to its Dispatcher: several at a time under load, since each message
//! to an actor on another thread has its price.

use actix::Addr;
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::dispatcher::{AllFinished, Dispatcher, Finished};

/// How many ended tasks go to the Dispatcher in one message at most.
const FINISHED_MAX: usize = 32;

/// The way home of one pool's tasks.
pub(super) type Homecoming = mpsc::Sender<(Finished, Addr<Dispatcher>)>;

/// Where one task goes when it has ended. It keeps the Dispatcher alive until the task is there.
pub(super) struct Home {
    pub(super) dispatcher: Addr<Dispatcher>,
    pub(super) homecoming: Homecoming,
}

impl Home {
    /// Sends a task home. Invariant: the way has room for every worker of the pool, and each sends
    /// once for each time that it is out.
    pub(super) fn send(self, finished: Finished) {
        let task = finished.task;
        if self.homecoming.try_send((finished, self.dispatcher)).is_err() {
            // The message is gone, and with it the report: its admission has counted and told that.
            tracing::error!(%task, "the way to the Dispatcher is closed; this is a defect of Watchpost");
        }
    }
}

/// Starts the task that hands over what has ended. It ends with the Dispatcher and its tasks.
pub(super) fn start(workers: usize) -> Homecoming {
    let (sender, mut ended) = mpsc::channel::<(Finished, Addr<Dispatcher>)>(workers.max(1));
    tokio::spawn(async move {
        while let Some((first, dispatcher)) = ended.recv().await {
            let mut all = vec![first];
            while all.len() < FINISHED_MAX
                && let Some(Some((next, _))) = ended.recv().now_or_never()
            {
                all.push(next);
            }
            if let Err(error) = dispatcher.send(AllFinished(all)).await {
                tracing::error!(%error, "the Dispatcher is gone; this is a defect of Watchpost");
            }
        }
    });
    sender
}
