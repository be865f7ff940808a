//! Targets that a job lists: `static_configs`.

use std::collections::{BTreeMap, HashSet};

use url::Url;
use watchpost_model::{CheckType, HostPort, Labels, TARGETS_MAX};

use super::relabel::{self, LabelMap};
use super::{Job, MODULE_DEFAULT, Modules};
use crate::blackbox::Module;
use crate::draft::{Draft, Import};
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out};
use crate::written::{with_port, without_login};

/// Echo requests know no ports, and targets have one: that of the service `echo`.
const ECHO_PORT: u16 = 7;

/// A target, relabelled.
struct Listed {
    place: Place,
    /// What the exporter is asked for.
    target: String,
    labels: LabelMap,
}

pub(super) fn import(keys: &Keys<'_>, job: &Job, modules: &mut Modules, import: &mut Import) {
    let mut by_module: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    let (mut count, mut dropped) = (0, 0);
    for (place, node) in keys.list("static_configs") {
        let group = Keys::of(node, place, &mut import.notes);
        let own = group.map("labels", &mut import.notes).pairs(&mut import.notes);
        let own: Vec<(String, String)> = own.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect();
        for (place, address) in group.texts("targets", &mut import.notes) {
            count += 1;
            if count > TARGETS_MAX {
                continue;
            }
            let mut labels = job.labels.clone();
            labels.extend(own.iter().cloned());
            labels.insert("__address__".to_owned(), address);
            let Some(labels) = relabel::applied(&job.rules, &labels) else {
                dropped += 1;
                continue;
            };
            let Some(target) = labels.get("__param_target").cloned() else {
                let why = "no rule makes a `__param_target` of it, so that the exporter would not know what to check";
                import.notes.not_translated(&place, why);
                continue;
            };
            let module = labels.get("__param_module").map_or(MODULE_DEFAULT, String::as_str).to_owned();
            by_module.entry(module).or_default().push(Listed { place, target, labels: kept(labels, job) });
        }
        group.finish(&mut import.notes);
    }
    let place = keys.place_of("static_configs");
    if count > TARGETS_MAX {
        let why =
            format!("there are {count} targets, of which the first {TARGETS_MAX} are checked: move them to files");
        import.notes.not_translated(&place, why);
    }
    if dropped > 0 {
        import.notes.note(&place, format!("`relabel_configs` drop {dropped} of the targets, as there"));
    }
    for (name, targets) in by_module {
        if let Some(module) = job.module(&name, modules, &mut import.notes) {
            add(job, &module, targets, import);
        }
    }
}

/// The labels that a series would have, apart from the job's name, which is in the id.
fn kept(labels: LabelMap, job: &Job) -> LabelMap {
    labels
        .into_iter()
        .filter(|(name, value)| !(name.starts_with("__") || (name == "job" && *value == job.name)))
        .collect()
}

fn add(job: &Job, module: &Module, targets: Vec<Listed>, import: &mut Import) {
    let names = [job.name.as_str(), module.name.as_str()];
    let scheduled = |mut draft: Draft| {
        draft.interval = Some(job.interval);
        draft.timeout = job.timeout(module);
        draft
    };
    if module.check_type == CheckType::Unix {
        for listed in targets {
            if !listed.labels.is_empty() {
                import.notes.not_translated(&listed.place, "a check of one socket has no labels");
            }
            let path = listed.target.strip_prefix("unix://").unwrap_or(&listed.target);
            let names = [names[0], names[1], path];
            import.add(scheduled(module.draft(listed.place.clone(), &names, path)));
        }
        return;
    }
    let mut found: Vec<Found> = Vec::new();
    for listed in targets {
        found.extend(Found::of(listed, module, &mut import.notes));
    }
    if found.is_empty() {
        import.notes.not_translated(&job.place, format!("there is no target for the module `{}`", module.name));
        return;
    }
    let place = job.place.clone();
    if let [only] = found.as_slice()
        && only.labels.iter().all(|(name, value)| name == "instance" && *value == only.target)
    {
        import.add(scheduled(module.draft(place, &names, &only.whole)));
        return;
    }
    let (template, label) = template(module, &found);
    let mut draft = scheduled(module.draft(place, &names, &template));
    let mut targets = Fields::default();
    targets.set("static", entries(&found, label.as_deref(), &mut import.notes));
    draft.targets = Some(targets);
    import.add(draft);
}

/// A target as ours are: an address with its labels, and the whole of what is checked there.
struct Found {
    place: Place,
    target: String,
    address: String,
    /// The URL, host, or host and port.
    whole: String,
    labels: LabelMap,
}

impl Found {
    fn of(listed: Listed, module: &Module, notes: &mut Notes) -> Option<Self> {
        let Listed { place, target, mut labels } = listed;
        let parts = match module.check_type {
            CheckType::Http => of_url(&target),
            CheckType::Icmp => Ok((with_port(&target, ECHO_PORT), target.clone())),
            CheckType::Dns => Ok((with_port(&target, 53), target.clone())),
            _ => Ok((target.clone(), target.clone())),
        };
        let checked = parts.and_then(|(address, whole)| match address.parse::<HostPort>() {
            Ok(_) => Ok((address, whole)),
            Err(why) => Err(why.to_string()),
        });
        let (address, whole) = match checked {
            Ok(parts) => parts,
            Err(why) => {
                notes.not_translated(&place, format!("this is no target here: {why}"));
                return None;
            }
        };
        labels.retain(|name, value| match Labels::new([(name.clone(), value.clone())]) {
            Ok(_) => true,
            Err(why) => {
                notes.not_translated(&place, format!("a label is left out: {why}"));
                false
            }
        });
        Some(Self { place, target, address, whole, labels })
    }
}

/// Host and port of a URL, and the URL, as the exporter reads it: without a scheme it is `http`.
fn of_url(target: &str) -> Result<(String, String), String> {
    let has_scheme = target.starts_with("http://") || target.starts_with("https://");
    let whole = if has_scheme { target.to_owned() } else { format!("http://{target}") };
    if without_login(&whole).1.is_some() {
        return Err(
            "its URL carries a user and a password, which the labels of results would show: give it a check of \
                    its own, with `auth`"
                .to_owned(),
        );
    }
    let url = Url::parse(&whole).map_err(|why| format!("it is no URL ({why})"))?;
    let host = url.host_str().unwrap_or_default();
    Ok((format!("{host}:{}", url.port_or_known_default().unwrap_or(80)), whole))
}

/// What stands in the check in place of each target, and the label that is to hold it where one is needed.
fn template(module: &Module, found: &[Found]) -> (String, Option<String>) {
    match module.check_type {
        CheckType::Icmp => return ("{{target.host}}".to_owned(), None),
        CheckType::Http => {}
        _ => return ("{{target.address}}".to_owned(), None),
    }
    // Where the URLs differ in host and port only, these are enough.
    let around = |found: &Found| {
        let (scheme, rest) = found.whole.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Some((scheme.to_owned(), rest[end..].to_owned()))
    };
    let first = found.first().and_then(around);
    if let Some((scheme, path)) = &first
        && !path.contains("{{")
        && found.iter().all(|found| around(found) == first)
    {
        return (format!("{scheme}://{{{{target.address}}}}{path}"), None);
    }
    let holds = |name: &str| found.iter().all(|found| found.labels.get(name) == Some(&found.whole));
    let free = |name: &str| found.iter().all(|found| !found.labels.contains_key(name));
    let label = match ["instance", "url"].into_iter().find(|name| holds(name)) {
        Some(label) => return (format!("{{{{target.labels.{label} | raw}}}}"), None),
        None => (0..).map(|i| if i == 0 { "url".to_owned() } else { format!("url_{i}") }).find(|name| free(name)),
    };
    let label = label.unwrap_or_default();
    (format!("{{{{target.labels.{label} | raw}}}}"), Some(label))
}

fn entries(found: &[Found], label: Option<&str>, notes: &mut Notes) -> Vec<Out> {
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    for found in found {
        let mut labels = Fields::default();
        if let Some(label) = label {
            labels.set(label, found.whole.as_str());
        }
        for (name, value) in &found.labels {
            labels.set(name, value.as_str());
        }
        if !seen.insert((&found.address, &found.labels, &found.whole)) {
            notes.note(&found.place, "this target is there twice, and is checked once");
            continue;
        }
        let mut entry = Fields::default();
        entry.set("address", found.address.as_str());
        let bare = labels.is_empty();
        entry.set_map("labels", labels);
        entries.push(if bare { found.address.as_str().into() } else { Out::Map(entry) });
    }
    entries
}
