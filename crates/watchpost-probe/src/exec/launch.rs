//! Starting programs, on a thread of its own.
//!
//! A fork holds up the thread that does it, and longer the more memory the process has; looking at a file on a
//! network that hangs holds it up without end. And a plugin asks to die with the thread that started it, so
//! that it dies with the process however that ends: a thread of the runtime's pool may end before.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use watchpost_model::{ExecSettings, Reason, ReasonCode};
use watchpost_policy::{Guard, Policy};

use super::confine::{Limits, confine, leaves_capabilities};
use super::policy::{self, Permitted};
use super::running::Running;
use super::sandbox::{Rules, landlock_version};
use super::scratch::{self, Scratch};
use super::{environment, user};
use crate::Verdict;
use crate::failure::plain;
use crate::recorder::{Recorder, Stage};

/// How many programs may wait to be started. Whoever wants another one started waits.
const WAITING_MAX: usize = 64;
/// What binary programs begin with.
const BINARY: &[u8; 4] = b"\x7fELF";

/// Starts programs. Clones share the thread, which begins with the first program and ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    guard: Guard,
    thread: Arc<Mutex<Option<mpsc::Sender<Work>>>>,
}

/// What the thread does.
pub(super) enum Work {
    /// Starts a program.
    Launch(Box<Launch>),
    /// Removes what one left behind.
    Remove(PathBuf),
}

/// A program that is to be started.
pub(super) struct Launch {
    settings: ExecSettings,
    thread: mpsc::Sender<Work>,
    runtime: Handle,
    recorder: Recorder,
    started: oneshot::Sender<Result<Running, Verdict>>,
}

impl Launcher {
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard, thread: Arc::default() }
    }

    /// Starts what `settings` say; the stage [`Stage::Run`] begins with the program.
    ///
    /// # Errors
    /// The verdict, where it may not or cannot be started.
    ///
    /// # Cancel safety
    /// A program that is started after the future was dropped is killed at once.
    pub(super) async fn start(&self, settings: &ExecSettings, recorder: &Recorder) -> Result<Running, Verdict> {
        let (started, answer) = oneshot::channel();
        let thread = self.thread()?;
        let launch = Launch {
            settings: settings.clone(),
            thread: thread.clone(),
            runtime: Handle::current(),
            recorder: recorder.clone(),
            started,
        };
        let gone = || defect("the thread that starts programs is gone");
        thread.send(Work::Launch(Box::new(launch))).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn thread(&self) -> Result<mpsc::Sender<Work>, Verdict> {
        let mut thread = self.thread.lock();
        if let Some(sender) = thread.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (sender, work) = mpsc::channel(WAITING_MAX);
        let guard = self.guard.clone();
        std::thread::Builder::new().name("exec-launch".into()).spawn(move || do_all(&guard, work)).map_err(|e| {
            let message = format!("this machine could not start another thread: {}", plain(&e));
            Verdict::cancelled(Reason::new(ReasonCode::Overloaded, message))
        })?;
        *thread = Some(sender.clone());
        Ok(sender)
    }
}

fn do_all(guard: &Guard, mut work: mpsc::Receiver<Work>) {
    while let Some(work) = work.blocking_recv() {
        match work {
            // Nobody waits for it any more.
            Work::Launch(launch) if launch.started.is_closed() => {}
            Work::Launch(launch) => {
                let running = launch.start(&guard.policy());
                // Where the probe was dropped meanwhile, what comes back is dropped here, which ends the program.
                let _dropped = launch.started.send(running);
            }
            Work::Remove(path) => scratch::remove(&path),
        }
    }
}

impl Launch {
    fn start(&self, policy: &Policy) -> Result<Running, Verdict> {
        let settings = &self.settings;
        let asked = Path::new(settings.command.as_str());
        let directory = Path::new(settings.working_directory.as_ref().map_or("/", |directory| directory.as_str()));
        let permitted = Permitted::by(policy, asked)?;
        let rules = policy.exec();
        policy::permit_directory(directory)?;
        let not_here = |why: String| policy::not_here(asked, &why);
        let user =
            rules.user.as_ref().map(|user| user::to_become(user.as_str())).transpose().map_err(not_here)?.flatten();
        let scratch = Scratch::make(user, &self.thread)
            .inspect_err(|error| tracing::debug!(%error, "a plugin has no temporary directory"))
            .ok();
        let place = scratch.as_ref().map(Scratch::path);
        let Rules { ruleset, applied } =
            Rules::new(rules, &permitted.programs, place, landlock_version()).map_err(not_here)?;
        let mut confined = vec!["limits", "no_new_privs"];
        confined.extend(leaves_capabilities(user.is_some()).then_some("no_capabilities"));
        confined.extend(user.map(|_| "user"));
        confined.extend(applied);

        let mut command = permitted.command();
        command
            .args(settings.arguments.iter().map(|argument| argument.as_str()))
            .env_clear()
            .envs(environment::of(settings, rules, place)?)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(user) = user {
            // Where we are root this leaves our groups as well.
            command.uid(user.uid).gid(user.gid);
        }
        confine(&mut command, Limits::new(&settings.limits), ruleset);
        // Its pipes are watched by the runtime of the probe.
        let _runtime = self.runtime.enter();
        self.recorder.enter(Stage::Run);
        let child = command.spawn().map_err(|error| policy::not_started(asked, &error))?;
        Running::new(child, scratch, confined).ok_or_else(|| defect("a program was started without its pipes"))
    }
}

impl Permitted {
    /// A binary program is run by its descriptor, so that it is the very file that was looked at. A script cannot be:
    /// its interpreter opens it by a name, and many look for their like beside themselves. That its name leads to
    /// another file by then, only the superuser and we could have brought about.
    fn command(&self) -> Command {
        let by_descriptor = format!("/proc/self/fd/{}", self.program.file.as_raw_fd());
        let mut beginning = [0; BINARY.len()];
        let read = File::open(&by_descriptor).and_then(|mut file| file.read_exact(&mut beginning));
        match read {
            Ok(()) if beginning == *BINARY => {
                let mut command = Command::new(by_descriptor);
                command.arg0(&self.name);
                command
            }
            _ => Command::new(&self.name),
        }
    }
}

fn defect(message: &str) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::Panicked, format!("{message}; this is a defect of Watchpost")))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("watchpost-launch-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder.canonicalize().unwrap())
        }

        /// Puts a copy of a program there, in the place of what is there, by another process: see `tests/exec/rig.rs`.
        fn put(&self, program: &str, name: &str) -> PathBuf {
            let path = self.0.join(name);
            let copied = std::process::Command::new("install").args(["-m", "755", program]).arg(&path).status();
            assert!(copied.unwrap().success());
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[tokio::test]
    async fn the_very_file_that_was_looked_at_is_run() {
        let folder = Folder::new("swap");
        let policy = Policy::local().with_exec_directories([folder.0.clone()]);
        let program = folder.put("/bin/echo", "program");
        let permitted = Permitted::by(&policy, &program).unwrap();
        // `install` removes what was there and makes another file.
        folder.put("/bin/false", "program");
        let output = permitted.command().arg("the first").output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "the first\n");
        let permitted = Permitted::by(&policy, &program).unwrap();
        assert!(!permitted.command().status().await.unwrap().success());
    }
}
