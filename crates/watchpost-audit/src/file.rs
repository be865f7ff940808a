//! The file that is written to: how it is found, appended to, and put aside.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::entry::Head;
use crate::files::Files;
use crate::tail::{Tail, first_seq, last_whole, tail};
use crate::{AuditError, AuditSettings, MAX_SIZE_MIN, ROTATED_MAX};

/// An open log.
#[derive(Debug)]
pub(crate) struct LogFile {
    files: Files,
    max_size: u64,
    keep: usize,
    file: File,
    /// How long the file is, as far as this process knows.
    len: u64,
    /// The number of the file's first entry; of the next one where it is empty.
    first: u64,
    /// The file was put aside, and the next one could not be begun yet.
    is_put_aside: bool,
    /// Held for as long as the log is written.
    _lock: File,
}

/// A log that was found, where it stands, and what was not as it was left.
pub(crate) struct Found {
    pub(crate) file: LogFile,
    pub(crate) head: Head,
    pub(crate) repaired: Vec<String>,
}

impl LogFile {
    /// Opens the log, and brings it into a state in which it can be gone on with.
    pub(crate) fn open(settings: &AuditSettings) -> Result<Found, AuditError> {
        let path = &settings.file;
        let unusable = |source| AuditError::Unusable { path: path.clone(), source };
        let files = Files::new(path).map_err(unusable)?;
        files.make_folder().map_err(unusable)?;
        let lock = files.lock().map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AuditError::InUse { path: path.clone() }),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        Self::open_locked(files, lock, settings).map_err(unusable)
    }

    fn open_locked(files: Files, lock: File, settings: &AuditSettings) -> io::Result<Found> {
        let file = files.open()?;
        let len = file.metadata()?.len();
        let (max_size, keep) = (settings.max_size.max(MAX_SIZE_MIN), settings.keep.min(ROTATED_MAX));
        let mut opened = Self { files, max_size, keep, file, len, first: 1, is_put_aside: false, _lock: lock };
        let mut repaired = Vec::new();
        let head = match tail(&opened.file, len)? {
            Tail::Entry { head, cut } => {
                if cut > 0 {
                    opened.cut_to(len - cut)?;
                    repaired.push(format!(
                        "the last line was cut off after {cut} bytes, as a crash leaves it: it was removed"
                    ));
                }
                if head.seq > 0 { head } else { opened.head_of_those_before()? }
            }
            Tail::Empty => opened.head_of_those_before()?,
            Tail::Strange => {
                let last = last_whole(&opened.file)?;
                let head = match last {
                    Some(head) => head,
                    None => opened.head_of_those_before()?,
                };
                let aside = opened.put_aside(head.seq + 1)?;
                repaired.push(format!(
                    "the last line is not one that was written here: the file was put aside as {}, and this follows \
                     entry {}",
                    aside.display(),
                    head.seq
                ));
                head
            }
        };
        opened.first = first_seq(&opened.file)?.unwrap_or(head.seq + 1);
        Ok(Found { file: opened, head, repaired })
    }

    /// Where the newest file stands that was put aside, if there is one.
    fn head_of_those_before(&self) -> io::Result<Head> {
        for before in self.files.put_aside_before()?.iter().rev() {
            if let Some(head) = last_whole(&File::open(before)?)? {
                return Ok(head);
            }
        }
        Ok(Head::NONE)
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is room for so many bytes.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.len.saturating_add(bytes as u64) <= self.max_size
    }

    /// Whether nobody else has changed the file. What somebody did is said, and is gone on from: `next` is the number of
    /// the next entry.
    pub(crate) fn look(&mut self, next: u64) -> io::Result<Option<String>> {
        let ours = self.file.metadata()?;
        let named = fs::metadata(self.files.active());
        let is_there = named.as_ref().is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
        if !is_there {
            self.begin()?;
            self.end_line()?;
            self.first = first_seq(&self.file)?.unwrap_or(next);
            if std::mem::take(&mut self.is_put_aside) {
                return Ok(None);
            }
            return Ok(Some("the file was removed or replaced while it was written: another one was begun".to_owned()));
        }
        if ours.len() != self.len {
            let told = format!(
                "the file has {} bytes where {} were written: somebody else cut it or wrote to it",
                ours.len(),
                self.len
            );
            self.len = ours.len();
            self.end_line()?;
            return Ok(Some(told));
        }
        Ok(None)
    }

    /// Appends whole lines. They are on the disk when this returns; after an error none of them is.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Where this fails as well, the next look finds a file that is longer than it should be.
            let _gone = self.cut_to(self.len);
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Puts the file aside and begins another one, whose first entry will have the number `next`.
    pub(crate) fn rotate(&mut self, next: u64) -> io::Result<()> {
        self.put_aside(self.first)?;
        self.first = next;
        if let Err(error) = self.files.remove_oldest(self.keep) {
            tracing::warn!(%error, "old files of the audit log could not be removed");
        }
        Ok(())
    }

    fn put_aside(&mut self, first: u64) -> io::Result<std::path::PathBuf> {
        let aside = self.files.put_aside(first)?;
        self.is_put_aside = true;
        self.begin()?;
        self.is_put_aside = false;
        Ok(aside)
    }

    /// Goes on in the file that has the name now, which is made if there is none.
    fn begin(&mut self) -> io::Result<()> {
        self.file = self.files.open()?;
        self.len = self.file.metadata()?.len();
        Ok(())
    }

    fn cut_to(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_all()?;
        self.len = len;
        Ok(())
    }

    /// Ends what somebody else has left without an end, so that an entry begins a line.
    fn end_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.len > 0 {
            self.file.read_exact_at(&mut last, self.len - 1)?;
        }
        if last != [b'\n'] {
            self.append(b"\n")?;
        }
        Ok(())
    }
}
