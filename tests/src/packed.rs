//! Bodies in brotli and zstd, as the programs of these formats pack them.

/// `unpacked` in brotli.
const BROTLI: &[u8] = b"\x8b\x03\x80unpacked\x03";
/// `unpacked` in zstd, with a checksum.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\x41\x00\x00unpacked\x12\x61\x5e\xc8";
/// The same without the end: a block that is not the last one.
const ZSTD_OPEN: &[u8] = b"\x28\xb5\x2f\xfd\x00\x58\x40\x00\x00unpacked";
/// Sixteen megabytes of zeros in brotli.
const BROTLI_BOMB: &[u8] = b"\xcf\xff\xff\x7f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x7f";
/// The head of a frame of zstd whose window is 8 MiB.
const ZSTD_HEAD: &[u8] = b"\x28\xb5\x2f\xfd\x00\x68";
/// 128 KiB of zeros in zstd, as a block that can be repeated.
const ZSTD_ZEROS: &[u8] = b"\x02\x00\x10\x00";

/// What is behind a path of the HTTP fixture: the name of the encoding, and the body.
pub(crate) fn body(path: &str) -> Option<(&'static str, Vec<u8>)> {
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 3].to_vec();
    Some(match path {
        "/br" => ("br", BROTLI.to_vec()),
        "/zstd" => ("zstd", ZSTD.to_vec()),
        "/cut-br" => ("br", cut(BROTLI)),
        "/cut-zstd" => ("zstd", cut(ZSTD)),
        "/bad-br" => ("br", b"this is not brotli at all".to_vec()),
        "/bad-zstd" => ("zstd", b"this is not zstd at all".to_vec()),
        "/br-bomb" => ("br", BROTLI_BOMB.to_vec()),
        // Ten gigabytes of zeros.
        "/zstd-bomb" => ("zstd", [ZSTD_HEAD, &ZSTD_ZEROS.repeat(80 * 1024)].concat()),
        _ => return None,
    })
}

/// The head and the beginning of an answer whose body in zstd breaks off.
pub(crate) fn open_zstd() -> Vec<u8> {
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 1000\r\n\r\n";
    [&head[..], ZSTD_OPEN].concat()
}
