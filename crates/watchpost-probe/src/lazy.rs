//! What is loaded at its first use, and again where that failed.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a failure stands before loading is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A value that is loaded when it is first wanted. A success stays for good. A failure does not: the
/// file that was missing at the start of the machine may be there a minute later. It is kept only so
/// long that many checks at once do not read the same bad file again and again.
#[derive(Debug)]
pub(crate) struct Lazy<T, E> {
    loaded: OnceLock<T>,
    failed: Mutex<Option<(Instant, E)>>,
}

impl<T, E> Default for Lazy<T, E> {
    fn default() -> Self {
        Self { loaded: OnceLock::new(), failed: Mutex::new(None) }
    }
}

impl<T, E: Clone> Lazy<T, E> {
    /// The value, loaded by `load` if it is due. Others who want it meanwhile wait for that.
    ///
    /// # Errors
    /// What `load` said when it was last tried.
    pub(crate) fn get(&self, load: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        self.get_at(Instant::now, load)
    }

    fn get_at(&self, now: impl FnOnce() -> Instant, load: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let mut failed = self.failed.lock();
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let now = now();
        if let Some((at, error)) = &*failed
            && now.saturating_duration_since(*at) < RETRY_AFTER
        {
            return Err(error.clone());
        }
        match load() {
            Ok(value) => {
                *failed = None;
                Ok(self.loaded.get_or_init(|| value))
            }
            Err(error) => {
                *failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_tried_again_after_a_while_and_a_success_never() {
        let lazy = Lazy::<u32, &str>::default();
        let start = Instant::now();
        let never = || -> Result<u32, &str> { panic!("loaded too often") };
        assert_eq!(lazy.get_at(|| start, || Err("no file")), Err("no file"));
        assert_eq!(lazy.get_at(|| start + RETRY_AFTER / 2, never), Err("no file"));
        assert_eq!(lazy.get_at(|| start + RETRY_AFTER, || Err("bad file")), Err("bad file"));
        assert_eq!(lazy.get_at(|| start + RETRY_AFTER, never), Err("bad file"));
        assert_eq!(lazy.get_at(|| start + RETRY_AFTER * 2, || Ok(7)), Ok(&7));
        assert_eq!(lazy.get(never), Ok(&7));
    }
}
