//! A server that was left behind: its parent was killed before it could end it.

use std::fs;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

use super::files::Files;
use super::{LOOK_EVERY, STOP_LIMIT};
use crate::failure::Failure;

/// Ends the server of an earlier process, where it still runs. The directory is ours: nobody else needs it.
///
/// # Errors
/// When it cannot be ended.
pub(super) async fn stop(files: &Files) -> Result<(), Failure> {
    let Some(pid) = running(files) else { return Ok(()) };
    tracing::warn!(pid = pid.as_raw_nonzero(), "a nats-server was left behind by an earlier process; it is ended");
    for signal in [Signal::TERM, Signal::KILL] {
        // Fails only where it has ended meanwhile.
        kill_process(pid, signal).ok();
        let until = Instant::now() + STOP_LIMIT;
        while Instant::now() < until {
            if test_kill_process(pid).is_err() {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Err(Failure::stuck(format!("the nats-server with pid {} cannot be ended", pid.as_raw_nonzero())))
}

/// The process in the pid file, if it is a server with our configuration: the number may be another process's by now.
fn running(files: &Files) -> Option<Pid> {
    let number: i32 = fs::read_to_string(files.pid()).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let config = files.config();
    let ours = command.split(|byte| *byte == 0).any(|argument| argument == config.as_os_str().as_encoded_bytes());
    if ours { Pid::from_raw(number) } else { None }
}

/// Asks a process to end.
pub(super) fn terminate(pid: Option<u32>) {
    let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        // Fails only where it has ended already.
        kill_process(pid, Signal::TERM).ok();
    }
}
