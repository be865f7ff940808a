//! A plugin that runs: what it prints, how it ends, and that nothing of it is left.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::Instant;

use super::scratch::Scratch;

/// How much of what is printed to stdout, and to stderr, is looked at, in bytes.
pub(super) const KEPT_BYTES_MAX: usize = 64 * 1024;
/// How much may be printed to both before the plugin is killed, in bytes. What lies between is read and dropped.
pub(super) const PRINTED_BYTES_MAX: u64 = 1024 * 1024;
/// How much is read at once.
const READ_BYTES_AT_ONCE: usize = 16 * 1024;
/// How long the output may stay open once the plugin has ended and its group was killed. It is longer only where
/// something has left the group.
const LINGER: Duration = Duration::from_millis(250);

/// A process in a group of its own. Dropping it kills the group; the runtime takes the process off the system's
/// list.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Group,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What the system does to keep it in its place.
    confined: Vec<&'static str>,
    /// Goes after the group.
    _scratch: Option<Scratch>,
}

/// A process group, whose number is that of its first process. It is killed when this is dropped.
///
/// Invariant: the number is not given to another process while the group has members, or its first process has not
/// been waited for. So it is killed before that one is, or at once after.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // It fails only where none of it is left.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What was printed to one of the two.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The beginning of it.
    pub(super) kept: Vec<u8>,
    /// How much it was in all.
    pub(super) bytes: u64,
}

/// What a plugin has printed so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) stdout: Printed,
    pub(super) stderr: Printed,
    /// Whether something still held it open after the end of the plugin.
    pub(super) held_open: bool,
}

/// How a plugin ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, or by a signal that was not ours.
    With(ExitStatus),
    /// It printed too much, and was killed.
    PrintedTooMuch,
}

impl Running {
    /// `None` where the child has no number or no pipes.
    pub(super) fn new(mut child: Child, scratch: Option<Scratch>, confined: Vec<&'static str>) -> Option<Self> {
        let group = Group(Pid::from_raw(i32::try_from(child.id()?).ok()?));
        let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
        Some(Self { child, group, stdout, stderr, confined, _scratch: scratch })
    }

    pub(super) fn confined(&self) -> &[&'static str] {
        &self.confined
    }

    /// Reads what it prints until it ends. Then whatever it left behind in its group is killed: a plugin's end
    /// is the end of its check. `heard` is called whenever something was printed.
    ///
    /// # Errors
    /// When the system does not let us wait or read.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing that was read, and dropping `self` ends the plugin.
    pub(super) async fn finish(&mut self, output: &mut Output, heard: impl Fn(&Output)) -> io::Result<Ended> {
        let Self { child, group, stdout, stderr, .. } = self;
        let (mut ended, mut linger) = (None, None);
        let (mut out_open, mut err_open) = (true, true);
        loop {
            if output.stdout.bytes + output.stderr.bytes > PRINTED_BYTES_MAX {
                group.kill();
                return Ok(Ended::PrintedTooMuch);
            }
            if let (Some(status), false, false) = (ended, out_open, err_open) {
                return Ok(Ended::With(status));
            }
            tokio::select! {
                status = child.wait(), if ended.is_none() => {
                    group.kill();
                    ended = Some(status?);
                    linger = Some(Instant::now() + LINGER);
                }
                open = output.stdout.read_from(stdout), if out_open => {
                    out_open = open?;
                    heard(output);
                }
                open = output.stderr.read_from(stderr), if err_open => {
                    err_open = open?;
                    heard(output);
                }
                () = until(linger) => {
                    output.held_open = true;
                    (out_open, err_open) = (false, false);
                }
            }
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

impl Printed {
    /// Reads a piece; `false` at the end.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    async fn read_from(&mut self, pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.kept.reserve(READ_BYTES_AT_ONCE);
        let read = pipe.take(READ_BYTES_AT_ONCE as u64).read_buf(&mut self.kept).await?;
        self.kept.truncate(KEPT_BYTES_MAX);
        self.bytes += read as u64;
        Ok(read > 0)
    }

    /// Whether there was more than was kept.
    pub(super) fn is_cut(&self) -> bool {
        self.bytes > self.kept.len() as u64
    }
}
