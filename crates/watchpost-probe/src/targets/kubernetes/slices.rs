//! EndpointSlices (`discovery.k8s.io/v1`), and the targets in them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;

use serde::Deserialize;
use watchpost_model::{FoundTarget, KubernetesPort, KubernetesTargets, Reason, ReasonCode, TARGETS_MAX};

use super::super::too_many;

/// The most slices that are kept: each has up to a thousand endpoints.
const SLICES_MAX: usize = 10_000;
/// The label by which a slice names its service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(default)]
    pub(super) items: Option<Vec<Slice>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    /// Where the next page begins; empty on the last one.
    #[serde(rename = "continue")]
    pub(super) goes_on: String,
}

/// One EndpointSlice; of a bookmark only its version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Slice {
    metadata: Meta,
    endpoints: Option<Vec<SliceEndpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SliceEndpoint {
    addresses: Vec<String>,
    conditions: Conditions,
    hostname: Option<String>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    /// Absent means yes.
    ready: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    Set(Slice),
    Deleted(Slice),
    /// Nothing changed up to this version.
    Bookmark(Slice),
}

/// All slices, at one version.
#[derive(Debug, Default)]
pub(super) struct Slices {
    version: String,
    by_name: BTreeMap<String, Slice>,
}

impl Slices {
    /// Adds a page of the list.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, page: Page) -> Result<(), Reason> {
        self.version = page.metadata.resource_version;
        let slices = page.items.unwrap_or_default().into_iter();
        self.by_name.extend(slices.map(|slice| (slice.metadata.name.clone(), slice)));
        match self.by_name.len() {
            n if n > SLICES_MAX => Err(too_many()),
            _ => Ok(()),
        }
    }

    /// Takes a change, and says whether there is one.
    pub(super) fn apply(&mut self, change: Change) -> bool {
        let (Change::Set(slice) | Change::Deleted(slice) | Change::Bookmark(slice)) = &change;
        if !slice.metadata.resource_version.is_empty() {
            self.version.clone_from(&slice.metadata.resource_version);
        }
        match change {
            Change::Set(slice) => {
                // One more than there may be is kept, so that it shows that there are too many.
                if self.by_name.len() <= SLICES_MAX || self.by_name.contains_key(&slice.metadata.name) {
                    self.by_name.insert(slice.metadata.name.clone(), slice);
                }
                true
            }
            Change::Deleted(slice) => self.by_name.remove(&slice.metadata.name).is_some(),
            Change::Bookmark(_) => false,
        }
    }

    /// The version up to which changes are known.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// A number that differs from list to list.
    pub(super) fn fingerprint(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.version.as_bytes());
        (hasher.finish() >> 32) as u32
    }

    /// The targets that the settings ask for. While slices are rearranged an endpoint may be in two of them: it
    /// counts once.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn targets(&self, settings: &KubernetesTargets) -> Result<Vec<FoundTarget>, Reason> {
        if self.by_name.len() > SLICES_MAX {
            return Err(too_many());
        }
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for slice in self.by_name.values() {
            for endpoint in slice.endpoints.iter().flatten() {
                if endpoint.conditions.ready == Some(false) && !settings.not_ready {
                    continue;
                }
                for port in slice.ports.iter().flatten().filter(|port| port.is_asked_for(settings.port.as_ref())) {
                    for address in &endpoint.addresses {
                        let Some(address) = port.at(address) else { continue };
                        if seen.insert(address.clone()) {
                            let labels = labels(settings, slice, endpoint, port);
                            found.push(FoundTarget::new(&address, labels));
                        }
                        if found.len() > TARGETS_MAX {
                            return Err(too_many());
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Port {
    fn is_asked_for(&self, asked: Option<&KubernetesPort>) -> bool {
        match asked {
            None => true,
            Some(KubernetesPort::Number(number)) => self.port == Some(*number),
            Some(KubernetesPort::Name(name)) => self.name.as_deref() == Some(name),
        }
    }

    fn at(&self, address: &str) -> Option<String> {
        let port = self.port?;
        match address.parse::<IpAddr>() {
            Ok(ip) => Some(std::net::SocketAddr::new(ip, port).to_string()),
            Err(_) => Some(format!("{address}:{port}")),
        }
    }
}

/// The labels that Prometheus gives an endpoint of a slice, as far as a slice tells them.
fn labels(
    settings: &KubernetesTargets,
    slice: &Slice,
    endpoint: &SliceEndpoint,
    port: &Port,
) -> impl Iterator<Item = (String, String)> + use<> {
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    let target = endpoint.target_ref.as_ref();
    let ready = endpoint.conditions.ready.unwrap_or(true).to_string();
    let labels = [
        ("namespace", Some(settings.namespace.to_string())),
        ("service_name", service.cloned()),
        ("endpointslice_name", Some(slice.metadata.name.clone())),
        ("endpointslice_port", port.port.map(|port| port.to_string())),
        ("endpointslice_port_name", port.name.clone()),
        ("endpointslice_port_protocol", port.protocol.clone()),
        ("endpointslice_endpoint_conditions_ready", Some(ready)),
        ("endpointslice_endpoint_hostname", endpoint.hostname.clone()),
        ("endpointslice_endpoint_node_name", endpoint.node_name.clone()),
        ("endpointslice_endpoint_zone", endpoint.zone.clone()),
        ("endpointslice_address_target_kind", target.and_then(|target| target.kind.clone())),
        ("endpointslice_address_target_name", target.and_then(|target| target.name.clone())),
    ];
    labels.into_iter().filter_map(|(name, value)| Some((format!("__meta_kubernetes_{name}"), value?)))
}

/// What the server says where it does not do what it was asked (`v1.Status`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) code: u16,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

impl Line {
    /// What it tells: a change, or why there will be none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(line: &[u8]) -> Result<Result<Change, Status>, Reason> {
        let wrong = |why: String| {
            Reason::new(ReasonCode::ProtocolError, format!("the API server told a change that cannot be read: {why}"))
        };
        let Self { kind, object } = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
        if kind == "ERROR" {
            return Ok(Err(serde_json::from_value(object).unwrap_or_default()));
        }
        let slice: Slice = serde_json::from_value(object).map_err(|e| wrong(e.to_string()))?;
        match kind.as_str() {
            "ADDED" | "MODIFIED" => Ok(Ok(Change::Set(slice))),
            "DELETED" => Ok(Ok(Change::Deleted(slice))),
            "BOOKMARK" => Ok(Ok(Change::Bookmark(slice))),
            other => Err(wrong(format!("there is no type `{}`", watchpost_model::shorten(other, 40)))),
        }
    }
}
