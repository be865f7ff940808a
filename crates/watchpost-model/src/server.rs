//! Hosts that are named without a port, or whose port goes without saying.

use crate::Invalid;
use crate::target::{HostPort, validate_host};
use crate::text::text_type;

text_type!(
    /// A host, by name or address, without a port.
    Host,
    "the host",
    253,
    |text| {
        let shown = crate::shorten(text, 80);
        if text.contains(':') && text.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(format!("`{shown}` is not a host: expected a name or an address, without a port"));
        }
        validate_host(text).map_err(|why| format!("`{shown}` is not a host ({why}): expected a name or an address"))
    }
);

impl Host {
    /// The host for a protocol that has no ports.
    pub(crate) fn without_port(&self) -> HostPort {
        HostPort::trusted(self.as_str(), 0)
    }
}

text_type!(
    /// A server, by name or address: `host`, `host:port`, `fd00::1` or `[fd00::1]:53`.
    ServerAddress,
    "the server",
    269,
    |text| parse(text).map(|_| ()).map_err(|e| e.to_string())
);

/// Host and port; the port is 0 where none is named.
fn parse(text: &str) -> Result<HostPort, Invalid> {
    let bare = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(HostPort::trusted(bare, 0));
    }
    match text.contains(':') {
        true => text.parse(),
        false => text.parse::<Host>().map(|host| host.without_port()),
    }
}

impl ServerAddress {
    /// The server's host and port, `port` where it names none.
    pub fn or_port(&self, port: u16) -> HostPort {
        let text = crate::template::sampled("ServerAddress", self.as_str(), |text| parse(text).is_ok());
        // Invariant: `parse` accepted this very text when the value was made.
        #[expect(clippy::expect_used, reason = "valid by construction")]
        let named = parse(&text).expect("a ServerAddress holds a valid one");
        if named.port() == 0 { HostPort::trusted(named.host(), port) } else { named }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_its_own_port_or_the_usual_one() {
        for (text, shown) in [
            ("10.0.0.53", "10.0.0.53:53"),
            ("10.0.0.53:5353", "10.0.0.53:5353"),
            ("dns.example", "dns.example:53"),
            ("fd00::53", "[fd00::53]:53"),
            ("[fd00::53]", "[fd00::53]:53"),
            ("[fd00::53]:5353", "[fd00::53]:5353"),
        ] {
            assert_eq!(text.parse::<ServerAddress>().unwrap().or_port(53).to_string(), shown);
        }
        for bad in ["", "a:0", "a:", "a b", "10.0.0.1:99999", "[a]", "fd00::x"] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_without_a_port_is_shown_without_one() {
        for host in ["10.0.0.1", "a.example", "fd00::1"] {
            assert_eq!(host.parse::<Host>().unwrap().without_port().to_string(), host);
        }
        for bad in ["", "a:1", "[::1]", "a/b", &"a".repeat(254)] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }
}
