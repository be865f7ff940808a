//! How a check names its targets.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dns::DnsTargets;
use super::fixed::{self, StaticTarget};
use super::found::FoundTarget;
use super::kubernetes::KubernetesTargets;
use crate::Invalid;
use crate::expect::HeaderName;
use crate::http::{HeaderValue, HttpUrl};
use crate::network::{FilePath, TlsSettings};
use crate::time::{KeepFor, Refresh};

/// The most files, or patterns of files, of one source.
pub const FILES_MAX: usize = 64;
/// The most headers that are sent to a source.
const HEADERS_MAX: usize = 32;
/// How often a source is asked that says nothing else.
const REFRESH_DEFAULT: Duration = Duration::from_secs(30);
/// How often the whole list of a cluster is fetched that says nothing else: between, it tells what changes.
const KUBERNETES_REFRESH_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// How often files are looked at that say nothing else.
const FILE_REFRESH_DEFAULT: Duration = Duration::from_secs(5);
/// How long the last good targets are kept where nothing else is said.
const KEEP_FOR_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// Where the targets of a check come from, and for how long they are good.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "TargetsDocument", into = "TargetsDocument")]
pub struct Targets {
    source: TargetSource,
    refresh: Option<Refresh>,
    keep_for: Option<KeepFor>,
}

/// Where targets come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetSource {
    /// From the check itself.
    Static(Vec<StaticTarget>),
    /// From a name server.
    Dns(DnsTargets),
    /// From files as Prometheus reads them.
    File(FileTargets),
    /// From a server as Prometheus asks it.
    Http(HttpTargets),
    /// From a Kubernetes cluster.
    Kubernetes(KubernetesTargets),
}

impl Targets {
    /// Where they come from.
    pub fn source(&self) -> &TargetSource {
        &self.source
    }

    /// How often the source is asked.
    pub fn refresh(&self) -> Duration {
        self.refresh.map_or_else(|| self.source.refresh_default(), Refresh::get)
    }

    /// How long the last good targets are used while the source gives none.
    pub fn keep_for(&self) -> Duration {
        self.keep_for.map_or(KEEP_FOR_DEFAULT, KeepFor::get)
    }

    /// How sentences and results call the source.
    pub fn name(&self) -> String {
        crate::shorten(&self.source.to_string(), 200).into_owned()
    }

    /// The targets, where they are known without asking anybody.
    pub fn known(&self) -> Option<Vec<FoundTarget>> {
        let TargetSource::Static(list) = &self.source else { return None };
        Some(list.iter().map(StaticTarget::found).collect())
    }
}

impl TargetSource {
    fn refresh_default(&self) -> Duration {
        match self {
            Self::File(_) => FILE_REFRESH_DEFAULT,
            Self::Kubernetes(_) => KUBERNETES_REFRESH_DEFAULT,
            _ => REFRESH_DEFAULT,
        }
    }
}

impl fmt::Display for TargetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(_) => f.write_str("static"),
            Self::Dns(dns) => write!(f, "dns {}", dns.name),
            Self::File(file) => {
                f.write_str("file")?;
                file.files.iter().try_for_each(|path| write!(f, " {path}"))
            }
            Self::Http(http) => write!(f, "http {}", without_query(http.url.as_str())),
            Self::Kubernetes(kubernetes) => {
                write!(f, "kubernetes {}", kubernetes.namespace)?;
                kubernetes.service.iter().try_for_each(|service| write!(f, "/{service}"))?;
                kubernetes.selector.iter().try_for_each(|selector| write!(f, " {selector}"))
            }
        }
    }
}

/// A query may hold a token.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Where the targets of a check come from, as people write it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Targets")]
#[serde(deny_unknown_fields)]
pub struct TargetsDocument {
    /// A list of targets. Exactly one of the sources must be given.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none", deserialize_with = "fixed::list")]
    #[schemars(with = "Option<Vec<StaticTarget>>", length(min = 1, max = 10_000))]
    pub fixed: Option<Vec<StaticTarget>>,
    /// What a name server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsTargets>,
    /// What files have that are written as for Prometheus' `file_sd_configs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTargets>,
    /// What a server answers as to Prometheus' `http_sd_configs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTargets>,
    /// The endpoints of a service in a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesTargets>,
    /// How often the source is asked, `1s` to `24h`; `30s` if left out, of files `5s`. Of a cluster, how often the
    /// whole list is fetched; `5m` if left out, and changes in between are told at once. Not for a static list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// How long the last good targets are used while the source gives none, up to `30d`; `1h` if left out.
    /// Not for a static list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<KeepFor>,
}

impl TryFrom<TargetsDocument> for Targets {
    type Error = Invalid;

    fn try_from(document: TargetsDocument) -> Result<Self, Invalid> {
        let TargetsDocument { fixed, dns, file, http, kubernetes, refresh, keep_for } = document;
        let mut given: Vec<TargetSource> = [
            fixed.map(TargetSource::Static),
            dns.map(TargetSource::Dns),
            file.map(TargetSource::File),
            http.map(TargetSource::Http),
            kubernetes.map(TargetSource::Kubernetes),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (Some(source), true) = (given.pop(), given.is_empty()) else {
            return Err(Invalid::new(
                "expected exactly one of `static`, `dns`, `file`, `http` or `kubernetes` in `targets`",
            ));
        };
        if matches!(source, TargetSource::Static(_)) && (refresh.is_some() || keep_for.is_some()) {
            return Err(Invalid::new("a static list does not change: expected neither `refresh` nor `keep_for`"));
        }
        source.validate().map_err(Invalid::new)?;
        Ok(Self { source, refresh, keep_for })
    }
}

impl From<Targets> for TargetsDocument {
    fn from(targets: Targets) -> Self {
        let Targets { source, refresh, keep_for } = targets;
        let mut document = Self { refresh, keep_for, ..Self::default() };
        match source {
            TargetSource::Static(list) => document.fixed = Some(list),
            TargetSource::Dns(dns) => document.dns = Some(dns),
            TargetSource::File(file) => document.file = Some(file),
            TargetSource::Http(http) => document.http = Some(http),
            TargetSource::Kubernetes(kubernetes) => document.kubernetes = Some(kubernetes),
        }
        document
    }
}

impl schemars::JsonSchema for Targets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        TargetsDocument::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        TargetsDocument::json_schema(generator)
    }
}

impl TargetSource {
    fn validate(&self) -> Result<(), String> {
        match self {
            Self::Static(list) => {
                let mut seen = HashSet::with_capacity(list.len());
                match list.iter().find(|target| !seen.insert(*target)) {
                    Some(twice) => Err(format!("`static` lists {} twice: expected each target once", twice.address)),
                    None => Ok(()),
                }
            }
            Self::Dns(dns) => dns.validate(),
            Self::File(file) => match file.files.len() {
                0 => Err("`files` is empty: expected at least one path".to_owned()),
                n if n > FILES_MAX => Err(format!("`files` has {n} entries: expected at most {FILES_MAX}")),
                _ => Ok(()),
            },
            Self::Http(http) => match http.headers.len() {
                n if n > HEADERS_MAX => Err(format!("`headers` has {n} entries: expected at most {HEADERS_MAX}")),
                _ => Ok(()),
            },
            Self::Kubernetes(kubernetes) => match (&kubernetes.service, &kubernetes.selector) {
                (None, None) => Err("expected `service` or `selector` in `kubernetes`".to_owned()),
                _ => Ok(()),
            },
        }
    }
}

/// Files as Prometheus' `file_sd_configs` reads them, on the machine of the Checker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileTargets {
    /// Paths of JSON or YAML files, 1 to 64; `*` and `?` may stand in the last part of a path.
    #[schemars(length(min = 1, max = 64))]
    pub files: Vec<FilePath>,
}

/// A server as Prometheus' `http_sd_configs` asks it, reached from the Checker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTargets {
    /// What to ask.
    pub url: HttpUrl,
    /// Headers to send, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// How TLS is spoken, where the URL asks for it.
    #[serde(default, skip_serializing_if = "TlsSettings::is_default")]
    pub tls: TlsSettings,
}
