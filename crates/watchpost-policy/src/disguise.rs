//! What an address stands for: forms of IPv6 that lead to IPv4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::Network;

/// The most addresses that one stands for: itself, one for each of the six lengths that prefixes of translators have, one
/// more for each that a well-known one may have, and those within tunnels.
const FACES_MAX: usize = 16;

/// An address, and whatever else it may lead to: each is judged, and all must be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faces {
    ips: [IpAddr; FACES_MAX],
    len: usize,
}

impl Faces {
    /// What `ip` stands for, where `nat64` are the prefixes of the network's own translators.
    pub fn of(ip: IpAddr, nat64: &[Network]) -> Self {
        let mut faces = Self { ips: [ip; FACES_MAX], len: 0 };
        match ip {
            IpAddr::V4(_) => faces.push(ip),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                // Nothing of this ever leaves as IPv6: the system itself connects by IPv4.
                Some(v4) => faces.push(v4.into()),
                None => {
                    faces.push(ip);
                    faces.translated(v6, nat64);
                    faces.embedded(v6);
                }
            },
        }
        faces
    }

    /// Each of them, the address itself first; in place of an IPv4 address written as IPv6, that address alone.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.ips.iter().take(self.len).copied()
    }

    fn push(&mut self, ip: IpAddr) {
        if self.iter().any(|known| known == ip) {
            return;
        }
        if let Some(place) = self.ips.get_mut(self.len) {
            *place = ip;
            self.len += 1;
        }
    }

    /// What translators make of it (RFC 6052).
    fn translated(&mut self, v6: Ipv6Addr, nat64: &[Network]) {
        let o = v6.octets();
        let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|i| o.get(i).copied().unwrap_or_default()));
        let mut is_known = false;
        for own in nat64.iter().filter(|prefix| prefix.contains(v6.into())) {
            self.push(at(places(own.prefix_len())).into());
            is_known = true;
        }
        // The well-known prefix 64:ff9b::/96.
        if o.starts_with(&[0, 0x64, 0xff, 0x9b]) && o[4..12].iter().all(|byte| *byte == 0) {
            self.push(at([12, 13, 14, 15]).into());
        }
        // The prefix for local use, 64:ff9b:1::/48 (RFC 8215): which part of it a translator has is not said, unless the
        // policy does, so each that fits is looked at, whatever follows it: translators pass over that (RFC 6052, section
        // 2.2). What would be 0.x.y.z is none: no translator sends anything there.
        if !is_known && o.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 1]) && o[8] == 0 {
            for length in [48, 56, 64, 96] {
                let v4 = at(places(length));
                if v4.octets()[0] != 0 {
                    self.push(v4.into());
                }
            }
        }
    }

    /// What tunnels and old forms of writing make of it.
    fn embedded(&mut self, v6: Ipv6Addr) {
        let o = v6.octets();
        let at = |i: usize| Ipv4Addr::new(o[i], o[i + 1], o[i + 2], o[i + 3]);
        // ::a.b.c.d (RFC 4291, deprecated), apart from :: and ::1, which are themselves.
        if o[..12].iter().all(|byte| *byte == 0) && !v6.is_unspecified() && !v6.is_loopback() {
            self.push(at(12).into());
        }
        // ::ffff:0:a.b.c.d (RFC 2765, stateless translation).
        if o[..8].iter().all(|byte| *byte == 0) && o[8..12] == [0xff, 0xff, 0, 0] {
            self.push(at(12).into());
        }
        // 6to4 (RFC 3056): 2002:a.b.c.d::/48.
        if o.starts_with(&[0x20, 0x02]) {
            self.push(at(2).into());
        }
        // Teredo (RFC 4380): the server, and the client with its bits turned over.
        if o.starts_with(&[0x20, 0x01, 0, 0]) {
            self.push(at(4).into());
            self.push(Ipv4Addr::from(at(12).octets().map(|byte| !byte)).into());
        }
        // ISATAP (RFC 5214): the lower half is [02]00:5efe:a.b.c.d.
        if matches!(o[8..12], [0 | 2, 0, 0x5e, 0xfe]) {
            self.push(at(12).into());
        }
    }
}

/// Which octets hold the IPv4 address behind a prefix of this length (RFC 6052, section 2.2): octet 8 is passed over.
fn places(prefix_len: u8) -> [usize; 4] {
    match prefix_len {
        32 => [4, 5, 6, 7],
        40 => [5, 6, 7, 9],
        48 => [6, 7, 9, 10],
        56 => [7, 9, 10, 11],
        64 => [9, 10, 11, 12],
        _ => [12, 13, 14, 15],
    }
}
