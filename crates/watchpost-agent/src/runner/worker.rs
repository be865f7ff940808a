//! An owned value that can execute one task at a time.

use watchpost_probe::{Probe, ProbeFactory};

/// A worker of one check type. Not `Clone`: it is in its pool or out with one task.
pub(super) struct Worker {
    id: usize,
    probe: Box<dyn Probe>,
}

impl Worker {
    pub(super) fn new(id: usize, factory: &ProbeFactory) -> Self {
        Self { id, probe: factory() }
    }

    /// A worker in place of one that panicked; `None` where making it panics as well.
    pub(super) fn try_new(id: usize, factory: &ProbeFactory) -> Option<Self> {
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Self::new(id, factory)));
        if made.is_err() {
            tracing::error!(worker = id, "a worker could not be made; it is tried again");
        }
        made.ok()
    }

    pub(super) fn id(&self) -> usize {
        self.id
    }

    pub(super) fn probe(&mut self) -> &mut dyn Probe {
        &mut *self.probe
    }
}
