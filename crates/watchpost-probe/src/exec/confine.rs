//! What a plugin's process does between its birth and its program: the only place with `unsafe`.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, getppid, getrlimit, setrlimit, setsid, umask};
use tokio::process::Command;
use watchpost_model::ExecLimits;

/// The first descriptor that is not stdin, stdout or stderr.
const FIRST_OTHER_FD: libc::c_uint = 3;
/// Files that a plugin makes are its own.
const UMASK: Mode = Mode::RWXG.union(Mode::RWXO);

/// Limits that are in force from before the program begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits([(Resource, Rlimit); 6]);

impl Limits {
    /// What `limits` asks for, and never more than this process has itself.
    pub(super) fn new(limits: &ExecLimits) -> Self {
        const MIB: u64 = 1024 * 1024;
        let hard = |resource, wanted: u64| {
            let wanted = getrlimit(resource).maximum.map_or(wanted, |own| own.min(wanted));
            (resource, Rlimit { current: Some(wanted), maximum: Some(wanted) })
        };
        let (cpu, mut cpu_limit) = hard(Resource::Cpu, u64::from(limits.cpu_seconds) + 1);
        // A second less: so a signal that can be told from others comes before the one that kills.
        cpu_limit.current = cpu_limit.current.map(|seconds| seconds.saturating_sub(1).max(1));
        Self([
            (cpu, cpu_limit),
            hard(Resource::As, u64::from(limits.memory_mib) * MIB),
            hard(Resource::Fsize, u64::from(limits.file_size_mib) * MIB),
            hard(Resource::Nofile, u64::from(limits.open_files)),
            hard(Resource::Nproc, u64::from(limits.processes)),
            hard(Resource::Core, 0),
        ])
    }
}

/// Makes `command` a process in a session and process group of its own, with `limits`, without a
/// descriptor of ours but its three, and gone when the thread that starts it is.
#[expect(unsafe_code, reason = "std calls what runs between fork and exec so; nothing that is safe sets limits there")]
pub(super) fn confine(command: &mut Command, limits: Limits) {
    let parent = getpid();
    // SAFETY: what runs in the child of a process with many threads must be async-signal-safe: it must not
    // allocate, nor take a lock that another thread may have held when the process was forked. `enter` makes
    // system calls only, with values that were computed before, and errors that are mere numbers.
    unsafe {
        command.pre_exec(move || enter(parent, &limits));
    }
}

/// Runs in the child. Only system calls are permitted here.
fn enter(parent: Pid, limits: &Limits) -> io::Result<()> {
    setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before it was listened for.
    if getppid() != Some(parent) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    umask(UMASK);
    for (resource, limit) in limits.0 {
        setrlimit(resource, limit)?;
    }
    close_others();
    Ok(())
}

/// Every descriptor that we open is closed by exec anyway. This is for those that somebody left us with when
/// we were started. Linux before 5.11 does not know the call; there those remain.
#[expect(unsafe_code, reason = "rustix does not have it")]
fn close_others() {
    // SAFETY: it marks descriptors of this process, which is about to become another program, and touches no
    // memory.
    unsafe {
        libc::close_range(FIRST_OTHER_FD, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
    }
}
