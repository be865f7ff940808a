//! The thread that writes: what is waiting together, in one write and one sync.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{BastionId, InstanceId, Timestamp};

use crate::AuditEvent;
use crate::entry::{self, Head};
use crate::file::LogFile;
use crate::log::Shared;

/// How many entries are written at a time.
const BATCH_MAX: usize = 1024;
/// How soon it is tried again what the disk did not take.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An event with the time at which it was recorded.
pub(crate) type Recorded = (Timestamp, AuditEvent);

/// What the thread has.
pub(crate) struct Writer {
    pub(crate) file: LogFile,
    pub(crate) head: Head,
    pub(crate) bastion: BastionId,
    pub(crate) instance: Option<InstanceId>,
    /// What it took and has not written yet.
    pub(crate) in_hand: VecDeque<Recorded>,
    /// Lines that go into one write.
    pub(crate) lines: Vec<u8>,
}

impl Writer {
    /// Writes until the log is closed and everything is written, or the disk does not take what is left.
    pub(crate) fn run(mut self, shared: &Arc<Shared>) {
        let mut is_failing = false;
        loop {
            if self.in_hand.is_empty() && !shared.take(&mut self.in_hand, BATCH_MAX) {
                return;
            }
            match self.write(shared) {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("the audit log is written again");
                    }
                    shared.written(self.head, self.in_hand.is_empty());
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(%error, "the audit log cannot be written: what is recorded waits, and beyond a bound is lost");
                    }
                    if !shared.failed(&error, AGAIN_AFTER) {
                        return;
                    }
                }
            }
        }
    }

    /// Writes what is in hand. After an error what is not on the disk is still in hand.
    fn write(&mut self, shared: &Shared) -> io::Result<()> {
        if let Some(told) = self.file.look(self.head.seq + 1)? {
            tracing::error!(detail = told, "the audit log was touched by somebody else");
            self.in_hand.push_front((shared.now(), AuditEvent::Repaired { what: told }));
        }
        while !self.in_hand.is_empty() {
            let (taken, head) = self.encode(shared);
            // Invariant: an empty file has room for any entry.
            if taken == 0 {
                self.file.rotate(self.head.seq + 1)?;
                continue;
            }
            self.file.append(&self.lines)?;
            self.head = head;
            self.in_hand.drain(..taken);
        }
        Ok(())
    }

    /// Makes lines of as much as the file has room for. Says of how many events, and where the log stands after them.
    fn encode(&mut self, shared: &Shared) -> (usize, Head) {
        self.lines.clear();
        let (mut taken, mut head) = (0, self.head);
        for (at, event) in &self.in_hand {
            let (before, whose) = (self.lines.len(), (&self.bastion, self.instance));
            let mut next = head;
            if let Err(error) = entry::write(&mut self.lines, &mut next, whose, *at, event) {
                tracing::error!(error, "an event cannot be written to the audit log");
                shared.lost(1);
            } else if !(self.file.has_room_for(self.lines.len()) || self.file.is_empty() && before == 0) {
                self.lines.truncate(before);
                break;
            }
            (taken, head) = (taken + 1, next);
        }
        (taken, head)
    }
}
