//! Prometheus' scrape configurations of jobs that go through the blackbox_exporter.

mod discovered;
mod listed;
mod relabel;

use std::collections::BTreeMap;
use std::time::Duration;

use self::relabel::{LabelMap, Rule};
use crate::blackbox::Module;
use crate::draft::Import;
use crate::duration;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::tree::Node;

/// The module that the exporter takes where a job names none.
const MODULE_DEFAULT: &str = "http_2xx";
/// How often Prometheus asks where nothing else is said.
const SCRAPE_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// The modules of all files by name, and which of them a job uses.
pub(crate) struct Modules {
    by_name: BTreeMap<String, Module>,
    used: std::collections::BTreeSet<String>,
}

impl Modules {
    pub(crate) fn new(modules: Vec<Module>, notes: &mut Notes) -> Self {
        let mut by_name = BTreeMap::new();
        for module in modules {
            let place = module.place.clone();
            if by_name.insert(module.name.clone(), module).is_some() {
                notes.changed(&place, "another file has a module of this name: this one counts");
            }
        }
        Self { by_name, used: std::collections::BTreeSet::default() }
    }

    fn get(&mut self, name: &str) -> Option<Module> {
        let module = self.by_name.get(name)?.clone();
        self.used.insert(name.to_owned());
        Some(module)
    }

    /// Those that no job uses.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &Module> {
        self.by_name.values().filter(|module| !self.used.contains(&module.name))
    }
}

/// What is the same for all targets of a job.
struct Job {
    name: String,
    place: Place,
    interval: Duration,
    /// What a scrape may take, where it is said.
    timeout: Option<Duration>,
    rules: Vec<Rule>,
    /// What every target has before the rules are applied.
    labels: LabelMap,
}

/// Translates a file.
pub(crate) fn import(root: &Node, place: &Place, modules: &mut Modules, import: &mut Import) {
    let notes = &mut import.notes;
    let keys = Keys::of(root, place.clone(), notes);
    let global = keys.map("global", notes);
    let interval = time(&global, "scrape_interval", notes);
    let timeout = time(&global, "scrape_timeout", notes);
    for key in global.names() {
        if !["scrape_interval", "scrape_timeout"].contains(&key.as_str()) {
            global.leave(&key, "it says what Prometheus does, and nothing about checks", notes);
        }
    }
    for (key, why) in [
        ("scrape_config_files", "give these files as well: they have jobs"),
        ("rule_files", "alerts and recorded series stay with Prometheus: write them anew against results or events"),
        ("alerting", "who is told of what is for whoever hears the events of checks"),
        ("remote_write", "results go over the bus, and not to Prometheus' kind of storage"),
        ("remote_read", "it says what Prometheus does, and nothing about checks"),
        ("storage", "it says what Prometheus does, and nothing about checks"),
        ("tracing", "it says what Prometheus does, and nothing about checks"),
        ("otlp", "it says what Prometheus does, and nothing about checks"),
        ("runtime", "it says what Prometheus does, and nothing about checks"),
    ] {
        keys.leave(key, why, notes);
    }
    let jobs = keys.list("scrape_configs");
    keys.finish(notes);
    for (i, (place, node)) in jobs.into_iter().enumerate() {
        let name = node.get("job_name").and_then(Node::scalar).unwrap_or_default();
        let place = keys.place.key("scrape_configs", 0).entry(i, &name, place.line);
        job(&Keys::of(node, place, &mut import.notes), &name, interval, timeout, modules, import);
    }
}

fn time(keys: &Keys<'_>, key: &str, notes: &mut Notes) -> Option<Duration> {
    let text = keys.some_text(key, notes)?;
    let time = duration::parse(&text).filter(|time| !time.is_zero());
    if time.is_none() {
        notes.not_translated(&keys.place_of(key), "this is no duration: expected for example `30s`");
    }
    time
}

/// Whether a job asks an exporter for probes, and does not ask targets for their metrics.
fn probes(job: &Keys<'_>) -> bool {
    job.get("metrics_path").and_then(Node::scalar).is_some_and(|path| path.ends_with("/probe"))
}

fn job(
    keys: &Keys<'_>,
    name: &str,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    modules: &mut Modules,
    import: &mut Import,
) {
    let params = keys.map("params", &mut import.notes);
    if !probes(keys) {
        let why = "it asks for metrics, and not for probes (`metrics_path: /probe`): it stays with Prometheus";
        import.notes.not_translated(&keys.place, why);
        return;
    }
    let notes = &mut import.notes;
    keys.get("job_name");
    keys.get("metrics_path");
    let mut labels = LabelMap::from([("job".to_owned(), name.to_owned())]);
    labels.insert("__metrics_path__".to_owned(), "/probe".to_owned());
    for param in params.names() {
        if let Some((place, value)) = params.texts(&param, notes).into_iter().next() {
            match param.as_str() {
                "module" | "target" => drop(labels.insert(format!("__param_{param}"), value)),
                "debug" => {}
                "hostname" => notes.not_translated(&place, "write it as the header `Host`, and in `tls.server_name`"),
                _ => notes.not_translated(&place, "the exporter does not know this parameter either"),
            }
        }
    }
    let job = Job {
        name: name.to_owned(),
        place: keys.place.clone(),
        interval: time(keys, "scrape_interval", notes).or(interval).unwrap_or(SCRAPE_INTERVAL_DEFAULT),
        timeout: time(keys, "scrape_timeout", notes).or(timeout),
        rules: relabel::rules(keys, notes),
        labels,
    };
    listed::import(keys, &job, modules, import);
    discovered::import(keys, &job, modules, import);
    rest(keys, &mut import.notes);
}

/// The keys that are left.
fn rest(keys: &Keys<'_>, notes: &mut Notes) {
    for key in keys.names() {
        if key.ends_with("_sd_configs")
            && !["file_sd_configs", "http_sd_configs", "dns_sd_configs"].contains(&key.as_str())
        {
            let why = "these targets are found in a way that is not translated: name them by `targets` (docs/targets.md), for \
                       example as endpoints of Kubernetes";
            keys.leave(&key, why, notes);
        }
    }
    keys.leave("metric_relabel_configs", "results are no series: nothing rewrites them", notes);
    for key in [
        "scheme",
        "basic_auth",
        "authorization",
        "oauth2",
        "tls_config",
        "bearer_token",
        "bearer_token_file",
        "proxy_url",
        "no_proxy",
        "proxy_from_environment",
        "proxy_connect_header",
        "follow_redirects",
        "enable_http2",
        "http_headers",
    ] {
        if keys.says(key) {
            notes.note(&keys.place_of(key), "it says how Prometheus asks the exporter, and there is none here");
        }
    }
    for key in [
        "honor_labels",
        "honor_timestamps",
        "track_timestamps_staleness",
        "scrape_protocols",
        "fallback_scrape_protocol",
        "always_scrape_classic_histograms",
        "convert_classic_histograms_to_nhcb",
        "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor",
        "enable_compression",
        "body_size_limit",
        "sample_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "target_limit",
        "keep_dropped_targets",
        "metric_name_validation_scheme",
        "metric_name_escaping_scheme",
        "scrape_failure_log_file",
    ] {
        if keys.says(key) {
            notes.note(&keys.place_of(key), "it is about the series that Prometheus stores, and has no meaning here");
        }
    }
    keys.finish(notes);
}

impl Job {
    /// The module that labels name, or what is to be told where there is none.
    fn module(&self, name: &str, modules: &mut Modules, notes: &mut Notes) -> Option<Module> {
        let module = modules.get(name);
        if module.is_none() {
            let name = watchpost_model::shorten(name, 80);
            let why = format!(
                "there is no check by the module `{name}`: give the file with this module as well, or see what is told of it"
            );
            notes.not_translated(&self.place, why);
        }
        module
    }

    /// What a check may take: what both the module and the scrape allow.
    fn timeout(&self, module: &Module) -> Option<Duration> {
        match (module.timeout, self.timeout) {
            (Some(module), Some(scrape)) => Some(module.min(scrape)),
            (module, scrape) => module.or(scrape),
        }
        // Without a word on it, a scrape takes no longer than its interval.
        .map(|timeout| timeout.min(self.interval))
    }
}
