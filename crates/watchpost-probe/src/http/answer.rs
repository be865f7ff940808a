//! The answer of an HTTP server as evidence, within bounds.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use futures_util::FutureExt;
use http::response::Parts;
use http::{HeaderMap, StatusCode, Version};
use sha2::{Digest, Sha256};
use tokio::task::coop::{consume_budget, unconstrained};
use watchpost_model::HttpEvidence;

use super::decode::{Decoder, Fault};
use super::exchange::{Broken, Response};
use crate::recorder::Recorder;
use crate::secret::{REDACTED, Secrets, without_userinfo};

/// The most of a body that is read, after decompression.
pub(crate) const BODY_BYTES_MAX: usize = 128 * 1024;
/// The most of a body that is read as it comes: what does not grow when it is unpacked has an end as well.
const ARRIVED_BYTES_MAX: u64 = (BODY_BYTES_MAX + 64 * 1024) as u64;
/// The largest head of an answer, in bytes of its headers as they were sent, but for white space.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most headers that are reported.
const HEADERS_MAX: usize = 64;
/// The most bytes of header names and values that are reported.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// What the head of the answer says.
pub(crate) fn head(head: &Parts, redirects: &[String], secrets: &Secrets) -> HttpEvidence {
    HttpEvidence {
        status: head.status.as_u16(),
        version: version(head.version).to_owned(),
        headers: headers(&head.headers, secrets),
        redirects: redirects.to_vec(),
        ..HttpEvidence::default()
    }
}

/// How large the headers are, each with its colon and the end of its line.
pub(crate) fn head_bytes(head: &Parts) -> usize {
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 3).sum()
}

pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

fn headers(headers: &HeaderMap, secrets: &Secrets) -> BTreeMap<String, String> {
    let mut room = HEADER_BYTES_MAX;
    let mut kept = BTreeMap::new();
    for name in headers.keys().take(HEADERS_MAX) {
        let mut text = String::new();
        if secrets.hides_header(name.as_str()) {
            text.push_str(REDACTED);
        } else {
            for (i, value) in headers.get_all(name).iter().enumerate() {
                if i > 0 {
                    text.push_str(", ");
                }
                text.push_str(&String::from_utf8_lossy(value.as_bytes()));
            }
            text = secrets.hide_in(without_userinfo(name.as_str(), text));
        }
        let Some(left) = room.checked_sub(name.as_str().len()).filter(|left| *left > 0) else { break };
        truncate(&mut text, left);
        room = left - text.len();
        kept.insert(name.as_str().to_owned(), text);
    }
    kept
}

/// Why a body could not be read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The exchange failed.
    Exchange(Broken),
    /// It arrived, and cannot be unpacked.
    Packed(Fault),
}

/// Reads the body, unpacked unless it is to stay as it comes, up to the cap into `body`, which is empty.
/// Returns whether it went on, or may have: what comes packed is read to a second cap, whatever is in it.
///
/// # Errors
/// When the body ends before it is complete, or is not what its encoding says.
pub(crate) async fn read_body(
    response: &mut Response,
    unpacks: bool,
    body: &mut Vec<u8>,
    recorder: &Recorder,
) -> Result<bool, Unread> {
    // A part of something packed cannot be unpacked by itself.
    let is_part = response.head.status == StatusCode::PARTIAL_CONTENT;
    let mut decoder = if is_part || !unpacks { Decoder::Plain } else { Decoder::of(&response.head.headers) };
    let read = read_pieces(response, &mut decoder, body, recorder).await;
    if !matches!(read, Ok(false)) {
        decoder.give_up(body, BODY_BYTES_MAX);
        body.truncate(BODY_BYTES_MAX);
        recorder.received(body.len() as u64);
    }
    read
}

async fn read_pieces(
    response: &mut Response,
    decoder: &mut Decoder,
    body: &mut Vec<u8>,
    recorder: &Recorder,
) -> Result<bool, Unread> {
    let announced = response.content_length();
    let mut arrived = 0;
    loop {
        // Small pieces may come out of what was read at once, without any more reading.
        consume_budget().await;
        let full = body.len() >= BODY_BYTES_MAX;
        let next = if full {
            // What has come already may show that this was all. It is not worth waiting for more.
            unconstrained(response.chunk()).now_or_never().unwrap_or_else(|| Ok(Some(Bytes::new())))
        } else {
            response.chunk().await
        };
        let Some(chunk) = next.map_err(Unread::Exchange)? else {
            return decoder.end().map(|()| false).map_err(Unread::Packed);
        };
        arrived += chunk.len() as u64;
        let decoded = decoder.decode(&chunk, body, BODY_BYTES_MAX);
        let goes_on = body.len() > BODY_BYTES_MAX;
        body.truncate(BODY_BYTES_MAX);
        recorder.received(body.len() as u64);
        decoded.map_err(Unread::Packed)?;
        if body.len() == BODY_BYTES_MAX && !goes_on && announced == Some(arrived) && decoder.is_complete() {
            return Ok(false);
        }
        if goes_on || full || arrived > ARRIVED_BYTES_MAX {
            return Ok(true);
        }
    }
}

/// SHA-256 of `body` in hexadecimal, where there is a body.
pub(crate) fn sha256(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}

/// The beginning of `body` as text, at most `bytes_max` bytes.
pub(crate) fn excerpt(body: &[u8], secrets: &Secrets, bytes_max: usize) -> Option<String> {
    if body.is_empty() || bytes_max == 0 {
        return None;
    }
    // A few bytes more than are shown, so that a character across the border is cut as a character.
    let beginning = 0..body.len().min(bytes_max + 4);
    let mut text = String::from_utf8_lossy(&secrets.hide(body, beginning)).into_owned();
    truncate(&mut text, bytes_max);
    Some(text)
}

/// Cuts `text` to at most `bytes_max` bytes, between characters.
fn truncate(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_bounded_in_number_and_size_and_hide_secrets() {
        let mut many = HeaderMap::new();
        for i in 0..100 {
            many.insert(http::HeaderName::from_bytes(format!("x-{i}").as_bytes()).unwrap(), "1".parse().unwrap());
        }
        assert_eq!(headers(&many, &Secrets::default()).len(), HEADERS_MAX);

        let mut large = HeaderMap::new();
        large.insert("x-large", "a".repeat(20_000).parse().unwrap());
        large.insert("x-after", "b".parse().unwrap());
        let kept = headers(&large, &Secrets::default());
        let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= HEADER_BYTES_MAX, "{size}");

        let mut mixed = HeaderMap::new();
        mixed.append("set-cookie", "sid=hunter2".parse().unwrap());
        mixed.append("vary", "a".parse().unwrap());
        mixed.append("vary", "b".parse().unwrap());
        mixed.append("x-raw", http::HeaderValue::from_bytes(b"\xff!").unwrap());
        let kept = headers(&mixed, &Secrets::default());
        assert_eq!(kept["set-cookie"], REDACTED);
        assert_eq!(kept["vary"], "a, b");
        assert_eq!(kept["x-raw"], "\u{fffd}!");
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        let body = "ä".repeat(2000);
        let shown = excerpt(body.as_bytes(), &Secrets::default(), 2048).unwrap();
        assert!(shown.len() <= 2048 && shown.chars().all(|c| c == 'ä'), "{}", shown.len());
        assert_eq!(excerpt(b"a\xffb", &Secrets::default(), 2048).unwrap(), "a\u{fffd}b");
        assert_eq!(excerpt(b"", &Secrets::default(), 2048), None);
        assert!(excerpt(&[0xff; 5000], &Secrets::default(), 2048).unwrap().len() <= 2048);
    }

    #[test]
    fn the_digest_is_that_of_the_body() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc").as_deref(), Some(abc));
        assert_eq!(sha256(b""), None);
    }
}
