//! What a plugin's process does between its birth and its program: the only place with `unsafe`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::process::geteuid;
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, getppid, getrlimit, setrlimit, setsid, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};
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
/// descriptor of ours but its three, without a way to more rights than it has, under the rules of `ruleset`, and gone when
/// the thread that starts it is.
#[expect(unsafe_code, reason = "std calls what runs between fork and exec so; nothing that is safe sets limits there")]
pub(super) fn confine(command: &mut Command, limits: Limits, ruleset: Option<OwnedFd>) {
    let parent = getpid();
    // SAFETY: what runs in the child of a process with many threads must be async-signal-safe: it must not
    // allocate, nor take a lock that another thread may have held when the process was forked. `enter` makes
    // system calls only, with values that were computed before, and errors that are mere numbers.
    unsafe {
        command.pre_exec(move || enter(parent, &limits, ruleset.as_ref().map(AsRawFd::as_raw_fd)));
    }
}

/// Runs in the child, which is the user already that it is to be. Only system calls are permitted here.
fn enter(parent: Pid, limits: &Limits, ruleset: Option<RawFd>) -> io::Result<()> {
    setsid()?;
    // Whoever becomes another user loses this, so it comes after.
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
    set_no_new_privs(true)?;
    leave_capabilities();
    ruleset.map_or(Ok(()), restrict)
}

/// Whether [`leave_capabilities`] leaves none. A user but root gets none by starting a program, and root gets what is in
/// the bounding set, which not everybody may change.
pub(super) fn leaves_capabilities(becomes_another: bool) -> bool {
    let may_change = || capabilities(None).is_ok_and(|own| own.effective.contains(CapabilitySet::SETPCAP));
    becomes_another || !geteuid().is_root() || may_change()
}

/// What a service was given by its manager, such as raw sockets, it does not hand on. And the superuser has no more
/// rights than any user, besides its own files.
fn leave_capabilities() {
    // There are fewer; those that there are not are refused. So are all where we may not, which is no reason to stop.
    for number in 0..CapabilitySet::all().bits().count_ones() {
        remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).ok();
    }
    // Before Linux 4.3 there was nothing to clear.
    clear_ambient_capability_set().ok();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).ok();
}

/// Puts this process under the rules, for good.
#[expect(unsafe_code, reason = "the library's own call allocates")]
fn restrict(ruleset: RawFd) -> io::Result<()> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: the descriptor is open: its owner lives in the closure that calls this. The call touches no memory.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, NO_FLAGS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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
