//! A valid check.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::codec;
use crate::document::CheckDocument;
use crate::expect::Expect;
use crate::group::{GroupRules, Overlap};
use crate::id::CheckId;
use crate::network::{FilePath, PEM_BEGIN};
use crate::probe::{CheckType, ProbeSettings};
use crate::secrets;
use crate::signature::CheckSignature;
use crate::target::{Addresses, Endpoint, Target};
use crate::targets::{FoundTarget, Targets, TargetsDocument};
use crate::template::{Places, texts_of_type};
use crate::time::{Interval, Timeout};

/// The largest check on the wire, in bytes.
pub const CHECK_BYTES_MAX: usize = 512 * 1024;

/// A valid check. Made from a [`CheckDocument`], which is also its form in files and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CheckDocument", into = "CheckDocument")]
pub struct Check {
    pub(crate) id: CheckId,
    pub(crate) interval: Interval,
    pub(crate) timeout: Timeout,
    pub(crate) scheduled: bool,
    pub(crate) paused: bool,
    pub(crate) overlap: Overlap,
    pub(crate) rules: GroupRules,
    pub(crate) body: CheckBody,
    pub(crate) signature: Option<Arc<CheckSignature>>,
}

/// What a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckBody {
    /// It probes the endpoints of a target.
    Probe(ProbeBody),
    /// It runs other checks, which may be groups.
    Group {
        /// These: at least one, each once. Whether they exist is for [`validate_set`](crate::validate_set) to say.
        members: Vec<CheckId>,
    },
}

/// A check that probes the endpoints of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeBody {
    /// What it points at.
    pub target: Target,
    /// What it does. Shared with the tasks that are made of it.
    pub settings: Arc<ProbeSettings>,
    /// What it expects. Shared with the tasks that are made of it.
    pub expect: Arc<Expect>,
    /// Where its targets come from, if the rest is a template to be filled in for each of them.
    pub(crate) templated: Option<Templated>,
}

/// A check of many targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Templated {
    pub(crate) targets: Arc<Targets>,
    pub(crate) places: Arc<Places>,
}

impl ProbeBody {
    /// Its type, which decides the pool.
    pub fn check_type(&self) -> CheckType {
        self.settings.check_type()
    }

    /// What to call the target in results: the URL, or host and port.
    pub fn target_name(&self) -> String {
        self.settings.target_name()
    }

    /// Where its targets come from. If it has any, nothing may be done with its settings and expectations as they
    /// are: [`ProbeBody::aim`] fills them in.
    pub fn targets(&self) -> Option<&Arc<Targets>> {
        self.templated.as_ref().map(|templated| &templated.targets)
    }

    /// How the target as a whole is called where it stands for its endpoints.
    pub fn endpoint_name(&self) -> String {
        self.targets().map_or_else(|| self.target.endpoint_name(), |targets| targets.name())
    }

    /// What is done about one of its targets, and at which endpoint, which is called `name`.
    ///
    /// # Errors
    /// What cannot be filled in, or is not valid once it is, and with which labels.
    pub fn aim(&self, name: &str, target: &FoundTarget) -> Result<(Self, Endpoint), Invalid> {
        if let Some(fault) = target.fault() {
            return Err(Invalid::new(fault));
        }
        let (settings, expect) = match &self.templated {
            Some(templated) => templated.places.fill(target)?,
            None => (ProbeSettings::clone(&self.settings), Expect::clone(&self.expect)),
        };
        crate::document::validate_size(&settings, &expect)?;
        let whole = Target { name: settings.target_name(), host_port: settings.host_port(), addresses: Addresses::Any };
        // Where a name is to be resolved, the Runner does so.
        let address = whole.static_endpoints().and_then(|endpoints| endpoints.first()?.address);
        let endpoint = Endpoint { address, labels: target.labels().clone(), ..Endpoint::named(name) };
        let body = Self { target: whole, settings: Arc::new(settings), expect: Arc::new(expect), templated: None };
        Ok((body, endpoint))
    }
}

impl Check {
    /// The check's name.
    pub fn id(&self) -> &CheckId {
        &self.id
    }

    /// The time from one scheduled run to the next.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// How long one of its tasks may take; of a group, how long a run of all its members may.
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// Whether it runs by itself at its interval. Where not, it runs as a member of a group or when
    /// somebody asks for it.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled
    }

    /// Whether it is paused: it does not run by itself, whatever its schedule, and groups leave it out.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it runs by itself at present.
    pub fn has_timer(&self) -> bool {
        self.scheduled && !self.paused
    }

    /// What happens when a run is due while the previous one is still going.
    pub fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// How the outcomes of its endpoints, or of its members, make one verdict.
    pub fn rules(&self) -> &GroupRules {
        &self.rules
    }

    /// What it is about.
    pub fn body(&self) -> &CheckBody {
        &self.body
    }

    /// Its signature, good or not, if it has one.
    pub fn signature(&self) -> Option<&CheckSignature> {
        self.signature.as_deref()
    }

    /// What it probes; `None` for a group.
    pub fn probe(&self) -> Option<&ProbeBody> {
        match &self.body {
            CheckBody::Probe(probe) => Some(probe),
            CheckBody::Group { .. } => None,
        }
    }

    /// The checks that it is made of; `None` unless it is a group.
    pub fn group(&self) -> Option<&[CheckId]> {
        match &self.body {
            CheckBody::Probe(_) => None,
            CheckBody::Group { members } => Some(members),
        }
    }

    /// Its type; `None` for a group, which has no pool and no tasks of its own.
    pub fn check_type(&self) -> Option<CheckType> {
        self.probe().map(ProbeBody::check_type)
    }

    /// The files that it names, on the machines that run it: bodies, certificates, keys, and where its targets come from,
    /// which may be a pattern. What a secret stands for is none.
    pub fn files(&self) -> Vec<FilePath> {
        let Some(probe) = self.probe() else { return Vec::new() };
        let source = probe.targets().map(|targets| TargetsDocument::from(Targets::clone(targets)));
        let names = ["FilePath", "PemText"];
        let of_source = source.iter().flat_map(|source| texts_of_type(source, &names));
        let texts = texts_of_type(&*probe.settings, &names).into_iter().chain(of_source);
        let paths = texts.filter(|text| !text.contains(PEM_BEGIN) && !secrets::mentions(text));
        paths.filter_map(|text| text.parse().ok()).collect()
    }

    /// What to call what it checks: the URL, host and port, or the group's own id.
    pub fn target_name(&self) -> String {
        self.probe().map_or_else(|| self.id.to_string(), ProbeBody::target_name)
    }
}

impl codec::Message for Check {
    const NAME: &'static str = "check";
    const BYTES_MAX: usize = CHECK_BYTES_MAX;
}
