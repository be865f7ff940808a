//! Questions to a time server and its answers as they travel (RFC 5905, section 7.3; RFC 4330).

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of a message without extensions, in bytes.
pub(super) const PACKET_BYTES: usize = 48;
/// From 1900, where the time of NTP begins, to 1970, in seconds.
const UNIX_EPOCH_S: u64 = 2_208_988_800;
const VERSION: u8 = 4;
const MODE_CLIENT: u8 = 3;
const MODE_SERVER: u8 = 4;
/// From this stratum on, the reference id names a server by its address.
const STRATUM_OF_SERVERS: u8 = 2;

/// A moment: seconds since 1900 in the upper half, their fraction in the lower. It starts again every 136 years,
/// so that only differences mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Self((since.as_secs().wrapping_add(UNIX_EPOCH_S) << 32) | fraction)
    }

    /// How much later than `other` it is, in ms; less than 0 where it is earlier.
    pub(super) fn since_ms(self, other: Self) -> f64 {
        self.0.wrapping_sub(other.0).cast_signed() as f64 * 1e3 / f64::from(u32::MAX).mul_add(1.0, 1.0)
    }
}

/// A question. What stands where its time of sending would be is a secret, by which the answer is known: who does
/// not see the question cannot make one, and the server learns nothing of this machine's clock.
pub(super) fn question(secret: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    let (head, time) = packet.split_at_mut(PACKET_BYTES - 8);
    if let Some(first) = head.first_mut() {
        *first = VERSION << 3 | MODE_CLIENT;
    }
    time.copy_from_slice(&secret.to_be_bytes());
    packet
}

/// What a time server says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    pub(super) leap: u8,
    pub(super) version: u8,
    pub(super) stratum: u8,
    pub(super) root_delay_ms: f64,
    pub(super) root_dispersion_ms: f64,
    reference_id: [u8; 4],
    /// When it got the question.
    pub(super) received: Stamp,
    /// When it sent the answer.
    pub(super) sent: Stamp,
}

/// Why a datagram is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It does not belong to the question.
    Stranger(&'static str),
    /// It does, and says nothing that could be used.
    Malformed(&'static str),
}

/// Reads the answer to the question with `secret`.
///
/// # Errors
/// Why `bytes` are none.
pub(super) fn answer(bytes: &[u8], secret: u64) -> Result<Answer, Unfit> {
    let packet: &[u8; PACKET_BYTES] = bytes.first_chunk().ok_or(Unfit::Stranger("it is too short"))?;
    if quad(packet, 24) != secret {
        return Err(Unfit::Stranger("it repeats another question's time of sending"));
    }
    let [flags, stratum, ..] = *packet;
    let version = flags >> 3 & 7;
    if flags & 7 != MODE_SERVER {
        return Err(Unfit::Malformed("it does not say that a server sent it"));
    }
    if !(1..=VERSION).contains(&version) {
        return Err(Unfit::Malformed("it is of a version that nobody asked for"));
    }
    let answer = Answer {
        leap: flags >> 6,
        version,
        stratum,
        root_delay_ms: short_ms(packet, 4),
        root_dispersion_ms: short_ms(packet, 8),
        reference_id: packet.get(12..16).and_then(|id| id.try_into().ok()).unwrap_or_default(),
        received: Stamp(quad(packet, 32)),
        sent: Stamp(quad(packet, 40)),
    };
    let tells_time = answer.received.0 != 0 && answer.sent.0 != 0;
    if answer.kiss().is_none() && !answer.is_unsynchronised() && !tells_time {
        return Err(Unfit::Malformed("it tells no time"));
    }
    Ok(answer)
}

fn quad(packet: &[u8; PACKET_BYTES], at: usize) -> u64 {
    packet.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// A short time: 16 bits of seconds, and 16 of their fraction.
fn short_ms(packet: &[u8; PACKET_BYTES], at: usize) -> f64 {
    let bits = packet.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    f64::from(bits) * 1e3 / 65_536.0
}

impl Answer {
    /// The code of a kiss-o'-death (RFC 5905, section 7.4), for example `RATE`.
    pub(super) fn kiss(&self) -> Option<String> {
        let is_code = self.reference_id.iter().any(|byte| *byte != 0);
        (self.stratum == 0 && is_code).then(|| code(self.reference_id))
    }

    /// Whether the server says that it does not know the time. Some call that stratum 16, some 0.
    pub(super) fn is_unsynchronised(&self) -> bool {
        self.leap == 3 || !(1..=15).contains(&self.stratum)
    }

    pub(super) fn leap_word(&self) -> &'static str {
        match self.leap {
            0 => "none",
            1 => "insert",
            2 => "delete",
            _ => "unsynchronised",
        }
    }

    /// Where the server has its time from: an address, or the kind of its reference clock. A server that it reaches
    /// by IPv6 has no address here, but a hash that looks like one.
    pub(super) fn reference(&self) -> String {
        match self.stratum {
            STRATUM_OF_SERVERS.. => Ipv4Addr::from(self.reference_id).to_string(),
            _ => code(self.reference_id),
        }
    }

    /// How far the server's clock is ahead of this machine's, and how long question and answer were under way, in ms,
    /// where the question was sent at `asked`, and its answer was there `took` later (RFC 5905, section 8).
    pub(super) fn offset_and_delay_ms(&self, asked: SystemTime, took: Duration) -> (f64, f64) {
        let there = self.received.since_ms(Stamp::of(asked));
        let back = self.sent.since_ms(Stamp::of(asked + took));
        let at_server = self.sent.since_ms(self.received);
        (f64::midpoint(there, back), took.as_secs_f64() * 1e3 - at_server)
    }
}

/// Up to four letters; what is none of them is shown by its number.
fn code(id: [u8; 4]) -> String {
    let shown = id.iter().rev().skip_while(|byte| **byte == 0).collect::<Vec<_>>();
    shown
        .into_iter()
        .rev()
        .map(|byte| match byte {
            byte if byte.is_ascii_graphic() => char::from(*byte).to_string(),
            byte => format!("\\x{byte:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: u64 = 0x0123_4567_89ab_cdef;

    /// What a server at stratum 2 answers that got the question at `received` and answers half a second later.
    fn good(received: Stamp) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = 4 << 3 | 4;
        packet[1] = 2;
        packet[4..8].copy_from_slice(&[0, 1, 0x80, 0]);
        packet[8..12].copy_from_slice(&[0, 0, 0x40, 0]);
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet[24..32].copy_from_slice(&SECRET.to_be_bytes());
        packet[32..40].copy_from_slice(&received.0.to_be_bytes());
        packet[40..48].copy_from_slice(&(received.0 + (1 << 31)).to_be_bytes());
        packet
    }

    #[test]
    fn offset_and_delay_are_those_of_the_four_times() {
        let asked = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (ahead_s, took_ms, offset, delay) in
            [(2_i64, 600, 1950.0, 100.0), (-2, 600, -2050.0, 100.0), (0, 500, 0.0, 0.0), (3600, 500, 3_600_000.0, 0.0)]
        {
            let received = Stamp(Stamp::of(asked).0.wrapping_add((ahead_s << 32).cast_unsigned()));
            let answer = answer(&good(received), SECRET).unwrap();
            let (seen_offset, seen_delay) = answer.offset_and_delay_ms(asked, Duration::from_millis(took_ms));
            assert!((seen_offset - offset).abs() < 0.001, "{seen_offset} {offset}");
            assert!((seen_delay - delay).abs() < 0.001, "{seen_delay} {delay}");
        }
    }

    #[test]
    fn the_time_starts_again_in_2036() {
        let before = UNIX_EPOCH + Duration::from_secs((1 << 32) - UNIX_EPOCH_S - 1);
        let (before, after) = (Stamp::of(before), Stamp::of(before + Duration::from_millis(1500)));
        assert!(after.0 < before.0);
        assert!((after.since_ms(before) - 1500.0).abs() < 0.001);
        assert!((before.since_ms(after) + 1500.0).abs() < 0.001);
    }

    #[test]
    fn the_parts_of_an_answer_are_read() {
        let answer = answer(&good(Stamp(1 << 40)), SECRET).unwrap();
        assert_eq!((answer.version, answer.stratum, answer.leap_word()), (4, 2, "none"));
        assert_eq!((answer.root_delay_ms, answer.root_dispersion_ms), (1500.0, 250.0));
        assert_eq!((answer.reference().as_str(), answer.kiss()), ("10.0.0.1", None));
        assert!(!answer.is_unsynchronised());
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let packet = good(Stamp(1 << 40));
        let with = |at: usize, byte: u8| {
            let mut other = packet;
            other[at] = byte;
            answer(&other, SECRET)
        };
        assert!(matches!(answer(&packet[..47], SECRET), Err(Unfit::Stranger(_))));
        assert!(matches!(with(31, 0), Err(Unfit::Stranger(_))));
        assert!(matches!(with(0, 4 << 3 | 3), Err(Unfit::Malformed(_))));
        assert!(matches!(with(0, 7 << 3 | 4), Err(Unfit::Malformed(_))));
        assert!(with(0, 3 << 6 | 4 << 3 | 4).unwrap().is_unsynchronised());
        assert!(with(1, 16).unwrap().is_unsynchronised());
        let mut without_code = packet;
        without_code[1] = 0;
        without_code[12..16].fill(0);
        let unspecified = answer(&without_code, SECRET).unwrap();
        assert!(unspecified.is_unsynchronised() && unspecified.kiss().is_none());
        let mut without_time = packet;
        without_time[32..48].fill(0);
        assert!(matches!(answer(&without_time, SECRET), Err(Unfit::Malformed(_))));
        let mut kiss = without_time;
        kiss[1] = 0;
        kiss[12..16].copy_from_slice(b"RATE");
        assert_eq!(answer(&kiss, SECRET).unwrap().kiss().as_deref(), Some("RATE"));
        kiss[12..16].copy_from_slice(&[b'G', 1, 0, 0]);
        assert_eq!(answer(&kiss, SECRET).unwrap().kiss().as_deref(), Some("G\\x01"));
        for length in 0..80 {
            drop(answer(&vec![0xff; length], u64::MAX));
        }
    }

    #[test]
    fn a_question_carries_the_secret_and_nothing_else() {
        let packet = question(SECRET);
        assert_eq!((packet[0], &packet[1..40], &packet[40..]), (0x23, &[0; 39][..], &SECRET.to_be_bytes()[..]));
    }
}
