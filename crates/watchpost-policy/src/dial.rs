//! What is about to be done, as it is judged.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use watchpost_model::CheckType;

/// By which protocol below the check's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A connection by TCP, or QUIC.
    Tcp,
    /// Datagrams.
    Udp,
    /// Echo requests, which have no port.
    Icmp,
}

impl Transport {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The endpoint that the check is about.
    Target,
    /// Where the target sent the check on to.
    Redirect,
    /// A proxy that the check names. What lies behind it is judged as a target.
    Proxy,
    /// A name server that the check names, to find out about another target.
    NameServer,
    /// Where the check's targets come from: a list by HTTP, a Kubernetes API.
    Source,
}

/// One connection or datagram that is about to be sent out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial<'a> {
    /// The type of the check.
    pub check_type: CheckType,
    /// The name that the check, or a redirect, gives; `None` where it gives an address in place of one. Where the address is
    /// given beside the name, by the check (`addresses`) or by whoever made the task, it must be permitted without the name
    /// as well, unless this process itself has found the name to have it: nobody opens a rule for `hosts` by saying a name.
    pub host: Option<&'a str>,
    /// The very address that is connected to; port 0 where the protocol has none.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
    /// What for.
    pub purpose: Purpose,
    /// The method, where it is an HTTP request.
    pub method: Option<&'a str>,
}

/// A name that is about to be resolved, in order to connect to what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup<'a> {
    /// The type of the check.
    pub check_type: CheckType,
    /// The host as it is given: a name, or an address in any form.
    pub host: &'a str,
    /// The port; 0 where the protocol has none.
    pub port: u16,
    /// How.
    pub transport: Transport,
    /// What for.
    pub purpose: Purpose,
    /// The method, where it is an HTTP request.
    pub method: Option<&'a str>,
}

impl<'a> Lookup<'a> {
    /// What is about to be done once the name has turned out to be at `ip`.
    pub fn at(&self, ip: std::net::IpAddr) -> Dial<'a> {
        Dial {
            check_type: self.check_type,
            host: Some(self.host),
            address: SocketAddr::new(ip, self.port),
            transport: self.transport,
            purpose: self.purpose,
            method: self.method,
        }
    }
}
