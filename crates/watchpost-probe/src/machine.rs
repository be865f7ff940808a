//! What probes find on this machine: which sockets they may have, whom they trust, how well the clock is kept.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use crate::exec::landlock_version;
use crate::network::datagram::echo_socket;
pub use crate::tls::system_authorities;

/// How echo requests can be sent from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoMeans {
    /// By the sockets that the system keeps for that, which want no privilege.
    Ping,
    /// By raw sockets, which want the capability `CAP_NET_RAW`.
    Raw,
}

/// How echo requests can be sent from here over IPv4, or over IPv6. No packet is sent.
///
/// # Errors
/// Why they cannot be sent at all.
pub fn echo_means(v6: bool) -> io::Result<EchoMeans> {
    let address = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    match echo_socket(address, false) {
        Ok(()) => Ok(EchoMeans::Ping),
        Err(_) => echo_socket(address, true).map(|()| EchoMeans::Raw),
    }
}

/// How well the system's clock is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Whether something keeps it in step with the time of others.
    pub synchronised: bool,
    /// How far off it is at most, in microseconds, where it is kept in step.
    pub error_max_us: u64,
}

/// How well the system's clock is kept, as the kernel knows it.
///
/// # Errors
/// When it is not to be had.
#[expect(unsafe_code, reason = "no library that is here has it")]
pub fn clock_state() -> io::Result<ClockState> {
    // SAFETY: the structure is made of numbers, for which zeros are good; with no modes set the call changes nothing and
    // fills the structure in.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    match state {
        -1 => Err(io::Error::last_os_error()),
        state => Ok(ClockState {
            synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
            error_max_us: u64::try_from(timex.maxerror).unwrap_or(0),
        }),
    }
}

/// What programs could not do here if the policy permitted them: each a sentence.
pub fn exec_faults(rules: &watchpost_policy::ExecRules) -> Vec<String> {
    crate::exec::faults(rules)
}
