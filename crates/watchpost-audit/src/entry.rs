//! One line of the log: an event, its number, and the hashes that tie it to the line before.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use watchpost_model::{BastionId, InstanceId, Timestamp};

use crate::AuditEvent;

/// The longest line, in bytes. What is written is far shorter; a longer one is nothing that was written here.
pub const ENTRY_BYTES_MAX: usize = 32 * 1024;

/// The bytes of a SHA-256.
type Hash = [u8; 32];

/// What stands before the hash, which is the last field of each line.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
/// What stands after it.
const AFTER_HASH: &[u8] = b"\"}";
/// How many bytes the last field and the end of a line have.
const TAIL_BYTES: usize = BEFORE_HASH.len() + 64 + AFTER_HASH.len();

/// How far a log has come: the number of an entry, and its hash, which stands for all entries up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of the entry; the first one has 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Before the first entry.
    pub const NONE: Self = Self { seq: 0, hash: [0; 32] };

    /// The hash in hexadecimal, as lines have it.
    pub fn hash_text(&self) -> String {
        HEXLOWER.encode(&self.hash)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash_text())
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (seq, hash) = text.split_once(':')?;
            Some(Self { seq: seq.parse().ok()?, hash: hash_from(hash)? })
        };
        read().ok_or_else(|| "expected NUMBER:HASH, with the hash in 64 hexadecimal digits".to_owned())
    }
}

/// What of an entry is written before its hash.
#[derive(Serialize)]
struct Unhashed<'a> {
    seq: u64,
    at: Timestamp,
    bastion: &'a BastionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    #[serde(flatten)]
    event: &'a AuditEvent,
    prev: String,
}

/// Writes `event` behind `head`, and moves it on.
///
/// The hash is that of the line up to it, closed by a brace, so that any tool can recompute it:
/// `sed 's/,"hash":"[0-9a-f]*"}$/}/' | head -c -1 | sha256sum`.
///
/// # Errors
/// When it cannot be written as JSON, or is too long; nothing is written then.
pub(crate) fn write(
    out: &mut Vec<u8>,
    head: &mut Head,
    whose: (&BastionId, Option<InstanceId>),
    at: Timestamp,
    event: &AuditEvent,
) -> Result<(), String> {
    let (bastion, instance) = whose;
    let seq = head.seq + 1;
    let line = serde_json::to_vec(&Unhashed { seq, at, bastion, instance, event, prev: head.hash_text() });
    let mut line = line.map_err(|error| error.to_string())?;
    if line.len() + TAIL_BYTES > ENTRY_BYTES_MAX {
        return Err(format!("it takes {} bytes: expected at most {ENTRY_BYTES_MAX}", line.len() + TAIL_BYTES));
    }
    let hash: Hash = Sha256::digest(&line).into();
    line.pop();
    out.extend_from_slice(&line);
    out.extend_from_slice(BEFORE_HASH);
    out.extend_from_slice(HEXLOWER.encode(&hash).as_bytes());
    out.extend_from_slice(AFTER_HASH);
    out.push(b'\n');
    *head = Head { seq, hash };
    Ok(())
}

/// What a line says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number, and the hash that it claims.
    pub(crate) head: Head,
    /// The hash of the line before, as it claims.
    pub(crate) prev: Hash,
    /// Whether its hash is that of its content.
    pub(crate) is_whole: bool,
}

#[derive(Deserialize)]
struct Claimed<'a> {
    seq: u64,
    prev: &'a str,
}

/// Reads a line without its end; `None` where it is not one of a log.
pub(crate) fn link(line: &[u8]) -> Option<Link> {
    if line.len() > ENTRY_BYTES_MAX {
        return None;
    }
    let (content, tail) = line.split_at_checked(line.len().checked_sub(TAIL_BYTES)?)?;
    let hash = tail.strip_prefix(BEFORE_HASH)?.strip_suffix(AFTER_HASH)?;
    let hash = hash_from(std::str::from_utf8(hash).ok()?)?;
    let Claimed { seq, prev } = serde_json::from_slice(line).ok()?;
    let mut hasher = Sha256::new();
    hasher.update(content);
    hasher.update(b"}");
    let is_whole = Hash::from(hasher.finalize()) == hash;
    Some(Link { head: Head { seq, hash }, prev: hash_from(prev)?, is_whole })
}

fn hash_from(text: &str) -> Option<Hash> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(number: u64) -> Vec<u8> {
        let (mut out, mut head) = (Vec::new(), Head::NONE);
        for _ in 0..number {
            let bastion = "b".parse().unwrap();
            write(&mut out, &mut head, (&bastion, None), Timestamp::UNIX_EPOCH, &AuditEvent::Stopped).unwrap();
        }
        out
    }

    #[test]
    fn a_line_is_as_it_is_documented() {
        let zeros = "0".repeat(64);
        let content =
            format!(r#"{{"seq":1,"at":"1970-01-01T00:00:00Z","bastion":"b","event":"stopped","prev":"{zeros}"}}"#);
        let hash = HEXLOWER.encode(&Sha256::digest(&content));
        let expected = format!("{},\"hash\":\"{hash}\"}}\n", &content[..content.len() - 1]);
        assert_eq!(String::from_utf8(lines(1)).unwrap(), expected);
    }

    #[test]
    fn each_line_names_the_hash_of_the_one_before() {
        let written = lines(3);
        let links: Vec<Link> = written.split(|byte| *byte == b'\n').filter_map(link).collect();
        assert_eq!(
            links.iter().map(|link| (link.head.seq, link.is_whole)).collect::<Vec<_>>(),
            [(1, true), (2, true), (3, true)]
        );
        assert_eq!(links[0].prev, Head::NONE.hash);
        assert_eq!(links[1].prev, links[0].head.hash);
        assert_eq!(links[2].prev, links[1].head.hash);
    }

    #[test]
    fn no_byte_of_a_line_can_be_altered_unseen() {
        let written = lines(1);
        let line = &written[..written.len() - 1];
        for at in 0..line.len() {
            let mut altered = line.to_vec();
            altered[at] ^= 0x01;
            assert!(!link(&altered).is_some_and(|link| link.is_whole), "byte {at}");
            let cut = &line[..at];
            assert!(!link(cut).is_some_and(|link| link.is_whole), "cut at {at}");
        }
        assert!(link(line).unwrap().is_whole);
    }

    #[test]
    fn a_head_is_read_as_it_is_shown() {
        let head = Head { seq: 7, hash: [0xab; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "7", "7:", "x:00", "7:zz", &format!("7:{}", "a".repeat(63))] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }
}
