//! Whether a signature is good.

use std::collections::BTreeMap;

use nkeys::KeyPair;
use watchpost_model::{BastionGroup, Check, CheckSignature, SignerKey};

use crate::canonical::canonical_bytes;
use crate::fault::{Fault, SignerError};

/// The most keys that a bastion may trust.
pub const SIGNERS_MAX: usize = 64;

/// Those whose signatures count.
#[derive(Debug)]
pub struct Signers(BTreeMap<SignerKey, KeyPair>);

impl Signers {
    /// These; twice the same counts once.
    ///
    /// # Errors
    /// When there is none or too many, or one is not a key.
    pub fn new(keys: impl IntoIterator<Item = SignerKey>) -> Result<Self, SignerError> {
        let mut signers = BTreeMap::new();
        for key in keys {
            let pair = KeyPair::from_public_key(key.as_str()).map_err(|_| SignerError::NotAKey(key.clone()))?;
            signers.insert(key, pair);
        }
        match signers.len() {
            1..=SIGNERS_MAX => Ok(Self(signers)),
            n => Err(SignerError::HowMany(n)),
        }
    }

    /// Their keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &SignerKey> {
        self.0.keys()
    }

    /// Whether `key` is one of them.
    pub fn has(&self, key: &SignerKey) -> bool {
        self.0.contains_key(key)
    }
}

/// The signature of a check that is used for `group`, if it is good: by one of `signers`, for that group, over all that
/// the check says. Whether it is the latest is for [`Revisions`](crate::Revisions) to say.
///
/// # Errors
/// What is wrong with it.
pub fn verify<'a>(check: &'a Check, group: &BastionGroup, signers: &Signers) -> Result<&'a CheckSignature, Fault> {
    let id = || check.id().clone();
    let signature = check.signature().ok_or_else(|| Fault::NotSigned { check: id() })?;
    let unknown = || Fault::UnknownSigner { check: id(), by: signature.by.clone() };
    let pair = signers.0.get(&signature.by).ok_or_else(unknown)?;
    if signature.group != *group {
        let (signed, used) = (signature.group.to_string(), group.to_string());
        return Err(Fault::OtherGroup { check: id(), signed, used });
    }
    let broken = |_| Fault::Broken { check: id(), by: signature.by.clone() };
    pair.verify(&canonical_bytes(check, signature), signature.sig.as_bytes()).map_err(broken)?;
    Ok(signature)
}
