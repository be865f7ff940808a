//! Targets that a source knows: `file_sd_configs`, `http_sd_configs`, `dns_sd_configs`.

use watchpost_model::CheckType;

use super::relabel::{self, LabelMap};
use super::{Job, MODULE_DEFAULT, Modules, time};
use crate::blackbox::{Login, Module, login};
use crate::draft::Import;
use crate::duration;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out};

const ADDRESS: &str = "{{target.address}}";

pub(super) fn import(keys: &Keys<'_>, job: &Job, modules: &mut Modules, import: &mut Import) {
    for (key, word) in [("file_sd_configs", "file"), ("http_sd_configs", "http"), ("dns_sd_configs", "dns")] {
        for (place, node) in keys.list(key) {
            let source = Keys::of(node, place.clone(), &mut import.notes);
            let sources = match word {
                "file" => file(&source, &mut import.notes),
                "http" => http(&source, &mut import.notes),
                _ => dns(&source, &mut import.notes),
            };
            source.finish(&mut import.notes);
            for targets in sources {
                add(&place, word, targets, job, modules, import);
            }
        }
    }
}

fn add(place: &Place, word: &str, targets: Fields, job: &Job, modules: &mut Modules, import: &mut Import) {
    let notes = &mut import.notes;
    let mut labels = job.labels.clone();
    labels.insert("__address__".to_owned(), ADDRESS.to_owned());
    let labels = relabel::applied_to_places(&job.rules, &labels, notes);
    let Some(target) = labels.get("__param_target") else {
        notes
            .not_translated(place, "no rule makes a `__param_target` of its targets, so that nothing would be checked");
        return;
    };
    let name = labels.get("__param_module").map_or(MODULE_DEFAULT, String::as_str);
    if name.contains("{{target.") {
        let why = "which module checks a target depends on its labels: make a check for each module, each with targets of \
                   its own";
        notes.not_translated(place, why);
        return;
    }
    let Some(module) = job.module(name, modules, notes) else { return };
    if module.check_type == CheckType::Unix {
        notes.not_translated(place, "a source of targets does not name files: make a check for each socket");
        return;
    }
    lost_labels(&labels, target, place, job, notes);
    let template = template(target, &module, word, place, notes);
    let mut draft = module.draft(place.clone(), &[&job.name, &module.name, word], &template);
    draft.interval = Some(job.interval);
    draft.timeout = job.timeout(&module);
    draft.targets = Some(targets);
    import.add(draft);
}

/// Labels that rules give to each target are in no file.
fn lost_labels(labels: &LabelMap, target: &str, place: &Place, job: &Job, notes: &mut Notes) {
    for (name, value) in labels {
        let own = format!("{{{{target.labels.{name} | raw}}}}");
        // What is called `instance` there is the name of the endpoint here.
        let is_name = (name == "job" && *value == job.name) || (name == "instance" && value == target);
        let known = name.starts_with("__") || is_name || *value == own;
        if !known {
            let name = watchpost_model::shorten(name, 80);
            let why = format!("rules give its targets the label `{name}`: write it where the targets stand");
            notes.not_translated(place, why);
        }
    }
}

fn template(target: &str, module: &Module, word: &str, place: &Place, notes: &mut Notes) -> String {
    let by_address = target == ADDRESS;
    if by_address && word != "dns" {
        let why = match module.check_type {
            CheckType::Http => {
                "its targets must be `host:port` here: give what follows them in their URLs by a label, and \
                                name that in the check's `url`"
            }
            CheckType::Icmp => "its targets must be `host:port` here, although echo requests have no port",
            CheckType::Dns => "its targets must be `host:port` here, as `10.0.0.53:53`",
            _ => "",
        };
        if !why.is_empty() {
            notes.changed(place, why);
        }
    }
    match module.check_type {
        CheckType::Http if target.starts_with("http") || target.starts_with("{{target.labels.") => target.to_owned(),
        CheckType::Http => format!("http://{target}"),
        CheckType::Icmp if by_address => "{{target.host}}".to_owned(),
        _ => target.to_owned(),
    }
}

fn refresh(keys: &Keys<'_>, targets: &mut Fields, notes: &mut Notes) {
    if let Some(refresh) = time(keys, "refresh_interval", notes) {
        let kept = refresh.clamp(watchpost_model::INTERVAL_MIN, watchpost_model::INTERVAL_MAX);
        if kept != refresh {
            let why = format!("it becomes {}, which is as far as it goes here", duration::shown(kept));
            notes.changed(&keys.place_of("refresh_interval"), why);
        }
        targets.set("refresh", duration::shown(kept));
    }
}

fn file(keys: &Keys<'_>, notes: &mut Notes) -> Vec<Fields> {
    let files = keys.texts("files", notes);
    for (place, path) in &files {
        if !path.starts_with('/') {
            let why = "this path is relative to Prometheus' file there, and to where the agent was started here: write the \
                       whole path";
            notes.changed(place, why);
        }
    }
    let mut file = Fields::default();
    file.set("files", files.into_iter().map(|(_, path)| Out::from(path)).collect::<Vec<_>>());
    let mut targets = Fields::default();
    targets.set("file", file);
    refresh(keys, &mut targets, notes);
    vec![targets]
}

fn http(keys: &Keys<'_>, notes: &mut Notes) -> Vec<Fields> {
    let mut http = Fields::default();
    http.set_some("url", keys.some_text("url", notes));
    let header = match login(keys, notes) {
        None => None,
        Some(Login::Header(value)) => Some(value),
        Some(Login::Auth(auth)) => authorization(&auth),
    };
    if let Some(value) = header {
        let mut headers = Fields::default();
        headers.set("Authorization", value);
        http.set("headers", headers);
    }
    let (tls, _) = crate::blackbox::tls(&keys.map("tls_config", notes), notes);
    http.set_map("tls", tls);
    for key in ["proxy_url", "no_proxy", "http_headers", "proxy_connect_header"] {
        keys.leave(key, "a source of targets is asked without it: see docs/targets.md", notes);
    }
    keys.leave_flag("proxy_from_environment", "a source of targets is asked without a proxy", notes);
    if keys.flag("follow_redirects", notes) == Some(false) {
        notes.changed(&keys.place_of("follow_redirects"), "redirects of a source are followed here");
    }
    keys.flag("enable_http2", notes);
    let mut targets = Fields::default();
    targets.set("http", http);
    refresh(keys, &mut targets, notes);
    vec![targets]
}

/// The header for settings of `auth`.
fn authorization(auth: &Fields) -> Option<String> {
    if let Some(Out::Text(token)) = auth.get("bearer") {
        return Some(format!("Bearer {token}"));
    }
    let Some(Out::Map(basic)) = auth.get("basic") else { return None };
    let text = |key: &str| match basic.get(key) {
        Some(Out::Text(text)) => text.as_str(),
        _ => "",
    };
    let login = format!("{}:{}", text("username"), text("password"));
    Some(format!("Basic {}", data_encoding::BASE64.encode(login.as_bytes())))
}

fn dns(keys: &Keys<'_>, notes: &mut Notes) -> Vec<Fields> {
    let record_type = keys.some_text("type", notes).unwrap_or_else(|| "SRV".to_owned()).to_ascii_lowercase();
    let port = keys.number("port", notes);
    let mut interval = Fields::default();
    refresh(keys, &mut interval, notes);
    let mut sources = Vec::new();
    for (place, name) in keys.texts("names", notes) {
        if !["a", "aaaa", "srv"].contains(&record_type.as_str()) {
            notes.not_translated(&place, "targets come from records of the types A, AAAA and SRV");
            continue;
        }
        let mut dns = Fields::default();
        dns.set("name", name);
        dns.set("type", record_type.as_str());
        if record_type != "srv" {
            dns.set_some("port", port);
        }
        let mut targets = Fields::default();
        targets.set("dns", dns);
        targets.0.extend(interval.0.iter().cloned());
        sources.push(targets);
    }
    sources
}
