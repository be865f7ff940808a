//! Everything that a bastion says of itself, in words.

use std::io::IsTerminal;

use watchpost_model::{
    AuditReport, BusReport, Heartbeat, OutboxReport, PolicyReport, PoolReport, Role, StoreReport, Timestamp, shorten,
};

use super::{note, second, span};
use crate::output::{Tone, duration, word};
use crate::remote::{Bastion, Process};

/// How a bastion stands, process by process.
pub fn words(bastion: &Bastion, now: Timestamp) -> String {
    let mut page = Page { text: String::new(), colour: std::io::stdout().is_terminal() };
    let (state, tone) = if bastion.is_online() { ("online", Tone::Good) } else { ("offline", Tone::Bad) };
    let state = tone.paint(state, page.colour);
    page.line(0, &format!("{} is {state}", bastion.id));
    if let Some(note) = note(bastion) {
        let note = Tone::Doubtful.paint(&shorten(&note, 600), page.colour);
        page.line(2, &note);
    }
    for process in &bastion.processes {
        page.process(process, now);
    }
    page.text
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&" ".repeat(depth));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn item(&mut self, name: &str, value: &str) {
        self.line(2, &format!("{name:<12} {}", shorten(value, 600)));
    }

    fn process(&mut self, process: &Process, now: Timestamp) {
        let Process { heartbeat, heard_at, online } = process;
        let roles: Vec<_> = heartbeat.roles.iter().map(role).collect();
        let runner = heartbeat.runner.as_ref().map(|runner| format!(" {runner}")).unwrap_or_default();
        self.text.push('\n');
        self.line(0, &format!("{}{runner}", roles.join(" and ")));
        let said = if *online {
            "just now".to_owned()
        } else {
            format!("{} ({} ago)", second(*heard_at), span(*heard_at, now))
        };
        self.item("said", &said);
        let started = format!("{} ({} ago)", second(heartbeat.started_at), span(heartbeat.started_at, now));
        self.item("started", &started);
        self.item("version", &heartbeat.version);
        if let Some(message) = &heartbeat.message {
            self.item("note", message);
        }
        if heartbeat.draining {
            self.item("drain", "it begins nothing new");
        }
        self.checker(heartbeat);
        self.runner(heartbeat);
        self.bus(heartbeat);
        self.trust(heartbeat);
        for error in &heartbeat.last_errors {
            let times = if error.count > 1 { format!(" ({} times)", error.count) } else { String::new() };
            self.item("error", &format!("{}: {}{times}", second(error.at), error.message));
        }
    }

    fn checker(&mut self, heartbeat: &Heartbeat) {
        if !heartbeat.groups.is_empty() {
            let groups: Vec<_> = heartbeat.groups.iter().map(ToString::to_string).collect();
            self.item("groups", &groups.join(", "));
        }
        if let Some(checks) = heartbeat.checks {
            let generation = heartbeat.config_generation.unwrap_or_default();
            let outstanding = heartbeat.outstanding.unwrap_or_default();
            self.item("checks", &format!("{checks}, generation {generation}; {outstanding} tasks under way"));
        }
        if let Some(store) = &heartbeat.store {
            let StoreReport {
                state,
                message,
                revision,
                synced_at,
                running,
                paused,
                refused,
                orphaned,
                signatures_old,
                ..
            } = store;
            let synced = synced_at.map(|at| format!(", agreed at {}", second(at))).unwrap_or_default();
            self.item("store", &format!("{}, revision {revision}{synced}", word(state)));
            let old =
                if *signatures_old > 0 { format!(", {signatures_old} with an old signature") } else { String::new() };
            let counts = format!("{running} running ({paused} paused), {refused} refused, {orphaned} orphaned{old}");
            self.item("", &counts);
            if let Some(message) = message {
                self.item("", message);
            }
        }
        if let Some(sources) = heartbeat.sources.filter(|n| *n > 0) {
            let degraded = heartbeat.sources_degraded.unwrap_or_default();
            self.item("sources", &format!("{sources} of targets, {degraded} of them give none"));
        }
        if let Some(lag) = heartbeat.scheduling_lag_us {
            let most = heartbeat.scheduling_lag_p99_us.map(|us| format!(", 99 in 100 within {}", duration(us)));
            self.item("lag", &format!("{} for the latest run{}", duration(lag), most.unwrap_or_default()));
        }
    }

    fn runner(&mut self, heartbeat: &Heartbeat) {
        // There is one for each type, most of which never have anything to do.
        let (idle, at_work): (Vec<&PoolReport>, Vec<&PoolReport>) = heartbeat
            .pools
            .iter()
            .partition(|pool| pool.busy + pool.waiting + pool.rebuilding == 0 && pool.size == pool.target);
        if !idle.is_empty() {
            self.item(
                "pools",
                &format!("{} idle, with {} workers", idle.len(), idle.iter().map(|p| p.size).sum::<u64>()),
            );
        }
        for pool in at_work {
            let PoolReport { check_type, size, target, busy, rebuilding, waiting, .. } = *pool;
            let mut text = format!("{check_type}: {busy} of {size} workers busy, {waiting} tasks wait");
            if size != target {
                text.push_str(&format!(", {target} workers wanted"));
            }
            if rebuilding > 0 {
                text.push_str(&format!(", {rebuilding} being rebuilt"));
            }
            self.item(if idle.is_empty() { "pools" } else { "" }, &text);
        }
        let outcomes: Vec<_> = heartbeat.outcomes.iter().map(|(outcome, n)| format!("{n} {outcome}")).collect();
        if !outcomes.is_empty() {
            self.item("outcomes", &outcomes.join(", "));
        }
        let shed: Vec<_> = heartbeat.shed.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        if !shed.is_empty() {
            self.item("shed", &shed.join(", "));
        }
        if heartbeat.actors_rebuilt > 0 {
            self.item("rebuilt", &format!("{} actors after panics", heartbeat.actors_rebuilt));
        }
    }

    /// What keeps it within bounds, and what keeps account of it.
    fn trust(&mut self, heartbeat: &Heartbeat) {
        if let Some(PolicyReport { source, sha256, broken }) = &heartbeat.policy {
            let sha256 = sha256.as_ref().map(|sha256| format!(", SHA-256 {sha256}")).unwrap_or_default();
            self.item("policy", &format!("{source}{sha256}"));
            if let Some(why) = broken {
                self.item("", &format!("the last good one: as it is now, it cannot be used: {why}"));
            }
        }
        if let Some(AuditReport { seq, hash, dropped, failing }) = &heartbeat.audit {
            // As `audit verify --head` takes it.
            self.item("audit", &format!("{seq}:{hash}"));
            if *dropped > 0 {
                self.item("", &format!("{dropped} events could not be written down"));
            }
            if let Some(why) = failing {
                self.item("", &format!("it cannot be written at present: {why}"));
            }
        }
    }

    fn bus(&mut self, heartbeat: &Heartbeat) {
        let BusReport { published, received, dropped_slow_consumer, refused, forbidden, reconnects } = heartbeat.bus;
        let mut text = format!("{published} published, {received} received, {reconnects} reconnects");
        for (n, what) in [(dropped_slow_consumer, "dropped"), (refused, "refused"), (forbidden, "forbidden")] {
            if n > 0 {
                text.push_str(&format!(", {n} {what}"));
            }
        }
        self.item("bus", &text);
        let OutboxReport { waiting, dropped } = &heartbeat.outbox;
        if waiting + dropped > 0 {
            self.item("outbox", &format!("{waiting} wait to be published, {dropped} were given up"));
        }
        if let Some(offset) = heartbeat.clock_offset_us {
            let (word, us) =
                if offset < 0 { ("behind", offset.unsigned_abs()) } else { ("ahead of", offset.unsigned_abs()) };
            self.item("clock", &format!("{} {word} the bus server's", duration(us)));
        }
    }
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::Checker => "Checker",
        Role::Runner => "Runner",
    }
}
