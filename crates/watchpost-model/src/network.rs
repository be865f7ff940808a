//! Settings that every type which goes over the network shares: by which way, and with what TLS.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::text::text_type;

/// Which of a name's addresses are used, and in which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IpPreference {
    /// All, in the resolver's order.
    #[default]
    Any,
    /// All, those of IPv4 first.
    PreferIpv4,
    /// All, those of IPv6 first.
    PreferIpv6,
    /// Those of IPv4 only.
    Ipv4,
    /// Those of IPv6 only.
    Ipv6,
}

impl IpPreference {
    /// Takes out what is not wanted, and puts the rest in order.
    pub fn arrange(self, addresses: &mut Vec<IpAddr>) {
        match self {
            Self::Any => {}
            // Stable: within a family the resolver's order stays.
            Self::PreferIpv4 => addresses.sort_by_key(IpAddr::is_ipv6),
            Self::PreferIpv6 => addresses.sort_by_key(IpAddr::is_ipv4),
            Self::Ipv4 => addresses.retain(IpAddr::is_ipv4),
            Self::Ipv6 => addresses.retain(IpAddr::is_ipv6),
        }
    }
}

/// By which way the target is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// Which of the name's addresses are tried: `any` (default), `prefer_ipv4`, `prefer_ipv6`, `ipv4`, `ipv6`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ip: IpPreference,
    /// The address of this machine to connect from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub source_address: Option<IpAddr>,
}

impl RouteSettings {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

text_type!(
    /// A path of a file on the machine that runs the check.
    FilePath,
    "the path of a file",
    1024,
    |text| match text {
        "" => Err("the path of the file is empty".into()),
        text if text.contains('\0') => Err("the path of the file holds a NUL".into()),
        _ => Ok(()),
    }
);

text_type!(
    /// A host name or address that a certificate can be for.
    ServerNameText,
    "the server name",
    253,
    |text| {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        match !text.is_empty() && text.bytes().all(permitted) {
            true => Ok(()),
            false => Err(format!("`{}` is not a host name or address", crate::shorten(text, 80))),
        }
    }
);

/// How TLS is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// A PEM file of certificate authorities to trust in place of those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<FilePath>,
    /// The certificate by which the check shows who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCertificate>,
    /// Whether the server's certificate need not be valid; it is reported all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Whom the certificate must be for, and what is sent as SNI; the target's host if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerNameText>,
}

impl TlsSettings {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the certificate is held against the target's own host.
    pub(crate) fn verifies_target(&self) -> bool {
        !self.insecure && self.server_name.is_none()
    }
}

/// A certificate and its key, both on the machine that runs the check. `${secret:name}` in the place of a file stands
/// for the PEM text itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// A PEM file with the certificate, followed by those that it was signed with.
    pub certificate_file: PemSource,
    /// A PEM file with its key.
    pub key_file: PemSource,
}

/// What a text in PEM form has in it, and no path.
pub(crate) const PEM_BEGIN: &str = "-----BEGIN ";
/// The longest path of a file, in bytes.
const PATH_BYTES_MAX: usize = 1024;

text_type!(
    zeroized
    /// The path of a PEM file on the machine that runs the check. Once secrets are filled in it may be the PEM text.
    PemText,
    "the path of a PEM file",
    64 * 1024,
    |text| match text {
        text if text.contains(PEM_BEGIN) => Ok(()),
        text if text.len() > PATH_BYTES_MAX => Err(format!("the path of a PEM file has {} bytes: expected at most {PATH_BYTES_MAX}", text.len())),
        text => text.parse::<FilePath>().map(drop).map_err(|why| why.to_string()),
    }
);

/// Where a PEM text is: in a file, or in a secret that is filled in. Its `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct PemSource(PemText);

impl PemSource {
    /// The text, where a secret is filled in.
    pub fn text(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| text.contains(PEM_BEGIN))
    }

    /// The file that has the text; `None` where a secret has it.
    pub fn file(&self) -> Option<FilePath> {
        match self.text() {
            Some(_) => None,
            None => self.0.as_str().parse().ok(),
        }
    }
}

impl std::fmt::Debug for PemSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text() {
            Some(_) => f.write_str("[redacted]"),
            None => std::fmt::Debug::fmt(&self.0, f),
        }
    }
}

fn is_default<T: Default + PartialEq>(given: &T) -> bool {
    *given == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_arranged_by_family_and_keep_their_order_within_it() {
        for (preference, arranged) in [
            (IpPreference::Any, "10.0.0.2 fd00::2 10.0.0.1 fd00::1"),
            (IpPreference::PreferIpv4, "10.0.0.2 10.0.0.1 fd00::2 fd00::1"),
            (IpPreference::PreferIpv6, "fd00::2 fd00::1 10.0.0.2 10.0.0.1"),
            (IpPreference::Ipv4, "10.0.0.2 10.0.0.1"),
            (IpPreference::Ipv6, "fd00::2 fd00::1"),
        ] {
            let mut addresses = ["10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1"].map(|a| a.parse().unwrap()).to_vec();
            preference.arrange(&mut addresses);
            let shown: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            assert_eq!(shown.join(" "), arranged, "{preference:?}");
        }
    }
}
