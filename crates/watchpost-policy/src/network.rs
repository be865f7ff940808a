//! Networks in rules.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::PolicyError;
use crate::text;

/// A network: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Whether `ip` is in it.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    /// Whether it is one of IPv6.
    pub fn is_ipv6(self) -> bool {
        matches!(self.0, IpNet::V6(_))
    }

    /// How many of its bits all its addresses share.
    pub fn prefix_len(self) -> u8 {
        self.0.prefix_len()
    }

    /// Its first and last address.
    fn span(self) -> (IpAddr, IpAddr) {
        (self.0.network(), self.0.broadcast())
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        Self(IpNet::from(ip))
    }
}

impl FromStr for Network {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let shown = watchpost_model::shorten(given, 60);
        let wrong = |expected: &str| PolicyError::new(format!("`{shown}` is not a network: expected {expected}"));
        let net = match given.parse::<IpAddr>() {
            Ok(ip) => IpNet::from(ip),
            Err(_) => given
                .parse::<IpNet>()
                .map_err(|_| wrong("for example `10.0.0.0/8`, `fd00::/8` or one address such as `10.0.0.1`"))?,
        };
        let whole = net.trunc();
        if whole != net {
            return Err(wrong(&format!("`{whole}`, or `{}` alone", net.addr())));
        }
        // An IPv4 network written as IPv6 is what it stands for, as addresses are.
        match net {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.network().to_ipv4_mapped() {
                Some(v4) => ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96)
                    .map(|net| Self(net.into()))
                    .map_err(|_| wrong("an IPv4 network as such")),
                None => Ok(Self(net)),
            },
            net => Ok(Self(net)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => self.0.addr().fmt(f),
            false => self.0.fmt(f),
        }
    }
}

text::by_text!(Network, "a network such as 10.0.0.0/8", 64, "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$");

/// Many networks, in which one address is found quickly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl NetworkSet {
    pub(crate) fn new(networks: &[Network]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.span() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((u32::from(first), u32::from(last))),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((u128::from(first), u128::from(last))),
                // Invariant: both ends of a network are of one family.
                _ => {}
            }
        }
        Self { v4: without_overlaps(v4), v6: without_overlaps(v6) }
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => within(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => within(&self.v6, u128::from(ip)),
        }
    }
}

/// In order, and each beginning behind the end of the one before.
fn without_overlaps<T: Ord + Copy>(mut spans: Vec<(T, T)>) -> Vec<(T, T)> {
    spans.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<T: Ord + Copy>(spans: &[(T, T)], value: T) -> bool {
    let behind = spans.partition_point(|(first, _)| *first <= value);
    behind.checked_sub(1).and_then(|i| spans.get(i)).is_some_and(|(_, last)| value <= *last)
}
