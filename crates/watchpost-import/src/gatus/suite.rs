//! Suites: requests one after another, as a `steps` check.

use std::collections::{BTreeMap, BTreeSet};

use watchpost_model::CheckType;

use super::condition::body_path;
use super::expect::{self, Expected};
use super::json::json_path;
use super::{ALERTS, LOOKS, MAINTENANCE, http, names, time};
use crate::draft::{Draft, valid_expressions};
use crate::duration;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::{Fields, Out, one_or_many};
use crate::tree::{Node, Value};

/// What stands for a value that the suite knows.
const CONTEXT: &str = "[CONTEXT].";
/// How often a suite runs, and how long it may take, where nothing else is said.
const INTERVAL_DEFAULT: std::time::Duration = std::time::Duration::from_secs(600);
const TIMEOUT_DEFAULT: std::time::Duration = std::time::Duration::from_secs(300);

/// The check for a suite.
pub(super) fn translate(keys: &Keys<'_>, notes: &mut Notes) -> Option<Draft> {
    keys.get("enabled");
    let names = names(keys, notes);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut draft = Draft::new(keys.place.clone(), &names, CheckType::Steps);
    let interval = time(keys, "interval", notes).unwrap_or(INTERVAL_DEFAULT);
    draft.interval = Some(interval);
    draft.timeout = Some(time(keys, "timeout", notes).unwrap_or(TIMEOUT_DEFAULT).min(interval));
    keys.leave("alerts", ALERTS, notes);
    keys.leave("maintenance-windows", MAINTENANCE, notes);
    let mut context = Context::default();
    for (name, _, value) in keys.map("context", notes).pairs(notes) {
        context.given.insert(name.to_owned(), value);
    }
    let mut steps = Vec::new();
    let mut whole = true;
    for (i, (place, node)) in keys.list("endpoints").into_iter().enumerate() {
        let name = node.get("name").and_then(Node::scalar).unwrap_or_default();
        let place = keys.place.key("endpoints", 0).entry(i, &name, place.line);
        let node = context.filled(node);
        let one = Keys::of(&node, place, notes);
        match step(&one, &mut context, notes) {
            Some(step) => steps.push(step),
            None => whole = false,
        }
        one.finish(notes);
    }
    if !whole {
        notes.not_translated(
            &keys.place,
            "one of its endpoints cannot be a step, so that there is no check for the suite",
        );
        return None;
    }
    draft.steps = steps;
    Some(draft)
}

/// What a suite knows: what it begins with, and what answers added to it.
#[derive(Default)]
struct Context {
    given: BTreeMap<String, String>,
    captured: BTreeSet<String>,
}

impl Context {
    /// The endpoint with what is known filled in, but for its conditions, which compare.
    fn filled(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) => Value::Text(self.text(text)),
            Value::List(list) => Value::List(list.iter().map(|node| self.filled(node)).collect()),
            Value::Map(entries) => {
                let filled = |(key, node): &(String, Node)| {
                    let node = match key.as_str() {
                        "conditions" | "store" => self.given_only(node),
                        _ => self.filled(node),
                    };
                    (key.clone(), node)
                };
                Value::Map(entries.iter().map(filled).collect())
            }
            other => other.clone(),
        };
        Node { line: node.line, value }
    }

    /// With values that the suite begins with only: what answers added has another name in expressions.
    fn given_only(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Text(text) => {
                let name = |text: &str| text.split_once(CONTEXT).map(|(_, name)| name.trim_end_matches(')').to_owned());
                match name(text).and_then(|name| self.given.get(&name)) {
                    Some(value) if !name(text).is_some_and(|name| self.captured.contains(&name)) => {
                        let whole = name(text).unwrap_or_default();
                        Value::Text(text.replacen(&format!("{CONTEXT}{whole}"), value, 1))
                    }
                    _ => Value::Text(text.clone()),
                }
            }
            Value::List(list) => Value::List(list.iter().map(|node| self.given_only(node)).collect()),
            other => other.clone(),
        };
        Node { line: node.line, value }
    }

    fn text(&self, text: &str) -> String {
        // What stands there is no reference of ours.
        let mut filled = String::new();
        let text = text.replace("${", "$${");
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(CONTEXT) {
            filled.push_str(before);
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            rest = after;
            if self.captured.contains(name) {
                filled.push_str(&format!("${{{}}}", our_name(name)));
            } else if let Some(value) = self.given.get(name) {
                filled.push_str(value);
            } else {
                filled.push_str(CONTEXT);
                filled.push_str(name);
            }
        }
        filled + rest
    }
}

/// Captured values have no `-` in their names.
fn our_name(name: &str) -> String {
    name.replace('-', "_")
}

fn step(keys: &Keys<'_>, context: &mut Context, notes: &mut Notes) -> Option<Out> {
    keys.leave("alerts", ALERTS, notes);
    keys.leave("maintenance-windows", MAINTENANCE, notes);
    keys.leave("ui", LOOKS, notes);
    keys.leave("extra-labels", "steps have no labels", notes);
    for key in ["group", "interval", "enabled", "dns", "ssh"] {
        keys.leave(key, "a step of a suite has none", notes);
    }
    keys.leave_flag("always-run", "the first step that does not pass ends the flow: clean up by another check", notes);
    let url = keys.some_text("url", notes).unwrap_or_default();
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        notes.not_translated(&keys.place_of("url"), "steps are requests by HTTP only");
        keys.pass_over();
        return None;
    }
    if url.contains(CONTEXT) {
        notes.not_translated(&keys.place_of("url"), "it names a value that the suite does not have by then");
    }
    let (settings, client) = http::request(keys, notes);
    if client.timeout.is_some() {
        notes.changed(&keys.place, "a step has no time-out of its own: what it may take is its `max_latency`");
    }
    let expected = expect::read(keys, CheckType::Http, http::is_https(&settings), notes);
    let capture = stored(keys, context, notes);
    let Expected { mut expect, that, .. } = expected?;
    if let Some(timeout) = client.timeout
        && !expect.has("max_latency")
    {
        expect.set("max_latency", duration::shown(timeout));
    }
    let that = valid_expressions(that, CheckType::Steps, notes);
    if !that.is_empty() {
        expect.set("that", one_or_many(that));
    }
    let mut step = Fields::default();
    step.set_some("name", keys.some_text("name", notes));
    step.set("http", settings);
    step.set_map("expect", expect);
    step.set_map("capture", capture);
    Some(Out::Map(step))
}

/// What of the answer later steps need.
fn stored(keys: &Keys<'_>, context: &mut Context, notes: &mut Notes) -> Fields {
    let mut capture = Fields::default();
    for (name, place, from) in keys.map("store", notes).pairs(notes) {
        let mut one = Fields::default();
        match body_path(&from) {
            Some(path) if path.is_empty() => one.set("regex", "(?s)^.*$"),
            Some(path) => one.set("json_path", json_path(&path)),
            None => {
                notes.not_translated(&place, "only the body, and places in it, are kept for later steps");
                continue;
            }
        }
        capture.set(&our_name(name), one);
        context.captured.insert(name.to_owned());
    }
    capture
}
