//! Messages as bytes: MessagePack maps with field names, or JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{ErrorCode, ErrorReply, PROTOCOL_VERSION, V1};

/// The deepest nesting that a message may have. What Watchpost itself sends stays below ten; the
/// bound keeps a hostile payload from exhausting the stack.
const DEPTH_MAX: usize = 32;

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// MessagePack, the default between parts of Watchpost.
    MsgPack,
    /// JSON, for people and for clients that prefer it.
    Json,
}

impl Format {
    /// The value of the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::MsgPack => "application/msgpack",
            Self::Json => "application/json",
        }
    }

    /// The format of a payload: by its `Content-Type` where it has one, else by its first byte,
    /// since no MessagePack map begins like a JSON object.
    pub fn detect(content_type: Option<&str>, payload: &[u8]) -> Self {
        match content_type {
            Some(given) if is_json(given) => Self::Json,
            Some(_) => Self::MsgPack,
            None => match payload.iter().find(|b| !b.is_ascii_whitespace()) {
                Some(b'{') => Self::Json,
                _ => Self::MsgPack,
            },
        }
    }
}

/// Media types are compared without regard to case (RFC 9110, section 8.3.1); parameters may follow.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(Format::Json.content_type())
}

/// A type that travels as a message by itself.
pub trait Message: Serialize + DeserializeOwned {
    /// What it is called in errors.
    const NAME: &'static str;
    /// The largest payload that is read, in bytes.
    const BYTES_MAX: usize;

    /// What must hold between its fields, beyond what each field's own type guarantees.
    ///
    /// # Errors
    /// Names the field, and what was expected.
    fn validate(&self) -> Result<(), crate::Invalid> {
        Ok(())
    }
}

/// Why a payload is not a message, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a {message}: {detail}")]
pub struct DecodeError {
    message: &'static str,
    /// What kind of defect it is.
    pub kind: DecodeErrorKind,
    detail: String,
}

/// What kind of defect a payload has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// Larger than [`Message::BYTES_MAX`].
    TooLarge,
    /// Of a version that is not known here.
    UnknownVersion,
    /// Anything else.
    Malformed,
}

impl DecodeError {
    /// The reply to whoever sent the payload.
    pub fn to_reply(&self) -> ErrorReply {
        let code = match self.kind {
            DecodeErrorKind::TooLarge => ErrorCode::TooLarge,
            DecodeErrorKind::UnknownVersion => ErrorCode::UnknownVersion,
            DecodeErrorKind::Malformed => ErrorCode::BadPayload,
        };
        ErrorReply { v: V1, code, message: self.to_string(), field: field_in(&self.detail) }
    }
}

/// Serde names the field at fault in backquotes.
fn field_in(detail: &str) -> Option<String> {
    let (_, after) = detail.split_once("field `")?;
    let (field, _) = after.split_once('`')?;
    Some(crate::shorten(field, 64).into_owned())
}

/// Writes a message.
pub fn encode<M: Message>(message: &M, format: Format) -> Vec<u8> {
    let written = match format {
        Format::MsgPack => write_msgpack(message).map_err(|e| e.to_string()),
        Format::Json => serde_json::to_vec(message).map_err(|e| e.to_string()),
    };
    // Invariant: messages are plain data with text keys, which both formats can always express.
    #[expect(clippy::panic, reason = "a message type that cannot be written is a defect of this crate")]
    written.unwrap_or_else(|e| panic!("a {} could not be written: {e}", M::NAME))
}

/// Maps with field names, and ids, addresses and times as the texts that JSON has for them: a
/// client in any language reads the same values in both formats.
fn write_msgpack<M: Message>(message: &M) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::with_capacity(1024);
    let mut writer = rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
    message.serialize(&mut writer)?;
    Ok(bytes)
}

/// Reads a message, and refuses what is too large, too deep, malformed, of another version, or not valid.
///
/// # Errors
/// [`DecodeError`] says which of these, and where the format can tell.
pub fn decode<M: Message>(payload: &[u8], format: Format) -> Result<M, DecodeError> {
    let error = |kind, detail| DecodeError { message: M::NAME, kind, detail };
    if payload.len() > M::BYTES_MAX {
        let detail = format!("it has {} bytes, expected at most {}", payload.len(), M::BYTES_MAX);
        return Err(error(DecodeErrorKind::TooLarge, detail));
    }
    let message = read::<M>(payload, format).map_err(|detail| {
        let detail = crate::shorten(&detail, 400).into_owned();
        match read::<Version>(payload, format) {
            Ok(Version { v: Some(v) }) if v != PROTOCOL_VERSION => error(DecodeErrorKind::UnknownVersion, detail),
            _ => error(DecodeErrorKind::Malformed, detail),
        }
    })?;
    message.validate().map_err(|e| error(DecodeErrorKind::Malformed, e.to_string()))?;
    Ok(message)
}

#[derive(serde::Deserialize)]
struct Version {
    v: Option<u64>,
}

fn read<T: DeserializeOwned>(payload: &[u8], format: Format) -> Result<T, String> {
    match format {
        Format::MsgPack => {
            let mut rest = payload;
            let mut reader = rmp_serde::Deserializer::new(&mut rest).with_human_readable();
            reader.set_max_depth(DEPTH_MAX);
            let read = T::deserialize(&mut reader).map_err(|e| e.to_string())?;
            match rest.len() {
                0 => Ok(read),
                left => Err(format!("{left} bytes follow the message")),
            }
        }
        // serde_json bounds its depth to 128 by itself.
        Format::Json => serde_json::from_slice(payload).map_err(|e| e.to_string()),
    }
}
