//! Host keys, their fingerprints, and what they sign (RFC 4253, section 6.6; RFC 5656; RFC 8332; RFC 8709).

use data_encoding::BASE64_NOPAD;
use ring::digest;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use watchpost_model::shorten;

use super::packet::{Reader, without_zeros};
use crate::broken::Broken;

/// A key that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostKey {
    /// What the protocol calls keys like it.
    pub(super) key_type: String,
    /// As `ssh-keygen -l` shows it.
    pub(super) fingerprint: String,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    EcdsaP256(Vec<u8>),
    EcdsaP384(Vec<u8>),
    Rsa { e: Vec<u8>, n: Vec<u8> },
}

impl HostKey {
    /// Reads a key as it goes over the wire.
    ///
    /// # Errors
    /// When it is none, or of a type that was not asked for.
    pub(super) fn read(blob: &[u8]) -> Result<Self, Broken> {
        let mut reader = Reader(blob);
        let key_type = String::from_utf8_lossy(reader.string()?).into_owned();
        let material = match key_type.as_str() {
            "ssh-ed25519" => Material::Ed25519(reader.string()?.to_vec()),
            "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" => {
                let _curve = reader.string()?;
                let point = reader.string()?.to_vec();
                if key_type == "ecdsa-sha2-nistp256" { Material::EcdsaP256(point) } else { Material::EcdsaP384(point) }
            }
            "ssh-rsa" => {
                let e = without_zeros(reader.string()?).to_vec();
                Material::Rsa { e, n: without_zeros(reader.string()?).to_vec() }
            }
            other => {
                let other = shorten(other, 60);
                return Err(Broken::garbage(format!(
                    "shows a host key of the type `{other}`, which was not agreed on"
                )));
            }
        };
        let fingerprint = BASE64_NOPAD.encode(digest::digest(&digest::SHA256, blob).as_ref());
        Ok(Self { key_type, fingerprint: format!("SHA256:{fingerprint}"), material })
    }

    /// Whether the key made `signed` by `algorithm`, which was agreed on, of `hash`.
    ///
    /// # Errors
    /// When it did not: whoever shows it has only heard of it.
    pub(super) fn verify(&self, algorithm: &str, hash: &[u8], signed: &[u8]) -> Result<(), Broken> {
        let mut reader = Reader(signed);
        let (by, signature) = (reader.string()?, reader.string()?);
        let is_agreed = by == algorithm.as_bytes();
        let holds = is_agreed
            && match &self.material {
                Material::Ed25519(key) => {
                    algorithm == "ssh-ed25519" && UnparsedPublicKey::new(&ED25519, key).verify(hash, signature).is_ok()
                }
                Material::EcdsaP256(key) => {
                    algorithm == "ecdsa-sha2-nistp256" && ecdsa(&ECDSA_P256_SHA256_FIXED, 32, key, hash, signature)?
                }
                Material::EcdsaP384(key) => {
                    algorithm == "ecdsa-sha2-nistp384" && ecdsa(&ECDSA_P384_SHA384_FIXED, 48, key, hash, signature)?
                }
                Material::Rsa { e, n } => rsa(algorithm, e, n, hash, signature),
            };
        match holds {
            true => Ok(()),
            false => Err(Broken::garbage("does not prove that it has the host key that it shows")),
        }
    }
}

/// The two numbers of a signature are of any length here, and of `length` bytes each where it is verified.
fn ecdsa(
    algorithm: &'static EcdsaVerificationAlgorithm,
    length: usize,
    key: &[u8],
    hash: &[u8],
    signature: &[u8],
) -> Result<bool, Broken> {
    let mut reader = Reader(signature);
    let mut fixed = Vec::with_capacity(length * 2);
    for number in [reader.string()?, reader.string()?] {
        let number = without_zeros(number);
        let Some(missing) = length.checked_sub(number.len()) else { return Ok(false) };
        fixed.resize(fixed.len() + missing, 0);
        fixed.extend_from_slice(number);
    }
    Ok(UnparsedPublicKey::new(algorithm, key).verify(hash, &fixed).is_ok())
}

/// Keys of 1024 bits are weak, and still a server's own. Whether they are good enough is not asked here.
fn rsa(algorithm: &str, e: &[u8], n: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let parameters: &RsaParameters = match algorithm {
        "rsa-sha2-512" => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        "rsa-sha2-256" => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "ssh-rsa" => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        _ => return false,
    };
    // Some leave out zeros in front of it.
    let Some(missing) = n.len().checked_sub(signature.len()) else { return false };
    let mut whole = vec![0; missing];
    whole.extend_from_slice(signature);
    RsaPublicKeyComponents { n, e }.verify(parameters, hash, &whole).is_ok()
}
