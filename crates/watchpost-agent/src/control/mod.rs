//! Control over the bus: what is asked of this process, and its answers.
//!
//! Each process hears what its roles answer: the one with the Checker everything below `{p}.{b}.control`, so that
//! somebody says of a verb that there is none; one with a Runner alone its own verbs, so that the bus says of the others
//! that nobody listens where there is no Checker. A request is read, judged and carried out by a task of its own, of
//! which there are few at a time; whatever it holds, it gets one answer, in the format in which it came.

mod answer;
mod asked;
mod clock_offset;
mod count;
mod denials;
mod drain;
mod hold;
mod log;
mod micro;
mod once;
mod service;
mod tally;
mod test;
mod verbs;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use watchpost_model::{Subjects, Verb};

pub(crate) use answer::{format_of, send_answer};
pub(crate) use asked::write_down;
pub(crate) use clock_offset::{ClockOffset, follow_clock};
pub(crate) use count::Aiming;
pub use log::LogControl;
pub(crate) use tally::Tally;

use crate::agent::Looked;
use denials::Runners;
use once::Once;

/// How many requests are in hand at a time. One more is answered with `too_often`.
const IN_HAND_MAX: usize = 64;
/// How many of them may be tests, which can take minutes, so that there is always room for others.
const TESTS_MAX: usize = 32;
/// How many may hold tasks.
const HOLDS_MAX: usize = 8;

/// What everything that serves requests shares.
pub(crate) struct ControlContext {
    looked: Arc<Looked>,
    subjects: Subjects,
    verbs: Vec<Verb>,
    in_hand: Arc<Semaphore>,
    tests: Semaphore,
    holds: Semaphore,
    once: Once,
    /// The Runners that were heard of, where there is none in this process.
    runners: Runners,
    tally: Arc<Tally>,
    log: Arc<OnceLock<Arc<dyn LogControl>>>,
    /// What brings the log back to what it was.
    log_timer: Mutex<Option<JoinHandle<()>>>,
    /// One drain at a time is begun or ended.
    draining: tokio::sync::Mutex<()>,
    stopping: watch::Sender<bool>,
}

/// The control service of one process. Dropping it ends it.
pub(crate) struct Control {
    cx: Arc<ControlContext>,
    tasks: Vec<JoinHandle<()>>,
}

impl Control {
    /// Starts to serve. Where the bus does not take the subscriptions it is tried again until it does: without a bus
    /// there is nobody to ask anything.
    pub(crate) async fn start(looked: &Arc<Looked>, tally: Arc<Tally>) -> Self {
        let cx = Arc::new(ControlContext {
            subjects: Subjects::new(&looked.settings.prefix, &looked.settings.bastion),
            verbs: service::verbs_of(looked),
            in_hand: Arc::new(Semaphore::new(IN_HAND_MAX)),
            tests: Semaphore::new(TESTS_MAX),
            holds: Semaphore::new(HOLDS_MAX),
            once: Once::default(),
            runners: Runners::default(),
            tally,
            log: Arc::new(OnceLock::new()),
            log_timer: Mutex::default(),
            draining: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
            looked: Arc::clone(looked),
        });
        let mut tasks = Vec::new();
        for filter in service::filters(&cx) {
            let subscription = service::subscribe(&cx, &filter).await;
            tasks.push(looked.helpers.spawn("control", service::serve(Arc::clone(&cx), filter, subscription)));
        }
        for filter in micro::filters(&cx) {
            let subscription = service::subscribe(&cx, &filter).await;
            tasks.push(looked.helpers.spawn("micro", micro::serve(Arc::clone(&cx), filter, subscription)));
        }
        Self { cx, tasks }
    }

    /// What requests to log more or less act on.
    pub(crate) fn set_log(&self, log: Arc<dyn LogControl>) {
        // The first one stays.
        let _set = self.cx.log.set(log);
    }

    /// Takes no request any more. What is in hand goes on.
    pub(crate) fn stop(&self) {
        self.cx.stopping.send_replace(true);
    }

    /// Waits until every request in hand has its answer, for as long as `limit`.
    pub(crate) async fn finished(&self, limit: Duration) {
        let all = self.cx.in_hand.acquire_many(IN_HAND_MAX as u32);
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("requests over the bus were still in hand when the process stopped");
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        if let Some(timer) = self.cx.log_timer.lock().take() {
            timer.abort();
        }
    }
}
