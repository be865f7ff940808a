//! Which programs this machine runs for checks.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use watchpost_model::{Reason, ReasonCode, shorten};

use crate::Verdict;
use crate::failure::plain;

/// How much of a path is quoted in a message.
const PATH_CHARS_MAX: usize = 200;

/// Which programs `exec` checks may run on this machine: those in some directories. By default there are
/// none, and `exec` checks are off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecPolicy {
    /// The directories, as absolute paths. What lies in directories below them is permitted as well.
    pub directories: Vec<PathBuf>,
}

impl ExecPolicy {
    /// The path by which `command` is run.
    ///
    /// Symbolic links are followed. Both the directory in which the command stands and the file that it
    /// leads to must lie within what is permitted: the first so that nobody who may write elsewhere can point
    /// a link at a program, the second so that a link does not lead out. The command keeps its own name, since there are
    /// programs that go by the name they are called by.
    ///
    /// # Errors
    /// The verdict: the machine does not permit it, or it is no program.
    pub(super) fn permit(&self, command: &Path) -> Result<PathBuf, Verdict> {
        if self.directories.is_empty() {
            return Err(not_allowed(
                "this machine runs no programs for checks: list their directories under `exec.directories` in its \
                 configuration to permit them"
                    .to_owned(),
            ));
        }
        let permitted: Vec<PathBuf> = self.directories.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let within = |path: &Path| permitted.iter().any(|directory| path.starts_with(directory));
        let outside = |which: String| {
            not_allowed(format!(
                "{which} lies in none of the directories whose programs this machine runs for checks ({}): list its \
                 directory under `exec.directories` in the machine's configuration to permit it",
                self.listed()
            ))
        };
        // What lies elsewhere is not told apart from what does not exist: a check is no way to look around.
        let (Some(parent), Some(name)) = (command.parent(), command.file_name()) else {
            return Err(outside(shown(command)));
        };
        let parent =
            parent.canonicalize().ok().filter(|parent| within(parent)).ok_or_else(|| outside(shown(command)))?;
        let path = parent.join(name);
        let file = path.canonicalize().map_err(|e| unusable(command, &plain(&e)))?;
        if !within(&file) {
            return Err(outside(format!("what {} leads to", shown(command))));
        }
        let metadata = file.metadata().map_err(|e| unusable(command, &plain(&e)))?;
        if !metadata.is_file() {
            return Err(unusable(command, "it is not a regular file"));
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            return Err(unusable(command, "it is not executable"));
        }
        Ok(path)
    }

    fn listed(&self) -> String {
        let listed: Vec<_> = self.directories.iter().map(|path| path.display().to_string()).collect();
        shorten(&listed.join(", "), PATH_CHARS_MAX).into_owned()
    }
}

/// That the directory a program is to run in can be used.
pub(super) fn permit_directory(directory: &Path) -> Result<(), Verdict> {
    let unusable = |why: &str| {
        let message = format!("the working directory {} cannot be used: {why}", shown(directory));
        Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, message))
    };
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(unusable("it is not a directory")),
        Err(e) => Err(unusable(&plain(&e))),
    }
}

/// The verdict on a program that could not be started.
pub(super) fn not_started(command: &Path, error: &io::Error) -> Verdict {
    if crate::failure::is_out_of_means(error) || error.kind() == io::ErrorKind::WouldBlock {
        let message = format!("this machine could not start another program: {}", plain(error));
        return Verdict::cancelled(Reason::new(ReasonCode::Overloaded, message));
    }
    let hint = match error.kind() {
        // The file is there: it was looked at.
        io::ErrorKind::NotFound => " (is the interpreter there that its first line names?)",
        _ => "",
    };
    unusable(command, &format!("{}{hint}", plain(error)))
}

fn unusable(command: &Path, why: &str) -> Verdict {
    let message = format!("the program {} cannot be run: {why}", shown(command));
    Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, message))
}

fn not_allowed(message: String) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::PolicyDenied, message))
}

fn shown(path: &Path) -> String {
    shorten(&path.to_string_lossy(), PATH_CHARS_MAX).into_owned()
}
