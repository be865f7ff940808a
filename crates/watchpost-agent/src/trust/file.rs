//! Where the revisions that were seen outlive the process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use watchpost_trust::{REVISIONS_MAX, Revisions};

/// The largest file that is read: a line of at most 512 bytes for each check.
const FILE_BYTES_MAX: u64 = (REVISIONS_MAX as u64 + 2) * 512;

/// A file beside that of the checks. It is written beside the old one and put in its place when it is on the disk.
pub(super) struct RevisionsFile {
    path: PathBuf,
    has_failed: AtomicBool,
    /// Held by whoever writes: one at a time, each what is known then.
    writing: Mutex<()>,
}

impl RevisionsFile {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(Self { path, has_failed: AtomicBool::new(false), writing: Mutex::new(()) })
    }

    /// What was kept; nothing where that cannot be used, which is told and put aside.
    pub(super) fn read(&self) -> Revisions {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Revisions::default(),
            opened => opened,
        };
        let mut content = Vec::new();
        let read = file.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content));
        let damage = match read.map(|_| Revisions::from_bytes(&content)) {
            Ok(Ok(revisions)) => return revisions,
            Ok(Err(damage)) => damage,
            Err(error) => error.to_string(),
        };
        let (file, aside) = (self.path.display(), self.path.with_extension("revisions.damaged"));
        let put_aside = fs::rename(&self.path, &aside);
        tracing::error!(
            %file, aside = %aside.display(), put_aside = put_aside.is_ok(),
            "the revisions on disk cannot be used: old checks may come back that were replaced or deleted: {damage}"
        );
        Revisions::default()
    }

    /// Says whether it is on the disk. What fails is told once.
    pub(super) fn write(&self, content: impl FnOnce() -> Vec<u8>) -> bool {
        let _one = self.writing.lock();
        match self.replace(&content()) {
            Ok(()) => {
                if self.has_failed.swap(false, Ordering::Relaxed) {
                    tracing::info!("the revisions of checks are kept on disk again");
                }
                true
            }
            Err(error) => {
                if !self.has_failed.swap(true, Ordering::Relaxed) {
                    let file = self.path.display();
                    tracing::error!(
                        %file, %error,
                        "the revisions of checks cannot be kept on disk; it is tried again each second"
                    );
                }
                false
            }
        }
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("revisions.next");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        match self.path.parent() {
            // The new name is to outlive a power cut as well.
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
