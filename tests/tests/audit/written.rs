//! Audit logs, and who is in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchpost_agent::{Clock, SystemClock};
use watchpost_audit::{AuditLog, AuditSettings, read_entries, verify};
use watchpost_tests::process::SOON;

/// A folder that is removed with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-written-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A log of that name.
    pub fn log(&self, name: &str) -> AuditLog {
        let clock = SystemClock::default();
        let now = Arc::new(move || clock.now());
        AuditLog::open(AuditSettings::new(self.file(name), "b1".parse().unwrap(), now)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What stands in a log, which holds together.
pub fn entries(file: &Path) -> Vec<Value> {
    let files = [file.to_owned()];
    let found = verify(&files, None).unwrap();
    assert_eq!(found.problems, [], "{}", file.display());
    let mut entries = Vec::new();
    read_entries(&files, |line| entries.push(serde_json::from_str(line).unwrap())).unwrap();
    entries
}

/// Those of one kind.
pub fn of(entries: &[Value], event: &str) -> Vec<Value> {
    entries.iter().filter(|entry| entry["event"] == event).cloned().collect()
}

/// Waits until there is something to be seen in a log that is being written.
pub async fn until_written(file: &Path, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        // What is read in the middle of a write has a last line that is cut off.
        let mut lines = Vec::new();
        if file.exists() {
            read_entries(&[file.to_owned()], |line| lines.extend(serde_json::from_str::<Value>(line).ok())).unwrap();
        }
        if holds(&lines) {
            return lines;
        }
        assert!(begun.elapsed() < SOON, "{what} is not in {lines:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
