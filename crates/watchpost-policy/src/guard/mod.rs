//! The policy in force, with what must be counted to keep it.

mod entry;
mod rates;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use watchpost_model::CheckType;

use self::entry::Entry;
pub use self::entry::{Entering, Permit};
use self::rates::Rates;
use crate::denied::Denied;
use crate::dial::{Dial, Lookup};
use crate::limits::Limits;
use crate::own::Own;
use crate::policy::Policy;

/// The policy in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Guard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    force: RwLock<Force>,
    rates: Mutex<Rates>,
    entry: Arc<Entry>,
}

#[derive(Debug)]
struct Force {
    policy: Arc<Policy>,
    own: Arc<Own>,
    standing: Standing,
}

/// Which policy is in force, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The file, or what stands in its place.
    pub source: String,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: Option<String>,
    /// Why the file, as it is now, is not the one in force.
    pub broken: Option<String>,
}

impl Guard {
    /// Puts a policy in force, under a name by which people know it: its file.
    pub fn new(policy: Policy, own: Own, source: &str) -> Self {
        let standing = Standing { source: source.to_owned(), sha256: None, broken: None };
        let entry = Entry::new(policy.limits().concurrency);
        let force = Force { policy: Arc::new(policy), own: Arc::new(own), standing };
        let shared = Shared { force: RwLock::new(force), rates: Mutex::default(), entry };
        Self { shared: Arc::new(shared) }
    }

    /// [`Policy::local`], of a bastion that has neither bus nor console.
    pub fn local() -> Self {
        Self::new(Policy::local(), Own::default(), "built in")
    }

    /// The policy in force at this moment.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.shared.force.read().policy)
    }

    /// The addresses of the bastion itself.
    pub fn own(&self) -> Arc<Own> {
        Arc::clone(&self.shared.force.read().own)
    }

    /// Which policy is in force.
    pub fn standing(&self) -> Standing {
        self.shared.force.read().standing.clone()
    }

    /// Puts another policy in force. What is under way goes on; whatever begins from now on is judged by it.
    pub fn replace(&self, policy: Policy, standing: Standing) {
        let limits = policy.limits().clone();
        let before = {
            let mut force = self.shared.force.write();
            force.standing = standing;
            std::mem::replace(&mut force.policy, Arc::new(policy))
        };
        self.shared.rates.lock().change(before.limits(), &limits);
        self.shared.entry.resize(limits.concurrency);
    }

    /// Tells why a newer file is not in force; `None` once the file is as it was again.
    pub fn tell_broken(&self, why: Option<String>) {
        self.shared.force.write().standing.broken = why;
    }

    /// Takes what is known of the bastion's own addresses in place of what was.
    pub fn set_own(&self, own: Own) {
        self.shared.force.write().own = Arc::new(own);
    }

    /// [`Policy::judge_dial`] of the policy in force.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_dial(&self, dial: &Dial<'_>) -> Result<(), Denied> {
        let force = self.shared.force.read();
        force.policy.judge_dial(dial, &force.own)
    }

    /// [`Policy::judge_name`] of the policy in force.
    ///
    /// # Errors
    /// When it is certain that it is not permitted.
    pub fn judge_name(&self, lookup: &Lookup<'_>) -> Result<(), Denied> {
        let force = self.shared.force.read();
        force.policy.judge_name(lookup, &force.own)
    }

    /// [`Policy::judge_behind_proxy`] of the policy in force.
    ///
    /// # Errors
    /// When it is not certain that it is permitted.
    pub fn judge_behind_proxy(&self, lookup: &Lookup<'_>) -> Result<(), Denied> {
        let force = self.shared.force.read();
        force.policy.judge_behind_proxy(lookup, &force.own)
    }

    /// [`Policy::judge_type`] of the policy in force.
    ///
    /// # Errors
    /// When nothing of that type is permitted.
    pub fn judge_type(&self, check_type: CheckType) -> Result<(), Denied> {
        self.policy().judge_type(check_type)
    }

    /// [`Policy::judge_unix`] of the policy in force.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_unix(&self, path: &Path) -> Result<(), Denied> {
        self.policy().judge_unix(path)
    }

    /// [`Policy::judge_file`] of the policy in force.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_file(&self, path: &Path) -> Result<(), Denied> {
        self.policy().judge_file(path)
    }

    /// Takes a place in the rates for one connection or datagram to `endpoint`, and tells how long to wait before it goes
    /// out. Waiting for longer than `patience` is refused, and takes no place.
    ///
    /// # Errors
    /// When a rate of the policy does not permit it within `patience`.
    pub fn admit(&self, endpoint: SocketAddr, now: Instant, patience: Duration) -> Result<Duration, Denied> {
        let is_limited = |limits: &Limits| limits.per_endpoint.is_some() || limits.overall.is_some();
        if !is_limited(self.shared.force.read().policy.limits()) {
            return Ok(Duration::ZERO);
        }
        let mut rates = self.shared.rates.lock();
        // Only now: what is counted by rates that are replaced meanwhile is forgotten with them.
        let policy = self.policy();
        rates.admit(policy.limits(), endpoint, now, patience)
    }

    /// Waits for leave to be under way, as the policy's `concurrency` has it; whoever came first goes first. It is given
    /// back when the permit is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe: whoever stops waiting gives up its place.
    pub fn enter(&self) -> Entering {
        self.shared.entry.enter()
    }

    /// How many hold a permit.
    pub fn under_way(&self) -> u32 {
        self.shared.entry.under_way()
    }
}
