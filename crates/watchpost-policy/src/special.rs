//! Addresses that no check has business at unless somebody says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// Special addresses: `deny`, which is the default, or `allow`, which leaves it to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Special {
    /// This machine as it calls itself: 127.0.0.0/8, ::1, 0.0.0.0/8, ::, and names such as `localhost`.
    pub loopback: Effect,
    /// 169.254.0.0/16 and fe80::/10.
    pub link_local: Effect,
    /// Where clouds tell a machine about itself, often with credentials: 169.254.169.254 and its like.
    pub metadata: Effect,
    /// 224.0.0.0/4 and ff00::/8.
    pub multicast: Effect,
    /// 255.255.255.255.
    pub broadcast: Effect,
    /// The NATS servers that the bastion itself is connected to.
    pub own_bus: Effect,
    /// The bastion's own console.
    pub own_console: Effect,
}

impl Default for Special {
    fn default() -> Self {
        let deny = Effect::Deny;
        Self {
            loopback: deny,
            link_local: deny,
            metadata: deny,
            multicast: deny,
            broadcast: deny,
            own_bus: deny,
            own_console: deny,
        }
    }
}

/// A kind of special address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Loopback,
    LinkLocal,
    Metadata,
    Multicast,
    Broadcast,
    OwnBus,
    OwnConsole,
}

impl Kind {
    /// The kind of an address by itself. The most exact one is told: the metadata addresses are link-local, too.
    pub(crate) fn of(ip: IpAddr) -> Option<Self> {
        if is_metadata(ip) {
            return Some(Self::Metadata);
        }
        match ip {
            IpAddr::V4(v4) if v4.is_loopback() || v4.octets()[0] == 0 => Some(Self::Loopback),
            IpAddr::V4(v4) if v4.is_link_local() => Some(Self::LinkLocal),
            IpAddr::V4(v4) if v4.is_multicast() => Some(Self::Multicast),
            IpAddr::V4(v4) if v4.is_broadcast() => Some(Self::Broadcast),
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Some(Self::Loopback),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Self::LinkLocal),
            IpAddr::V6(v6) if v6.is_multicast() => Some(Self::Multicast),
            IpAddr::V6(_) => None,
        }
    }

    pub(crate) fn effect(self, special: &Special) -> Effect {
        match self {
            Self::Loopback => special.loopback,
            Self::LinkLocal => special.link_local,
            Self::Metadata => special.metadata,
            Self::Multicast => special.multicast,
            Self::Broadcast => special.broadcast,
            Self::OwnBus => special.own_bus,
            Self::OwnConsole => special.own_console,
        }
    }

    /// The key in the file.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Loopback => "special.loopback",
            Self::LinkLocal => "special.link_local",
            Self::Metadata => "special.metadata",
            Self::Multicast => "special.multicast",
            Self::Broadcast => "special.broadcast",
            Self::OwnBus => "special.own_bus",
            Self::OwnConsole => "special.own_console",
        }
    }

    /// What an address of the kind is.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Loopback => "the machine of the Runner itself",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "where a cloud tells a machine about itself",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::OwnBus => "the bastion's own bus",
            Self::OwnConsole => "the bastion's own console",
        }
    }
}

/// The addresses of metadata services, by the documentation of each: AWS, Google, Azure, Oracle, DigitalOcean and most
/// others share the first.
const METADATA_V4: [Ipv4Addr; 8] = [
    Ipv4Addr::new(169, 254, 169, 254),
    // AWS: tasks of ECS, pods of EKS.
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    // Alibaba, Azure (its wire server), Oracle (its first generation), Tencent, Scaleway.
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(169, 254, 0, 23),
    Ipv4Addr::new(169, 254, 42, 42),
];
const METADATA_V6: [Ipv6Addr; 5] = [
    // AWS, and its pods of EKS; Google; Scaleway; OpenStack.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => METADATA_V6.contains(&ip),
    }
}
