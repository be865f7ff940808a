//! Whether a task does what a signed check says, and no more.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{
    BastionGroup, CHECK_BYTES_MAX, Check, CheckSignature, Endpoint, Format, FoundTarget, ProbeBody, Targets, Task,
    Timestamp, decode, encode,
};

use crate::fault::Fault;
use crate::verify::{Signers, verify};

/// How much later than the timeout of its check allows a task's deadline may lie: clocks differ.
pub const DEADLINE_SLACK: Duration = Duration::from_secs(60);

/// What is done about targets that a source finds, which no signature covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FoundTargets {
    /// Checks that have a source of targets are refused.
    #[default]
    Refuse,
    /// They run: signed is what is done at each target, and not which targets there are.
    Accept,
}

/// A signed check whose signature is good, as tasks carry it.
#[derive(Debug)]
pub struct Proof {
    check: Check,
    signature: CheckSignature,
    /// The endpoints of a list of addresses.
    endpoints: Option<HashSet<Endpoint>>,
    /// The targets that the check itself lists, by their names.
    listed: Option<HashMap<String, FoundTarget>>,
}

/// Where a task of a check goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aimed {
    /// To where the check says.
    There,
    /// To an address of a name, if that name resolves to it here as well.
    IfResolved {
        /// The name.
        host: String,
        /// The address.
        ip: IpAddr,
    },
}

impl Proof {
    /// The proof of each task of `check`, if that is signed.
    pub fn write(check: &Check) -> Option<Arc<str>> {
        check.signature()?;
        String::from_utf8(encode(check, Format::Json)).ok().map(Arc::from)
    }

    /// Whether tasks of `check` can carry it.
    ///
    /// # Errors
    /// When it is too large.
    pub fn fits(check: &Check) -> Result<(), Fault> {
        match Self::write(check).map_or(0, |text| text.len()) {
            0..=CHECK_BYTES_MAX => Ok(()),
            bytes => Err(Fault::TooLarge { check: check.id().clone(), bytes }),
        }
    }

    /// Reads a proof, which is to be signed by one of `signers` for one of `groups`.
    ///
    /// # Errors
    /// When it cannot be read, or its signature is not good.
    pub fn read(text: &str, signers: &Signers, groups: &[BastionGroup]) -> Result<Self, Fault> {
        let check: Check =
            decode(text.as_bytes(), Format::Json).map_err(|error| Fault::Unreadable(error.to_string()))?;
        let signature = check.signature().ok_or_else(|| Fault::NotSigned { check: check.id().clone() })?;
        let Some(group) = groups.iter().find(|group| **group == signature.group) else {
            let used = groups.iter().map(BastionGroup::as_str).collect::<Vec<_>>().join(", ");
            return Err(Fault::OtherGroup { check: check.id().clone(), signed: signature.group.to_string(), used });
        };
        let signature = verify(&check, group, signers)?.clone();
        let listed = check.probe().and_then(ProbeBody::targets).and_then(|targets| targets.known()).map(|known| {
            let found = watchpost_model::FoundTargets::new(known);
            found.iter().map(|(name, target)| (name.to_owned(), target.clone())).collect()
        });
        let endpoints = check.probe().and_then(|probe| probe.target.static_endpoints());
        let endpoints = endpoints.map(|endpoints| endpoints.into_iter().collect());
        Ok(Self { check, signature, endpoints, listed })
    }

    /// The check.
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// Its signature.
    pub fn signature(&self) -> &CheckSignature {
        &self.signature
    }

    /// Whether a task that is read at `now` does what the check says. `shown` is how labels are shown, some of whose
    /// values may be hidden.
    ///
    /// # Errors
    /// What is different.
    pub fn judge(
        &self,
        task: &Task,
        now: Timestamp,
        found: FoundTargets,
        shown: impl Fn(Endpoint) -> Endpoint,
    ) -> Result<Aimed, Fault> {
        let id = || self.check.id().clone();
        let other = |what: String| Fault::OtherTask { check: id(), what };
        if task.check != *self.check.id() {
            return Err(other(format!("it is a task of the check `{}`", task.check)));
        }
        if self.check.is_paused() {
            return Err(other("the check is signed as paused, and runs for nobody".to_owned()));
        }
        let left = task.deadline.duration_since(now);
        let allowed = self.check.timeout().get() + DEADLINE_SLACK;
        if Duration::try_from(left).is_ok_and(|left| left > allowed) {
            return Err(Fault::LateDeadline { check: id(), deadline: task.deadline });
        }
        let probe = self.check.probe().ok_or_else(|| other("it is a group, which has no tasks".to_owned()))?;
        match probe.targets() {
            None => self.judge_endpoint(task, probe).map_err(other),
            Some(targets) => self.judge_target(task, probe, targets, found, shown),
        }
    }

    fn judge_endpoint(&self, task: &Task, probe: &ProbeBody) -> Result<Aimed, String> {
        same(task, probe)?;
        let endpoint = &task.endpoint;
        if endpoint.source.is_some() || !endpoint.labels.is_empty() {
            return Err("its endpoint has labels or a source, and the check has no `targets`".to_owned());
        }
        let elsewhere = || Err(format!("{} is not an endpoint of the check", described(endpoint)));
        if let Some(endpoints) = &self.endpoints {
            return if endpoints.contains(endpoint) { Ok(Aimed::There) } else { elsewhere() };
        }
        // Every address of a name, which was resolved elsewhere.
        match (&probe.target.host_port, endpoint.address) {
            (Some(host_port), Some(address))
                if address.port() == host_port.port() && *endpoint == Endpoint::at(address) =>
            {
                Ok(Aimed::IfResolved { host: host_port.host().to_owned(), ip: address.ip() })
            }
            _ => elsewhere(),
        }
    }

    fn judge_target(
        &self,
        task: &Task,
        probe: &ProbeBody,
        targets: &Targets,
        found: FoundTargets,
        shown: impl Fn(Endpoint) -> Endpoint,
    ) -> Result<Aimed, Fault> {
        let other = |what: String| Fault::OtherTask { check: self.check.id().clone(), what };
        let name = task.endpoint.name.as_str();
        let target = match (&self.listed, found) {
            (Some(listed), _) => {
                let unlisted = || other(format!("`{name}` is none of the check's targets"));
                listed.get(name).cloned().ok_or_else(unlisted)?
            }
            (None, FoundTargets::Refuse) => return Err(source_refused(&self.check, targets)),
            (None, FoundTargets::Accept) => {
                // Behind it may stand a digest of labels.
                let address = name.split('#').next().unwrap_or(name);
                let labels = task.endpoint.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                FoundTarget::new(address, labels)
            }
        };
        let (body, expected) = probe.aim(name, &target).map_err(|error| other(error.to_string()))?;
        same(task, &body).map_err(other)?;
        let endpoint = Endpoint { source: None, ..task.endpoint.clone() };
        if endpoint != expected && endpoint != shown(expected) {
            return Err(other(format!("{} is not where the check goes for this target", described(&endpoint))));
        }
        Ok(Aimed::There)
    }
}

/// Why a check is refused whose targets come from a source.
pub(crate) fn source_refused(check: &Check, targets: &Targets) -> Fault {
    Fault::FoundTargets { check: check.id().clone(), source_name: targets.name() }
}

impl FoundTargets {
    /// Whether a check may be run as to where its targets come from.
    ///
    /// # Errors
    /// When no signature covers that.
    pub fn judge(self, check: &Check) -> Result<(), Fault> {
        match check.probe().and_then(ProbeBody::targets) {
            Some(targets) if self == Self::Refuse && targets.known().is_none() => Err(source_refused(check, targets)),
            _ => Ok(()),
        }
    }
}

fn same(task: &Task, body: &ProbeBody) -> Result<(), String> {
    if task.probe != body.settings {
        return Err(format!("its settings of {} differ from those of the check", task.check_type()));
    }
    if task.expect != body.expect {
        return Err("it expects something else than the check".to_owned());
    }
    Ok(())
}

fn described(endpoint: &Endpoint) -> String {
    match endpoint.address {
        Some(address) => format!("`{}` at {address}", endpoint.name),
        None => format!("`{}`", endpoint.name),
    }
}
