//! A plugin's own directory for temporary files, which goes when the plugin is gone.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::launch::Work;
use super::user::User;

/// How often a directory is removed that still gets new files: what was killed may take a moment to be gone.
const REMOVALS_MAX: u32 = 5;
const REMOVE_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How often another name is tried where one is taken.
const NAMES_MAX: u32 = 8;

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    thread: mpsc::Sender<Work>,
}

impl Scratch {
    /// Makes one that belongs to `user`, or to the user of this process. What is too much for a drop is removed by
    /// `thread`.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(super) fn make(user: Option<User>, thread: &mpsc::Sender<Work>) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let mut tries = 0;
        loop {
            let path = parent.join(format!("watchpost-plugin-{}", unguessable()?));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let scratch = Self { path, thread: thread.clone() };
                    if let Some(User { uid, gid }) = user {
                        std::os::unix::fs::lchown(&scratch.path, Some(uid), Some(gid))?;
                    }
                    return Ok(scratch);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < NAMES_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nearly always it is empty, or gone.
        let Err(error) = std::fs::remove_dir(&self.path) else { return };
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        let path = std::mem::take(&mut self.path);
        if let Err(not_sent) = self.thread.try_send(Work::Remove(path))
            && let Work::Remove(path) = not_sent.into_inner()
        {
            remove(&path);
        }
    }
}

/// Removes what a plugin left behind. It may be much, so no task waits for it.
pub(super) fn remove(path: &Path) {
    for _ in 1..REMOVALS_MAX {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(REMOVE_AGAIN_AFTER),
        }
    }
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "what a plugin left in its temporary directory stays there");
    }
}

fn unguessable() -> io::Result<String> {
    use ring::rand::SecureRandom;

    let mut bytes = [0; 10];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no randomness"))?;
    Ok(data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}
