//! brotli (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Buf;

use super::{Fault, UNPACKED_AT_ONCE};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A stream of brotli. Windows beyond those of the standard, of more than 16 MiB, are refused.
pub(crate) struct Brotli {
    state: State,
    begun: bool,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let new = StandardAlloc::default;
        Self { state: State::new_strict(new(), new(), new()), begun: false, ended: false }
    }
}

impl Brotli {
    pub(super) fn is_complete(&self) -> bool {
        self.ended || !self.begun
    }

    pub(super) fn decode(&mut self, packed: &mut &[u8], body: &mut Vec<u8>, max: usize) -> Result<(), Fault> {
        self.begun |= !packed.is_empty();
        while !self.ended && body.len() <= max {
            let had = body.len();
            // One byte more than may be kept tells whether there is more.
            body.resize(had + UNPACKED_AT_ONCE.min(max + 1 - had), 0);
            let (mut left, mut taken) = (packed.len(), 0);
            let (mut room, mut given) = (body.len() - had, 0);
            let told = BrotliDecompressStream(
                &mut left,
                &mut taken,
                packed,
                &mut room,
                &mut given,
                body.get_mut(had..).unwrap_or_default(),
                &mut 0,
                &mut self.state,
            );
            packed.advance(taken);
            body.truncate(had + given);
            match told {
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::ResultFailure => return Err(Fault::Corrupt("the body is not in the brotli format")),
            }
        }
        Ok(())
    }
}
