//! `watchpost checks sign`, `verify` and `keygen`; and signing what is applied or tested.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use watchpost_agent::{Clock, SystemClock};
use watchpost_model::{BastionGroup, Check, CheckDocument, CheckId, SignerKey, Timestamp};
use watchpost_trust::{Fault, Signer, SignerError, Signers, verify};

use super::yaml::yaml;
use super::{apply, stdout};
use crate::cli::{DocumentFormat, KeygenArgs, ListFormat, SignArgs, VerifyArgs};
use crate::config::WrittenCheck;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Table, Tone, print, print_objects};
use crate::remote::StoredCheck;

/// The largest file that is read for a seed, in bytes; a credentials file of `nsc` is smaller.
const SEED_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Prints checks with their signatures.
pub fn sign(args: &SignArgs) -> Result<Exit, Failure> {
    let signer = signer(&args.key)?;
    let at = SystemClock::default().now();
    let revision = args.revision.unwrap_or_else(|| revision_at(at));
    let mut text = String::new();
    for WrittenCheck { document, place, .. } in apply::read(&args.files)? {
        let signed = signer.sign(document, &args.group, revision, at);
        let signed = signed.map_err(|error| Failure::usage(format!("{place}: {error}")))?;
        match args.output {
            DocumentFormat::Yaml => text += &format!("---\n{}", yaml(&signed)?),
            DocumentFormat::Json => {
                let line = serde_json::to_string(&signed);
                let stuck = |e| Failure::stuck(format!("check `{}` cannot be written as JSON: {e}", signed.id));
                text += &(line.map_err(stuck)? + "\n");
            }
        }
    }
    print(&text).map_err(stdout)?;
    Ok(Exit::Ok)
}

/// Prints whose signatures are good.
pub fn verify_files(args: &VerifyArgs) -> Result<Exit, Failure> {
    let trusted = match args.signers.as_slice() {
        [] => None,
        keys => Some(Signers::new(keys.iter().cloned()).map_err(|e| Failure::usage(e.to_string()))?),
    };
    let mut table = Table::new(&["CHECK", "GROUP", "REVISION", "SIGNED AT", "BY", "SIGNATURE"]);
    let (mut objects, mut all_good) = (Vec::new(), true);
    for WrittenCheck { check, place, .. } in apply::read(&args.files)? {
        let judged = judge(&check, args.group.as_ref(), trusted.as_ref());
        all_good &= judged.is_ok();
        let fault = judged.err().map(|fault| fault.to_string());
        let signature = check.signature();
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let (word, tone) = match &fault {
            None => ("good", Tone::Good),
            Some(fault) => (fault.as_str(), Tone::Bad),
        };
        table.row([
            check.id().as_str().into(),
            or_none(signature.map(|s| s.group.to_string())).into(),
            or_none(signature.map(|s| s.revision.to_string())).into(),
            or_none(signature.map(|s| s.at.to_string())).into(),
            or_none(signature.map(|s| s.by.to_string())).into(),
            Cell::new(word, tone),
        ]);
        objects.push(json!({
            "check": check.id(),
            "place": place,
            "group": signature.map(|s| &s.group),
            "revision": signature.map(|s| s.revision),
            "at": signature.map(|s| s.at),
            "by": signature.map(|s| &s.by),
            "good": fault.is_none(),
            "fault": fault,
        }));
    }
    let printed = match args.output {
        ListFormat::Table => table.print(),
        format => print_objects(objects, format),
    };
    printed.map_err(stdout)?;
    Ok(if all_good { Exit::Ok } else { Exit::NotPassed })
}

/// Writes a new seed, and prints the public key.
pub fn keygen(args: &KeygenArgs) -> Result<Exit, Failure> {
    let made = Signer::generate().and_then(|signer| Ok((signer.seed()?, signer)));
    let (seed, signer) = made.map_err(|e| Failure::stuck(e.to_string()))?;
    let file = args.file.display();
    let cannot = |e: std::io::Error| Failure::usage(format!("{file} cannot be written: {e}"));
    // Never over another: whatever that has signed could not be signed again.
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file).map_err(cannot)?;
    opened.write_all(format!("{seed}\n").as_bytes()).and_then(|()| opened.sync_all()).map_err(cannot)?;
    print(&format!("{}\n", signer.key())).map_err(stdout)?;
    Ok(Exit::Ok)
}

fn judge(check: &Check, group: Option<&BastionGroup>, trusted: Option<&Signers>) -> Result<(), Fault> {
    let signature = check.signature().ok_or_else(|| Fault::NotSigned { check: check.id().clone() })?;
    let group = group.unwrap_or(&signature.group);
    match trusted {
        Some(signers) => verify(check, group, signers).map(|_| ()),
        None => {
            let itself = Signers::new([signature.by.clone()]).map_err(|e| Fault::Unreadable(e.to_string()))?;
            verify(check, group, &itself).map(|_| ())
        }
    }
}

/// Whoever signs with the seed in a file.
///
/// # Errors
/// When there is none.
pub fn signer(file: &Path) -> Result<Signer, Failure> {
    let shown = file.display();
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(SEED_FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    Signer::from_seed(&text).map_err(|e| Failure::usage(format!("{shown}: {e}")))
}

/// Signs what is to be applied. What the store has with a good signature of the same signer is left as it is.
///
/// # Errors
/// When one cannot be signed.
pub fn sign_changed(
    signer: &Signer,
    group: &BastionGroup,
    at: Timestamp,
    stored: &[StoredCheck],
    written: &mut [WrittenCheck],
) -> Result<(), Failure> {
    for WrittenCheck { document, place, .. } in written {
        let before = stored_document(stored, &document.id);
        let unsigned = CheckDocument { signature: None, ..std::mem::replace(document, placeholder(&document.id)) };
        // Only what this key has signed: somebody else could have written a revision that nobody can exceed.
        let before = before.and_then(|before| Some((before, own_revision(before, signer.key(), group)?)));
        let kept = before.filter(|(before, _)| CheckDocument { signature: None, ..(*before).clone() } == unsigned);
        *document = match kept {
            Some((before, _)) => before.clone(),
            None => {
                let last = before.map_or(0, |(_, revision)| revision);
                let revision = revision_at(at).max(last + 1);
                let told = |error: SignerError| Failure::usage(format!("{place}: {error}"));
                signer.sign(unsigned, group, revision, at).map_err(told)?
            }
        };
    }
    Ok(())
}

fn placeholder(id: &CheckId) -> CheckDocument {
    CheckDocument::new(id.clone())
}

fn stored_document<'a>(stored: &'a [StoredCheck], id: &CheckId) -> Option<&'a CheckDocument> {
    stored.iter().find(|stored| stored.check == *id)?.document.as_ref()?.as_ref().ok()
}

/// The revision of what is stored, if the owner of `key` has signed it for `group`.
fn own_revision(stored: &CheckDocument, key: &SignerKey, group: &BastionGroup) -> Option<u64> {
    let signers = Signers::new([key.clone()]).ok()?;
    let check = Check::try_from(stored.clone()).ok()?;
    verify(&check, group, &signers).ok().map(|signature| signature.revision)
}

/// The revision of what is signed then: later ones are higher.
pub fn revision_at(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0).max(1)
}
