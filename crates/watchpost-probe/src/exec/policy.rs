//! Which programs this machine runs for checks.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use watchpost_model::{Reason, ReasonCode, shorten};

use super::trusted::{self, Distrust, Trusted};
use crate::Verdict;
use crate::failure::plain;

/// How much of a path is quoted in a message.
const PATH_CHARS_MAX: usize = 200;

/// Which programs `exec` checks may run on this machine, and what these may reach. By default there are none, and `exec`
/// checks are off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecPolicy {
    /// Directories, as absolute paths, whose programs may be run. What lies in directories below them is permitted as
    /// well.
    pub directories: Vec<PathBuf>,
    /// Programs, as absolute paths, that may be run wherever they lie.
    pub programs: Vec<PathBuf>,
    /// The user, by name or number, that programs run as; the one that this process runs as if there is none.
    pub user: Option<String>,
    /// Whether programs are run where the kernel cannot confine them.
    pub sandbox: Sandbox,
    /// Files and directories that a confined program may read besides those of the system.
    pub readable: Vec<PathBuf>,
    /// Files and directories that a confined program may write besides its own temporary directory.
    pub writable: Vec<PathBuf>,
    /// The TCP ports that a confined program may connect to; any if there is none. UDP is not concerned.
    pub connect_ports: Option<Vec<u16>>,
    /// Environment variables that checks may set although loaders and interpreters take them for more than data.
    pub environment: Vec<String>,
}

/// Whether programs are run where the kernel cannot confine them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// They are not.
    Require,
    /// They are, and each result tells what confined them.
    #[default]
    Prefer,
    /// Nothing confines them.
    Off,
}

/// What may be run.
#[derive(Debug)]
pub(super) struct Permitted {
    /// The name by which the program is called. No link is on the way to it, but it may be one.
    pub(super) name: PathBuf,
    /// The file that it leads to.
    pub(super) program: Trusted,
    /// Where programs lie that may be run.
    pub(super) programs: Vec<PathBuf>,
}

impl ExecPolicy {
    /// What `command` leads to.
    ///
    /// Symbolic links are followed. Both the directory in which the command stands and the file that it
    /// leads to must lie within what is permitted: the first so that nobody who may write elsewhere can point
    /// a link at a program, the second so that a link does not lead out. The command keeps its own name, since there are
    /// programs that go by the name they are called by. And nobody but the superuser and the user of this process may
    /// be able to put another file in its place.
    ///
    /// # Errors
    /// The verdict: the machine does not permit it, or it is no program.
    pub(super) fn permit(&self, command: &Path) -> Result<Permitted, Verdict> {
        if self.directories.is_empty() && self.programs.is_empty() {
            return Err(not_allowed(
                "this machine runs no programs for checks: list their directories under `exec.directories` in its \
                 policy to permit them"
                    .to_owned(),
            ));
        }
        let listed = self.directories.iter().chain(&self.programs);
        let programs: Vec<PathBuf> = listed.filter_map(|path| path.canonicalize().ok()).collect();
        let within = |path: &Path| programs.iter().any(|listed| path.starts_with(listed));
        let outside = |which: String| {
            not_allowed(format!(
                "{which} lies in none of the directories whose programs this machine runs for checks ({}): list its \
                 directory under `exec.directories` in the machine's policy to permit it",
                self.listed()
            ))
        };
        // What lies elsewhere is not told apart from what does not exist: a check is no way to look around.
        let (Some(parent), Some(name)) = (command.parent(), command.file_name()) else {
            return Err(outside(shown(command)));
        };
        let name = match parent.canonicalize() {
            Ok(parent) if within(&parent) || self.is_listed(&parent.join(name)) => parent.join(name),
            _ => return Err(outside(shown(command))),
        };
        let program = trusted::open(command).map_err(|distrust| match distrust {
            Distrust::Unreachable(error) => unusable(command, &plain(&error)),
            changeable => not_allowed(format!(
                "the program {} is not run, since others could put another in its place: {}",
                shown(command),
                shorten(&changeable.to_string(), 2 * PATH_CHARS_MAX)
            )),
        })?;
        if !within(&program.path) {
            return Err(outside(format!("what {} leads to", shown(command))));
        }
        if !program.is_file {
            return Err(unusable(command, "it is not a regular file"));
        }
        if !program.mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH) {
            return Err(unusable(command, "it is not executable"));
        }
        Ok(Permitted { name, program, programs })
    }

    /// Whether `program`, whose directory has no links on the way, is one that is listed by itself.
    fn is_listed(&self, program: &Path) -> bool {
        self.programs.iter().any(|listed| {
            let at = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
            at(listed).is_some_and(|listed| listed == program)
        })
    }

    fn listed(&self) -> String {
        let listed: Vec<_> =
            self.directories.iter().chain(&self.programs).map(|path| path.display().to_string()).collect();
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
        io::ErrorKind::PermissionDenied => " (may the user that it runs as run it, and enter its working directory?)",
        _ => "",
    };
    unusable(command, &format!("{}{hint}", plain(error)))
}

fn unusable(command: &Path, why: &str) -> Verdict {
    let message = format!("the program {} cannot be run: {why}", shown(command));
    Verdict::cancelled(Reason::new(ReasonCode::FileUnusable, message))
}

/// The verdict where this process cannot do here what the policy wants.
pub(super) fn not_here(command: &Path, why: &str) -> Verdict {
    let message = format!("the program {} is not run: {why}", shown(command));
    Verdict::cancelled(Reason::new(ReasonCode::NotPermitted, message))
}

pub(super) fn not_allowed(message: String) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::PolicyDenied, message))
}

fn shown(path: &Path) -> String {
    shorten(&path.to_string_lossy(), PATH_CHARS_MAX).into_owned()
}
