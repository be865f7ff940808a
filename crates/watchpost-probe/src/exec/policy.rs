//! Which programs this machine runs for checks.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use watchpost_model::{Reason, ReasonCode, shorten};
use watchpost_policy::{ExecRules, Policy};

use super::trusted::{self, Distrust, Trusted};
use crate::Verdict;
use crate::failure::plain;

/// How much of a path is quoted in a message.
const PATH_CHARS_MAX: usize = 200;

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

impl Permitted {
    /// What `command` leads to, where `policy` permits it.
    ///
    /// Symbolic links are followed. Both the directory in which the command stands and the file that it
    /// leads to must lie within what is permitted: the first so that nobody who may write elsewhere can point
    /// a link at a program, the second so that a link does not lead out. The command keeps its own name, since there are
    /// programs that go by the name they are called by. And nobody but the superuser and the user of this process may
    /// be able to put another file in its place.
    ///
    /// # Errors
    /// The verdict: the machine does not permit it, or it is no program.
    pub(super) fn by(policy: &Policy, command: &Path) -> Result<Self, Verdict> {
        policy.judge_exec(command).map_err(Verdict::denied)?;
        let rules = policy.exec();
        let programs: Vec<PathBuf> = listed(rules).filter_map(|path| path.canonicalize().ok()).collect();
        let within = |path: &Path| programs.iter().any(|listed| path.starts_with(listed));
        let outside = |which: String| {
            let all: Vec<_> = listed(rules).map(|path| path.display().to_string()).collect();
            not_allowed(format!(
                "{which} lies in none of the directories whose programs the policy permits ({}): `exec.directories` would \
                 have to list its directory",
                shorten(&all.join(", "), PATH_CHARS_MAX)
            ))
        };
        // What lies elsewhere is not told apart from what does not exist: a check is no way to look around.
        let (Some(parent), Some(name)) = (command.parent(), command.file_name()) else {
            return Err(outside(shown(command)));
        };
        let name = match parent.canonicalize() {
            Ok(parent) if within(&parent) || is_listed(rules, &parent.join(name)) => parent.join(name),
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
}

fn listed(rules: &ExecRules) -> impl Iterator<Item = &PathBuf> {
    rules.directories.iter().chain(&rules.programs)
}

/// Whether `program`, whose directory has no links on the way, is one that is listed by itself.
fn is_listed(rules: &ExecRules, program: &Path) -> bool {
    rules.programs.iter().any(|listed| {
        let at = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        at(listed).is_some_and(|listed| listed == program)
    })
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
