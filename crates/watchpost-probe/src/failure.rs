//! From what the operating system says about a connection to a verdict and a sentence.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use watchpost_model::{Reason, ReasonCode};

use crate::Verdict;
use crate::recorder::{Position, Spent, Stage};

/// Linux error numbers that mean that this machine lacks memory, descriptors or buffers (`ENOMEM`,
/// `ENFILE`, `EMFILE`, `ENOBUFS`). The standard library has no stable names for them.
const OUT_OF_MEANS: [i32; 4] = [12, 23, 24, 105];

/// The verdict on `error`, which ended a connection to `whom` at `position`.
pub(crate) fn of_io(error: &io::Error, whom: &str, position: &Position) -> Verdict {
    if let Some(verdict) = our_own(error, position) {
        return verdict;
    }
    let after = Spent(position.for_how_long);
    let (code, message) = match (position.stage, error.kind()) {
        (Stage::Start | Stage::Dns | Stage::Connect, kind) => match kind {
            io::ErrorKind::ConnectionRefused => {
                (ReasonCode::ConnectRefused, format!("{whom} refused the connection after {after}"))
            }
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => {
                (ReasonCode::ConnectUnreachable, format!("no route to {whom}: {}", plain(error)))
            }
            io::ErrorKind::TimedOut => (
                ReasonCode::ConnectTimeout,
                format!("{whom} did not answer: the operating system gave up connecting after {after}"),
            ),
            _ => (ReasonCode::ConnectError, format!("cannot connect to {whom}: {}", plain(error))),
        },
        (_, io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe) => {
            (ReasonCode::ConnectionReset, format!("{whom} reset the connection {}", when(position)))
        }
        (_, io::ErrorKind::UnexpectedEof) => return closed(whom, position),
        (_, io::ErrorKind::TimedOut) => {
            (ReasonCode::ConnectionReset, format!("the connection to {whom} died {}", when(position)))
        }
        _ => {
            (ReasonCode::ProtocolError, format!("the exchange with {whom} failed {}: {}", when(position), plain(error)))
        }
    };
    Verdict::error(Reason::new(code, message))
}

/// The verdict on `error`, which is what became of datagrams to `whom`.
pub(crate) fn of_datagrams(error: &io::Error, whom: &str, position: &Position) -> Verdict {
    if let Some(verdict) = our_own(error, position) {
        return verdict;
    }
    let (code, message) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let after = Spent(position.for_how_long);
            (ReasonCode::ConnectRefused, format!("nobody listens at {whom}: what was sent was refused after {after}"))
        }
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => {
            (ReasonCode::ConnectUnreachable, format!("no route to {whom}: {}", plain(error)))
        }
        _ => (ReasonCode::ConnectError, format!("no datagrams can be exchanged with {whom}: {}", plain(error))),
    };
    Verdict::error(Reason::new(code, message))
}

/// The verdict on a peer that closed the connection in an orderly way before it had answered.
pub(crate) fn closed(whom: &str, position: &Position) -> Verdict {
    let message = format!("{whom} closed the connection {}", when(position));
    Verdict::error(Reason::new(ReasonCode::ConnectionClosed, message))
}

/// A machine that cannot open another connection says nothing about the target, so its checks are
/// cancelled and do not count against it.
fn our_own(error: &io::Error, position: &Position) -> Option<Verdict> {
    let out_of_ports = error.kind() == io::ErrorKind::AddrNotAvailable && position.address.is_some_and(has_own_address);
    if !is_out_of_means(error) && !out_of_ports {
        return None;
    }
    let what = if out_of_ports { "no local port is free".to_owned() } else { plain(error) };
    let reason = Reason::new(ReasonCode::Overloaded, format!("this machine could not open another connection: {what}"));
    Some(Verdict::cancelled(reason))
}

/// Whether this machine has an address from which `address` could be reached, if a port were free. Where it
/// has none, connecting by IPv6 fails with the same error as where no port is free. A datagram socket has
/// ports of its own, and connecting it sends nothing.
fn has_own_address(address: SocketAddr) -> bool {
    address.is_ipv4() || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(address)).is_ok()
}

/// Whether this machine lacks memory, descriptors or buffers.
pub(crate) fn is_out_of_means(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|number| OUT_OF_MEANS.contains(&number))
}

/// The verdict on a task that was given to the wrong probe: a defect of ours.
pub(crate) fn bad_task() -> Verdict {
    Verdict::cancelled(Reason::new(ReasonCode::BadTask, "a task for another type of check"))
}

/// Where in the exchange it happened, as the end of a sentence.
pub(crate) fn when(position: &Position) -> String {
    let spent = Spent(position.for_how_long);
    match position.stage {
        Stage::Start | Stage::Dns | Stage::Connect => format!("while connecting, after {spent}"),
        Stage::Tls => format!("during the TLS handshake, after {spent}"),
        Stage::Send => "while the check was sending".to_owned(),
        Stage::FirstByte => format!("before the first byte of an answer, after {spent}"),
        Stage::Head => format!("in the head of the answer, {spent} after its first byte"),
        Stage::Receive | Stage::Run => format!("in the middle of the answer, after {} bytes", position.received),
    }
}

/// The error in words, without the number that the standard library adds to them.
pub(crate) fn plain(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(number) = text.find(" (os error ") {
        text.truncate(number);
    }
    watchpost_model::shorten(&text, 200).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watchpost_model::Outcome;

    use super::*;

    #[test]
    fn errors_of_the_operating_system_have_their_codes() {
        let at = |stage| Position {
            stage,
            for_how_long: Duration::from_millis(30),
            address: Some("10.0.3.7:443".parse().unwrap()),
            received: 7,
        };
        for (number, stage, outcome, code) in [
            (111, Stage::Connect, Outcome::Error, "connect_refused"),
            (113, Stage::Connect, Outcome::Error, "connect_unreachable"),
            (101, Stage::Connect, Outcome::Error, "connect_unreachable"),
            (110, Stage::Connect, Outcome::Error, "connect_timeout"),
            (13, Stage::Connect, Outcome::Error, "connect_error"),
            (104, Stage::Tls, Outcome::Error, "connection_reset"),
            (104, Stage::Receive, Outcome::Error, "connection_reset"),
            (32, Stage::Send, Outcome::Error, "connection_reset"),
            (24, Stage::Connect, Outcome::Cancelled, "overloaded"),
            (99, Stage::Connect, Outcome::Cancelled, "overloaded"),
        ] {
            let verdict = of_io(&io::Error::from_raw_os_error(number), "10.0.3.7:443", &at(stage));
            let reason = verdict.reason.unwrap();
            assert_eq!((verdict.outcome, reason.code.as_str()), (outcome, code), "{number} {}", reason.message);
            assert!(!reason.message.contains("os error"), "{}", reason.message);
        }
        let refused = of_io(&io::Error::from_raw_os_error(111), "10.0.3.7:443", &at(Stage::Connect));
        assert_eq!(refused.reason.unwrap().message, "10.0.3.7:443 refused the connection after 30 ms");
    }

    /// A link-local address that does not name its link cannot be reached from anywhere.
    #[test]
    fn ports_are_used_up_only_where_there_is_an_address_to_connect_from() {
        for (address, outcome, code) in
            [("[::1]:443", Outcome::Cancelled, "overloaded"), ("[fe80::1]:443", Outcome::Error, "connect_unreachable")]
        {
            if address.starts_with("[::1]") && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
                continue;
            }
            let position = Position {
                stage: Stage::Connect,
                for_how_long: Duration::from_millis(30),
                address: Some(address.parse().unwrap()),
                received: 0,
            };
            let verdict = of_io(&io::Error::from_raw_os_error(99), address, &position);
            assert_eq!((verdict.outcome, verdict.reason.unwrap().code.as_str()), (outcome, code), "{address}");
        }
    }
}
