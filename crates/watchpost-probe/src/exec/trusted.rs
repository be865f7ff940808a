//! Files that only the superuser and the user of this process can put in place of others.
//!
//! A path is walked by descriptors, from the root on, through every symbolic link. Each directory on the way, and the
//! file at its end, must belong to one of the two and be writable by nobody else. So whatever the path is used for
//! later, nobody else can have changed what it leads to.

use std::collections::VecDeque;
use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::process::geteuid;

/// How many symbolic links a path may lead through: as many as the system permits.
const LINKS_MAX: usize = 40;
/// Opens nothing for reading, only the place itself, and no link's destination.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A file that was looked at.
#[derive(Debug)]
pub(super) struct Trusted {
    /// It itself, whatever its name leads to meanwhile. It is open for nothing.
    pub(super) file: OwnedFd,
    /// Where it lies, without links.
    pub(super) path: PathBuf,
    pub(super) mode: Mode,
    pub(super) is_file: bool,
}

/// Why a path is not good enough.
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrust {
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// Somebody else could put another file there.
    #[error("{} {why}", at.display())]
    Changeable {
        at: PathBuf,
        /// What is wrong with it, and what to do about it.
        why: String,
    },
}

/// Walks to `path`, which is absolute.
///
/// # Errors
/// When it cannot be reached, or somebody else could change what lies on the way.
pub(super) fn open(path: &Path) -> Result<Trusted, Distrust> {
    let owners = [0, geteuid().as_raw()];
    let mut ahead: VecDeque<OsString> = names(path.as_os_str());
    let (mut directory, mut at) = root(&owners)?;
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            at.pop();
            directory = place(&directory, OsStr::new(".."))?;
            continue;
        }
        let here = place(&directory, &name)?;
        let stat = fstat(&here).map_err(io::Error::from)?;
        let known = at.join(&name);
        let kind = FileType::from_raw_mode(stat.st_mode);
        judge(&known, kind, &stat, &owners)?;
        if kind == FileType::Symlink {
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::from(rustix::io::Errno::LOOP).into());
            }
            let leads_to =
                OsString::from_vec(readlinkat(&here, c"", Vec::new()).map_err(io::Error::from)?.into_bytes());
            if leads_to.as_bytes().starts_with(b"/") {
                (directory, at) = root(&owners)?;
            }
            let after = std::mem::take(&mut ahead);
            ahead = names(&leads_to);
            ahead.extend(after);
            continue;
        }
        if ahead.is_empty() {
            let mode = Mode::from_raw_mode(stat.st_mode);
            return Ok(Trusted { file: here, path: known, mode, is_file: kind == FileType::RegularFile });
        }
        (directory, at) = (here, known);
    }
    Ok(Trusted { file: directory, path: at, mode: Mode::empty(), is_file: false })
}

fn root(owners: &[u32; 2]) -> Result<(OwnedFd, PathBuf), Distrust> {
    const ROOT: &CStr = c"/";
    let root = openat(CWD, ROOT, PLACE, Mode::empty()).map_err(io::Error::from)?;
    let path = PathBuf::from("/");
    judge(&path, FileType::Directory, &fstat(&root).map_err(io::Error::from)?, owners)?;
    Ok((root, path))
}

fn place(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Distrust> {
    Ok(openat(directory, name, PLACE, Mode::empty()).map_err(io::Error::from)?)
}

fn names(path: &OsStr) -> VecDeque<OsString> {
    let names = path.as_bytes().split(|byte| *byte == b'/');
    names.filter(|name| !name.is_empty() && *name != b".").map(|name| OsStr::from_bytes(name).to_owned()).collect()
}

/// In a directory with the sticky bit, such as `/tmp`, everybody may make files, but only who owns one may put
/// another in its place. So what is below is judged by its own owner.
fn judge(at: &Path, kind: FileType, stat: &Stat, owners: &[u32; 2]) -> Result<(), Distrust> {
    let changeable = |why: String| Distrust::Changeable { at: at.to_owned(), why };
    if !owners.contains(&stat.st_uid) {
        let [root, own] = owners;
        let expected = if root == own { "root".to_owned() } else { format!("root or user {own}, as which we run") };
        let owner = stat.st_uid;
        return Err(changeable(format!("belongs to user {owner}: expected {expected}; use chown")));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_sticky = kind == FileType::Directory && mode.contains(Mode::SVTX);
    if kind == FileType::Symlink || is_sticky || !mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Ok(());
    }
    let who = if mode.contains(Mode::WOTH) { "everybody" } else { "its group" };
    let bits = mode.bits() & 0o7777;
    Err(changeable(format!("may be written by {who} (mode {bits:04o}): use chmod go-w")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("watchpost-trusted-{}-{name}", std::process::id()));
            fs::create_dir_all(folder.join("below")).unwrap();
            fs::write(folder.join("below/program"), "x").unwrap();
            let folder = Self(folder.canonicalize().unwrap());
            for (name, mode) in [("", 0o755), ("below", 0o755), ("below/program", 0o755)] {
                folder.chmod(name, mode);
            }
            folder
        }

        fn chmod(&self, name: &str, mode: u32) {
            fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn open(&self, name: &str) -> Result<PathBuf, String> {
            open(&self.0.join(name)).map(|trusted| trusted.path).map_err(|error| error.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn links_and_dots_lead_where_the_system_says_that_they_lead() {
        let folder = Folder::new("links");
        symlink("below/program", folder.0.join("relative")).unwrap();
        symlink(folder.0.join("below"), folder.0.join("absolute")).unwrap();
        symlink("../relative", folder.0.join("below/up")).unwrap();
        symlink("/../..//", folder.0.join("top")).unwrap();
        symlink("round", folder.0.join("round")).unwrap();
        for name in [
            "below/program",
            "relative",
            "absolute/program",
            "below/up",
            "./below/.././/absolute/up",
            "absolute/../relative",
        ] {
            assert_eq!(folder.open(name), Ok(folder.0.join(name).canonicalize().unwrap()), "{name}");
        }
        assert_eq!(folder.open("top"), Ok("/".into()));
        let round = folder.open("round").unwrap_err();
        assert!(round.contains("symbolic links"), "{round}");
        let missing = folder.open("below/missing").unwrap_err();
        assert!(missing.contains("No such file"), "{missing}");
        let through = folder.open("below/program/more").unwrap_err();
        assert!(through.contains("Not a directory"), "{through}");
    }

    #[test]
    fn what_others_may_write_is_named_wherever_it_lies_on_the_way() {
        let folder = Folder::new("modes");
        symlink("below/program", folder.0.join("link")).unwrap();
        for (name, mode, told) in [
            ("below/program", 0o775, "its group (mode 0775): use chmod go-w"),
            ("below/program", 0o757, "everybody (mode 0757)"),
            ("below", 0o770, "its group (mode 0770)"),
            ("", 0o757, "everybody (mode 0757)"),
        ] {
            folder.chmod(name, mode);
            for way in ["below/program", "link"] {
                let error = folder.open(way).unwrap_err();
                let at = folder.0.join(name).display().to_string();
                assert!(error.starts_with(at.trim_end_matches('/')) && error.contains(told), "{error}");
            }
            folder.chmod(name, 0o755);
        }
        // Everybody may make files there, and nobody may put another in place of ours.
        folder.chmod("below", 0o1777);
        assert!(folder.open("below/program").is_ok());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let folder = Folder::new("owners");
        symlink("program", folder.0.join("below/link")).unwrap();
        // Only the superuser can give files away.
        if !geteuid().is_root() {
            return;
        }
        for name in ["below/program", "below", "below/link"] {
            std::os::unix::fs::lchown(folder.0.join(name), Some(65_534), None).unwrap();
            let error = folder.open("below/link").unwrap_err();
            assert!(error.ends_with("belongs to user 65534: expected root; use chown"), "{error}");
            std::os::unix::fs::lchown(folder.0.join(name), Some(0), None).unwrap();
        }
        assert!(folder.open("below/link").is_ok());
    }
}
