//! The two messages of `grpc.health.v1`, and the statuses of gRPC.
//!
//! `HealthCheckRequest { string service = 1; }`, `HealthCheckResponse { ServingStatus status = 1; }`: too
//! little to have code generated for.

/// The request for the health of `service`, in the frame of a gRPC message.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 3);
    if !service.is_empty() {
        // Field 1, of the kind that has a length.
        message.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    // Not compressed, and how long it is.
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

/// The health that the message in `frame` tells; why it tells none, as the end of a sentence.
pub(super) fn serving_status(frame: &[u8]) -> Result<&'static str, &'static str> {
    let (Some(compressed), Some(length), Some(message)) = (frame.first(), frame.get(1..5), frame.get(5..)) else {
        return Err("is cut short");
    };
    if *compressed != 0 {
        return Err("is compressed, which the check did not ask for");
    }
    let length: Option<[u8; 4]> = length.try_into().ok();
    if length.is_none_or(|length| u32::from_be_bytes(length) as usize != message.len()) {
        return Err("is not as long as it says");
    }
    let number = field_one(message).ok_or("is not one of grpc.health.v1")?;
    Ok(match number {
        0 => "UNKNOWN",
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => return Err("tells a health that grpc.health.v1 does not know"),
    })
}

/// The last number that field 1 has, 0 where it has none; `None` where the message cannot be read.
fn field_one(mut message: &[u8]) -> Option<u64> {
    let mut found = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => found = varint(&mut message)?,
            (_, 0) => _ = varint(&mut message)?,
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The names of the statuses of calls, by their numbers.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What the status `number` is called.
pub(super) fn status_name(number: u32) -> String {
    let known = usize::try_from(number).ok().and_then(|number| STATUSES.get(number));
    known.map_or_else(|| format!("the unknown status {number}"), |name| (*name).to_owned())
}

/// The text that `grpc-message` stands for, in which bytes may be written as `%XX`.
pub(super) fn decoded(message: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((byte, after)) = rest.split_first() {
        let coded = (*byte == b'%').then(|| after.get(..2)).flatten();
        let coded = coded
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match coded {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    watchpost_model::shorten(&String::from_utf8_lossy(&bytes), 200).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_the_service() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = request(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn answers_tell_a_health_or_why_they_do_not() {
        let framed = |message: &[u8]| [&[0, 0, 0, 0, message.len() as u8], message].concat();
        for (message, told) in [
            (&[][..], Ok("UNKNOWN")),
            (&[8, 1], Ok("SERVING")),
            (&[8, 2], Ok("NOT_SERVING")),
            (&[8, 1, 8, 3], Ok("SERVICE_UNKNOWN")),
            // Fields that a later version may have: one of each kind.
            (&[0x10, 0x80, 1, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1], Ok("SERVING")),
            (&[8, 9], Err("tells a health that grpc.health.v1 does not know")),
            (&[8], Err("is not one of grpc.health.v1")),
            (&[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Err("is not one of grpc.health.v1")),
            (&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Err("is not one of grpc.health.v1")),
            (&[0x0b], Err("is not one of grpc.health.v1")),
        ] {
            assert_eq!(serving_status(&framed(message)), told, "{message:?}");
        }
        for (frame, told) in [
            (&[][..], "is cut short"),
            (&[0, 0, 0, 0], "is cut short"),
            (&[1, 0, 0, 0, 0], "is compressed, which the check did not ask for"),
            (&[0, 0, 0, 0, 3, 8, 1], "is not as long as it says"),
        ] {
            assert_eq!(serving_status(frame), Err(told), "{frame:?}");
        }
    }

    #[test]
    fn messages_are_decoded_as_far_as_they_can_be() {
        for (coded, text) in
            [("a%20b", "a b"), ("%e4%b8%96", "世"), ("100%", "100%"), ("%zz%2", "%zz%2"), ("%+1", "%+1")]
        {
            assert_eq!(decoded(coded.as_bytes()), text);
        }
        assert_eq!(decoded(b"%ff"), "\u{fffd}");
    }
}
