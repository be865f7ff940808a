//! Packets of SSH before keys are in use (RFC 4253, section 6), and the data types in them (RFC 4251, section 5).

use crate::broken::Broken;
use crate::wire::Conversation;

/// The largest packet that is read (RFC 4253, section 6.1, asks for no more).
const PACKET_BYTES_MAX: usize = 35_000;
/// Packets are padded to multiples of this.
const BLOCK_BYTES: usize = 8;
/// The least padding.
const PADDING_BYTES_MIN: usize = 4;

/// `payload` as it goes over the wire.
pub(super) fn packet(payload: &[u8]) -> Vec<u8> {
    let unpadded = 5 + payload.len() + PADDING_BYTES_MIN;
    let padding = PADDING_BYTES_MIN + (BLOCK_BYTES - unpadded % BLOCK_BYTES) % BLOCK_BYTES;
    let mut packet = Vec::with_capacity(5 + payload.len() + padding);
    packet.extend_from_slice(&((1 + payload.len() + padding) as u32).to_be_bytes());
    packet.push(padding as u8);
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// Reads the next packet's payload, which is not empty.
///
/// # Errors
/// When the connection fails, or what comes is no packet.
pub(super) async fn read(talk: &mut Conversation) -> Result<Vec<u8>, Broken> {
    let head = talk.exact(5).await?;
    let length = head.get(..4).and_then(|length| length.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
    let padding = usize::from(head.get(4).copied().unwrap_or_default());
    // The padding's length and at least one byte of a message belong to it.
    if length > PACKET_BYTES_MAX || length < padding + 2 {
        return Err(Broken::garbage(format!("does not speak SSH as it should: it sent a packet of {length} bytes")));
    }
    let mut payload = talk.exact(length - 1).await?.to_vec();
    payload.truncate(length - 1 - padding);
    Ok(payload)
}

/// Adds `bytes` as a string: their length, then they themselves.
pub(super) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Adds the number that `bytes` are, the highest first, as an `mpint`.
pub(super) fn put_mpint(to: &mut Vec<u8>, bytes: &[u8]) {
    let digits = without_zeros(bytes);
    // A first bit would make it a negative number.
    let needs_zero = digits.first().is_some_and(|first| first & 0x80 != 0);
    to.extend_from_slice(&((digits.len() + usize::from(needs_zero)) as u32).to_be_bytes());
    to.extend(needs_zero.then_some(0));
    to.extend_from_slice(digits);
}

/// A number without the zeros in front of it.
pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// What a message holds, read from its beginning.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let (byte, rest) = self.0.split_first().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next string.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.bytes(4)?.try_into().map_or(0, u32::from_be_bytes);
        self.bytes(length as usize)
    }

    /// The next list of names, which commas separate.
    pub(super) fn names(&mut self) -> Result<Vec<String>, Broken> {
        let names = String::from_utf8_lossy(self.string()?);
        Ok(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

fn cut_short() -> Broken {
    Broken::garbage("does not speak SSH as it should: a message of it is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_padded_to_whole_blocks() {
        for length in 1..40 {
            let packet = packet(&vec![7; length]);
            let told = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
            assert_eq!((packet.len() % BLOCK_BYTES, told + 4), (0, packet.len()));
            assert!(usize::from(packet[4]) >= PADDING_BYTES_MIN);
        }
    }

    /// The examples of RFC 4251, section 5.
    #[test]
    fn numbers_are_written_as_short_as_they_can_be() {
        for (number, written) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0x12], &[0, 0, 0, 1, 0x12]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
        ] {
            let mut to = Vec::new();
            put_mpint(&mut to, number);
            assert_eq!(to, written);
        }
    }

    #[test]
    fn what_is_cut_short_is_told() {
        for bytes in [&[][..], &[0, 0, 0], &[0, 0, 0, 2, 1], &[0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(Reader(bytes).string().is_err(), "{bytes:?}");
        }
        assert_eq!(Reader(b"\0\0\0\x05a,,bc").names().unwrap(), ["a", "bc"]);
    }
}
