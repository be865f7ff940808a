//! Host names, and the patterns that rules have for them.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PolicyError, text};

/// Names that every system has for itself, whatever a name server says of them.
const OF_THIS_MACHINE: [&str; 5] =
    ["localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"];

/// A pattern of host names: `api.corp.example`, or `*.corp.example` for every name below `corp.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// In lower case, without a dot at its end.
    name: Box<str>,
    below: bool,
}

impl HostPattern {
    /// Whether it stands for `host`, which is as [`plain`] makes it.
    pub(crate) fn matches(&self, host: &str) -> bool {
        match self.below {
            false => *self.name == *host,
            true => host.strip_suffix(&*self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

impl FromStr for HostPattern {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let shown = watchpost_model::shorten(given, 80);
        let wrong = |why: &str| PolicyError::new(format!("`{shown}` is not a pattern of host names: {why}"));
        let (name, below) = match given.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (given, false),
        };
        let name = plain(name);
        if !name.is_ascii() {
            return Err(wrong(
                "expected a name with letters beyond ASCII as name servers know it, as in `xn--mnchen-3ya.example`",
            ));
        }
        if name.is_empty() || name.len() > 253 || name.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(wrong("expected for example `api.corp.example` or `*.corp.example`"));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(wrong("expected letters, digits, `-`, `_` and `.`, and `*.` in front only"));
        }
        if literal(&name).is_some() {
            return Err(wrong("addresses are matched by `networks`"));
        }
        Ok(Self { name: name.into(), below })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below {
            f.write_str("*.")?;
        }
        f.write_str(&self.name)
    }
}

text::by_text!(HostPattern, "a pattern of host names such as *.corp.example", 256, r"^(\*\.)?[A-Za-z0-9_.-]+$");

/// A host as it is compared: in lower case, without brackets, and without a dot at its end.
pub(crate) fn plain(host: &str) -> Cow<'_, str> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    match bare.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(bare.to_ascii_lowercase()),
        false => Cow::Borrowed(bare),
    }
}

/// Whether a name is one that every system has for itself.
pub(crate) fn is_of_this_machine(plain: &str) -> bool {
    OF_THIS_MACHINE.contains(&plain) || plain.ends_with(".localhost")
}

/// The host that a request says it is for, by the value of its `Host`: without the port.
pub fn told(header: &str) -> &str {
    let host = header.trim();
    let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
    end.and_then(|end| host.get(..end)).unwrap_or(host)
}

/// The address that a host is, where it is one, in whatever form: `10.0.0.1`, `fd00::1`, and what the system's own
/// reader takes for IPv4: `167772161`, `0xa000001`, `012.0.0.1`, `10.1` (inet_aton).
pub fn literal(host: &str) -> Option<IpAddr> {
    let host = plain(host);
    // A scope names an interface, and is no part of the address.
    let bare = host.split_once('%').map_or(&*host, |(bare, _)| bare);
    bare.parse().ok().or_else(|| numbers(&host).map(IpAddr::V4))
}

fn numbers(host: &str) -> Option<Ipv4Addr> {
    let mut parts = [0_u64; 4];
    let mut len = 0;
    for text in host.split('.') {
        *parts.get_mut(len)? = number(text)?;
        len += 1;
    }
    // The last of them fills whatever is left.
    let (last, first) = parts.get(..len)?.split_last()?;
    let rest_bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if *last >= 1 << rest_bits || first.iter().any(|part| *part > 255) {
        return None;
    }
    let high = first.iter().fold(0, |all, part| all << 8 | part);
    u32::try_from(high << rest_bits | last).ok().map(Ipv4Addr::from)
}

fn number(text: &str) -> Option<u64> {
    // None is longer, apart from zeros in front.
    if text.len() > 40 {
        return None;
    }
    let digits = |text: &str, radix| {
        let fits = text.bytes().all(|b| char::from(b).is_digit(radix));
        if fits { u64::from_str_radix(text, radix).ok() } else { None }
    };
    match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}
