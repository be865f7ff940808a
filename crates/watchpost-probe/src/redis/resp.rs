//! The protocol of Redis, RESP2 and RESP3: commands written, replies read.

use bytes::Bytes;
use serde_json::Value as Json;
use watchpost_model::shorten;

use crate::broken::Broken;
use crate::wire::Conversation;

/// The longest line: simple texts, errors, lengths.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// The most that one text may hold.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most elements of a reply, those within others included.
const ELEMENTS_MAX: usize = 4 * 1024;
/// How deep lists may lie within each other.
const DEPTH_MAX: usize = 8;

/// A reply of the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Text(Bytes),
    Error(String),
    Integer(i64),
    Double(f64),
    Boolean(bool),
    Null,
    List(Vec<Reply>),
    /// Names and values in turns.
    Map(Vec<Reply>),
}

impl Reply {
    /// It as text, a list in lines; `None` where there is no value.
    pub(super) fn text(&self) -> Option<Vec<u8>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.to_vec()),
            Self::Error(text) => Some(text.clone().into_bytes()),
            Self::Integer(number) => Some(number.to_string().into_bytes()),
            Self::Double(number) => Some(number.to_string().into_bytes()),
            Self::Boolean(whether) => Some(whether.to_string().into_bytes()),
            Self::List(elements) | Self::Map(elements) => {
                let lines: Vec<_> = elements.iter().map(|element| element.text().unwrap_or_default()).collect();
                Some(lines.join(&b'\n'))
            }
        }
    }

    /// It as expressions see it.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) => String::from_utf8_lossy(text).into(),
            Self::Error(text) => text.as_str().into(),
            Self::Integer(number) => (*number).into(),
            Self::Double(number) => (*number).into(),
            Self::Boolean(whether) => (*whether).into(),
            Self::List(elements) => elements.iter().map(Self::json).collect(),
            Self::Map(pairs) => pairs
                .chunks_exact(2)
                .filter_map(|pair| Some((String::from_utf8_lossy(&pair.first()?.text()?).into_owned(), pair.get(1)?)))
                .map(|(name, value)| (name, value.json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The value that a map has for `name`, as text.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let Self::Map(pairs) = self else { return None };
        let found = pairs.chunks_exact(2).find(|pair| pair.first().is_some_and(|known| known.is(name)))?;
        let text = found.get(1)?.text()?;
        Some(shorten(&String::from_utf8_lossy(&text), 100).into_owned())
    }

    /// Whether it is the text `text`.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own.as_ref() == text.as_bytes())
    }
}

/// `words` as a server reads them.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A list that is not complete.
struct Open {
    kind: Kind,
    missing: usize,
    elements: Vec<Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Map,
    /// What the server says besides: attributes of what follows, and messages that nobody asked for.
    Aside,
}

/// What one line begins, or is.
enum Begun {
    Whole(Reply),
    Open(Kind, usize),
    Text { length: usize, kind: u8 },
}

/// Reads the next reply.
///
/// # Errors
/// When the connection fails, or what comes is no reply or too large.
pub(super) async fn reply(talk: &mut Conversation) -> Result<Reply, Broken> {
    let mut open: Vec<Open> = Vec::new();
    let mut elements = 0_usize;
    loop {
        let line = talk.line(LINE_BYTES_MAX).await?.ok_or_else(|| too_large("a line", LINE_BYTES_MAX, "bytes"))?;
        let mut whole = match begun(&line)? {
            Begun::Whole(reply) => reply,
            Begun::Text { length, kind } => text(talk, length, kind).await?,
            Begun::Open(kind, missing) => {
                elements = elements.saturating_add(missing);
                if elements > ELEMENTS_MAX {
                    return Err(too_large("a list", ELEMENTS_MAX, "elements"));
                }
                if open.len() == DEPTH_MAX {
                    return Err(too_large("lists within each other", DEPTH_MAX, "levels"));
                }
                open.push(Open { kind, missing, elements: Vec::new() });
                match completed(&mut open) {
                    Some(reply) => reply,
                    None => continue,
                }
            }
        };
        // The reply is an element of what is open, and may be its last one.
        loop {
            let Some(list) = open.last_mut() else { return Ok(whole) };
            list.elements.push(whole);
            list.missing -= 1;
            match completed(&mut open) {
                Some(reply) => whole = reply,
                None => break,
            }
        }
    }
}

/// Takes what is complete from the top of `open`, passing over asides.
fn completed(open: &mut Vec<Open>) -> Option<Reply> {
    let Open { kind, elements, .. } = open.pop_if(|list| list.missing == 0)?;
    match kind {
        Kind::List => Some(Reply::List(elements)),
        Kind::Map => Some(Reply::Map(elements)),
        Kind::Aside => None,
    }
}

fn begun(line: &Bytes) -> Result<Begun, Broken> {
    let wrong = || Broken::garbage(format!("does not speak the protocol of Redis: it said {}", shown(line)));
    let (kind, rest) = line.split_first().ok_or_else(wrong)?;
    let text = || std::str::from_utf8(rest).map_err(|_| wrong());
    // A length of -1 stands for no value at all (RESP2).
    let length = || text()?.parse::<i64>().map(|n| usize::try_from(n).ok()).map_err(|_| wrong());
    let open = |kind, each: usize| {
        Ok(match length()? {
            Some(length) => Begun::Open(kind, length.saturating_mul(each)),
            None => Begun::Whole(Reply::Null),
        })
    };
    let whole = match kind {
        b'+' | b'(' => Reply::Text(line.slice(1..)),
        b'-' => Reply::Error(String::from_utf8_lossy(rest).into_owned()),
        b':' => Reply::Integer(text()?.parse().map_err(|_| wrong())?),
        b',' => Reply::Double(text()?.parse().map_err(|_| wrong())?),
        b'#' if rest == b"t" => Reply::Boolean(true),
        b'#' if rest == b"f" => Reply::Boolean(false),
        b'_' if rest.is_empty() => Reply::Null,
        b'$' | b'=' | b'!' => {
            return Ok(match length()? {
                Some(length) => Begun::Text { length, kind: *kind },
                None => Begun::Whole(Reply::Null),
            });
        }
        b'*' | b'~' => return open(Kind::List, 1),
        b'%' => return open(Kind::Map, 2),
        b'>' => return open(Kind::Aside, 1),
        b'|' => return open(Kind::Aside, 2),
        _ => return Err(wrong()),
    };
    Ok(Begun::Whole(whole))
}

async fn text(talk: &mut Conversation, length: usize, kind: u8) -> Result<Reply, Broken> {
    if length > TEXT_BYTES_MAX {
        return Err(too_large("a text", TEXT_BYTES_MAX, "bytes"));
    }
    let mut text = talk.exact(length + 2).await?;
    if !text.ends_with(b"\r\n") {
        return Err(Broken::garbage("sent a text that is longer than it says"));
    }
    text.truncate(length);
    Ok(match kind {
        b'!' => Reply::Error(String::from_utf8_lossy(&text).into_owned()),
        // Its format stands before it: `txt:`, `mkd:`.
        b'=' if text.get(3) == Some(&b':') => Reply::Text(text.slice(4..)),
        _ => Reply::Text(text),
    })
}

fn too_large(what: &str, most: usize, unit: &str) -> Broken {
    Broken::garbage(format!("sent {what} of more than {most} {unit}, the most that is read"))
}

/// The beginning of what was said, as a sentence quotes it.
pub(super) fn shown(line: &[u8]) -> String {
    let begin = line.get(..200).unwrap_or(line);
    format!("\"{}\"", shorten(&String::from_utf8_lossy(begin), 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    /// What is read of `bytes`, byte by byte where `slowly`, before the peer closes.
    async fn read(bytes: &'static [u8], slowly: bool) -> Result<Reply, Broken> {
        let (wire, mut peer) = Wire::to_a_peer(1024 * 1024).await;
        let saying = async move {
            use tokio::io::AsyncWriteExt;
            for piece in bytes.chunks(if slowly { 1 } else { bytes.len().max(1) }) {
                // Whoever reads no further is gone.
                if peer.write_all(piece).await.is_err() {
                    return;
                }
            }
        };
        let mut talk = Conversation::new(wire);
        let (reply, ()) = tokio::join!(
            async {
                let reply = reply(&mut talk).await;
                drop(talk);
                reply
            },
            saying
        );
        reply
    }

    #[tokio::test]
    async fn replies_of_every_kind_are_read_however_they_arrive() {
        for (bytes, json) in [
            (&b"+PONG\r\n"[..], r#""PONG""#),
            (b":-7\r\n", "-7"),
            (b"$3\r\na\r\n\r\n", "\"a\\r\\n\""),
            (b"$-1\r\n", "null"),
            (b"*-1\r\n", "null"),
            (b"*0\r\n", "[]"),
            (b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", r#"[[1],"x"]"#),
            (b"%2\r\n+a\r\n#t\r\n+b\r\n_\r\n", r#"{"a":true,"b":null}"#),
            (b",1.5\r\n", "1.5"),
            (b"(123456789012345678901\r\n", r#""123456789012345678901""#),
            (b"=7\r\ntxt:abc\r\n", r#""abc""#),
            (b"|1\r\n+ttl\r\n:3\r\n+OK\r\n", r#""OK""#),
            (b">2\r\n+message\r\n+x\r\n:1\r\n", "1"),
            (b"*1\r\n|1\r\n+ttl\r\n:3\r\n+OK\r\n", r#"["OK"]"#),
        ] {
            for slowly in [false, true] {
                let reply = read(bytes, slowly).await.unwrap();
                assert_eq!(reply.json().to_string(), json, "{}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_or_too_large_is_told_apart_from_an_end() {
        for (bytes, told) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "it said \"HTTP/1.1 400 Bad Request\""),
            (b"\r\n", "it said \"\""),
            (b"$x\r\n", "it said \"$x\""),
            (b":\r\n", "it said \":\""),
            (b"$99999999999\r\n", "a text of more than 65536 bytes"),
            (b"*99999999999\r\n", "a list of more than 4096 elements"),
            (b"%9223372036854775807\r\n", "a list of more than 4096 elements"),
            (b"*3\r\n%9223372036854775807\r\n", "a list of more than 4096 elements"),
            (b"$1\r\nabc", "longer than it says"),
            (b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "more than 8 levels"),
        ] {
            match read(bytes, false).await {
                Err(Broken::Unanswered(_, message)) => assert!(message.contains(told), "{message}"),
                other => panic!("{told}: {other:?}"),
            }
        }
        for cut in [&b"$3\r\nab"[..], b"*2\r\n:1\r\n", b"", b"+PON"] {
            assert!(matches!(read(cut, false).await, Err(Broken::Io(_))));
        }
    }

    #[test]
    fn commands_are_written_with_their_lengths() {
        assert_eq!(command(&["GET", "ä b"]), "*2\r\n$3\r\nGET\r\n$4\r\nä b\r\n".as_bytes());
    }
}
