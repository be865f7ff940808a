//! Files that a check names, on the machine that runs it. They are read anew for each check: whoever
//! changes them need not tell anybody.

use std::borrow::Cow;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use watchpost_model::{FilePath, Payload, Reason, ReasonCode};

use crate::{Verdict, failure};

/// The largest file that is read, in bytes. The certificate authorities of a whole system take a quarter of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Linux's `O_NONBLOCK` on every architecture that is built for. The standard library has no name for it.
const NONBLOCK: i32 = 0o4000;

/// Reads a file off the runtime's threads: it may lie on a disk that does not answer.
///
/// # Errors
/// The verdict on a file that cannot be read, or is too large.
pub(crate) async fn read(file: &FilePath) -> Result<Vec<u8>, Verdict> {
    let path = file.as_str().to_owned();
    match tokio::task::spawn_blocking(move || read_now(Path::new(&path))).await {
        Ok(Ok(bytes)) if bytes.len() as u64 <= FILE_BYTES_MAX => Ok(bytes),
        Ok(Ok(_)) => Err(unusable(file, &format!("has more than {FILE_BYTES_MAX} bytes"))),
        Ok(Err(error)) => Err(unusable(file, &format!("cannot be read: {}", failure::plain(&error)))),
        Err(_) => Err(unusable(file, "cannot be read")),
    }
}

/// What `payload` says is to be sent.
///
/// # Errors
/// The verdict on a file that cannot be read, or is too large.
pub(crate) async fn payload(payload: &Payload) -> Result<Cow<'_, [u8]>, Verdict> {
    match payload.bytes() {
        Ok(bytes) => Ok(bytes),
        Err(file) => read(file).await.map(Cow::Owned),
    }
}

fn read_now(path: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe that nobody writes to would keep the thread for ever.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(std::io::Error::other("it is a pipe"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The verdict on a file that is of no use. It is ours, and says nothing about the target.
pub(crate) fn unusable(file: &FilePath, why: &str) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, format!("the file {file} {why}")))
}
