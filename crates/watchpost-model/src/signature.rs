//! The signature of a check: who says that it is to run, for whom, and which of its revisions it is.
//!
//! What it is over, and whether it is good, is for the crate `watchpost-trust` to say.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;
use crate::id::BastionGroup;
use crate::text::text_type;

/// The longest public nkey, in bytes; they are all as long.
const KEY_BYTES: usize = 56;
/// What is read of a key, so that a seed in its place is told as one.
const KEY_BYTES_MAX: usize = 64;
/// The bytes of an Ed25519 signature (RFC 8032, section 5.1.6), and of its text.
const SIGNATURE_BYTES: usize = 64;
const SIGNATURE_TEXT_BYTES: usize = 86;
/// The largest number that every reader of JSON takes for what it is (RFC 8785, section 3.2.2.3).
const REVISION_MAX: u64 = (1 << 53) - 1;

/// The signature of a check. It covers everything that the check says, and everything here but itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSignature {
    /// The public nkey of whoever signed, of a user (`U…`) or an account (`A…`).
    pub by: SignerKey,
    /// The bastion group that the check is for: it is refused under any other.
    pub group: BastionGroup,
    /// Counts up with each signature over a check of that id and group, 1 to 2^53 - 1: a bastion takes no lesser one
    /// than it has seen. `watchpost checks sign` takes the time of day in ms.
    #[serde(deserialize_with = "revision")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub revision: u64,
    /// When it was signed.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The Ed25519 signature, in base64url without padding.
    pub sig: SignatureBytes,
}

text_type!(
    /// A public nkey of a user or an account.
    SignerKey,
    "the public key",
    KEY_BYTES_MAX,
    |text| {
        let is_key = text.len() == KEY_BYTES
            && text.starts_with(['U', 'A'])
            && text.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b));
        if is_key {
            return Ok(());
        }
        // Whoever puts a seed here is not to find it in a log.
        if text.starts_with('S') {
            return Err("this begins like the seed of an nkey, which is secret: expected the public key, `U…` or `A…`".to_owned());
        }
        let given = crate::shorten(text, 60);
        Err(format!("`{given}` is not the public nkey of a user or account: expected 56 characters that begin with U or A"))
    }
);

/// An Ed25519 signature.
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureBytes([u8; SIGNATURE_BYTES]);

impl SignatureBytes {
    /// These bytes; `None` where there are not 64.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SignatureBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SignatureBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "a signature in base64url", SIGNATURE_TEXT_BYTES)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        bytes.as_deref().and_then(Self::new).ok_or_else(|| {
            serde::de::Error::custom("this is not a signature: expected 64 bytes in base64url without padding")
        })
    }
}

impl schemars::JsonSchema for SignatureBytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SignatureBytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "64 bytes in base64url without padding",
            "pattern": "^[A-Za-z0-9_-]{86}$",
        })
    }
}

fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let given = u64::deserialize(deserializer)?;
    if (1..=REVISION_MAX).contains(&given) {
        return Ok(given);
    }
    Err(serde::de::Error::custom(format_args!("revision {given} is out of range: expected 1 to {REVISION_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_as_it_is_written_or_refused() {
        let key = format!("U{}", "A".repeat(55));
        let json = |by: &str, revision: &str, sig: &str| {
            let json = format!(
                r#"{{"by":"{by}","group":"g","revision":{revision},"at":"2026-01-02T03:04:05Z","sig":"{sig}"}}"#
            );
            serde_json::from_str::<CheckSignature>(&json).map_err(|e| e.to_string())
        };
        let sig = SignatureBytes([7; SIGNATURE_BYTES]);
        let read = json(&key, "5", &sig.to_string()).unwrap();
        assert_eq!((read.sig, read.revision, read.by.as_str()), (sig.clone(), 5, key.as_str()));
        let text = sig.to_string();
        // Base64 has one way only to write a text: another last character means the same bytes.
        let loose = format!("{}x", &text[..85]);
        for (by, revision, sig, told) in [
            (key.as_str(), "0", text.as_str(), "expected 1 to"),
            (&key, "9007199254740992", &text, "expected 1 to"),
            (&key, "5", &text[..85], "64 bytes"),
            (&key, "5", &loose, "64 bytes"),
            (&key[..55], "5", &text, "public nkey"),
            (&key.replace('U', "N"), "5", &text, "public nkey"),
        ] {
            let error = json(by, revision, sig).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let error = json("SUAMLK2ZNL35WSMW37E7UD4VZ7ELPKW7DHC3BWBSD2GCZ7IUQQXZIORRBU", "5", &text).unwrap_err();
        assert!(!error.contains("SUAM"), "{error}");
    }
}
