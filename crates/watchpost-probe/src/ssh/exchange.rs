//! The key exchange of SSH, as far as it takes to have a server prove that it has its host key (RFC 4253, sections 7
//! and 8; RFC 5656; RFC 8731). No key that comes of it is ever used.

use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use watchpost_model::{Reason, ReasonCode, SshKeyType, shorten};

use super::host_key::HostKey;
use super::packet::{self, Reader, packet, put_mpint, put_string};
use crate::Verdict;
use crate::broken::Broken;
use crate::wire::Conversation;

const MSG_DISCONNECT: u8 = 1;
const MSG_IGNORE: u8 = 2;
const MSG_UNIMPLEMENTED: u8 = 3;
const MSG_DEBUG: u8 = 4;
const MSG_EXT_INFO: u8 = 7;
const MSG_KEXINIT: u8 = 20;
const MSG_KEX_ECDH_INIT: u8 = 30;
const MSG_KEX_ECDH_REPLY: u8 = 31;
/// "The application ended the connection" (RFC 4253, section 11.1).
const BY_APPLICATION: u32 = 11;

/// The ways of agreeing on keys, best first.
const KEY_EXCHANGES: [&str; 4] =
    ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384"];
/// Both sides must agree on these, though the check ends before anything is encrypted. So it offers what is
/// common, old and new.
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,\
                       aes192-ctr,aes256-ctr,aes128-cbc,aes256-cbc,3des-cbc";
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";

/// The introductions of both sides, without the ends of their lines.
pub(super) struct Banners<'a> {
    pub(super) ours: &'a str,
    pub(super) theirs: &'a [u8],
}

/// What a key exchange showed.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) key_exchange: &'static str,
    pub(super) host_key: HostKey,
}

/// Has the server prove that it has a host key of one of `key_types`, best first.
///
/// # Errors
/// When it does not, or has none, or the connection fails.
pub(super) async fn host_key(
    talk: &mut Conversation,
    banners: &Banners<'_>,
    key_types: &[SshKeyType],
) -> Result<Shown, Broken> {
    let algorithms: Vec<&str> = key_types.iter().flat_map(|key_type| algorithms(*key_type)).copied().collect();
    let ours = init(&algorithms);
    talk.say(&packet(&ours)).await;
    let theirs = message(talk).await?;
    let offer = Offer::read(&theirs)?;
    let (key_exchange, algorithm) = offer.agree(&algorithms)?;
    let curve = Curve::of(key_exchange);
    let private = EphemeralPrivateKey::generate(curve.agreement, &SystemRandom::new()).map_err(|_| no_random())?;
    let public = private.compute_public_key().map_err(|_| no_random())?;
    let mut question = vec![MSG_KEX_ECDH_INIT];
    put_string(&mut question, public.as_ref());
    talk.say(&packet(&question)).await;
    if offer.guessed_wrongly(key_exchange, algorithm) {
        message(talk).await?;
    }
    let answer = message(talk).await?;
    let mut answer = Reader(&answer);
    if answer.byte()? != MSG_KEX_ECDH_REPLY {
        return Err(out_of_place());
    }
    let (blob, their_public, signature) = (answer.string()?, answer.string()?, answer.string()?);
    let host_key = HostKey::read(blob)?;
    let mut hashed = Vec::new();
    for part in [banners.ours.as_bytes(), banners.theirs, &ours, &theirs, blob, public.as_ref(), their_public] {
        put_string(&mut hashed, part);
    }
    let peer = UnparsedPublicKey::new(curve.agreement, their_public);
    agreement::agree_ephemeral(private, &peer, |secret| put_mpint(&mut hashed, secret))
        .map_err(|_| Broken::garbage("does not speak SSH as it should: its part of the key exchange is no key"))?;
    let hash = digest::digest(curve.digest, &hashed);
    host_key.verify(algorithm, hash.as_ref(), signature)?;
    Ok(Shown { key_exchange, host_key })
}

/// What to say before leaving.
pub(super) fn disconnect() -> Vec<u8> {
    let mut message = vec![MSG_DISCONNECT];
    message.extend_from_slice(&BY_APPLICATION.to_be_bytes());
    put_string(&mut message, b"this was a check");
    put_string(&mut message, b"");
    packet(&message)
}

/// What signatures by keys of a type are called, best first.
fn algorithms(key_type: SshKeyType) -> &'static [&'static str] {
    match key_type {
        SshKeyType::Ed25519 => &["ssh-ed25519"],
        SshKeyType::EcdsaP256 => &["ecdsa-sha2-nistp256"],
        SshKeyType::EcdsaP384 => &["ecdsa-sha2-nistp384"],
        SshKeyType::Rsa => &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
    }
}

/// What the check can do, as the first message of a key exchange.
fn init(algorithms: &[&str]) -> Vec<u8> {
    let mut message = vec![MSG_KEXINIT];
    let mut cookie = [0; 16];
    // It protects keys that are never used.
    SystemRandom::new().fill(&mut cookie).ok();
    message.extend_from_slice(&cookie);
    let (key_exchanges, algorithms) = (KEY_EXCHANGES.join(","), algorithms.join(","));
    for names in [&*key_exchanges, &algorithms, CIPHERS, CIPHERS, MACS, MACS, "none", "none", "", ""] {
        put_string(&mut message, names.as_bytes());
    }
    // No guess follows; then four bytes that are reserved.
    message.extend_from_slice(&[0; 5]);
    message
}

/// What the server can do.
struct Offer {
    key_exchanges: Vec<String>,
    algorithms: Vec<String>,
    /// Whether it went on as if the first of each would be agreed on.
    guesses: bool,
}

impl Offer {
    fn read(message: &[u8]) -> Result<Self, Broken> {
        let mut reader = Reader(message);
        if reader.byte()? != MSG_KEXINIT {
            return Err(out_of_place());
        }
        reader.bytes(16)?;
        let (key_exchanges, algorithms) = (reader.names()?, reader.names()?);
        for _ in 0..8 {
            reader.string()?;
        }
        Ok(Self { key_exchanges, algorithms, guesses: reader.byte()? != 0 })
    }

    /// The first of ours that the server can do as well.
    fn agree<'a>(&self, ours: &[&'a str]) -> Result<(&'static str, &'a str), Broken> {
        let key_exchange = KEY_EXCHANGES.into_iter().find(|name| self.key_exchanges.iter().any(|other| other == name));
        let key_exchange = key_exchange.ok_or_else(|| {
            let offered = listed(&self.key_exchanges);
            Broken::garbage(format!("knows no key exchange that the check knows: it offers {offered}"))
        })?;
        let algorithm =
            ours.iter().find(|name| self.algorithms.iter().any(|other| other == *name)).ok_or_else(|| {
                let offered = listed(&self.algorithms);
                let what = format!("has no host key of a type that the check asks for: it offers {offered}");
                Broken::Refused(ReasonCode::HostKeyMismatch, what)
            })?;
        Ok((key_exchange, algorithm))
    }

    /// Whether the server's next message is to be passed over (RFC 4253, section 7).
    fn guessed_wrongly(&self, key_exchange: &str, algorithm: &str) -> bool {
        let first = |names: &[String]| names.first().cloned().unwrap_or_default();
        self.guesses && (first(&self.key_exchanges) != key_exchange || first(&self.algorithms) != algorithm)
    }
}

fn listed(names: &[String]) -> String {
    shorten(&names.join(", "), 200).into_owned()
}

/// What a way of agreeing on keys is made of.
struct Curve {
    agreement: &'static agreement::Algorithm,
    digest: &'static digest::Algorithm,
}

impl Curve {
    fn of(key_exchange: &str) -> Self {
        match key_exchange {
            "ecdh-sha2-nistp256" => Self { agreement: &agreement::ECDH_P256, digest: &digest::SHA256 },
            "ecdh-sha2-nistp384" => Self { agreement: &agreement::ECDH_P384, digest: &digest::SHA384 },
            _ => Self { agreement: &agreement::X25519, digest: &digest::SHA256 },
        }
    }
}

/// Reads the next message that matters here.
async fn message(talk: &mut Conversation) -> Result<Vec<u8>, Broken> {
    loop {
        let message = packet::read(talk).await?;
        match message.first() {
            Some(&(MSG_IGNORE | MSG_DEBUG | MSG_UNIMPLEMENTED | MSG_EXT_INFO)) => {}
            Some(&MSG_DISCONNECT) => {
                let mut reader = Reader(message.get(5..).unwrap_or_default());
                let why = String::from_utf8_lossy(reader.string().unwrap_or_default()).into_owned();
                let what = format!("ended the session: it said \"{}\"", shorten(&why, 200));
                return Err(Broken::Unanswered(ReasonCode::ConnectionClosed, what));
            }
            _ => return Ok(message),
        }
    }
}

fn out_of_place() -> Broken {
    Broken::garbage("does not speak SSH as it should: it sent a message that is out of place")
}

fn no_random() -> Broken {
    let message = "this machine gave no random numbers to make a key of";
    Broken::Judged(Verdict::cancelled(Reason::new(ReasonCode::Overloaded, message)))
}
