//! The probers `tcp` and `unix`: a dialogue by lines.

use regex::Regex;
use watchpost_model::CheckType;

use super::Module;
use super::network;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out};

pub(super) fn translate(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) -> bool {
    let place = keys.place_of("tls_config");
    let (tls, only_13) = network::tls(&keys.map("tls_config", notes), notes);
    let from_the_start = keys.flag("tls", notes) == Some(true);
    let turns = keys.list("query_response");
    let begins_later = !from_the_start
        && turns.iter().any(|(_, node)| node.get("starttls").and_then(|flag| flag.scalar()).as_deref() == Some("true"));
    if only_13 && (from_the_start || begins_later) {
        module.that.push((place, "tls.version == \"TLSv1.3\"".into()));
    }
    let mut steps = Vec::new();
    let count = turns.len();
    for (i, (place, node)) in turns.into_iter().enumerate() {
        turn(i, i + 1 == count, &Keys::of(node, place, notes), &tls, &mut steps, notes);
    }
    if !steps.is_empty() {
        module.settings.set("steps", steps);
    }
    if from_the_start {
        module.settings.set("tls", tls);
    }
    if module.check_type == CheckType::Tcp {
        module.settings.set_map("route", network::route(keys, notes));
    }
    true
}

/// One turn: a line to wait for, then one to send, then TLS.
fn turn(index: usize, is_last: bool, keys: &Keys<'_>, tls: &Fields, steps: &mut Vec<Out>, notes: &mut Notes) {
    let expect = keys.some_text("expect", notes);
    let send = keys.some_text("send", notes);
    let starttls = keys.flag("starttls", notes) == Some(true);
    keys.leave("labels", "what is captured is told in `evidence.dialogue.captures`, where the pattern names it", notes);
    keys.finish(notes);
    let mut step = Fields::default();
    if let Some(regex) = &expect {
        let refers = send.as_ref().is_some_and(|send| send.contains('$'));
        let named = if refers { with_names(regex, index) } else { regex.clone() };
        // There, a line that matched is over; here, what follows the match would stay for the next step.
        let whole_line = if is_last && send.is_none() && !starttls { named } else { format!("(?:{named}).*\\r?\\n") };
        step.set("expect", whole_line);
    }
    if let Some(send) = &send {
        if !step.is_empty() {
            steps.push(Out::Map(std::mem::take(&mut step)));
        }
        let text = match &expect {
            Some(regex) => expanded(send, regex, index, &keys.place_of("send"), notes),
            None => send.replace("${", "$${"),
        };
        step.set("send", format!("{text}\n"));
    }
    if starttls {
        step.set("starttls", tls.clone());
    }
    if !step.is_empty() {
        steps.push(Out::Map(step));
    }
}

/// The pattern with a name for each group that has none: captures are known by names.
fn with_names(regex: &str, index: usize) -> String {
    let mut named = String::new();
    let mut chars = regex.chars().peekable();
    let (mut class, mut group) = (0_usize, 0_usize);
    while let Some(c) = chars.next() {
        named.push(c);
        match c {
            '\\' => named.extend(chars.next()),
            '[' => class += 1,
            ']' => class = class.saturating_sub(1),
            '(' if class == 0 => match chars.peek() {
                Some('?') => {
                    // `(?P<` and `(?<` are groups, and have names; `(?:` and flags are none.
                    let rest: String = chars.clone().take(3).collect();
                    group += usize::from(rest.starts_with("?P<") || rest.starts_with("?<"));
                }
                _ => {
                    group += 1;
                    named.push_str(&format!("?P<{}>", name_of(index, group)));
                }
            },
            _ => {}
        }
    }
    // What is no pattern once it is changed stays what it is; our own rules say what is wrong with it.
    if Regex::new(&named).is_ok() { named } else { regex.to_owned() }
}

fn name_of(index: usize, group: usize) -> String {
    format!("line{}_{group}", index + 1)
}

/// The text to send, with `$1` and `${name}` as our steps write them.
fn expanded(send: &str, regex: &str, index: usize, place: &Place, notes: &mut Notes) -> String {
    let named = with_names(regex, index);
    let names: Vec<Option<String>> = match Regex::new(&named) {
        Ok(regex) => regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
        Err(_) => Vec::new(),
    };
    let mut text = String::new();
    let mut rest = send;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            // `$${` is how our steps write `${`.
            text.push_str(if after.starts_with('{') { "$$" } else { "$" });
            rest = after;
            continue;
        }
        let word = |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (reference, after) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((reference, after)) => (reference, after),
            None => after.split_at(word(after)),
        };
        rest = after;
        let known = match reference.parse::<usize>() {
            Ok(number) => names.get(number).cloned().flatten(),
            Err(_) => names.iter().flatten().find(|name| *name == reference).cloned(),
        };
        match known {
            Some(name) => text.push_str(&format!("${{{name}}}")),
            // There, a reference to nothing is sent as nothing.
            None => {
                notes.changed(place, format!("`${{{reference}}}` refers to no group of the pattern, and is left out"))
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_get_names_and_references_are_to_them() {
        assert_eq!(
            with_names(r"^PING :([^ (]+)(?:x)\((?P<n>y)(z)", 1),
            r"^PING :(?P<line2_1>[^ (]+)(?:x)\((?P<n>y)(?P<line2_3>z)"
        );
        let mut notes = Notes::default();
        let place = Place::file("f");
        let text = expanded("PONG $1 ${2} $n $$5 ${nix}!", r"^(a)(?P<n>b)", 0, &place, &mut notes);
        assert_eq!(text, "PONG ${line1_1} ${n} ${n} $5 !");
        assert_eq!(notes.into_vec().len(), 1);
    }
}
