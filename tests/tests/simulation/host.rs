//! A process: a runtime of its own with its own clock, which stands still between the steps of the simulation,
//! and with which everything that it runs can be dropped.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::Instant;
use watchpost_agent::{Alarm, Clock};
use watchpost_core::Tick;
use watchpost_model::Timestamp;

use super::log::Us;

/// What the time of day is when a simulation begins, in µs since the Unix epoch.
pub const DAY_ZERO_US: i64 = 1_700_000_000_000_000;

pub struct Host {
    // Dropped first, and within the runtime: what it holds may belong to the runtime's timers.
    local: Option<LocalSet>,
    runtime: Option<Runtime>,
    time: HostTime,
}

/// The simulated time, as it is inside of one process.
#[derive(Debug, Clone)]
pub struct HostTime {
    began: Instant,
    began_us: Us,
}

impl HostTime {
    /// Now. To be asked within the process.
    pub fn now_us(&self) -> Us {
        self.began_us + self.began.elapsed().as_micros() as Us
    }

    /// The moment on the runtime's clock.
    pub fn at(&self, us: Us) -> Instant {
        self.began + Duration::from_micros(us - self.began_us)
    }
}

impl Host {
    pub fn start(now_us: Us) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let began = runtime.block_on(async { Instant::now() });
        Self { local: Some(LocalSet::new()), runtime: Some(runtime), time: HostTime { began, began_us: now_us } }
    }

    pub fn time(&self) -> HostTime {
        self.time.clone()
    }

    /// Begins something, which goes on as the process's time does.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let _within = self.runtime().enter();
        self.local().spawn_local(future);
    }

    /// Runs the process until then.
    pub fn run_until(&self, us: Us) {
        let until = self.time.at(us);
        self.local().block_on(self.runtime(), async { tokio::time::sleep_until(until).await });
    }

    /// Time has passed, and the process did not notice.
    pub fn wake_at(&self, us: Us) {
        let until = self.time.at(us);
        self.runtime().block_on(async { tokio::time::advance(until.saturating_duration_since(Instant::now())).await });
    }

    fn local(&self) -> &LocalSet {
        self.local.as_ref().unwrap()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }
}

thread_local! {
    static KILLING: Cell<bool> = const { Cell::new(false) };
}

/// Whether what is being dropped goes down with its whole process: then it says nothing to anybody.
pub fn is_killing() -> bool {
    KILLING.get()
}

impl Drop for Host {
    fn drop(&mut self) {
        KILLING.set(true);
        let (local, runtime) = (self.local.take(), self.runtime.take());
        if let Some(runtime) = &runtime {
            let _within = runtime.enter();
            drop(local);
        }
        drop(runtime);
        KILLING.set(false);
    }
}

/// The clocks of one process. The time of day belongs to its machine, and outlives it.
pub struct SimClock {
    pub time: HostTime,
    pub day_offset_us: Arc<AtomicI64>,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        day(self.time.now_us(), self.day_offset_us.load(Ordering::Relaxed))
    }

    fn tick(&self) -> Tick {
        Tick::from_micros(self.time.now_us())
    }

    fn alarm(&self) -> std::io::Result<Box<dyn Alarm>> {
        Ok(Box::new(SimAlarm::start()))
    }
}

/// The time of day at a moment.
pub fn day(us: Us, offset_us: i64) -> Timestamp {
    Timestamp::from_microsecond(DAY_ZERO_US + us as i64 + offset_us).unwrap()
}

struct SimAlarm {
    moved: tokio::sync::watch::Sender<Option<Instant>>,
    due: Arc<Notify>,
    sleeper: AbortHandle,
}

impl SimAlarm {
    fn start() -> Self {
        let (moved, mut at) = tokio::sync::watch::channel(None);
        let due = Arc::<Notify>::default();
        let tell = Arc::clone(&due);
        let sleeper = tokio::spawn(async move {
            loop {
                let next: Option<Instant> = *at.borrow_and_update();
                tokio::select! {
                    biased;
                    moved = at.changed() => if moved.is_err() { return },
                    () = sleep_until(next) => {
                        tell.notify_one();
                        // Until it is moved again.
                        if at.changed().await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Self { moved, due, sleeper: sleeper.abort_handle() }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Alarm for SimAlarm {
    fn set(&self, after: Duration) {
        self.moved.send_replace(Some(Instant::now() + after));
    }

    fn due(&self) -> Arc<Notify> {
        Arc::clone(&self.due)
    }
}

impl Drop for SimAlarm {
    fn drop(&mut self) {
        self.sleeper.abort();
        self.due.notify_one();
    }
}
