//! Signing checks.

use std::fmt;

use nkeys::{KeyPair, KeyPairType};
use watchpost_model::{
    BastionGroup, Check, CheckDocument, CheckSignature, Format, SignatureBytes, SignerKey, Timestamp, decode, encode,
};

use crate::canonical::{Said, canonical};
use crate::fault::SignerError;

/// Somebody who signs checks: the secret half of an nkey.
pub struct Signer {
    pair: KeyPair,
    key: SignerKey,
}

impl Signer {
    /// A new one, of the kind of a user.
    ///
    /// # Errors
    /// When the library makes a key that it does not read, which is a defect.
    pub fn generate() -> Result<Self, SignerError> {
        Self::new(KeyPair::new_user())
    }

    /// The one of this seed. White space around it, and lines that `nsc` and `nk` write about it, are left out.
    ///
    /// # Errors
    /// When there is none of a user or an account.
    pub fn from_seed(text: &str) -> Result<Self, SignerError> {
        let seed = text.lines().map(str::trim).find(|line| line.starts_with('S')).ok_or(SignerError::NotASeed)?;
        Self::new(KeyPair::from_seed(seed).map_err(|_| SignerError::NotASeed)?)
    }

    fn new(pair: KeyPair) -> Result<Self, SignerError> {
        match pair.key_pair_type() {
            KeyPairType::User | KeyPairType::Account => {}
            _ => return Err(SignerError::OtherKind),
        }
        let key = pair.public_key().parse()?;
        Ok(Self { pair, key })
    }

    /// Its public half, which bastions list in `trust.signers`.
    pub fn key(&self) -> &SignerKey {
        &self.key
    }

    /// Its secret half as text, to be kept in a file.
    ///
    /// # Errors
    /// When the library cannot write it, which is a defect.
    pub fn seed(&self) -> Result<String, SignerError> {
        self.pair.seed().map_err(|_| SignerError::CannotSign)
    }

    /// Signs a check for `group`, as its revision `revision`, in place of the signature that it may have. The document is
    /// otherwise left as it is written.
    ///
    /// # Errors
    /// When it is not a valid check, or signed for that group with the same or a higher revision.
    pub fn sign(
        &self,
        document: CheckDocument,
        group: &BastionGroup,
        revision: u64,
        at: Timestamp,
    ) -> Result<CheckDocument, SignerError> {
        if let Some(before) = document.signature.as_ref().filter(|before| before.group == *group)
            && before.revision >= revision
        {
            let (check, there) = (document.id.clone(), before.revision);
            return Err(SignerError::NotLater { check, there, given: revision });
        }
        let meant = Check::try_from(CheckDocument { signature: None, ..document.clone() })?;
        // Who reads it back must come to the same number.
        let read = decode::<Check>(&encode(&meant, Format::Json), Format::Json);
        if read.ok().as_ref() != Some(&meant) {
            return Err(SignerError::TooManyDigits { check: document.id });
        }
        let said = Said { by: &self.key, group, revision, at };
        let signed = self.pair.sign(&canonical(meant.into(), &said)).map_err(|_| SignerError::CannotSign)?;
        let sig = SignatureBytes::new(&signed).ok_or(SignerError::CannotSign)?;
        let signature = CheckSignature { by: self.key.clone(), group: group.clone(), revision, at, sig };
        Ok(CheckDocument { signature: Some(signature), ..document })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}
