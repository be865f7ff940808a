//! An owned value that can execute one task at a time.

use watchpost_model::CheckType;
use watchpost_probe::{Probe, ProbeFactory};

/// A worker of one check type. Not `Clone`: it is in its pool or out with one task.
pub(super) struct Worker {
    check_type: CheckType,
    id: usize,
    factory: ProbeFactory,
    probe: Box<dyn Probe>,
}

impl Worker {
    pub(super) fn new(check_type: CheckType, id: usize, factory: ProbeFactory) -> Self {
        let probe = factory();
        Self { check_type, id, factory, probe }
    }

    pub(super) fn id(&self) -> usize {
        self.id
    }

    pub(super) fn probe(&mut self) -> &mut dyn Probe {
        &mut *self.probe
    }

    /// Throws away what a panic may have left half done.
    pub(super) fn renew(&mut self) {
        tracing::warn!(check_type = %self.check_type, worker = self.id, "a worker is renewed after a panic");
        // A factory that panics as well must not cost the pool its worker: it keeps what it has.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.factory)())) {
            Ok(probe) => self.probe = probe,
            Err(_) => tracing::error!(check_type = %self.check_type, worker = self.id, "a worker could not be renewed"),
        }
    }
}
