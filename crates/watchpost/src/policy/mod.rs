//! The policy that this process keeps to: where it comes from, and putting it in force anew when its file changes.

mod own;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use watchpost_agent::Fingerprint;
use watchpost_audit::{AuditEvent, AuditLog};
use watchpost_policy::{Guard, Own, Policy, Standing};

pub use own::OwnPlaces;

use crate::config::{self, LoadedPolicy};
use crate::failure::Failure;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is in force where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// [`Policy::strict`]: checks come over a bus.
    Strict,
    /// [`Policy::local`]: whoever wrote the checks sits at this machine.
    Local,
}

impl BuiltIn {
    /// The policy.
    pub fn policy(self) -> Policy {
        match self {
            Self::Strict => Policy::strict(),
            Self::Local => Policy::local(),
        }
    }

    /// How people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "built in: strict",
            Self::Local => "built in: local",
        }
    }
}

/// A policy as it is at the start, and its file if it has one.
#[derive(Debug)]
pub struct Chosen {
    /// What it permits.
    pub policy: Policy,
    /// Which it is.
    pub standing: Standing,
    file: Option<PathBuf>,
    fingerprint: Option<Fingerprint>,
}

/// Reads the policy file, or takes what is built in where there is none.
///
/// # Errors
/// What is wrong with the file.
pub fn choose(file: Option<&Path>, otherwise: BuiltIn) -> Result<Chosen, Failure> {
    let Some(file) = file else {
        let standing = Standing { source: otherwise.name().to_owned(), sha256: None, broken: None };
        return Ok(Chosen { policy: otherwise.policy(), standing, file: None, fingerprint: None });
    };
    // Looked at before it is read: a change in between is seen as one later.
    let fingerprint = config::fingerprint(file);
    let (policy, standing) = read(file).map_err(Failure::usage)?;
    Ok(Chosen { policy, standing, file: Some(file.to_owned()), fingerprint })
}

fn read(file: &Path) -> Result<(Policy, Standing), String> {
    let LoadedPolicy { policy, sha256, warnings } = config::load_policy(file).map_err(|e| e.to_string())?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok((policy, Standing { source: file.display().to_string(), sha256: Some(sha256), broken: None }))
}

impl Chosen {
    /// Puts it in force.
    pub fn guard(&self) -> Guard {
        let guard = Guard::new(self.policy.clone(), Own::default(), &self.standing.source);
        guard.replace(self.policy.clone(), self.standing.clone());
        guard
    }

    /// Puts it in force where this process has a bus and a console.
    pub async fn begin(self, mut own: OwnPlaces) -> Kept {
        let guard = self.guard();
        own.look_up().await;
        guard.set_own(own.own());
        Kept { guard, own, file: self.file, fingerprint: self.fingerprint }
    }
}

/// A policy in force, and what it is to be kept up with.
pub struct Kept {
    guard: Guard,
    own: OwnPlaces,
    file: Option<PathBuf>,
    fingerprint: Option<Fingerprint>,
}

impl Kept {
    /// Whom to ask.
    pub fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// Says which policy is in force, and keeps up with its file and with where the bus is for as long as the process
    /// lives.
    pub fn keep(self, audit: AuditLog, reload: Arc<Notify>) {
        tell_loaded(&self.guard.standing(), &audit);
        tokio::spawn(self.own.keep(self.guard.clone()));
        if let Some(file) = self.file {
            tokio::spawn(follow(file, self.fingerprint, self.guard, audit, reload));
        }
    }
}

/// Puts what the file says in force each time that it changes, or when `reload` is notified. A file that is broken leaves
/// the last good one in force. Runs until it is dropped.
async fn follow(file: PathBuf, mut last: Option<Fingerprint>, guard: Guard, audit: AuditLog, reload: Arc<Notify>) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = looks.tick() => false,
            () = reload.notified() => true,
        };
        let seen = config::fingerprint(&file);
        if seen == last && !asked {
            continue;
        }
        last = seen;
        let reading = file.clone();
        // Reading may take as long as a network file system likes.
        let read = tokio::task::spawn_blocking(move || read(&reading)).await;
        match read.unwrap_or_else(|_| Err("reading it panicked".to_owned())) {
            Ok((policy, standing)) => {
                let is_other = guard.standing() != standing;
                guard.replace(policy, standing.clone());
                if is_other {
                    tell_loaded(&standing, &audit);
                }
            }
            Err(why) => tell_broken(&guard, &file, &why, &audit),
        }
    }
}

fn tell_loaded(standing: &Standing, audit: &AuditLog) {
    tracing::info!(policy = standing.source, sha256 = standing.sha256, "the policy is in force");
    audit.record(AuditEvent::PolicyLoaded { policy: standing.source.clone(), sha256: standing.sha256.clone() });
}

fn tell_broken(guard: &Guard, file: &Path, why: &str, audit: &AuditLog) {
    if guard.standing().broken.as_deref() == Some(why) {
        return;
    }
    guard.tell_broken(Some(why.to_owned()));
    tracing::error!("the policy is broken, the last good one stays in force: {why}");
    audit.record(AuditEvent::PolicyBroken { policy: file.display().to_string(), why: why.to_owned() });
}
