//! Where it would read and write: state, audit log, secrets.

use std::io;
use std::path::Path;

use super::{Finding, Prospect};

/// Below this much room a disk is soon full.
const ROOM_MIN_BYTES: u64 = 256 * 1024 * 1024;
/// The largest secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn examine(prospect: &Prospect) -> Vec<Finding> {
    let mut findings = vec![state(prospect.state_dir.as_deref()), audit(prospect)];
    findings.extend(secrets(prospect));
    findings
}

fn state(folder: Option<&Path>) -> Finding {
    const WHAT: &str = "state";
    let Some(folder) = folder else {
        return Finding::doubt(
            WHAT,
            "kept nowhere",
            "without the bus it would begin without checks; an old signature is noticed for as long as it runs only: set \
             `state_dir`",
        );
    };
    writable(WHAT, folder)
}

fn audit(prospect: &Prospect) -> Finding {
    const WHAT: &str = "audit log";
    let Some(file) = &prospect.audit else {
        return Finding::doubt(WHAT, "off", "set `state_dir`, or `audit.file`, to have what it did written down");
    };
    match file.parent() {
        // Its file is looked at by whoever opens it: this one may be in use.
        Some(folder) => Finding { found: file.display().to_string(), ..writable(WHAT, folder) },
        None => Finding::fault(WHAT, file.display().to_string(), "this is no file"),
    }
}

/// Whether files can be made there, and how much room there is.
fn writable(what: &str, folder: &Path) -> Finding {
    let shown = folder.display();
    let trial = folder.join(format!(".watchpost-doctor-{}", std::process::id()));
    // What is missing is made where the role begins.
    let tried = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&trial, b"trial"));
    let removed = std::fs::remove_file(&trial);
    if let Err(error) = tried.and(removed) {
        let advice = format!("user {} must be able to write there", rustix::process::geteuid().as_raw());
        return Finding::fault(what, format!("{shown} cannot be written: {error}"), advice);
    }
    match rustix::fs::statvfs(folder) {
        Ok(room) if room.f_bavail.saturating_mul(room.f_frsize) < ROOM_MIN_BYTES => {
            let mib = room.f_bavail.saturating_mul(room.f_frsize) / (1024 * 1024);
            Finding::doubt(what, format!("{shown} has {mib} MiB left"), "make room")
        }
        _ => Finding::ok(what, format!("{shown} can be written")),
    }
}

/// Looks whether each can be read. What it is stays there.
fn secrets(prospect: &Prospect) -> Vec<Finding> {
    let file = &prospect.file.secrets;
    let mut findings = Vec::new();
    if let Some(directory) = &file.directory {
        let shown = directory.display();
        findings.push(match std::fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()) {
            Ok(entries) => {
                let unreadable = entries.iter().filter(|entry| {
                    let path = entry.path();
                    path.is_file() && readable(&path).is_err()
                });
                match unreadable.count() {
                    0 => Finding::ok("secrets", format!("{shown} can be read")),
                    some => Finding::fault("secrets", format!("{some} in {shown} cannot be read"), "see their owners"),
                }
            }
            Err(error) => Finding::fault("secrets", format!("{shown} cannot be read: {error}"), "see its owner"),
        });
    }
    for (name, named) in &file.names {
        let what = format!("secret {name}");
        findings.extend(match (&named.file, &named.environment) {
            (Some(path), _) => Some(match readable(path) {
                Ok(()) => Finding::ok(what, format!("{} can be read", path.display())),
                Err(error) => Finding::fault(what, format!("{}: {error}", path.display()), "see its owner and size"),
            }),
            (None, Some(variable)) => Some(match crate::config::is_set(variable) {
                true => Finding::ok(what, format!("the variable {variable} is set")),
                false => Finding::fault(what, format!("the variable {variable} is not set"), "set it"),
            }),
            (None, None) => None,
        });
    }
    findings
}

fn readable(path: &Path) -> io::Result<()> {
    let size = std::fs::File::open(path)?.metadata()?.len();
    match size <= SECRET_BYTES_MAX {
        true => Ok(()),
        false => Err(io::Error::other(format!("has {size} bytes: expected at most {SECRET_BYTES_MAX}"))),
    }
}
