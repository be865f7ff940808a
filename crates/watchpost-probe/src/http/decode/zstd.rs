//! zstd (RFC 8878): frames one after another, each of blocks.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Fault, UNPACKED_AT_ONCE};

/// The largest window that is taken, in bytes, as for every HTTP client (RFC 9659).
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The largest block, in bytes, packed as well as unpacked.
const BLOCK_BYTES_MAX: usize = 128 * 1024;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What frames begin with that have nothing to do with the data, but for the lowest four bits.
const SKIPPED_MAGIC: u32 = 0x184d_2a50;
const CORRUPT: Fault = Fault::Corrupt("the body is not in the zstd format");

/// Frames of zstd. A block is unpacked once it is there as a whole.
#[derive(Default)]
pub(crate) struct Zstd {
    /// What came and is not unpacked yet: less than a block, but for what came last.
    held: Vec<u8>,
    part: Part,
    /// Whether a frame is complete.
    has_frame: bool,
}

#[derive(Default)]
enum Part {
    /// The beginning of a frame.
    #[default]
    Frame,
    /// A frame to be skipped, with how much is left of it.
    Skipped(u64),
    /// The blocks of a frame.
    Blocks(Box<Blocks>),
    /// What follows the last frame and is none.
    Ignored,
}

struct Blocks {
    decoder: FrameDecoder,
    has_checksum: bool,
}

impl Zstd {
    pub(super) fn is_complete(&self) -> bool {
        match self.part {
            Part::Frame => self.held.is_empty(),
            Part::Ignored => true,
            Part::Skipped(_) | Part::Blocks(_) => false,
        }
    }

    pub(super) fn decode(&mut self, packed: &[u8], body: &mut Vec<u8>, max: usize) -> Result<(), Fault> {
        self.held.extend_from_slice(packed);
        let mut rest = self.held.as_slice();
        while body.len() <= max {
            let next = match &mut self.part {
                Part::Frame => frame(&mut rest, self.has_frame)?,
                Part::Skipped(left) => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    rest = rest.get(skipped..).unwrap_or_default();
                    *left -= skipped as u64;
                    (*left == 0).then_some(Part::Frame)
                }
                Part::Blocks(blocks) => match blocks.decode(&mut rest, body, max)? {
                    Step::Waits => None,
                    Step::GoesOn => continue,
                    Step::Ended => {
                        self.has_frame = true;
                        Some(Part::Frame)
                    }
                },
                Part::Ignored => {
                    rest = &[];
                    None
                }
            };
            let Some(next) = next else { break };
            self.part = next;
        }
        let done = self.held.len() - rest.len();
        self.held.drain(..done);
        Ok(())
    }

    /// Hands out what the window holds back.
    pub(super) fn give_up(&mut self, body: &mut Vec<u8>, max: usize) {
        let Part::Blocks(blocks) = &mut self.part else { return };
        // The last block, with nothing in it, and a checksum in case there must be one.
        let ending = [1, 0, 0, 0, 0, 0, 0];
        if blocks.decoder.decode_blocks(&ending[..], BlockDecodingStrategy::UptoBlocks(1)).is_ok() {
            blocks.hand_out(body, max);
        }
    }
}

/// What begins at `rest`; `None` where it is not all there.
fn frame(rest: &mut &[u8], has_frame: bool) -> Result<Option<Part>, Fault> {
    let Some((magic, after)) = rest.split_first_chunk() else { return Ok(None) };
    if u32::from_le_bytes(*magic) & !0xf == SKIPPED_MAGIC {
        let Some((length, after)) = after.split_first_chunk() else { return Ok(None) };
        *rest = after;
        return Ok(Some(Part::Skipped(u32::from_le_bytes(*length).into())));
    }
    if *magic != MAGIC {
        return if has_frame { Ok(Some(Part::Ignored)) } else { Err(CORRUPT) };
    }
    let Some(descriptor) = after.first() else { return Ok(None) };
    let is_single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4];
    let size = [usize::from(is_single), 2, 4, 8];
    let of = |sizes: [usize; 4], bits: u8| sizes.get(usize::from(bits & 3)).copied().unwrap_or_default();
    let length = 5 + usize::from(!is_single) + of(dictionary, *descriptor) + of(size, descriptor >> 6);
    let Some((mut head, after)) = rest.split_at_checked(length) else { return Ok(None) };
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_BYTES_MAX);
    decoder.reset(&mut head).map_err(|_| Fault::Corrupt("the zstd body wants a dictionary, or more than 8 MiB"))?;
    *rest = after;
    Ok(Some(Part::Blocks(Box::new(Blocks { decoder, has_checksum: descriptor & 4 != 0 }))))
}

/// What became of a block.
enum Step {
    /// It is not all there.
    Waits,
    /// It is unpacked.
    GoesOn,
    /// It is unpacked, and was the last one.
    Ended,
}

impl Blocks {
    /// Unpacks one block.
    fn decode(&mut self, rest: &mut &[u8], body: &mut Vec<u8>, max: usize) -> Result<Step, Fault> {
        if !self.decoder.is_finished() {
            let Some([a, b, c]) = rest.first_chunk().copied() else { return Ok(Step::Waits) };
            let head = u32::from_le_bytes([a, b, c, 0]);
            let (is_last, kind, size) = (head & 1 != 0, head >> 1 & 3, (head >> 3) as usize);
            let size = if kind == 1 { 1 } else { size };
            if size > BLOCK_BYTES_MAX {
                return Err(CORRUPT);
            }
            let checksum = if is_last && self.has_checksum { 4 } else { 0 };
            let Some((block, after)) = rest.split_at_checked(3 + size + checksum) else { return Ok(Step::Waits) };
            let unpacked = self.decoder.decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1));
            unpacked.map_err(|_| CORRUPT)?;
            *rest = after;
        }
        self.hand_out(body, max);
        if !self.decoder.is_finished() || self.decoder.can_collect() > 0 {
            return Ok(Step::GoesOn);
        }
        match self.decoder.get_checksum_from_data() {
            Some(told) if Some(told) != self.decoder.get_calculated_checksum() => {
                Err(Fault::Corrupt("the checksum of the zstd body is wrong"))
            }
            _ => Ok(Step::Ended),
        }
    }

    /// Takes over what the window does not need any more, until `body` has more than `max` bytes.
    fn hand_out(&mut self, body: &mut Vec<u8>, max: usize) {
        while body.len() <= max {
            let had = body.len();
            body.resize(had + UNPACKED_AT_ONCE.min(max + 1 - had), 0);
            let given = self.decoder.read(body.get_mut(had..).unwrap_or_default()).unwrap_or_default();
            body.truncate(had + given);
            if given == 0 {
                return;
            }
        }
    }
}
