//! Starting programs, on a thread of its own.
//!
//! A fork holds up the thread that does it, and longer the more memory the process has; looking at a file on a
//! network that hangs holds it up without end. And a plugin asks to die with the thread that started it, so
//! that it dies with the process however that ends: a thread of the runtime's pool may end before.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use watchpost_model::{ExecSettings, Reason, ReasonCode};

use super::confine::{Limits, confine};
use super::policy::{self, ExecPolicy};
use super::running::Running;
use crate::Verdict;
use crate::failure::plain;
use crate::recorder::{Recorder, Stage};

/// How many programs may wait to be started. Whoever wants another one started waits.
const WAITING_MAX: usize = 64;
/// Where programs look for others, unless the check says it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Numbers and messages in the form that is the same everywhere, unless the check says it.
const LC_ALL: &str = "C";

/// Starts programs. Clones share the thread, which begins with the first program and ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    policy: Arc<ExecPolicy>,
    thread: Arc<Mutex<Option<mpsc::Sender<Launch>>>>,
}

/// A program that is to be started.
struct Launch {
    plan: Plan,
    runtime: Handle,
    recorder: Recorder,
    started: oneshot::Sender<Result<Running, Verdict>>,
}

/// What is to be started.
struct Plan {
    command: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    limits: Limits,
}

impl Launcher {
    pub(crate) fn new(policy: ExecPolicy) -> Self {
        Self { policy: Arc::new(policy), thread: Arc::default() }
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
        let (plan, runtime) = (Plan::new(settings), Handle::current());
        let launch = Launch { plan, runtime, recorder: recorder.clone(), started };
        let gone = || defect("the thread that starts programs is gone");
        self.thread()?.send(launch).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn thread(&self) -> Result<mpsc::Sender<Launch>, Verdict> {
        let mut thread = self.thread.lock();
        if let Some(sender) = thread.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (sender, launches) = mpsc::channel(WAITING_MAX);
        let policy = Arc::clone(&self.policy);
        std::thread::Builder::new().name("exec-launch".into()).spawn(move || launch_all(&policy, launches)).map_err(
            |e| {
                let message = format!("this machine could not start another thread: {}", plain(&e));
                Verdict::cancelled(Reason::new(ReasonCode::Overloaded, message))
            },
        )?;
        *thread = Some(sender.clone());
        Ok(sender)
    }
}

fn launch_all(policy: &ExecPolicy, mut launches: mpsc::Receiver<Launch>) {
    while let Some(Launch { plan, runtime, recorder, started }) = launches.blocking_recv() {
        // Nobody waits for it any more.
        if started.is_closed() {
            continue;
        }
        // Where the probe was dropped meanwhile, what comes back is dropped here, which ends the program.
        let _dropped = started.send(plan.start(policy, &runtime, &recorder));
    }
}

impl Plan {
    fn new(settings: &ExecSettings) -> Self {
        let own = settings.environment.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        let given = [("PATH", PATH), ("LC_ALL", LC_ALL)].map(|(name, value)| (name.into(), value.into()));
        Self {
            command: settings.command.as_str().into(),
            arguments: settings.arguments.iter().map(|argument| argument.as_str().into()).collect(),
            environment: given.into_iter().chain(own).collect(),
            directory: settings.working_directory.as_ref().map_or("/", |directory| directory.as_str()).into(),
            limits: Limits::new(&settings.limits),
        }
    }

    fn start(self, policy: &ExecPolicy, runtime: &Handle, recorder: &Recorder) -> Result<Running, Verdict> {
        let path = policy.permit(&self.command)?;
        policy::permit_directory(&self.directory)?;
        let mut command = Command::new(path);
        command
            .args(self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        confine(&mut command, self.limits);
        // Its pipes are watched by the runtime of the probe.
        let _runtime = runtime.enter();
        recorder.enter(Stage::Run);
        let child = command.spawn().map_err(|error| policy::not_started(&self.command, &error))?;
        Running::new(child).ok_or_else(|| defect("a program was started without its pipes"))
    }
}

fn defect(message: &str) -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::Panicked, format!("{message}; this is a defect of Watchpost")))
}
