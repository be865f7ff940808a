//! Why a name could not be resolved.

use std::net::{Ipv4Addr, UdpSocket};

use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::rr::Name;
use watchpost_model::{Outcome, Reason, ReasonCode, shorten};

use crate::{Verdict, failure};

/// How much of a name that a server told a sentence quotes, in characters.
const NAME_CHARS_SHOWN: usize = 100;

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ResolveError {
    host: String,
    /// What the host is an alias of, where it is that which is missing.
    alias: Option<String>,
    servers: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    NxDomain,
    NoAddress,
    Timeout,
    /// This machine lacks what it takes to ask.
    OurOwn(String),
    Other(String),
}

impl Problem {
    /// The same problem, met while setting up.
    pub(super) fn about(self, what: &str) -> Self {
        match self {
            Self::OurOwn(why) => Self::OurOwn(format!("{what}: {why}")),
            Self::Other(why) => Self::Other(format!("{what}: {why}")),
            other => Self::Other(format!("{what}: {other:?}")),
        }
    }

    pub(super) fn of(error: &NetError) -> Self {
        if error.is_nx_domain() {
            return Self::NxDomain;
        }
        match error {
            NetError::Dns(DnsError::NoRecordsFound(_)) => Self::NoAddress,
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Other(format!("the answer was {code}")),
            NetError::Timeout => Self::Timeout,
            NetError::Io(error) if failure::is_out_of_means(error) => Self::OurOwn(failure::plain(error)),
            // The library forgets what kept it from asking, so whether this machine can ask is tried.
            NetError::NoConnections => match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
                Err(error) if failure::is_out_of_means(&error) => Self::OurOwn(failure::plain(&error)),
                _ => Self::Other("no name server could be reached".to_owned()),
            },
            NetError::Truncated => {
                Self::Other("the answer does not fit into a datagram, and there is none over TCP".to_owned())
            }
            error if is_cut_off(error) => {
                Self::Other("the name server ended the connection before it had answered".to_owned())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// Whether the connection on which the question was asked ended, or may have, before there was an answer.
pub(super) fn is_cut_off(error: &NetError) -> bool {
    match error {
        // What the library says where a question was not on its way yet, and where all that it has is the part of an
        // answer that came in a datagram.
        NetError::Message("receiver was canceled") | NetError::Truncated => true,
        error => error.is_connection_closed(),
    }
}

/// Whether `error` is what a name server said: that there is nothing.
pub(super) fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(_)))
}

/// The name of which nothing was found, if that is not the one that `is_asked` says was asked for: aliases are
/// followed.
pub(super) fn alias(error: &NetError, is_asked: impl Fn(&Name) -> bool) -> Option<String> {
    let NetError::Dns(DnsError::NoRecordsFound(NoRecords { query, .. })) = error else { return None };
    let missing = query.name();
    // Who does not repeat the question leaves its name empty.
    if missing.is_root() || is_asked(missing) {
        return None;
    }
    Some(shorten(missing.to_utf8().trim_end_matches('.'), NAME_CHARS_SHOWN).into_owned())
}

impl ResolveError {
    pub(super) fn new(host: &str, servers: &str, problem: Problem) -> Self {
        Self { host: host.to_owned(), alias: None, servers: servers.to_owned(), problem }
    }

    /// The same, where what is missing is `alias`, which the host is an alias of.
    pub(super) fn of_alias(self, alias: Option<String>) -> Self {
        Self { alias, ..self }
    }

    /// The outcome of a check that needs the name: an error, unless it is this machine that could
    /// not ask for want of descriptors, buffers or memory, which says nothing about the target.
    pub fn outcome(&self) -> Outcome {
        match self.problem {
            Problem::OurOwn(_) => Outcome::Cancelled,
            _ => Outcome::Error,
        }
    }

    /// Whether it is what a name server said: that there is nothing.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.problem, Problem::NxDomain | Problem::NoAddress)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        Verdict { outcome: self.outcome(), reason: Some(self.reason()) }
    }

    /// The reason of an outcome.
    pub fn reason(&self) -> Reason {
        let code = match self.problem {
            Problem::NxDomain => ReasonCode::DnsNxdomain,
            Problem::NoAddress => ReasonCode::DnsNoAddress,
            Problem::Timeout => ReasonCode::DnsTimeout,
            Problem::OurOwn(_) => ReasonCode::Overloaded,
            Problem::Other(_) => ReasonCode::DnsError,
        };
        Reason::new(code, self.sentence())
    }

    fn sentence(&self) -> String {
        let host = &self.host;
        let mut sentence = match &self.problem {
            Problem::NxDomain => format!("name does not exist: {}", self.missing()),
            Problem::NoAddress => format!("name has no address: {}", self.missing()),
            Problem::Timeout => format!("no name server answered for {host}"),
            Problem::OurOwn(why) => format!("this machine could not ask for {host}: {why}"),
            Problem::Other(why) => format!("cannot resolve {host}: {why}"),
        };
        if !self.servers.is_empty() {
            sentence.push_str(&format!(" (asked {})", self.servers));
        }
        sentence
    }

    /// The name that is missing, and how the host leads there.
    fn missing(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{alias}, which {} is an alias of", self.host),
            None => self.host.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_its_code_and_names_who_was_asked() {
        for (problem, code, told) in [
            (Problem::NxDomain, "dns_nxdomain", "name does not exist: a.example (asked 10.0.0.53)"),
            (Problem::NoAddress, "dns_no_address", "name has no address: a.example (asked 10.0.0.53)"),
            (Problem::Timeout, "dns_timeout", "no name server answered for a.example (asked 10.0.0.53)"),
            (Problem::Other("x".into()), "dns_error", "cannot resolve a.example: x (asked 10.0.0.53)"),
        ] {
            let reason = ResolveError::new("a.example", "10.0.0.53", problem).reason();
            assert_eq!((reason.code.as_str(), reason.message.as_str()), (code, told));
        }
    }

    #[test]
    fn a_machine_without_descriptors_says_nothing_about_the_target() {
        for (number, outcome, code) in [(24, Outcome::Cancelled, "overloaded"), (101, Outcome::Error, "dns_error")] {
            let error = NetError::from(std::io::Error::from_raw_os_error(number));
            let verdict = ResolveError::new("a.example", "", Problem::of(&error)).verdict();
            let reason = verdict.reason.unwrap();
            assert_eq!((verdict.outcome, reason.code.as_str()), (outcome, code), "{}", reason.message);
        }
    }
}
