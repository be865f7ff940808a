//! The files of one log: the one that is written to, and those that were put aside when they were full.
//!
//! `a.audit.jsonl` is put aside as `a.audit-000000000001.jsonl`, by the number of its first entry: such a file is
//! never touched again until it is removed as the oldest.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The digits of a number in a name, so that names sort as numbers do.
const DIGITS: usize = 12;

/// Where the files of a log are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
    active: PathBuf,
    /// What stands before and after the number in the names of the others.
    stem: String,
    extension: String,
}

impl Files {
    pub(crate) fn new(active: &Path) -> io::Result<Self> {
        let text = |part: Option<&std::ffi::OsStr>| part.and_then(std::ffi::OsStr::to_str).map(str::to_owned);
        let Some(stem) = text(active.file_stem()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected the name of a file, in UTF-8"));
        };
        let extension = text(active.extension()).map(|extension| format!(".{extension}")).unwrap_or_default();
        let folder = active.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            active: active.to_owned(),
            stem: format!("{stem}-"),
            extension,
        })
    }

    pub(crate) fn active(&self) -> &Path {
        &self.active
    }

    pub(crate) fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Held by the process that writes the log.
    pub(crate) fn lock(&self) -> io::Result<File> {
        let mut name = self.active.clone().into_os_string();
        name.push(".lock");
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name)
    }

    /// The file that is written to, which is made if it is not there.
    pub(crate) fn open(&self) -> io::Result<File> {
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.active)?;
        self.sync_folder()?;
        Ok(file)
    }

    /// Puts the file aside that is written to, whose first entry has that number.
    pub(crate) fn put_aside(&self, first: u64) -> io::Result<PathBuf> {
        let mut aside = self.aside(&format!("{first:0DIGITS$}"));
        // Only where somebody has put a file there.
        for other in 1.. {
            if !aside.try_exists()? {
                break;
            }
            aside = self.aside(&format!("{first:0DIGITS$}.{other}"));
        }
        fs::rename(&self.active, &aside)?;
        self.sync_folder()?;
        Ok(aside)
    }

    /// Those that were put aside, the oldest first.
    pub(crate) fn put_aside_before(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(&self.stem)?.strip_suffix(&self.extension));
            let Some(number) = number else { continue };
            let (first, other) = number.split_once('.').unwrap_or((number, "0"));
            if first.len() >= DIGITS
                && let (Ok(first), Ok(other)) = (first.parse::<u64>(), other.parse::<u64>())
            {
                found.push((first, other, self.folder.join(&name)));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, _, path)| path).collect())
    }

    /// Removes the oldest of those that were put aside, but for `keep` of them.
    pub(crate) fn remove_oldest(&self, keep: usize) -> io::Result<()> {
        let aside = self.put_aside_before()?;
        for old in &aside[..aside.len().saturating_sub(keep)] {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    fn aside(&self, number: &str) -> PathBuf {
        self.folder.join(format!("{}{number}{}", self.stem, self.extension))
    }

    /// A new name is to outlive a power cut as well.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}
