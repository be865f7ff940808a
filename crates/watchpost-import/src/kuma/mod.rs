//! Backups of uptime-kuma.

mod databases;
mod http;
mod monitor;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use watchpost_model::MEMBERS_MAX;

use crate::draft::{Draft, Import};
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::Out;
use crate::tree::{Node, Value};

/// How often a monitor runs where nothing else is said.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// How many groups there may be around a group: with it, as many as our groups may nest.
const PARENTS_MAX: usize = watchpost_model::GROUP_DEPTH_MAX - 1;

/// A monitor that became a check, or is a group.
struct Monitor {
    id: String,
    parent: Option<String>,
    active: bool,
    interval: Duration,
    /// `None` for a group.
    draft: Option<Draft>,
    place: Place,
    name: String,
}

/// Translates a file.
pub(crate) fn import(root: &Node, place: &Place, import: &mut Import) {
    let notes = &mut import.notes;
    let keys = Keys::of(root, place.clone(), notes);
    for (key, why) in [
        ("notificationList", "who is told of what is for whoever hears the events of checks"),
        ("statusPageList", "it says how a page looks, and nothing about checks"),
        ("maintenanceList", "checks know no windows of maintenance: they go on, and tell what they find"),
        ("tagList", "checks have no tags: a check with `targets` has labels"),
    ] {
        keys.leave(key, why, notes);
    }
    keys.get("version");
    let proxies = proxies(&keys, notes);
    let mut monitors = Vec::new();
    for (place, node) in entries(&keys, "monitorList") {
        let one = Keys::of(node, place, notes);
        monitors.extend(monitor::translate(&one, &proxies, notes));
        one.finish(notes);
    }
    keys.finish(notes);
    add(monitors, import);
}

/// The entries of a list, or of a map by number, each with its name.
fn entries<'a>(keys: &Keys<'a>, key: &str) -> Vec<(Place, &'a Node)> {
    let list: Vec<&Node> = match keys.get(key).map(|node| &node.value) {
        Some(Value::List(list)) => list.iter().collect(),
        Some(Value::Map(entries)) => entries.iter().map(|(_, node)| node).collect(),
        _ => Vec::new(),
    };
    let place = keys.place.key(key, 0);
    let named = |(i, node): (usize, &'a Node)| {
        let name = node.get("name").and_then(Node::scalar).unwrap_or_default();
        (place.entry(i, &name, node.line), node)
    };
    list.into_iter().enumerate().map(named).collect()
}

/// The URLs of proxies by their numbers; of those that are not active none.
fn proxies(keys: &Keys<'_>, notes: &mut Notes) -> HashMap<String, Option<String>> {
    let mut proxies = HashMap::new();
    for (place, node) in entries(keys, "proxyList") {
        let one = Keys::of(node, place, notes);
        let text = |key: &str, notes: &mut Notes| one.text(key, notes).unwrap_or_default();
        let (protocol, host, port) = (text("protocol", notes), text("host", notes), text("port", notes));
        let mut login = String::new();
        if one.flag("auth", notes) == Some(true) {
            let encoded = |text: String| {
                percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
            };
            login = format!("{}:{}@", encoded(text("username", notes)), encoded(text("password", notes)));
            notes.secret(&one.place_of("password"), "a password");
        }
        let protocol = match protocol.as_str() {
            "https" => "http",
            "socks" | "socks5" => "socks5",
            other => other,
        };
        let url = format!("{protocol}://{login}{host}:{port}");
        let active = one.flag("active", notes) != Some(false);
        proxies.insert(text("id", notes), active.then_some(url));
        for key in ["username", "password", "default", "userId", "user_id", "createdDate", "created_date"] {
            one.get(key);
        }
        one.finish(notes);
    }
    proxies
}

/// Adds checks, and then groups from the innermost to the outermost.
fn add(monitors: Vec<Monitor>, import: &mut Import) {
    let groups: HashMap<String, (Option<String>, Duration, bool)> = monitors
        .iter()
        .filter(|monitor| monitor.draft.is_none())
        .map(|group| (group.id.clone(), (group.parent.clone(), group.interval, group.active)))
        .collect();
    // How many groups are around one, unless there is no end of them.
    let depth = |id: &str| {
        let mut at = id;
        for depth in 0..=PARENTS_MAX {
            match groups.get(at) {
                Some((Some(parent), ..)) if groups.contains_key(parent) => at = parent,
                _ => return Some(depth),
            }
        }
        None
    };
    let usable = |id: &str| groups.get(id).is_some_and(|(_, _, active)| *active) && depth(id).is_some();
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut waiting = Vec::new();
    for mut monitor in monitors {
        let Some(mut draft) = monitor.draft.take() else {
            waiting.push(monitor);
            continue;
        };
        let parent = monitor.parent.clone().filter(|parent| monitor.active && usable(parent));
        let group_interval = parent.as_ref().and_then(|parent| Some(groups.get(parent)?.1));
        if let Some(group_interval) = group_interval {
            runs_with_its_group(&monitor, group_interval, &mut draft, &mut import.notes);
        }
        if let (Some(id), Some(parent)) = (import.add(draft), parent) {
            members.entry(parent).or_default().push(id);
        }
    }
    waiting.sort_by_key(|group| std::cmp::Reverse(depth(&group.id)));
    for group in waiting {
        let own = members.remove(&group.id).unwrap_or_default();
        let parent = group.parent.clone().filter(|parent| group.active && usable(parent));
        if let Some(why) = no_group(&group, &own, depth(&group.id).is_none()) {
            import.notes.not_translated(&group.place, why);
            continue;
        }
        let same = parent.as_ref().is_some_and(|parent| groups.get(parent).is_some_and(|of| of.1 == group.interval));
        let names = [group.name.clone()];
        let id = import.add_group(group.place, &names, &own, Some(group.interval), group.active && !same);
        if let (Some(id), Some(parent)) = (id, parent) {
            members.entry(parent).or_default().push(id);
        }
    }
}

/// A group runs its members, so that those that run as often as it does need not run by themselves.
fn runs_with_its_group(monitor: &Monitor, group_interval: Duration, draft: &mut Draft, notes: &mut Notes) {
    if draft.check_type == watchpost_model::CheckType::Heartbeat {
        return;
    }
    if monitor.interval == group_interval {
        draft.scheduled = false;
    } else {
        let why = "it runs at its own interval, and with its group besides: give both one interval, and `scheduled: false` to \
                   it";
        notes.changed(&monitor.place, why);
    }
}

/// Why there is no check for a group.
fn no_group(group: &Monitor, members: &[String], endless: bool) -> Option<&'static str> {
    if endless {
        return Some("there are too many groups around this one, or it contains itself: its members run by themselves");
    }
    if !group.active {
        return Some("this group is not active: its members run by themselves");
    }
    match members.len() {
        0 => Some("this group has no member that became a check"),
        n if n > MEMBERS_MAX => Some("this group has too many members: expected at most 1000"),
        _ => None,
    }
}

/// A list of texts in JSON, or as it is.
fn texts(keys: &Keys<'_>, key: &str, notes: &mut Notes) -> Vec<Out> {
    keys.texts(key, notes).into_iter().map(|(_, text)| text.into()).collect()
}
