//! Targets that a name server has.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::dns::DnsName;

/// Which records are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecords {
    /// A and AAAA.
    #[default]
    Any,
    /// A: the IPv4 addresses.
    A,
    /// AAAA: the IPv6 addresses.
    Aaaa,
    /// SRV: names with ports.
    Srv,
}

/// A target for each address, or each SRV record, of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsTargets {
    /// The name.
    pub name: DnsName,
    /// Which records: `any` (default, A and AAAA), `a`, `aaaa` or `srv`.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub records: DnsRecords,
    /// The port of each target, 1 to 65535. SRV records have their own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "port")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
}

impl DnsTargets {
    pub(super) fn validate(&self) -> Result<(), String> {
        match (self.records, self.port) {
            (DnsRecords::Srv, Some(_)) => Err("SRV records have ports of their own: expected no `port`".to_owned()),
            (DnsRecords::Srv, None) | (_, Some(_)) => Ok(()),
            (_, None) => Err("addresses have no port: expected `port` in `dns`".to_owned()),
        }
    }
}

fn is_default<T: Default + PartialEq>(given: &T) -> bool {
    *given == T::default()
}

fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let given = u64::deserialize(deserializer)?;
    match u16::try_from(given) {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(D::Error::custom(format_args!("port {given} is out of range: expected 1 to 65535"))),
    }
}
