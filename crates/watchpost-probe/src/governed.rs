//! What the customer's policy says of a check as a whole: whether there may be one of its type, and one more.

use futures_util::FutureExt;
use watchpost_model::Task;
use watchpost_policy::{Denied, Guard};

use crate::recorder::Recorder;
use crate::{BoxFuture, Probe, Verdict};

/// What is told of a check that waited in vain.
fn not_its_turn() -> Denied {
    let message =
        "`limits.concurrency` of the policy permits no more checks at a time: it was not this one's turn in time";
    Denied { rule: "limits.concurrency".to_owned(), message: message.to_owned() }
}

/// A probe that the policy is asked about before it does anything. It holds one of the places for checks at the same
/// time for as long as it runs.
#[derive(Debug)]
pub(crate) struct Governed<P> {
    pub(crate) probe: P,
    pub(crate) guard: Guard,
}

impl<P: Probe> Probe for Governed<P> {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async {
            if let Err(denied) = self.guard.judge_type(task.check_type()) {
                return Verdict::denied(denied);
            }
            let mut entering = self.guard.enter();
            let _permit = match (&mut entering).now_or_never() {
                Some(permit) => permit,
                None => {
                    recorder.hold(not_its_turn().message);
                    let entered = tokio::time::timeout(recorder.patience(), entering).await;
                    recorder.go_on();
                    match entered {
                        Ok(permit) => permit,
                        Err(_) => return Verdict::denied(not_its_turn()),
                    }
                }
            };
            self.probe.run(task, recorder).await
        })
    }
}
