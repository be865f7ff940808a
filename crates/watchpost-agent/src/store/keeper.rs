//! When what is known is put on the disk: soon after it changed, at most once a second, and at a stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::disk::{Disk, Image};

/// The shortest time from one write to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Writes to the disk on the runtime's threads for blocking work, one write at a time.
#[derive(Default)]
pub(super) struct Keeper {
    disk: Option<Arc<Disk>>,
    is_dirty: bool,
    writing: Option<JoinHandle<io::Result<()>>>,
    written_at: Option<Instant>,
    has_failed: bool,
}

impl Keeper {
    /// Without a disk nothing is kept.
    pub(super) fn new(disk: Option<Arc<Disk>>) -> Self {
        Self { disk, ..Self::default() }
    }

    pub(super) fn changed(&mut self) {
        self.is_dirty = self.disk.is_some();
    }

    /// Returns when there is something to do.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is done before [`Keeper::step`].
    pub(super) async fn due(&mut self) {
        if let Some(writing) = &mut self.writing {
            let done = writing.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
            self.writing = None;
            return self.told(done);
        }
        match (self.is_dirty, self.written_at) {
            (false, _) => std::future::pending().await,
            (true, None) => {}
            (true, Some(before)) => tokio::time::sleep_until(before + EVERY).await,
        }
    }

    /// Begins a write, if one is due.
    pub(super) fn step(&mut self, image: impl FnOnce() -> Image) {
        let is_due = self.written_at.is_none_or(|before| before.elapsed() >= EVERY);
        let Some(disk) = self.disk.clone().filter(|_| self.is_dirty && is_due && self.writing.is_none()) else {
            return;
        };
        self.is_dirty = false;
        self.written_at = Some(Instant::now());
        let image = image();
        self.writing = Some(tokio::task::spawn_blocking(move || disk.write(&image)));
    }

    /// Writes what is not written yet.
    pub(super) async fn finish(&mut self, image: impl FnOnce() -> Image) {
        if self.writing.is_some() {
            self.due().await;
        }
        if self.is_dirty {
            self.written_at = None;
            self.step(image);
            self.due().await;
        }
    }

    fn told(&mut self, done: io::Result<()>) {
        match done {
            Ok(()) if self.has_failed => {
                self.has_failed = false;
                tracing::info!("the checks are kept on disk again");
            }
            Ok(()) => {}
            Err(error) => {
                self.is_dirty = true;
                if !std::mem::replace(&mut self.has_failed, true) {
                    let file = self.disk.as_ref().map(|disk| disk.file().display().to_string()).unwrap_or_default();
                    tracing::error!(file, %error, "the checks cannot be kept on disk; it is tried again each second");
                }
            }
        }
    }
}
