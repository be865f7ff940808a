//! Sets of checks by chance: lists of endpoints, names, groups of groups, every rule.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use watchpost_model::{Check, validate_set};

use super::rng::Rng;

/// The heartbeat checks that there may be.
pub const JOBS: [&str; 2] = ["h0", "h1"];

/// A set of checks that changes from one version to the next.
pub struct Checks {
    /// What each check is made of, by its name.
    probes: BTreeMap<String, u64>,
    groups: BTreeMap<String, u64>,
    jobs: BTreeMap<String, u64>,
    /// Whether checks may be due more often, and take longer.
    pub busy: bool,
}

impl Checks {
    pub fn new(rng: &mut Rng, busy: bool) -> Self {
        let probes = (0..rng.range(1, 8)).map(|i| (format!("c{i}"), rng.next())).collect();
        let groups = (0..rng.range(0, 3)).map(|i| (format!("g{i}"), rng.next())).collect();
        let jobs = JOBS.into_iter().map(|id| (id.to_owned(), rng.next()));
        let jobs: Vec<_> = jobs.collect();
        let jobs = jobs.into_iter().filter(|_| rng.chance(700)).collect();
        Self { probes, groups, jobs, busy }
    }

    /// Changes some of them, takes some out, adds some.
    pub fn change(&mut self, rng: &mut Rng) {
        for version in self.probes.values_mut().chain(self.groups.values_mut()).chain(self.jobs.values_mut()) {
            if rng.chance(300) {
                *version = rng.next();
            }
        }
        if rng.chance(500) {
            self.probes.insert(format!("c{}", rng.range(0, 9)), rng.next());
        }
        if rng.chance(400) && self.probes.len() > 1 {
            self.probes.remove(&format!("c{}", rng.range(0, 9)));
        }
        for id in JOBS {
            if rng.chance(150) {
                self.jobs.remove(id);
            } else if rng.chance(150) {
                self.jobs.entry(id.to_owned()).or_insert_with(|| rng.next());
            }
        }
        if rng.chance(200) {
            self.groups.remove(&format!("g{}", rng.range(0, 2)));
        }
    }

    /// The set as it is now.
    pub fn all(&self) -> Vec<Check> {
        let mut made = Vec::new();
        for (id, version) in &self.probes {
            made.push(read(probe(id, &mut Rng::new(*version), self.busy)));
        }
        for (id, version) in &self.jobs {
            made.push(read(job(id, &mut Rng::new(*version), self.busy)));
        }
        // A group contains what comes before it, so none contains itself.
        for (id, version) in &self.groups {
            let rng = &mut Rng::new(*version);
            let mut ids: Vec<&str> = made.iter().map(|check: &Check| check.id().as_str()).collect();
            let count = rng.range(1, 4).min(ids.len() as u64);
            let members: Vec<String> = (0..count).map(|_| ids.remove(rng.below(ids.len())).to_owned()).collect();
            let group = common(id, rng, members.len(), self.busy);
            made.push(read(with(group, json!({ "group": { "checks": members } }))));
        }
        validate_set(&made).unwrap();
        made
    }
}

/// A check that somebody asks for once.
pub fn for_request(id: &str, rng: &mut Rng) -> Check {
    read(probe(id, rng, true))
}

fn probe(id: &str, rng: &mut Rng, busy: bool) -> Value {
    let (host, addresses, count) = match rng.range(0, 9) {
        0..=2 => (format!("{id}.example"), json!("any"), 1),
        3 => ("localhost".to_owned(), json!("all"), 2),
        4 => (format!("{id}.invalid"), json!("all"), 0),
        _ => {
            let first = rng.range(1, 200);
            let list: Vec<String> = (0..rng.range(1, 6)).map(|i| format!("10.0.0.{}", first + i)).collect();
            let count = list.len();
            (format!("{id}.example"), json!(list), count)
        }
    };
    let check = with(common(id, rng, count, busy), json!({ "addresses": addresses }));
    if rng.chance(600) {
        with(check, json!({ "http": { "url": format!("http://{host}:8080/") } }))
    } else {
        with(check, json!({ "tcp": { "address": format!("{host}:8081") } }))
    }
}

/// A check of a job that reports in: silence is told at its slots, or between them.
fn job(id: &str, rng: &mut Rng, busy: bool) -> Value {
    let mut heartbeat = json!({ "grace": format!("{}ms", rng.range(0, 1_500)) });
    if rng.chance(700) {
        heartbeat = with(heartbeat, json!({ "every": format!("{}ms", rng.range(1_000, 3_000)) }));
    }
    with(common(id, rng, 1, busy), json!({ "heartbeat": heartbeat }))
}

/// What checks of every kind have. `count` is how many endpoints or members it has, 0 where that is not known.
fn common(id: &str, rng: &mut Rng, count: usize, busy: bool) -> Value {
    let interval_ms = if busy { rng.range(1, 4) } else { rng.range(2, 12) } * 1_000;
    let timeout_ms = match rng.range(0, 3) {
        0 => interval_ms,
        1 => rng.range(50, 500),
        _ => rng.range(200, interval_ms),
    };
    let fail_fast = rng.chance(300);
    let verdict = match rng.range(0, 3) {
        _ if fail_fast => json!("all"),
        0 => json!("any"),
        1 if count > 0 => json!({ "quorum": rng.range(1, count as u64) }),
        2 => json!({ "percent": rng.range(1, 100) }),
        _ => json!("all"),
    };
    let parallel = if rng.chance(400) { rng.range(1, 3) } else { 256 };
    json!({
        "id": id,
        "interval": format!("{interval_ms}ms"),
        "timeout": format!("{timeout_ms}ms"),
        "scheduled": !rng.chance(150),
        "overlap": if rng.chance(300) { "allow" } else { "skip" },
        "policy": if fail_fast { "fail_fast" } else { "collect_all" },
        "verdict": verdict,
        "parallel": parallel,
    })
}

fn with(mut check: Value, more: Value) -> Value {
    let (Some(check_map), Value::Object(more)) = (check.as_object_mut(), more) else { return check };
    check_map.extend(more);
    check
}

fn read(check: Value) -> Check {
    serde_json::from_value(check).unwrap()
}
