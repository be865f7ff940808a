//! What comes with a task to prove it, and what is kept of revisions on disk: anything else than what a signer wrote is
//! refused.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use watchpost_model::BastionGroup;
use watchpost_trust::{Proof, Revisions, Signer, Signers};

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| {
    let signer = Signer::generate().expect("a key");
    Signers::new([signer.key().clone()]).expect("signers")
});
static GROUPS: LazyLock<Vec<BastionGroup>> = LazyLock::new(|| vec!["g".parse().expect("a group")]);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(revisions) = Revisions::from_bytes(bytes) {
        let again = Revisions::from_bytes(&revisions.to_bytes()).expect("what was written is read");
        assert_eq!(again.len(), revisions.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        // The key was made a moment ago: nobody has signed anything with it.
        assert!(Proof::read(text, &SIGNERS, &GROUPS).is_err(), "a proof that nobody has signed");
    }
});
