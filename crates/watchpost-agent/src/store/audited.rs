//! Writing down which checks came into force, which did not, and which went.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use watchpost_audit::AuditEvent;
use watchpost_model::{Check, CheckDocument, CheckEventKind, Format, encode};

use super::book::{Book, News};

/// What became of one check.
pub(super) fn changed(news: &News) -> AuditEvent {
    let change = match news.kind {
        CheckEventKind::CheckApplied => "applied",
        CheckEventKind::CheckRefused => "refused",
        CheckEventKind::CheckRemoved => "removed",
        CheckEventKind::CheckOrphaned => "orphaned",
        CheckEventKind::CheckSignatureOld => "signature_old",
    };
    AuditEvent::CheckChanged {
        change: change.to_owned(),
        group: news.group.clone(),
        check: news.check.clone(),
        revision: news.revision,
        why: news.refusal.as_ref().map(|refusal| refusal.message.clone()),
    }
}

/// What is in force as the process begins.
pub(super) fn loaded(book: &Book) -> AuditEvent {
    let (mut of_file, mut of_store) = (0, 0);
    let mut sha256 = Sha256::new();
    for in_force in book.in_force.values() {
        if in_force.from.is_some() {
            of_store += 1;
        } else {
            of_file += 1;
        }
        // The same check is the same text, however it was written.
        let text = encode(&CheckDocument::from(Check::clone(&in_force.check)), Format::Json);
        sha256.update((text.len() as u64).to_be_bytes());
        sha256.update(text);
    }
    AuditEvent::ChecksLoaded { of_file, of_store, sha256: HEXLOWER.encode(&sha256.finalize()) }
}
