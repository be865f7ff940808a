//! Reading the keys of a map such that none is passed over: those that nobody asked for are told in the end.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::notes::{Notes, Place};
use crate::tree::{Node, Value};

/// The keys of a map, and which of them were asked for.
pub(crate) struct Keys<'a> {
    entries: &'a [(String, Node)],
    asked: RefCell<HashSet<&'a str>>,
    pub(crate) place: Place,
}

impl<'a> Keys<'a> {
    /// The keys of `node`. Null is an empty map; anything else but a map is told, and has no keys.
    pub(crate) fn of(node: &'a Node, place: Place, notes: &mut Notes) -> Self {
        let entries: &[(String, Node)] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                notes.not_translated(&place, format!("this is {}: expected a map", node.kind()));
                &[]
            }
        };
        Self { entries, asked: RefCell::default(), place }
    }

    /// No keys at all, as if the map were not there.
    pub(crate) fn none(place: Place) -> Self {
        Self { entries: &[], asked: RefCell::default(), place }
    }

    /// The value of a key; `None` where it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        let (name, node) = self.entries.iter().find(|(name, _)| name == key)?;
        self.asked.borrow_mut().insert(name);
        (node.value != Value::Null).then_some(node)
    }

    /// Where a key stands.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        let line = self.entries.iter().find(|(name, _)| name == key).map_or(0, |(_, node)| node.line);
        self.place.key(key, line)
    }

    /// A text, number or truth value, as text.
    pub(crate) fn text(&self, key: &str, notes: &mut Notes) -> Option<String> {
        let node = self.get(key)?;
        let text = node.scalar();
        if text.is_none() {
            self.expected(key, node, "a text", notes);
        }
        text
    }

    /// A text that says something.
    pub(crate) fn some_text(&self, key: &str, notes: &mut Notes) -> Option<String> {
        self.text(key, notes).filter(|text| !text.is_empty())
    }

    /// True or false; also as a number, as databases write it.
    pub(crate) fn flag(&self, key: &str, notes: &mut Notes) -> Option<bool> {
        let node = self.get(key)?;
        let flag = match (&node.value, node.scalar().as_deref()) {
            (Value::Bool(flag), _) => Some(*flag),
            (_, Some("true" | "1" | "yes" | "on")) => Some(true),
            (_, Some("false" | "0" | "no" | "off")) => Some(false),
            _ => None,
        };
        if flag.is_none() {
            self.expected(key, node, "true or false", notes);
        }
        flag
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&self, key: &str, notes: &mut Notes) -> Option<u64> {
        let node = self.get(key)?;
        let number = node.scalar().and_then(|text| text.parse().ok());
        if number.is_none() && !node.is_nothing() {
            self.expected(key, node, "a whole number", notes);
        }
        number
    }

    /// A list, or a single value as a list of one.
    pub(crate) fn list(&self, key: &str) -> Vec<(Place, &'a Node)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let place = self.place_of(key);
        match &node.value {
            Value::List(list) => {
                list.iter().enumerate().map(|(i, node)| (place.entry(i, "", node.line), node)).collect()
            }
            _ => vec![(place, node)],
        }
    }

    /// A list of texts, each with its place.
    pub(crate) fn texts(&self, key: &str, notes: &mut Notes) -> Vec<(Place, String)> {
        let mut texts = Vec::new();
        for (place, node) in self.list(key) {
            match node.scalar() {
                Some(text) => texts.push((place, text)),
                None => notes.not_translated(&place, format!("this is {}: expected a text", node.kind())),
            }
        }
        texts
    }

    /// A map within this one; without keys where it is missing.
    pub(crate) fn map(&self, key: &str, notes: &mut Notes) -> Self {
        let place = self.place_of(key);
        match self.get(key) {
            Some(node) => Self::of(node, place, notes),
            None => Self::none(place),
        }
    }

    /// Every entry as text, as of headers; all of them count as asked for.
    pub(crate) fn pairs(&self, notes: &mut Notes) -> Vec<(&'a str, Place, String)> {
        let mut pairs = Vec::new();
        for (key, node) in self.entries {
            self.asked.borrow_mut().insert(key);
            let place = self.place.key(key, node.line);
            match node.scalar() {
                Some(text) => pairs.push((key.as_str(), place, text)),
                None if node.value == Value::Null => pairs.push((key.as_str(), place, String::new())),
                None => notes.not_translated(&place, format!("this is {}: expected a text", node.kind())),
            }
        }
        pairs
    }

    /// Whether there is a key, and it says something.
    pub(crate) fn says(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| !node.is_nothing())
    }

    /// The names of all keys.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Passes over every key that nobody asked for: what they belong to is told as a whole.
    pub(crate) fn pass_over(&self) {
        self.asked.borrow_mut().extend(self.entries.iter().map(|(key, _)| key.as_str()));
    }

    /// Lists a key that is known, and for which there is nothing here, where it says something.
    pub(crate) fn leave(&self, key: &str, why: &str, notes: &mut Notes) {
        if self.says(key) {
            notes.not_translated(&self.place_of(key), why);
        }
    }

    /// The same, unless it is false.
    pub(crate) fn leave_flag(&self, key: &str, why: &str, notes: &mut Notes) {
        if self.flag(key, notes) == Some(true) {
            notes.not_translated(&self.place_of(key), why);
        }
    }

    /// Lists every key that nobody asked for.
    pub(crate) fn finish(&self, notes: &mut Notes) {
        let asked = self.asked.borrow();
        for (key, node) in self.entries.iter().filter(|(key, _)| !asked.contains(key.as_str())) {
            notes.not_translated(&self.place.key(key, node.line), "this key is not known here: look what it does");
        }
    }

    fn expected(&self, key: &str, node: &Node, what: &str, notes: &mut Notes) {
        let given = node.kind();
        let given = if matches!(node.value, Value::Text(_)) { "another text" } else { given };
        notes.not_translated(&self.place_of(key), format!("this is {given}: expected {what}"));
    }
}
