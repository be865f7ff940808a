//! Whom this process trusts: which checks it takes, and which tasks it runs, where it asks for signatures.
//!
//! One for each process. The store asks it before a check comes into force, the Runner before a task is run, and the
//! control service before somebody's own check is tested.
//!
//! Invariants:
//! - A revision that was seen is remembered before any other revision of the check is judged.
//! - A task is run if this process's own Checker sent this very task, or if it carries a signed check that says what
//!   the task does. Nothing that stands on the bus alone makes a Runner connect anywhere.

mod file;
mod proofs;
mod sent;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use watchpost_audit::{AuditEvent, AuditLog};
use watchpost_model::{
    BastionGroup, Check, CheckId, CheckSignature, Reason, ReasonCode, Refusal, RefusalCode, Task, TaskClass, Timestamp,
};
use watchpost_probe::{Resolver, TargetFinder};
use watchpost_trust::{Aimed, Fault, Proof, Revisions, verify};

use crate::clock::{Clock, earlier};
use file::RevisionsFile;
use proofs::Proofs;
use sent::Sent;
pub use settings::TrustSettings;

/// The shortest time from one write of the revisions to the next.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Whom this process trusts, and what it has seen of them.
pub(crate) struct Trust {
    settings: TrustSettings,
    /// The bastion's groups, its own first.
    groups: Vec<BastionGroup>,
    /// Whether a Checker in this process tells which revisions are in force.
    has_store: bool,
    revisions: Mutex<Revisions>,
    proofs: Mutex<Proofs>,
    sent: Mutex<Sent>,
    file: Option<RevisionsFile>,
    changed: Notify,
    clock: Arc<dyn Clock>,
    audit: AuditLog,
    resolver: Resolver,
    finder: TargetFinder,
}

/// What it works with.
pub(crate) struct TrustContext {
    pub(crate) groups: Vec<BastionGroup>,
    pub(crate) has_store: bool,
    /// Where revisions are kept; without one they are forgotten when the process ends.
    pub(crate) file: Option<std::path::PathBuf>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: AuditLog,
    pub(crate) resolver: Resolver,
    pub(crate) finder: TargetFinder,
}

impl Trust {
    /// Reads what an earlier process has seen.
    ///
    /// # Errors
    /// When the place for it cannot be used. What was written there and is damaged is put aside and told.
    pub(crate) fn open(settings: TrustSettings, cx: TrustContext) -> std::io::Result<Self> {
        let TrustContext { groups, has_store, file, clock, audit, resolver, finder } = cx;
        let file = file.map(RevisionsFile::open).transpose()?;
        let mut revisions = file.as_ref().map_or_else(Revisions::default, RevisionsFile::read);
        if file.is_none() {
            tracing::warn!(
                "no state directory is given: an old revision of a signed check is noticed only until this process ends"
            );
        }
        let forgotten = revisions.forget_others(&settings.signers);
        if forgotten > 0 {
            tracing::warn!(forgotten, "revisions are forgotten whose signers are not trusted any more");
        }
        let signers = settings.signers.keys().count();
        tracing::info!(signers, known = revisions.len(), "only signed checks of the store are run");
        Ok(Self {
            settings,
            groups,
            has_store,
            revisions: Mutex::new(revisions),
            proofs: Mutex::default(),
            sent: Mutex::default(),
            file,
            changed: Notify::new(),
            clock,
            audit,
            resolver,
            finder,
        })
    }

    /// Whether a check of the store may come into force, whose revision is remembered if so.
    pub(crate) fn admit(&self, group: &BastionGroup, check: &Check) -> Result<(), Refusal> {
        let signature = self.would_admit(group, check)?;
        if self.revisions.lock().note(check.id(), signature) {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Whether a check of the store would be let in, as things stand.
    pub(crate) fn would_admit<'a>(
        &self,
        group: &BastionGroup,
        check: &'a Check,
    ) -> Result<&'a CheckSignature, Refusal> {
        let signature = self.verify(group, check)?;
        Proof::fits(check).map_err(|fault| refusal(&fault))?;
        self.revisions.lock().judge(check.id(), signature).map_err(|fault| refusal(&fault))?;
        Ok(signature)
    }

    /// Whether the signature is good of a check that was let in before.
    pub(crate) fn verify<'a>(&self, group: &BastionGroup, check: &'a Check) -> Result<&'a CheckSignature, Refusal> {
        let verified = verify(check, group, &self.settings.signers);
        let judged = verified.and_then(|signature| self.settings.found_targets.judge(check).map(|()| signature));
        judged.map_err(|fault| refusal(&fault))
    }

    /// Whether somebody's own check may be tested: for the group that it is signed for, if it is one of the bastion's.
    pub(crate) fn judge_test(&self, check: &Check) -> Result<(), Refusal> {
        let signed = check.signature().map(|signature| &signature.group);
        let group = signed.filter(|group| self.groups.contains(group)).or_else(|| self.groups.first());
        match group {
            Some(group) => self.would_admit(group, check).map(|_| ()),
            None => Err(refusal(&Fault::NotSigned { check: check.id().clone() })),
        }
    }

    /// A check of the store came into force.
    pub(crate) fn note_in_force(&self, check: &Check) {
        let Some(signature) = check.signature() else { return };
        if self.revisions.lock().note_in_force(check.id(), signature) {
            self.changed.notify_one();
        }
    }

    /// A check of the store was deleted.
    pub(crate) fn note_deleted(&self, group: &BastionGroup, check: &CheckId) {
        if self.revisions.lock().note_deleted(group, check) {
            self.changed.notify_one();
        }
    }

    /// What was signed before this is old; `None` where nothing becomes old.
    pub(crate) fn old_before(&self) -> Option<Timestamp> {
        self.settings.max_age.map(|age| earlier(self.clock.now(), age))
    }

    /// The Checker of this process sends this task.
    pub(crate) fn note_sent(&self, task: &Task) {
        self.sent.lock().note(self.clock.tick(), self.clock.tick_at(task.answer_by), task);
    }

    /// Whether a task that came over the bus may be run, and where it goes. A refusal is written down.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn judge_task(&self, task: &Task) -> Result<Aimed, Reason> {
        if self.sent.lock().has(self.clock.tick(), task) {
            return Ok(Aimed::There);
        }
        self.judge_proof(task).map_err(|fault| self.refuse_task(task, &fault.to_string(), code_of(&fault)))
    }

    /// Whether the name of a check resolves here to the address that a task is for.
    ///
    /// # Errors
    /// When it does not, or not within `limit`.
    pub(crate) async fn judge_address(
        &self,
        task: &Task,
        host: &str,
        ip: std::net::IpAddr,
        limit: Duration,
    ) -> Result<(), Reason> {
        let resolved = tokio::time::timeout(limit, self.resolver.lookup(host)).await;
        let found = match resolved {
            Ok(Ok(ips)) if ips.contains(&ip) => return Ok(()),
            Ok(Ok(ips)) => format!("it resolves to {} other addresses", ips.len()),
            Ok(Err(error)) => error.reason().message,
            Err(_) => format!("no name server answered within {limit:.1?}"),
        };
        let why = format!("the signed check names `{host}`, which is not at {ip} as seen from this Runner: {found}");
        Err(self.refuse_task(task, &why, ReasonCode::SignatureInvalid))
    }

    fn judge_proof(&self, task: &Task) -> Result<Aimed, Fault> {
        let text = task.proof.as_ref().ok_or_else(|| Fault::NotSigned { check: task.check.clone() })?;
        let known = self.proofs.lock().get(text);
        let proof = match known {
            Some(proof) => proof,
            None => {
                let proof = Arc::new(Proof::read(text, &self.settings.signers, &self.groups)?);
                self.proofs.lock().insert(text, &proof);
                proof
            }
        };
        let (check, signature) = (proof.check().id(), proof.signature());
        self.revisions.lock().judge_task(check, signature)?;
        let found = self.settings.found_targets;
        let aimed = proof.judge(task, self.clock.now(), found, |endpoint| self.finder.shown(endpoint))?;
        // What somebody tests may never come into force.
        let is_in_force = !self.has_store && task.class == TaskClass::Scheduled;
        if is_in_force && self.revisions.lock().note_task(check, signature) {
            self.changed.notify_one();
        }
        Ok(aimed)
    }

    fn refuse_task(&self, task: &Task, why: &str, code: ReasonCode) -> Reason {
        tracing::warn!(task = %task.task, check = %task.check, reason = %code, "a task is refused: {why}");
        self.audit.record(AuditEvent::TaskRefused {
            check: task.check.clone(),
            task: task.task,
            code: code.to_string(),
            why: why.to_owned(),
        });
        Reason::new(code, why)
    }

    /// Keeps the revisions on disk, soon after they changed, for as long as it is polled.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            self.write().await;
            tokio::time::sleep(KEEP_EVERY).await;
        }
    }

    /// Puts the revisions on the disk, if there is one to keep them.
    pub(crate) async fn write(self: &Arc<Self>) {
        let trust = Arc::clone(self);
        let write = move || match &trust.file {
            Some(file) => file.write(|| trust.revisions.lock().to_bytes()),
            None => true,
        };
        let written = tokio::task::spawn_blocking(write).await;
        if !written.is_ok_and(|written| written) {
            // Tried again at the next turn.
            self.changed.notify_one();
        }
    }
}

fn refusal(fault: &Fault) -> Refusal {
    let code = match fault {
        Fault::NotSigned { .. } | Fault::FoundTargets { .. } => RefusalCode::NotSigned,
        Fault::Older { .. } | Fault::Deleted { .. } | Fault::Twice { .. } => RefusalCode::RolledBack,
        Fault::TooMany { .. } => RefusalCode::TooMany,
        Fault::TooLarge { .. } => RefusalCode::Invalid,
        Fault::UnknownSigner { .. }
        | Fault::OtherGroup { .. }
        | Fault::Broken { .. }
        | Fault::Unreadable(_)
        | Fault::OtherTask { .. }
        | Fault::LateDeadline { .. } => RefusalCode::SignatureInvalid,
    };
    Refusal::new(code, &fault.to_string())
}

fn code_of(fault: &Fault) -> ReasonCode {
    match fault {
        Fault::NotSigned { .. } => ReasonCode::NotSigned,
        _ => ReasonCode::SignatureInvalid,
    }
}
