//! Gatus.

mod body;
mod client;
mod condition;
mod endpoint;
mod environment;
mod expect;
mod http;
mod json;
mod suite;

use std::collections::BTreeMap;

use watchpost_model::CheckType;

pub(crate) use self::condition::Step;
pub(crate) use self::environment::{CLOSE, OPEN};
pub(crate) use self::json::expression as json_expression;
use crate::draft::{Draft, Import};
use crate::duration;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out};
use crate::tree::Node;

/// What Gatus does with outcomes, and we leave to whoever hears of them.
const ALERTS: &str = "who is told of what is for whoever hears the events of checks";
/// Windows of time in which nothing is told.
const MAINTENANCE: &str = "checks know no windows of maintenance: they go on, and tell what they find";
/// How a dashboard looks.
const LOOKS: &str = "it says how a dashboard looks, and nothing about checks";

/// Translates a file.
pub(crate) fn import(root: &Node, place: &Place, import: &mut Import) {
    let mut root = root.clone();
    environment::mark(&mut root);
    let keys = Keys::of(&root, place.clone(), &mut import.notes);
    for (key, why) in [
        ("alerting", ALERTS),
        ("announcements", LOOKS),
        ("storage", "results are kept where the bus keeps them"),
        ("security", "it says who may see a dashboard, and nothing about checks"),
        ("ui", LOOKS),
        ("web", "it says where a dashboard is, and nothing about checks: the console has `console.listen`"),
        ("maintenance", MAINTENANCE),
        ("metrics", "results carry their metrics: docs/checks/ says which"),
        ("debug", "how much is logged says `--log`"),
        ("concurrency", "how many checks run at a time say `pools`"),
        ("disable-monitoring-lock", "how many checks run at a time say `pools`"),
        ("skip-invalid-config-update", "a file that is not valid changes nothing here"),
        ("connectivity", "there is no check on which all others depend"),
        ("remote", "results of other machines come over the bus"),
        ("tunneling", "checks go their way themselves: run a bastion where the targets can be reached"),
    ] {
        keys.leave(key, why, &mut import.notes);
    }
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (list, translate) in [
        ("endpoints", endpoint::translate as fn(&Keys<'_>, &mut Notes) -> Option<Draft>),
        ("external-endpoints", external),
        ("suites", suite::translate),
    ] {
        for (i, (place, node)) in keys.list(list).into_iter().enumerate() {
            let name = node.get("name").and_then(Node::scalar).unwrap_or_default();
            let place = keys.place.key(list, 0).entry(i, &name, place.line);
            let one = Keys::of(node, place, &mut import.notes);
            let draft = translate(&one, &mut import.notes);
            one.finish(&mut import.notes);
            let Some(mut draft) = draft else { continue };
            let enabled = one.flag("enabled", &mut import.notes) != Some(false);
            if !enabled {
                import
                    .notes
                    .note(&draft.place, "it is not enabled: it is `scheduled: false`, and runs only when asked to");
                draft.scheduled = false;
            }
            let group = one.some_text("group", &mut import.notes).unwrap_or_default();
            if let Some(id) = import.add(draft)
                && enabled
                && !group.is_empty()
            {
                groups.entry(group).or_default().push(id);
            }
        }
    }
    keys.finish(&mut import.notes);
    for (group, members) in groups {
        add_group(place, &group, &members, import);
    }
}

/// A group that runs when somebody asks for it: its members have their own times.
fn add_group(place: &Place, group: &str, members: &[String], import: &mut Import) {
    if members.len() < 2 {
        return;
    }
    let place = place.key(&format!("group {group}"), 0);
    if members.len() > watchpost_model::MEMBERS_MAX {
        import.notes.not_translated(&place, "it has too many members for one group: their ids begin with its name");
        return;
    }
    if import.add_group(place.clone(), &[group.to_owned()], members, None, false).is_some() {
        let why = "this group became a check that runs its members when asked to; by themselves they run as they did";
        import.notes.note(&place, why);
    }
}

/// Group and name, of which ids are made.
fn names(keys: &Keys<'_>, notes: &mut Notes) -> Vec<String> {
    ["group", "name"].into_iter().filter_map(|key| keys.some_text(key, notes)).collect()
}

/// An interval or time-out.
fn time(keys: &Keys<'_>, key: &str, notes: &mut Notes) -> Option<std::time::Duration> {
    let text = keys.some_text(key, notes)?;
    let time = duration::parse(&text).filter(|time| !time.is_zero());
    if time.is_none() {
        notes.not_translated(&keys.place_of(key), "this is no duration that is known now: expected for example `30s`");
    }
    time
}

/// A job that reports in.
fn external(keys: &Keys<'_>, notes: &mut Notes) -> Option<Draft> {
    let names = names(keys, notes);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut draft = Draft::new(keys.place.clone(), &names, CheckType::Heartbeat);
    keys.leave("alerts", ALERTS, notes);
    keys.leave("extra-labels", "checks without targets have no labels", notes);
    let heartbeat = keys.map("heartbeat", notes);
    let mut settings = Fields::default();
    match time(&heartbeat, "interval", notes) {
        Some(every) => settings.set("every", duration::shown(every)),
        None => {
            settings.set("every", "31d");
            let why = "its silence meant nothing there; here it fails after 31 days, which is the longest: set `every`";
            notes.changed(&keys.place, why);
        }
    }
    heartbeat.finish(notes);
    if let Some(token) = keys.some_text("token", notes) {
        notes.secret(&keys.place_of("token"), "a token");
        settings.set("token", token);
    }
    draft.settings = settings;
    notes.changed(
        &keys.place,
        "the job must report to another URL: `/beat/ID` of the console (docs/checks/heartbeat.md)",
    );
    Some(draft)
}

/// Reads the headers that are sent.
fn headers(keys: &Keys<'_>, notes: &mut Notes) -> Fields {
    let mut headers = Fields::default();
    for (name, place, value) in keys.map("headers", notes).pairs(notes) {
        if !value.contains(OPEN) {
            crate::blackbox::tell_secret(name, &place, notes);
        }
        headers.set(name, value);
    }
    headers
}

/// A text that stands somewhere in settings.
fn text_of(value: Option<&Out>) -> String {
    match value {
        Some(Out::Text(text)) => text.clone(),
        _ => String::new(),
    }
}
