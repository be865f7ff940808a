//! A configuration file as a source that may change.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use watchpost_agent::{Configuration, ConfigurationSource, Fingerprint};

/// What a file configures.
pub struct FileSource {
    file: PathBuf,
}

impl FileSource {
    /// What `file` configures.
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }
}

/// What changes when a file does; `None` where it cannot be looked at.
pub fn fingerprint(file: &Path) -> Option<Fingerprint> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    let mut hasher = std::hash::DefaultHasher::new();
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
    Some(hasher.finish())
}

impl ConfigurationSource for FileSource {
    fn fingerprint(&self) -> Option<Fingerprint> {
        fingerprint(&self.file)
    }

    fn load(&self) -> Result<Configuration, String> {
        let loaded = super::load(&self.file).map_err(|e| e.to_string())?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Configuration { checks: loaded.checks, pools: loaded.settings.pools() })
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}
