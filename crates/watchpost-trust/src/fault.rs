//! What is wrong with a signature, or with a key.

use watchpost_model::{CHECK_BYTES_MAX, CheckId, Invalid, SignerKey, Timestamp};

use crate::verify::SIGNERS_MAX;

/// Why a check may not run where signatures are asked for. Each says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no signature.
    #[error("check `{check}` is not signed: expected a signature by one of `trust.signers` (`watchpost checks sign`)")]
    NotSigned {
        /// The check.
        check: CheckId,
    },
    /// Nobody who is trusted signed it.
    #[error("check `{check}` is signed by {by}, who is not among `trust.signers`")]
    UnknownSigner {
        /// The check.
        check: CheckId,
        /// Who signed.
        by: SignerKey,
    },
    /// It is for others.
    #[error(
        "check `{check}` is signed for the bastion group `{signed}`, and is used for `{used}`: a signature is for one group"
    )]
    OtherGroup {
        /// The check.
        check: CheckId,
        /// The group that the signature names.
        signed: String,
        /// Where the check is.
        used: String,
    },
    /// It is not over this check.
    #[error(
        "the signature of check `{check}` by {by} is not over what the check says now: sign it again after each change"
    )]
    Broken {
        /// The check.
        check: CheckId,
        /// By whom it is said to be.
        by: SignerKey,
    },
    /// A later one was seen.
    #[error(
        "check `{check}` is signed as revision {given}, and revision {seen} was seen before: an old one does not come \
         back, sign it again to run it"
    )]
    Older {
        /// The check.
        check: CheckId,
        /// The revision that it has.
        given: u64,
        /// The highest that was seen.
        seen: u64,
    },
    /// Another check was signed under the same number.
    #[error(
        "check `{check}` is signed as revision {given}, and another check was signed as that revision: expected a later one"
    )]
    Twice {
        /// The check.
        check: CheckId,
        /// The revision of both.
        given: u64,
    },
    /// It was deleted since.
    #[error(
        "check `{check}` was deleted after it had been signed as revision {given}: a deleted one does not come back, sign \
         it again to run it"
    )]
    Deleted {
        /// The check.
        check: CheckId,
        /// The revision that it has.
        given: u64,
    },
    /// There is no room to remember its revision.
    #[error("check `{check}` is one too many: the revisions of as many checks as there may be are remembered")]
    TooMany {
        /// The check.
        check: CheckId,
    },
    /// Its tasks could not carry it.
    #[error(
        "the signed check `{check}` takes {bytes} bytes of JSON, which each of its tasks would carry: expected at most \
         {CHECK_BYTES_MAX}, split it into several"
    )]
    TooLarge {
        /// The check.
        check: CheckId,
        /// How many bytes it takes.
        bytes: usize,
    },
    /// What it does is decided by somebody whom no signature covers.
    #[error(
        "check `{check}` takes its targets from {source_name}, which no signature covers: list them in the check, or set \
         `trust.found_targets: accept`"
    )]
    FoundTargets {
        /// The check.
        check: CheckId,
        /// Where they come from.
        source_name: String,
    },
    /// The proof of a task cannot be read.
    #[error("the proof of the task is not a signed check: {0}")]
    Unreadable(String),
    /// A task does something else than its check says.
    #[error("the signed check `{check}` does not say what the task is to do: {what}")]
    OtherTask {
        /// The check.
        check: CheckId,
        /// What differs.
        what: String,
    },
    /// A task may take longer than its check says.
    #[error("the task's deadline, {deadline}, is later than the timeout of the signed check `{check}` allows from now")]
    LateDeadline {
        /// The check.
        check: CheckId,
        /// The deadline.
        deadline: Timestamp,
    },
}

/// Why a key or a list of them cannot be used. No seed is in any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// It is no seed.
    #[error(
        "this is not the seed of an nkey: expected 58 characters that begin with SU or SA, as `nk -gen user` prints them"
    )]
    NotASeed,
    /// Its kind signs something else.
    #[error("this seed is of neither a user nor an account: expected one that begins with SU or SA")]
    OtherKind,
    /// Its checksum does not hold.
    #[error("`{0}` is not a public nkey: its checksum does not hold, expected the key as it was printed")]
    NotAKey(SignerKey),
    /// A number of them.
    #[error("there are {0} signers: expected 1 to {SIGNERS_MAX}")]
    HowMany(usize),
    /// What is to be signed is not a check.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The check has a later signature.
    #[error("check `{check}` is signed as revision {there} already: expected a higher one than {given}")]
    NotLater {
        /// The check.
        check: CheckId,
        /// The revision of the signature that is there.
        there: u64,
        /// The one that was to be written.
        given: u64,
    },
    /// What is signed is not what others would read.
    #[error(
        "check `{check}` holds a number with more digits than are sure to be read as they were written: expected at most 15"
    )]
    TooManyDigits {
        /// The check.
        check: CheckId,
    },
    /// The key could not sign.
    #[error("the key could not sign; this is a defect of Watchpost")]
    CannotSign,
}
