//! Echo requests and replies as they travel (RFC 792, RFC 4443).

use std::net::SocketAddr;

use crate::network::datagram::Kind;

const HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES_MIN: usize = 20;
/// What tells our requests from those of others who happen to have the same id.
const COOKIE_BYTES: usize = 8;

/// What the requests of one check have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echoes {
    pub(super) kind: Kind,
    pub(super) is_ipv4: bool,
    pub(super) id: u16,
    pub(super) cookie: [u8; COOKIE_BYTES],
    /// How many bytes each carries.
    pub(super) size: u16,
}

impl Echoes {
    pub(super) fn new(kind: Kind, peer: SocketAddr, random: u64, size: u16) -> Self {
        let cookie = random.to_be_bytes();
        let [high, low, ..] = random.rotate_left(16).to_be_bytes();
        Self { kind, is_ipv4: peer.is_ipv4(), id: u16::from_be_bytes([high, low]), cookie, size }
    }

    fn request_type(&self) -> u8 {
        if self.is_ipv4 { 8 } else { 128 }
    }

    fn reply_type(&self) -> u8 {
        if self.is_ipv4 { 0 } else { 129 }
    }

    /// The request with this number.
    pub(super) fn request(&self, sequence: u16) -> Vec<u8> {
        let [id_high, id_low] = self.id.to_be_bytes();
        let [high, low] = sequence.to_be_bytes();
        let mut packet = Vec::with_capacity(HEADER_BYTES + usize::from(self.size));
        packet.extend([self.request_type(), 0, 0, 0, id_high, id_low, high, low]);
        packet.extend(self.payload());
        if self.is_ipv4 {
            // That of IPv6 covers the addresses as well, and is the system's business.
            let sum = checksum(&packet).to_be_bytes();
            if let Some(place) = packet.get_mut(2..4) {
                place.copy_from_slice(&sum);
            }
        }
        packet
    }

    fn payload(&self) -> impl Iterator<Item = u8> {
        let filling = (0..=u8::MAX).cycle();
        self.cookie.into_iter().chain(filling).take(self.size.into())
    }

    /// The number of the request that `packet` replies to, if it is one of these.
    pub(super) fn replied(&self, packet: &[u8]) -> Option<u16> {
        let message = match (self.kind, self.is_ipv4) {
            // Only here the system hands over the head of the packet as well.
            (Kind::RawIcmp, true) => {
                let head = usize::from(packet.first()? & 0x0f) * 4;
                packet.get(head.max(IPV4_HEADER_BYTES_MIN)..)?
            }
            _ => packet,
        };
        let payload = message.get(HEADER_BYTES..)?;
        let is_reply = *message.first()? == self.reply_type() && payload.len() == usize::from(self.size);
        let is_ours = payload.iter().copied().eq(self.payload());
        self.sequence(message).filter(|_| is_reply && is_ours)
    }

    /// The number of the request that `sent` is the beginning of, if it is one of these.
    pub(super) fn requested(&self, sent: &[u8]) -> Option<u16> {
        self.sequence(sent).filter(|_| sent.first() == Some(&self.request_type()))
    }

    fn sequence(&self, message: &[u8]) -> Option<u16> {
        let [_, _, _, _, id_high, id_low, high, low, ..] = *message else { return None };
        // The system has put an id of its own into what goes through the other kind of socket, and looks after it.
        let is_ours = self.kind != Kind::RawIcmp || u16::from_be_bytes([id_high, id_low]) == self.id;
        is_ours.then_some(u16::from_be_bytes([high, low]))
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(u16::from_be_bytes([high, 0])),
        _ => 0,
    });
    let mut sum: u32 = words.fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum & 0xffff).unwrap_or_default()
}

/// What an ICMP message says of a packet that was not delivered, as a sentence goes on after "says".
pub(super) fn says(is_ipv4: bool, (kind, code): (u8, u8)) -> String {
    let words = match (is_ipv4, kind, code) {
        (true, 3, 0 | 6 | 11) | (false, 1, 0) => "that there is no route to the network",
        (true, 3, 1 | 7 | 12) | (false, 1, 3) => "that the host cannot be reached",
        (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5) => "that it is forbidden",
        (true, 3, 4) | (false, 2, _) => "that the packet is too large",
        (true, 11, 0) | (false, 3, 0) => "that the packet has passed as many routers as it may",
        (true, 11, _) | (false, 3, _) => "that parts of the packet did not arrive",
        _ => return format!("that it was not delivered (ICMP type {kind}, code {code})"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echoes(kind: Kind, peer: &str, size: u16) -> Echoes {
        Echoes::new(kind, peer.parse().unwrap(), 0x0102_0304_0506_0708, size)
    }

    /// What a host answers to `request`.
    fn reply(echoes: &Echoes, request: &[u8]) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[0] = echoes.reply_type();
        reply
    }

    #[test]
    fn the_checksum_of_a_packet_with_its_checksum_is_zero() {
        for size in [0, 1, 7, 56, 1473, 65_507] {
            let packet = echoes(Kind::RawIcmp, "10.0.0.1:0", size).request(7);
            assert_eq!(packet.len(), 8 + usize::from(size));
            assert_eq!(checksum(&packet), 0, "{size}");
        }
        // RFC 1071, section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn only_replies_to_our_requests_count() {
        for (kind, peer) in [(Kind::Echo, "10.0.0.1:0"), (Kind::Echo, "[::1]:0"), (Kind::RawIcmp, "[::1]:0")] {
            let echoes = echoes(kind, peer, 56);
            let good = reply(&echoes, &echoes.request(7));
            assert_eq!(echoes.replied(&good), Some(7));
            assert_eq!(echoes.replied(&echoes.request(7)), None);
            assert_eq!(echoes.replied(&good[..good.len() - 1]), None);
            for changed in [0, 8, 40] {
                let mut other = good.clone();
                other[changed] ^= 1;
                assert_eq!(echoes.replied(&other), None, "{changed}");
            }
            for length in 0..8 {
                assert_eq!(echoes.replied(&good[..length]), None);
                assert_eq!(echoes.requested(&echoes.request(7)[..length]), None);
            }
            assert_eq!(echoes.requested(&echoes.request(9)[..8]), Some(9));
        }
    }

    #[test]
    fn a_raw_socket_sees_the_head_of_the_packet_and_the_requests_of_others() {
        let echoes = echoes(Kind::RawIcmp, "10.0.0.1:0", 4);
        let good = reply(&echoes, &echoes.request(7));
        for words in [5, 6, 15] {
            let mut packet = vec![0x40 | words];
            packet.resize(usize::from(words) * 4, 0);
            packet.extend(&good);
            assert_eq!(echoes.replied(&packet), Some(7));
            let id = usize::from(words) * 4 + 4;
            packet[id] ^= 1;
            assert_eq!(echoes.replied(&packet), None);
            assert_eq!(echoes.replied(&packet[..id]), None);
        }
        for garbage in [&[][..], &[0x40], &[0x4f; 30], &[0xff; 70]] {
            assert_eq!(echoes.replied(garbage), None);
        }
    }
}
