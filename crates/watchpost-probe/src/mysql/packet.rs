//! Packets of MySQL's protocol, and what they hold ("MySQL Source Code Documentation": "Client/Server Protocol").

use bytes::Bytes;
use watchpost_model::shorten;

use crate::broken::Broken;
use crate::secret::Secrets;
use crate::wire::Conversation;

/// The largest packet that is read.
const PACKET_BYTES_MAX: usize = 64 * 1024;

// What both sides can do.
const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// The largest packet that the server may send, as the check tells it.
const MAX_PACKET: u32 = 1 << 24;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;

/// Reads the next packet: its number, and what it holds, which is not empty.
///
/// # Errors
/// When the connection fails, or the packet is too large.
pub(super) async fn read(talk: &mut Conversation) -> Result<(u8, Bytes), Broken> {
    let head = talk.exact(4).await?;
    let [low, middle, high, number] = head.as_ref().try_into().unwrap_or_default();
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if length == 0 || length > PACKET_BYTES_MAX {
        return Err(Broken::garbage(format!(
            "does not speak the protocol of MySQL, or sent a packet of {length} bytes: at most {PACKET_BYTES_MAX} are read"
        )));
    }
    Ok((number, talk.exact(length).await?))
}

/// `payload` as the packet with this number.
pub(super) fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    [&[low, middle, high, number], payload].concat()
}

/// How a server greets.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) version: String,
    /// What it does not want to see again in a login.
    pub(super) scramble: Vec<u8>,
    /// How it would have most clients prove who they are.
    pub(super) plugin: String,
    capabilities: u32,
}

impl Greeting {
    /// Reads a greeting.
    ///
    /// # Errors
    /// When it is none of a version that is spoken here.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Broken> {
        let mut reader = Reader(payload);
        let protocol = reader.byte()?;
        if protocol != 10 {
            return Err(Broken::garbage(format!(
                "does not speak the protocol of MySQL in version 10: it begins with {protocol}"
            )));
        }
        let version = String::from_utf8_lossy(reader.until_nul()?).into_owned();
        // MariaDB puts this before its own version, for clients that know no version above 5.
        let version = shorten(version.strip_prefix("5.5.5-").unwrap_or(&version), 100).into_owned();
        reader.bytes(4)?;
        let mut scramble = reader.bytes(8)?.to_vec();
        reader.bytes(1)?;
        let low = reader.bytes(2)?;
        reader.bytes(3)?;
        let high = reader.bytes(2)?;
        let capabilities = [low, high].concat().try_into().map_or(0, u32::from_le_bytes);
        let told = usize::from(reader.byte()?);
        reader.bytes(10)?;
        if capabilities & PROTOCOL_41 == 0 || capabilities & SECURE_CONNECTION == 0 {
            return Err(Broken::garbage(format!("is too old for this check: its version is {version}")));
        }
        let rest = reader.bytes(told.saturating_sub(8).max(13))?;
        // It ends with a NUL.
        scramble.extend_from_slice(rest.get(..12).unwrap_or_default());
        let plugin = match capabilities & PLUGIN_AUTH {
            0 => "mysql_native_password".to_owned(),
            // Old servers forget the NUL after it.
            _ => String::from_utf8_lossy(reader.0.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned(),
        };
        Ok(Self { version, scramble, plugin, capabilities })
    }

    /// Whether the server speaks TLS.
    pub(super) fn offers_tls(&self) -> bool {
        self.capabilities & SSL != 0
    }
}

/// What both the request for TLS and a login begin with.
fn abilities(tls: bool, database: bool) -> Vec<u8> {
    let mut wanted = LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
    wanted |= if tls { SSL } else { 0 };
    wanted |= if database { CONNECT_WITH_DB } else { 0 };
    let mut payload = wanted.to_le_bytes().to_vec();
    payload.extend_from_slice(&MAX_PACKET.to_le_bytes());
    payload.push(CHARSET);
    payload.resize(32, 0);
    payload
}

/// The request to go on by TLS.
pub(super) fn tls_request(database: bool) -> Vec<u8> {
    abilities(true, database)
}

/// A login by `plugin` with `proof`, which has at most 255 bytes.
pub(super) fn login(tls: bool, user: &str, database: Option<&str>, plugin: &str, proof: &[u8]) -> Vec<u8> {
    let mut payload = abilities(tls, database.is_some());
    payload.extend_from_slice(user.as_bytes());
    payload.push(0);
    payload.push(proof.len() as u8);
    payload.extend_from_slice(proof);
    for text in database.into_iter().chain([plugin]) {
        payload.extend_from_slice(text.as_bytes());
        payload.push(0);
    }
    payload
}

/// An error that the server answered with.
#[derive(Debug)]
pub(super) struct ServerError {
    pub(super) code: u16,
    pub(super) message: String,
}

impl ServerError {
    /// Reads what follows the first byte of an error; `secrets` are hidden in what it quotes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(rest: &[u8], secrets: &Secrets) -> Result<Self, Broken> {
        let mut reader = Reader(rest);
        let code = reader.bytes(2)?.try_into().map_or(0, u16::from_le_bytes);
        let mut message = reader.0;
        // A state of five characters, which is less telling than the code.
        if message.first() == Some(&b'#') {
            message = message.get(6..).unwrap_or_default();
        }
        let message = secrets.hide_in(String::from_utf8_lossy(message).into_owned());
        Ok(Self { code, message: shorten(&message, 200).into_owned() })
    }
}

/// What a packet holds, read from its beginning.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let (byte, rest) = self.0.split_first().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// What stands before the next NUL.
    pub(super) fn until_nul(&mut self) -> Result<&'a [u8], Broken> {
        let end = memchr::memchr(0, self.0).ok_or_else(cut_short)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Ok(text)
    }

    /// The next number of one to nine bytes; `None` stands for NULL.
    pub(super) fn number(&mut self) -> Result<Option<u64>, Broken> {
        let length = match self.byte()? {
            0xfb => return Ok(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => return Err(cut_short()),
            small => return Ok(Some(u64::from(small))),
        };
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(self.bytes(length)?).for_each(|(to, from)| *to = *from);
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    /// The next text, which begins with its length; `None` stands for NULL.
    pub(super) fn text(&mut self) -> Result<Option<&'a [u8]>, Broken> {
        match self.number()? {
            Some(length) => Ok(Some(self.bytes(usize::try_from(length).map_err(|_| cut_short())?)?)),
            None => Ok(None),
        }
    }
}

fn cut_short() -> Broken {
    Broken::garbage("does not speak the protocol of MySQL as it should: a packet of it is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        for (bytes, number) in [
            (&[0][..], Some(0)),
            (&[0xfa], Some(250)),
            (&[0xfb], None),
            (&[0xfc, 1, 2], Some(0x0201)),
            (&[0xfd, 1, 2, 3], Some(0x03_0201)),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
        ] {
            assert_eq!(Reader(bytes).number().unwrap(), number, "{bytes:?}");
        }
        for bytes in [&[][..], &[0xff], &[0xfc, 1], &[0xfe, 1, 2]] {
            assert!(Reader(bytes).number().is_err(), "{bytes:?}");
        }
        assert!(Reader(&[3, b'a']).text().is_err());
        assert!(Reader(&[0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1]).text().is_err());
    }

    #[test]
    fn greetings_of_both_makes_are_read() {
        let greeting = |version: &str, capabilities: u32, plugin: &str| {
            let caps = capabilities.to_le_bytes();
            let mut bytes = vec![10];
            bytes.extend_from_slice(version.as_bytes());
            bytes.extend_from_slice(b"\0\x01\0\0\0abcdefgh\0");
            bytes.extend_from_slice(&caps[..2]);
            bytes.extend_from_slice(&[CHARSET, 2, 0]);
            bytes.extend_from_slice(&caps[2..]);
            bytes.extend_from_slice(b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0");
            bytes.extend_from_slice(plugin.as_bytes());
            bytes.push(0);
            bytes
        };
        let modern = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;
        let read = Greeting::read(&greeting("5.5.5-10.11.6-MariaDB", modern | SSL, "mysql_native_password")).unwrap();
        assert_eq!((read.version.as_str(), read.plugin.as_str()), ("10.11.6-MariaDB", "mysql_native_password"));
        assert_eq!((read.scramble.as_slice(), read.offers_tls()), (&b"abcdefghijklmnopqrst"[..], true));
        let whole = greeting("8.0.40", modern, "caching_sha2_password");
        let read = Greeting::read(&whole).unwrap();
        assert_eq!((read.plugin.as_str(), read.offers_tls()), ("caching_sha2_password", false));
        assert!(Greeting::read(&greeting("4.0", 0, "")).is_err());
        for cut in 0..whole.len() - "caching_sha2_password".len() - 1 {
            assert!(Greeting::read(&whole[..cut]).is_err(), "{cut}");
        }
    }
}
