//! Asking the Runners to stop what nobody waits for any more.

use std::collections::BTreeSet;

use watchpost_model::{CancelCause, CancelTasks, RunId, V1};

use super::Checker;
use super::publish::Outbound;
use super::run::{Ending, Node};

/// Runs whose tasks are to be stopped, by why.
#[derive(Default)]
pub(super) struct Cancelling(Vec<(Ending, BTreeSet<RunId>)>);

impl Cancelling {
    fn add(&mut self, run: RunId, ending: Ending) {
        let same = |known: &Ending| known.cause == ending.cause && known.message == ending.message;
        // What ends many runs at once ends them one after the other, so the last one is the likely one.
        match self.0.last_mut().filter(|(known, _)| same(known)) {
            Some((_, runs)) => drop(runs.insert(run)),
            None => self.0.push((ending, BTreeSet::from([run]))),
        }
    }

    fn take(&mut self) -> impl Iterator<Item = CancelTasks> + use<> {
        std::mem::take(&mut self.0).into_iter().flat_map(|(ending, runs)| {
            let runs: Vec<RunId> = runs.into_iter().collect();
            let make = |runs: &[RunId]| CancelTasks {
                v: V1,
                cause: ending.cause,
                message: watchpost_model::shorten(&ending.message, TEXT_CHARS_MAX).into_owned(),
                runs: runs.to_vec(),
                tasks: Vec::new(),
            };
            runs.chunks(CancelTasks::IDS_MAX).map(make).collect::<Vec<_>>()
        })
    }
}

/// How much of a sentence goes along: a character takes six bytes at most, where it had to be escaped.
const TEXT_CHARS_MAX: usize = CancelTasks::TEXT_BYTES_MAX / 6 - 1;

impl Checker {
    /// Notes that the tasks of a run are to be stopped; they go out together.
    pub(super) fn cancel_at_runners(&mut self, run: RunId, ending: Ending) {
        self.cancelling.add(run, ending);
    }

    /// Sends what was noted. A queue that is full is no harm: the tasks end by their deadline.
    pub(super) fn send_cancels(&mut self) {
        for cancel in self.cancelling.take() {
            if self.outbox.try_send(Outbound::Cancel(cancel)).is_err() {
                tracing::warn!("the queue to the bus is full: tasks could not be cancelled and end by their deadline");
            }
        }
    }

    /// Ends every run and request: nothing starts any more, and what is in flight is stopped.
    pub(super) fn cancel_everything(&mut self, cause: CancelCause, message: &str) {
        let ending = Ending::new(cause, message);
        let requests: Vec<u64> = self.requests.keys().copied().collect();
        for id in requests {
            self.cancel_request(id, &ending);
        }
        self.cancel_runs(&ending, |_| true);
    }

    /// Ends the runs that `which` picks.
    pub(super) fn cancel_runs(&mut self, ending: &Ending, which: impl Fn(&super::run::Run) -> bool) {
        let picked: Vec<RunId> = self.runs.iter().filter(|(_, run)| which(run)).map(|(id, _)| *id).collect();
        for id in picked {
            self.cancel_run(id, ending);
        }
    }

    /// Ends a request before its items did by themselves. Doing it again changes nothing.
    pub(super) fn cancel_request(&mut self, id: u64, ending: &Ending) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if request.ended_by.is_some() {
            return;
        }
        request.ended_by = Some(ending.clone());
        let mut steps = Vec::new();
        request.group.cancel(&mut steps);
        self.plan(Node::Request(id), steps);
    }
}
