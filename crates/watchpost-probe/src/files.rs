//! Files that a check names, on the machine that runs it. They are read anew for each check: whoever
//! changes them need not tell anybody.
//!
//! Every file of every check type is opened here, so that what the policy says of files is asked in one place, and of
//! the file that is read: wherever symbolic links lead.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use watchpost_model::{FilePath, Payload, Reason, ReasonCode};
use watchpost_policy::{Denied, Guard};

use crate::{Verdict, failure};

/// The largest file that is read, in bytes. The certificate authorities of a whole system take a quarter of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Linux's `O_NONBLOCK` on every architecture that is built for. The standard library has no name for it.
const NONBLOCK: i32 = 0o4000;

/// Reads the files that checks name. Clones ask the same policy.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// `None` for files that no check names.
    guard: Option<Guard>,
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The policy does not permit it.
    Denied(Denied),
    /// The system says so.
    Io(io::Error),
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Files {
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard: Some(guard) }
    }

    /// For files that no check names, and that go nowhere but where this machine's operator wants them.
    pub(crate) fn unjudged() -> Self {
        Self { guard: None }
    }

    /// Reads a file off the runtime's threads: it may lie on a disk that does not answer.
    ///
    /// # Errors
    /// The verdict on a file that may not or cannot be read, or is too large.
    pub(crate) async fn read(&self, file: &FilePath) -> Result<Vec<u8>, Verdict> {
        let (files, path) = (self.clone(), file.as_str().to_owned());
        let reading = tokio::task::spawn_blocking(move || files.read_now(Path::new(&path), FILE_BYTES_MAX));
        match reading.await {
            Ok(Ok(bytes)) if bytes.len() as u64 <= FILE_BYTES_MAX => Ok(bytes),
            Ok(Ok(_)) => Err(unusable(file, &format!("has more than {FILE_BYTES_MAX} bytes"))),
            Ok(Err(Unopened::Denied(denied))) => Err(Verdict::denied(denied)),
            Ok(Err(Unopened::Io(error))) => Err(unusable(file, &format!("cannot be read: {}", failure::plain(&error)))),
            Err(_) => Err(unusable(file, "cannot be read")),
        }
    }

    /// What `payload` says is to be sent.
    ///
    /// # Errors
    /// The verdict on a file that may not or cannot be read, or is too large.
    pub(crate) async fn payload<'a>(&self, payload: &'a Payload) -> Result<Cow<'a, [u8]>, Verdict> {
        match payload.bytes() {
            Ok(bytes) => Ok(bytes),
            Err(file) => self.read(file).await.map(Cow::Owned),
        }
    }

    /// Reads a file at once, on a thread that may wait; one byte more than `bytes_max` where there is more.
    ///
    /// # Errors
    /// Why it may not or cannot be read.
    pub(crate) fn read_now(&self, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unopened> {
        let mut bytes = Vec::new();
        self.open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The names in a folder whose files may be read.
    ///
    /// # Errors
    /// Why they may not or cannot be listed.
    pub(crate) fn list(&self, folder: &Path) -> Result<std::fs::ReadDir, Unopened> {
        let real = folder.canonicalize();
        // Whether a file may be read depends on its folder, and not on its name.
        self.judge(&real.as_ref().map_or_else(|_| plainly(folder), PathBuf::clone).join("*"))?;
        Ok(std::fs::read_dir(real?)?)
    }

    fn open(&self, path: &Path) -> Result<File, Unopened> {
        let real = self.real(path)?;
        // A pipe that nobody writes to would keep the thread for ever.
        let file = std::fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&real)?;
        if file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::other("it is a pipe").into());
        }
        // What was put in its place since then is judged as well: the system knows what is open.
        let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if opened != real {
            self.judge(&opened)?;
        }
        Ok(file)
    }

    /// Where `path` leads, if what is there may be read. Nothing is opened before that is known, since opening alone
    /// does something to some devices.
    fn real(&self, path: &Path) -> Result<PathBuf, Unopened> {
        match settled(path) {
            Ok(real) => {
                self.judge(&real)?;
                Ok(real)
            }
            Err(error) => {
                // What may not be read is not told apart from what is not there: a check is no way to look around.
                self.judge(&plainly(path))?;
                Err(error.into())
            }
        }
    }

    fn judge(&self, path: &Path) -> Result<(), Unopened> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.judge_file(path).map_err(Unopened::Denied))
    }
}

/// The path without symbolic links in its folder, and where its last part leads if that is there.
fn settled(path: &Path) -> io::Result<PathBuf> {
    let missing = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => error,
        settled => return settled,
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(missing) };
    if path.symlink_metadata().is_ok() {
        // A link that leads nowhere, or to what has no path.
        return Err(missing);
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(folder.canonicalize()?.join(name))
}

/// The path as it is written, from the root, with its `..` taken at their word.
pub(crate) fn plainly(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The verdict on a file that is of no use. It is ours, and says nothing about the target.
pub(crate) fn unusable(file: &FilePath, why: &str) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, format!("the file {file} {why}")))
}
