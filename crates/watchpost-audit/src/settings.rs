//! Where a log is written, and how much of it is kept.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use watchpost_model::{BastionId, InstanceId, Timestamp};

/// How large a file becomes where nothing else is said, in bytes.
pub const MAX_SIZE_DEFAULT: u64 = 16 * 1024 * 1024;
/// The smallest size at which a file may be rotated, in bytes: a few entries of the longest kind.
pub const MAX_SIZE_MIN: u64 = 64 * 1024;
/// How many files that are full are kept where nothing else is said.
pub const ROTATED_DEFAULT: usize = 15;
/// The most files that may be kept.
pub const ROTATED_MAX: usize = 10_000;

/// Tells the time of day.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where a log is written, and how much of it is kept.
#[derive(Clone)]
pub struct AuditSettings {
    /// The file that is written to. Its folder is made if it is not there.
    pub file: PathBuf,
    /// From which size on it is put aside and another one begun, in bytes; at least [`MAX_SIZE_MIN`].
    pub max_size: u64,
    /// How many files that were put aside are kept; at most [`ROTATED_MAX`].
    pub keep: usize,
    /// The bastion that each entry names.
    pub bastion: BastionId,
    /// The life of the process that each entry names.
    pub instance: Option<InstanceId>,
    /// What time it is.
    pub now: Now,
}

impl AuditSettings {
    /// Settings with every default.
    pub fn new(file: PathBuf, bastion: BastionId, now: Now) -> Self {
        Self { file, max_size: MAX_SIZE_DEFAULT, keep: ROTATED_DEFAULT, bastion, instance: None, now }
    }
}

impl fmt::Debug for AuditSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, max_size, keep, bastion, instance, now: _ } = self;
        f.debug_struct("AuditSettings")
            .field("file", file)
            .field("max_size", max_size)
            .field("keep", keep)
            .field("bastion", bastion)
            .field("instance", instance)
            .finish_non_exhaustive()
    }
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file, or one that belongs to it, cannot be used.
    #[error("the audit log {} cannot be written", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it.
    #[error(
        "the audit log {} is written by another process: expected one file for each process, `audit.file` says which",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Its thread could not be started.
    #[error("could not start the thread that writes the audit log")]
    Thread(#[source] std::io::Error),
    /// A file that is to be verified cannot be read.
    #[error("the file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
