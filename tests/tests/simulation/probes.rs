//! Probes that do as they are fated: which is a matter of the task alone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watchpost_model::{CheckType, Reason, ReasonCode, Task, TaskId};
use watchpost_probe::{BoxFuture, Probe, ProbeFactory, ProbeSet, Recorder, Stage, Verdict};

use super::bus::SharedWorld;
use super::host::HostTime;
use super::log::{Event, ProcessId};
use super::rng::Rng;

/// How often what happens, per thousand tasks. The others pass.
#[derive(Debug, Clone)]
pub struct Fates {
    pub seed: u64,
    pub fail: u64,
    pub error: u64,
    pub hang: u64,
    pub panic: u64,
    /// Workers that cannot be made anew at the first try, per thousand.
    pub stillborn: u64,
    pub takes_us_max: u64,
    /// Tasks that take up to so many times as long, per thousand.
    pub slow: u64,
}

/// The workers of one process.
pub struct Workers {
    pub fates: Fates,
    pub world: SharedWorld,
    pub process: ProcessId,
    pub time: HostTime,
    /// How many were made.
    pub made: AtomicU64,
    /// How many are made at the start, which nothing goes wrong with.
    pub at_start: u64,
}

/// Makes the probes of every type.
pub fn probes(workers: &Arc<Workers>) -> ProbeSet {
    CheckType::ALL.into_iter().fold(ProbeSet::default(), |set, check_type| {
        let workers = Arc::clone(workers);
        let factory: ProbeFactory = Arc::new(move || {
            let worker = workers.made.fetch_add(1, Ordering::Relaxed);
            let mut rng = Rng::new(workers.fates.seed ^ (worker << 8) ^ workers.process as u64);
            if worker >= workers.at_start && rng.chance(workers.fates.stillborn) {
                fate("a worker was fated not to be made");
            }
            Box::new(Fated { worker, workers: Arc::clone(&workers) })
        });
        set.with(check_type, factory)
    })
}

struct Fated {
    worker: u64,
    workers: Arc<Workers>,
}

impl Probe for Fated {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let Fates { seed, fail, error, hang, panic, takes_us_max, slow, .. } = self.workers.fates;
            let _at_work = AtWork::begin(&self.workers, self.worker, task);
            let mut hasher = DefaultHasher::new();
            (seed, task.task.as_uuid().as_u128()).hash(&mut hasher);
            let mut rng = Rng::new(hasher.finish());
            let mut takes_us = rng.range(0, takes_us_max);
            if rng.chance(slow) {
                takes_us *= rng.range(2, 30);
            }
            // Some do not get to their target: then it is not the target that is late.
            if !rng.chance(30) {
                recorder.enter(Stage::FirstByte);
            }
            if rng.chance(hang) {
                std::future::pending::<()>().await;
            }
            if !rng.chance(100) {
                tokio::time::sleep(Duration::from_micros(takes_us)).await;
            }
            if rng.chance(panic) {
                fate("the probe was fated to panic");
            }
            let reason = || Reason::new(ReasonCode::HttpStatus, "as it was fated");
            match () {
                () if rng.chance(fail) => Verdict::fail(reason()),
                () if rng.chance(error) => Verdict::error(reason()),
                () => Verdict::pass(),
            }
        })
    }
}

/// Panics without a word on the standard error, since there will be thousands.
fn fate(message: &str) -> ! {
    std::panic::resume_unwind(Box::new(message.to_owned()))
}

/// Notes that a worker has ended its task, however it did.
struct AtWork<'a> {
    workers: &'a Workers,
    worker: u64,
    task: TaskId,
}

impl<'a> AtWork<'a> {
    fn begin(workers: &'a Workers, worker: u64, task: &Task) -> Self {
        let until = task.deadline;
        let at_work = Self { workers, worker, task: task.task };
        at_work.note(Event::ProbeBegan { worker, task: task.task, run: task.run, until });
        at_work
    }

    fn note(&self, event: Event) {
        let now = self.workers.time.now_us();
        self.workers.world.lock().unwrap().log.note(now, self.workers.process, event);
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        // One that is dropped with its whole process has no time any more, and its end is that of the process.
        if !super::host::is_killing() {
            self.note(Event::ProbeEnded { worker: self.worker, task: self.task });
        }
    }
}
