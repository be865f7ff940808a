//! Compressed bodies.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::expected::{at_most, is};
use crate::row::{Row, row};
use crate::server::{Server, Step, ok, say};

const URL: &str = "http://{addr}/";
/// The most of a body that a check reads.
const CAP: usize = 128 * 1024;
const TEXT: &str = "all is well, and all is well, and all is well";

pub fn rows() -> Vec<Row> {
    let mut rows = good();
    rows.extend(bad());
    rows.extend(bombs());
    rows.extend(newer());
    rows
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn good() -> Vec<Row> {
    let text = TEXT.as_bytes();
    let unpacked = |name: &str, encoding: &str, packed: Vec<u8>| {
        row(name)
            .server(ok(&[&format!("Content-Encoding: {encoding}")], packed))
            .get_expecting(URL, "body_matches: '^(all is well(, and )?){3}$'")
            .pass()
            .at("http.body_bytes", is(TEXT.len()))
            .at("http.body_truncated", is(false))
            .at("http.headers.content-encoding", is(encoding))
    };
    let left_alone = |name: &str, encoding: &str, packed: Vec<u8>| {
        let bytes = packed.len();
        row(name)
            .server(ok(&[&format!("Content-Encoding: {encoding}")], packed))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(bytes))
    };
    vec![
        unpacked("gzip", "gzip", gzip(text)),
        unpacked("gzip-by-its-old-name", "x-gzip", gzip(text)),
        unpacked("gzip-in-capitals", "GZIP", gzip(text)),
        unpacked("gzip-of-two-members", "gzip", [gzip(&text[..9]), gzip(&text[9..])].concat()),
        unpacked("gzip-with-junk-behind-it", "gzip", [gzip(text), b"\0\0junk".to_vec()].concat()),
        unpacked("deflate", "deflate", zlib(text)),
        unpacked("deflate-without-a-frame", "deflate", raw(text)),
        unpacked("packing-that-changes-nothing", "identity", text.to_vec()),
        left_alone("packing-that-nobody-knows", "x-secret", gzip(text)),
        left_alone("packed-twice", "gzip, gzip", gzip(&gzip(text))),
        row("gzip-of-nothing")
            .server(ok(&["Content-Encoding: gzip"], gzip(b"")))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(0)),
        row("gzip-without-a-body")
            .server(ok(&["Content-Encoding: gzip"], ""))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(0)),
        row("gzip-in-chunks")
            .server(Server::Script(chunks_of(&gzip(text), 3)))
            .get_expecting(URL, "body_contains: 'all is well'")
            .pass()
            .at("http.body_bytes", is(TEXT.len())),
    ]
}

/// A script that says `packed`, so many bytes at a time.
fn chunks_of(packed: &[u8], bytes: usize) -> Vec<Step> {
    let mut steps =
        vec![Step::Hear, say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")];
    for chunk in packed.chunks(bytes) {
        steps.push(say([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()));
    }
    steps.extend([say("0\r\n\r\n"), Step::Close]);
    steps
}

fn bad() -> Vec<Row> {
    let text = TEXT.as_bytes();
    let bad = |name: &str, encoding: &str, packed: Vec<u8>, told: &str| {
        row(name)
            .server(ok(&[&format!("Content-Encoding: {encoding}")], packed))
            .get(URL)
            .error("protocol_error")
            .says("^the answer of {addr} ")
            .says(told)
            .at("http.status", is(200))
    };
    let damaged = |mut packed: Vec<u8>, from_end: usize| {
        let at = packed.len() - from_end;
        packed[at] ^= 0xff;
        packed
    };
    let cut = |packed: Vec<u8>, bytes: usize| packed[..packed.len() - bytes].to_vec();
    vec![
        bad("gzip-that-is-none", "gzip", text.to_vec(), "not in the gzip format"),
        bad("gzip-that-is-deflate", "gzip", zlib(text), "not in the gzip format"),
        bad("gzip-cut-in-its-data", "gzip", cut(gzip(text), 12), "complete, but not the gzip data"),
        bad("gzip-cut-in-its-trailer", "gzip", cut(gzip(text), 3), "complete, but not the gzip data"),
        bad("gzip-cut-in-its-header", "gzip", gzip(text)[..5].to_vec(), "complete, but not the gzip data"),
        bad("gzip-with-a-wrong-checksum", "gzip", damaged(gzip(text), 8), "checksum of the gzip body is wrong"),
        bad("gzip-with-a-wrong-length", "gzip", damaged(gzip(text), 1), "checksum of the gzip body is wrong"),
        bad("deflate-that-is-none", "deflate", b"\xff\xff\xff\xff".to_vec(), "not in the deflate format"),
        bad("deflate-cut", "deflate", cut(zlib(text), 6), "complete, but not the deflate data"),
        row("gzip-cut-with-its-connection")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n"),
                Step::Say(cut(gzip(text), 12)),
                Step::Close,
            ]))
            .get(URL)
            .error("connection_closed"),
    ]
}

fn bombs() -> Vec<Row> {
    let bomb = |name: &str, server: Server| {
        row(name)
            .server(server)
            .get(URL)
            .pass()
            .at("http.body_bytes", is(CAP))
            .at("http.body_truncated", is(true))
            // What is unpacked of a bomb is bounded, and so is the time.
            .at("phases_us.receive", at_most(20e6))
    };
    let zeros = vec![0; 8 * 1024 * 1024];
    vec![
        bomb("gzip-bomb", ok(&["Content-Encoding: gzip"], gzip(&zeros))),
        bomb("deflate-bomb", ok(&["Content-Encoding: deflate"], zlib(&zeros))),
        bomb("gzip-bomb-of-ten-gigabytes", Server::Paths).get("http://{addr}/gzip-bomb"),
        row("gzip-that-unpacks-to-nothing-without-end")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
                Step::SayForEver(gzip(b"").repeat(400)),
            ]))
            .get(URL)
            .pass()
            .at("http.body_bytes", is(0))
            .at("http.body_truncated", is(true)),
        row("gzip-with-a-name-without-end")
            .server(Server::Script(vec![
                Step::Hear,
                say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
                Step::Say(vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255]),
                Step::SayForEver(b"name".repeat(1000)),
            ]))
            .get(URL)
            .pass()
            .at("http.body_truncated", is(true)),
    ]
}

/// brotli and zstd.
fn newer() -> Vec<Row> {
    let get = |name: &str, path: &str| row(name).server(Server::Paths).get(&format!("http://{{addr}}{path}"));
    vec![
        get("brotli", "/br").pass().at("http.body_bytes", is(8)),
        get("zstd", "/zstd").pass().at("http.body_bytes", is(8)),
        get("brotli-that-is-none", "/bad-br").error("protocol_error").says("not in the brotli format"),
        get("zstd-that-is-none", "/bad-zstd").error("protocol_error").says("not in the zstd format"),
        get("brotli-cut", "/cut-br").error("protocol_error").says("complete, but not the brotli data"),
        get("zstd-cut", "/cut-zstd").error("protocol_error").says("complete, but not the zstd data"),
        get("zstd-cut-with-its-connection", "/open-zstd")
            .error("connection_closed")
            .at("http.body_excerpt", is("unpacked")),
        get("brotli-bomb", "/br-bomb").pass().at("http.body_bytes", is(CAP)).at("http.body_truncated", is(true)),
        get("zstd-bomb-of-ten-gigabytes", "/zstd-bomb")
            .pass()
            .at("http.body_bytes", is(CAP))
            .at("http.body_truncated", is(true)),
    ]
}
