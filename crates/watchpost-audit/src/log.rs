//! The handle of a log: what others record with.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use watchpost_model::{InstanceId, Timestamp};

use crate::entry::Head;
use crate::file::{Found, LogFile};
use crate::settings::Now;
use crate::writer::{Recorded, Writer};
use crate::{AuditError, AuditEvent, AuditSettings};

/// How many events may wait for the disk. One more is not written down, and that it is not is. A bastion that reads its
/// store for the first time may have to tell of 50 000 checks at once.
const WAITING_MAX: usize = 65_536;

/// Writes down what happens, or nothing where it is off. A clone writes to the same file.
#[derive(Clone, Default)]
pub struct AuditLog(Option<Arc<Handle>>);

/// Ends the thread when the last clone is gone.
struct Handle {
    shared: Arc<Shared>,
    instance: Option<InstanceId>,
}

/// How a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditStatus {
    /// The last entry that is on the disk.
    pub head: Head,
    /// How many events were not written down since the process began.
    pub dropped: u64,
    /// Why the disk does not take any, if it does not.
    pub failing: Option<String>,
}

impl AuditLog {
    /// One that writes nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Opens the log, and goes on where it was left.
    ///
    /// # Errors
    /// When the file cannot be used, or is used by another process.
    pub fn open(settings: AuditSettings) -> Result<Self, AuditError> {
        let Found { file, head, repaired } = LogFile::open(&settings)?;
        let AuditSettings { file: path, bastion, instance, now, .. } = settings;
        let in_hand: VecDeque<Recorded> =
            repaired.into_iter().map(|what| (now(), AuditEvent::Repaired { what })).collect();
        for (_, event) in &in_hand {
            tracing::warn!(file = %path.display(), ?event, "the audit log was repaired");
        }
        let state = State { head, is_writing: !in_hand.is_empty(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), now });
        let writer = Writer { file, head, bastion, instance, in_hand, lines: Vec::new() };
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || writer.run(&of_thread)).map_err(AuditError::Thread)?;
        Ok(Self(Some(Arc::new(Handle { shared, instance }))))
    }

    /// Whether anything is written down.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The life of the process that the entries name.
    pub fn instance(&self) -> Option<InstanceId> {
        self.0.as_ref()?.instance
    }

    /// Writes down that something happened. It is on the disk soon after; nobody waits for that.
    pub fn record(&self, event: AuditEvent) {
        if let Some(handle) = &self.0 {
            handle.shared.record(event);
        }
    }

    /// How it stands; `None` where it is off.
    pub fn status(&self) -> Option<AuditStatus> {
        let state = self.0.as_ref()?.shared.state.lock();
        Some(AuditStatus { head: state.head, dropped: state.dropped, failing: state.failing.clone() })
    }

    /// Takes nothing more, and waits for as long as `limit` until everything is on the disk. Says whether it is.
    /// Blocks the thread.
    pub fn close(&self, limit: Duration) -> bool {
        let Some(handle) = &self.0 else { return true };
        handle.shared.close();
        handle.shared.wait_until_written(limit)
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditLog").field(&self.status()).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What those who record share with the thread that writes.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    now: Now,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Recorded>,
    /// What was not taken since the last event that was.
    missing: u64,
    /// What was not taken, all in all.
    dropped: u64,
    /// Whether the thread has something in hand.
    is_writing: bool,
    is_closed: bool,
    /// Whether it is tried for the last time what the disk did not take, and whether that was in vain.
    is_last_try: bool,
    is_given_up: bool,
    head: Head,
    failing: Option<String>,
}

impl State {
    /// Lets the log say at this place what is missing from it.
    fn tell_missing(&mut self, now: Timestamp) {
        if self.missing > 0 {
            self.waiting.push_back((now, AuditEvent::Dropped { entries: self.missing }));
            self.missing = 0;
        }
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn record(&self, event: AuditEvent) {
        let entry = (self.now(), event.bounded());
        let mut state = self.state.lock();
        if state.is_closed {
            state.dropped += 1;
            return;
        }
        if state.waiting.len() >= WAITING_MAX {
            (state.missing, state.dropped) = (state.missing + 1, state.dropped + 1);
            return;
        }
        state.tell_missing(entry.0);
        state.waiting.push_back(entry);
        self.changed.notify_all();
    }

    /// Waits until there is something to write, and takes at most `max` of it; `false` when there will be nothing more.
    pub(crate) fn take(&self, to: &mut VecDeque<Recorded>, max: usize) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.waiting.is_empty() && state.missing > 0 {
                let now = self.now();
                state.tell_missing(now);
            }
            if !state.waiting.is_empty() {
                let taken = state.waiting.len().min(max);
                to.extend(state.waiting.drain(..taken));
                state.is_writing = true;
                return true;
            }
            if state.is_closed {
                return false;
            }
            self.changed.wait(&mut state);
        }
    }

    /// What was taken is on the disk up to `head`.
    pub(crate) fn written(&self, head: Head, is_all: bool) {
        let mut state = self.state.lock();
        (state.head, state.is_writing, state.failing) = (head, !is_all, None);
        self.changed.notify_all();
    }

    /// So many events cannot be written at all.
    pub(crate) fn lost(&self, events: u64) {
        let mut state = self.state.lock();
        (state.missing, state.dropped) = (state.missing + events, state.dropped + events);
    }

    /// The disk does not take what is to be written. Waits before it is tried again; `false` when it is not to be.
    pub(crate) fn failed(&self, why: &std::io::Error, again_after: Duration) -> bool {
        let mut state = self.state.lock();
        state.failing = Some(why.to_string());
        let until = Instant::now() + again_after;
        while !state.is_closed {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return true;
            }
        }
        // Once more, and then what is left is lost.
        state.is_given_up = std::mem::replace(&mut state.is_last_try, true);
        self.changed.notify_all();
        !state.is_given_up
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn wait_until_written(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut state = self.state.lock();
        while state.is_writing || !state.waiting.is_empty() || state.missing > 0 {
            if state.is_given_up || self.changed.wait_until(&mut state, until).timed_out() {
                return false;
            }
        }
        true
    }
}
