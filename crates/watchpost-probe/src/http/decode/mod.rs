//! Unpacking of compressed bodies, piece by piece and within bounds.
//!
//! The answer's headers stay as they came: a check may be about `Content-Encoding` or
//! `Content-Length`. The memory taken is that of the decoder and of what it puts out, whatever is put in:
//! a window of 32 KiB for gzip and deflate, 16 MiB for brotli and 8 MiB for zstd, so far as it is filled.

mod brotli;
mod gzip;
mod zstd;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use self::brotli::Brotli;
use self::gzip::{Deflate, Gzip};
use self::zstd::Zstd;

/// What is offered to servers.
pub(crate) const ENCODINGS: &str = "gzip, deflate, br, zstd";

/// How much is unpacked at once.
const UNPACKED_AT_ONCE: usize = 16 * 1024;

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not what its encoding says.
    Corrupt(&'static str),
    /// It ends before what was packed is complete.
    Short(&'static str),
}

/// What a body is packed in.
pub(crate) enum Decoder {
    /// Nothing, or something that is not unpacked here.
    Plain,
    Gzip(Box<Gzip>),
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    /// The one for an answer with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let (Some(encoding), None) = (encodings.next(), encodings.next()) else { return Self::Plain };
        match encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip(Box::default()),
            "deflate" => Self::Deflate(Box::default()),
            "br" => Self::Brotli(Box::default()),
            "zstd" => Self::Zstd(Box::default()),
            _ => Self::Plain,
        }
    }

    /// Unpacks `packed` into `body` until that has more than `max` bytes.
    ///
    /// # Errors
    /// When it is not what its encoding says.
    pub(crate) fn decode(&mut self, mut packed: &[u8], body: &mut Vec<u8>, max: usize) -> Result<(), Fault> {
        match self {
            Self::Plain => {
                let room = (max + 1).saturating_sub(body.len());
                body.extend_from_slice(packed.get(..room).unwrap_or(packed));
                Ok(())
            }
            Self::Gzip(gzip) => gzip.decode(&mut packed, body, max),
            Self::Deflate(deflate) => deflate.decode(&mut packed, body, max),
            Self::Brotli(brotli) => brotli.decode(&mut packed, body, max),
            Self::Zstd(zstd) => zstd.decode(packed, body, max),
        }
    }

    /// Whether nothing more is needed. What follows it is ignored, as browsers do.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Gzip(gzip) => gzip.is_complete(),
            Self::Deflate(deflate) => deflate.is_complete(),
            Self::Brotli(brotli) => brotli.is_complete(),
            Self::Zstd(zstd) => zstd.is_complete(),
        }
    }

    /// Checks that the body, which has ended, is complete.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        match self {
            _ if self.is_complete() => Ok(()),
            Self::Plain => Ok(()),
            Self::Gzip(_) => Err(Fault::Short("gzip")),
            Self::Deflate(_) => Err(Fault::Short("deflate")),
            Self::Brotli(_) => Err(Fault::Short("brotli")),
            Self::Zstd(_) => Err(Fault::Short("zstd")),
        }
    }

    /// Puts what is unpacked already, and was held back, into `body`, until that has more than `max`
    /// bytes: nothing more will come.
    pub(crate) fn give_up(&mut self, body: &mut Vec<u8>, max: usize) {
        if let Self::Zstd(zstd) = self {
            zstd.give_up(body, max);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    const MAX: usize = 128 * 1024;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzBuilder::new()
            .extra(vec![1, 2, 3])
            .filename("name")
            .comment("comment")
            .write(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8], zlib: bool) -> Vec<u8> {
        let mut packed = Vec::with_capacity(bytes.len() + 100);
        let mut compress = flate2::Compress::new(Compression::fast(), zlib);
        compress.compress_vec(bytes, &mut packed, flate2::FlushCompress::Finish).unwrap();
        packed
    }

    fn decoder(encoding: &str) -> Decoder {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        Decoder::of(&headers)
    }

    /// Every number below 1000 in four bytes, again and again, as the programs of the formats pack it.
    const BROTLI: &[u8] = include_bytes!("testdata/text.br");
    const ZSTD: &[u8] = include_bytes!("testdata/text.zst");

    /// Zeros without end, in blocks of 128 KiB.
    fn zstd_bomb(blocks: usize) -> Vec<u8> {
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68];
        [&head[..], &[0x02, 0, 0x10, 0].repeat(blocks)].concat()
    }

    /// Unpacks `packed` in pieces of `at_once` bytes.
    fn unpack(encoding: &str, packed: &[u8], at_once: usize) -> Result<Vec<u8>, Fault> {
        let (mut decoder, mut body) = (decoder(encoding), Vec::new());
        for piece in packed.chunks(at_once) {
            decoder.decode(piece, &mut body, MAX)?;
            assert!(body.len() <= MAX + 1);
        }
        if body.len() <= MAX {
            decoder.end()?;
        }
        Ok(body)
    }

    #[test]
    fn what_was_packed_comes_out_however_it_is_cut() {
        let text: Vec<u8> = (0..50_000u32).flat_map(|i| (i % 1000).to_le_bytes()).take(20_000).collect();
        let two_members = [gzip(&text[..7_000]), gzip(&text[7_000..])].concat();
        // A frame that is to be skipped stands between them.
        let two_frames = [ZSTD, &[0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], ZSTD].concat();
        let with_rest = [gzip(&text), b"\0\0\0 rest".to_vec()].concat();
        for at_once in [1, 7, 4096, usize::MAX] {
            assert!(unpack("gzip", &gzip(&text), at_once).unwrap() == text);
            assert!(unpack("X-GZIP", &two_members, at_once).unwrap() == text);
            assert!(unpack("gzip", &with_rest, at_once).unwrap() == text);
            assert!(unpack("deflate", &deflate(&text, true), at_once).unwrap() == text);
            assert!(unpack("deflate", &deflate(&text, false), at_once).unwrap() == text);
            assert!(unpack("br", BROTLI, at_once).unwrap() == text);
            assert!(unpack("zstd", ZSTD, at_once).unwrap() == text);
            assert!(unpack("zstd", &two_frames, at_once).unwrap() == [&text[..], &text].concat());
            assert!(unpack("zstd", &[ZSTD, b"rest"].concat(), at_once).unwrap() == text);
            assert!(unpack("br", &[BROTLI, b"rest"].concat(), at_once).unwrap() == text);
            assert!(unpack("compress", &text, at_once).unwrap() == text);
            assert!(unpack("br", b"", at_once).unwrap().is_empty());
            assert!(unpack("zstd", b"", at_once).unwrap().is_empty());
            assert!(unpack("gzip", b"", at_once).unwrap().is_empty());
            assert!(unpack("deflate", b"", at_once).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_is_short_wherever_it_is_cut() {
        let (gzip, deflate) = (gzip(b"text, text"), deflate(b"text, text", true));
        for (encoding, name, packed) in [
            ("gzip", "gzip", &gzip[..]),
            ("deflate", "deflate", &deflate[..]),
            ("br", "brotli", BROTLI),
            ("zstd", "zstd", ZSTD),
        ] {
            for end in 1..packed.len() {
                assert_eq!(unpack(encoding, &packed[..end], 100), Err(Fault::Short(name)), "{encoding} {end}");
            }
        }
    }

    #[test]
    fn what_is_damaged_is_corrupt() {
        let mut damaged = gzip(b"text, text");
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        let mut checksum = ZSTD.to_vec();
        *checksum.last_mut().unwrap() ^= 1;
        // A window of 16 MiB, a dictionary, a block of the type that is reserved.
        let (wide, dictionary) = ([0x28, 0xb5, 0x2f, 0xfd, 0, 0x70], [0x28, 0xb5, 0x2f, 0xfd, 1, 0x50, 7]);
        let reserved = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x50, 6, 0, 0, 0];
        for (encoding, packed) in [
            ("gzip", &damaged[..]),
            ("gzip", b"no gzip"),
            ("deflate", b"\xff\xff\xff\xff"),
            ("br", b"this is not brotli at all"),
            ("zstd", b"this is not zstd"),
            ("zstd", &checksum),
            ("zstd", &wide),
            ("zstd", &dictionary),
            ("zstd", &reserved),
        ] {
            assert!(matches!(unpack(encoding, packed, 4), Err(Fault::Corrupt(_))), "{encoding} {packed:?}");
        }
    }

    #[test]
    fn a_bomb_fills_no_more_than_the_bound() {
        let bomb = vec![0; 5_000_000];
        // 16 MiB of zeros, as brotli packs them.
        let brotli = b"\xcf\xff\xff\x7f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x7f".to_vec();
        for (encoding, packed) in
            [("gzip", gzip(&bomb)), ("deflate", deflate(&bomb, true)), ("br", brotli), ("zstd", zstd_bomb(10_000))]
        {
            assert_eq!(unpack(encoding, &packed, usize::MAX).unwrap().len(), MAX + 1);
        }
    }

    /// zstd hands out what it has unpacked only when its window is full; what a check has read is shown.
    #[test]
    fn what_is_held_back_comes_out_where_nothing_more_comes() {
        let (mut decoder, mut body) = (decoder("zstd"), Vec::new());
        decoder.decode(&zstd_bomb(2), &mut body, MAX).unwrap();
        assert!(body.is_empty());
        decoder.give_up(&mut body, MAX);
        assert_eq!(body.len(), MAX + 1);
        for encoding in ["gzip", "br", "zstd", "none"] {
            let (mut decoder, mut body) = (super::tests::decoder(encoding), Vec::new());
            decoder.give_up(&mut body, MAX);
            assert!(body.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_comes_makes_a_decoder_panic(
            encoding in proptest::sample::select(vec!["gzip", "deflate", "br", "zstd"]),
            change in 0..1_000usize, bit in 0..8u32, cut in 1..2_000usize, at_once in 1..500usize,
        ) {
            let mut packed = match encoding {
                "gzip" => gzip(&b"some text ".repeat(100)),
                "deflate" => deflate(&b"some text ".repeat(100), true),
                "br" => BROTLI.to_vec(),
                _ => ZSTD.to_vec(),
            };
            let at = change % packed.len();
            packed[at] ^= 1u8 << bit;
            packed.truncate(cut);
            let _either = unpack(encoding, &packed, at_once);
        }
    }
}
