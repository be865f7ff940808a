//! gzip and deflate.

use bytes::Buf;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Fault, UNPACKED_AT_ONCE};

/// Inflates `packed` into `body` until the data ends, `packed` does, or `body` has more than `max`
/// bytes. Returns whether the data ended.
fn inflate(inflate: &mut Decompress, packed: &mut &[u8], body: &mut Vec<u8>, max: usize) -> Result<bool, ()> {
    while body.len() <= max {
        let had = body.len();
        let (read, written) = (inflate.total_in(), inflate.total_out());
        // One byte more than may be kept tells whether there is more.
        body.resize(had + UNPACKED_AT_ONCE.min(max + 1 - had), 0);
        let status = inflate.decompress(packed, body.get_mut(had..).unwrap_or_default(), FlushDecompress::None);
        let taken = usize::try_from(inflate.total_in() - read).unwrap_or(usize::MAX).min(packed.len());
        let given = usize::try_from(inflate.total_out() - written).unwrap_or(usize::MAX);
        packed.advance(taken);
        body.truncate(had.saturating_add(given));
        match status {
            Ok(Status::StreamEnd) => return Ok(true),
            Ok(_) if taken == 0 && given == 0 => return Ok(false),
            Ok(_) => {}
            Err(_) => return Err(()),
        }
    }
    Ok(false)
}

/// What `deflate` means: the zlib format, by the standard; deflate without a frame, by many servers.
#[derive(Debug, Default)]
pub(crate) struct Deflate {
    /// The first byte, which alone does not tell which of the two it is.
    first: Option<u8>,
    /// Made once that is known.
    inflate: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    pub(super) fn is_complete(&self) -> bool {
        self.ended || self.first.is_none()
    }

    pub(super) fn decode(&mut self, packed: &mut &[u8], body: &mut Vec<u8>, max: usize) -> Result<(), Fault> {
        const CORRUPT: Fault = Fault::Corrupt("the body is not in the deflate format");
        if self.inflate.is_none() {
            let Some(first) = self.first.or_else(|| packed.try_get_u8().ok()) else { return Ok(()) };
            self.first = Some(first);
            let Some(second) = packed.first() else { return Ok(()) };
            let is_zlib = first & 0x0f == 8 && u16::from_be_bytes([first, *second]) % 31 == 0;
            let made = self.inflate.insert(Decompress::new(is_zlib));
            inflate(made, &mut &[first][..], body, max).map_err(|()| CORRUPT)?;
        }
        match &mut self.inflate {
            Some(made) if !self.ended => self.ended = inflate(made, packed, body, max).map_err(|()| CORRUPT)?,
            _ => {}
        }
        Ok(())
    }
}

/// The gzip format (RFC 1952): members one after another, each with a header and a checksum.
#[derive(Debug)]
pub(crate) struct Gzip {
    part: Part,
    inflate: Decompress,
    crc: Crc,
    /// Which optional parts the header has.
    flags: u8,
    /// How many members are complete.
    members: u64,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { part: Part::Magic(0), inflate: Decompress::new(false), crc: Crc::new(), flags: 0, members: 0 }
    }
}

/// Where in a member the next byte belongs, with how many bytes of a part of fixed size are done.
#[derive(Debug, Clone, Copy)]
enum Part {
    Magic(usize),
    Flags,
    /// Time, further flags, operating system.
    Fixed(usize),
    ExtraLength(usize, [u8; 2]),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(usize),
    Data,
    Trailer(usize, [u8; 8]),
    /// What follows the last member and is none.
    Ignored,
}

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HAS_HEADER_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

impl Gzip {
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.part, Part::Magic(0) | Part::Ignored)
    }

    pub(super) fn decode(&mut self, packed: &mut &[u8], body: &mut Vec<u8>, max: usize) -> Result<(), Fault> {
        while body.len() <= max {
            match self.part {
                Part::Data => {
                    let had = body.len();
                    let ended = inflate(&mut self.inflate, packed, body, max);
                    let ended = ended.map_err(|()| Fault::Corrupt("the body is not in the gzip format"))?;
                    self.crc.update(body.get(had..).unwrap_or_default());
                    if !ended {
                        return Ok(());
                    }
                    self.part = Part::Trailer(0, [0; 8]);
                }
                Part::Ignored => return Ok(()),
                part => match packed.try_get_u8() {
                    Ok(byte) => self.part = self.after(part, byte)?,
                    Err(_) => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// The part that follows `part`, whose next byte is `byte`.
    fn after(&mut self, part: Part, byte: u8) -> Result<Part, Fault> {
        Ok(match part {
            Part::Magic(done) if MAGIC.get(done) != Some(&byte) => match self.members {
                0 => return Err(Fault::Corrupt("the body is not in the gzip format")),
                _ => Part::Ignored,
            },
            Part::Magic(2) => Part::Flags,
            Part::Magic(done) => Part::Magic(done + 1),
            Part::Flags => {
                self.flags = byte;
                Part::Fixed(0)
            }
            Part::Fixed(5) => self.optional(HAS_EXTRA),
            Part::Fixed(done) => Part::Fixed(done + 1),
            Part::ExtraLength(0, _) => Part::ExtraLength(1, [byte, 0]),
            Part::ExtraLength(_, [low, _]) => match u16::from_le_bytes([low, byte]) {
                0 => self.optional(HAS_NAME),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.optional(HAS_NAME),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.optional(HAS_COMMENT),
            Part::Comment if byte == 0 => self.optional(HAS_HEADER_CRC),
            Part::HeaderCrc(0) => Part::HeaderCrc(1),
            Part::HeaderCrc(_) => Part::Data,
            Part::Trailer(done, mut trailer) => {
                if let Some(place) = trailer.get_mut(done) {
                    *place = byte;
                }
                if done < 7 { Part::Trailer(done + 1, trailer) } else { self.end_member(trailer)? }
            }
            Part::Name | Part::Comment | Part::Data | Part::Ignored => part,
        })
    }

    /// The first part of the header, from that of the flag `from` on, that is there.
    fn optional(&self, from: u8) -> Part {
        let parts = [
            (HAS_EXTRA, Part::ExtraLength(0, [0; 2])),
            (HAS_NAME, Part::Name),
            (HAS_COMMENT, Part::Comment),
            (HAS_HEADER_CRC, Part::HeaderCrc(0)),
        ];
        let rest = parts.iter().skip_while(|(flag, _)| *flag != from);
        rest.filter(|(flag, _)| self.flags & flag != 0).map(|(_, part)| *part).next().unwrap_or(Part::Data)
    }

    fn end_member(&mut self, trailer: [u8; 8]) -> Result<Part, Fault> {
        if u64::from_le_bytes(trailer) != u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum()) {
            return Err(Fault::Corrupt("the checksum of the gzip body is wrong"));
        }
        self.members += 1;
        self.inflate.reset(false);
        self.crc.reset();
        Ok(Part::Magic(0))
    }
}
