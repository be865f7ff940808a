//! What people must know of a translation: what was left behind, what means something else, what to see to.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// Something is not in the checks, or not as strictly.
    NotTranslated,
    /// Something is in the checks, and means something else than it did.
    Changed,
    /// Everything is there; this is to be known.
    Note,
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotTranslated => "not translated",
            Self::Changed => "changed",
            Self::Note => "note",
        })
    }
}

/// One thing to know, and where in the source it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// What it says.
    pub kind: NoteKind,
    /// The file, as it was called.
    pub file: String,
    /// The line, counted from 1; 0 where it is not known.
    pub line: u64,
    /// The keys that lead there, as `modules.http_2xx.http.body_size_limit`.
    pub path: String,
    /// What is to be known, and what to do.
    pub text: String,
}

impl Note {
    fn place(&self) -> String {
        let Self { file, line, path, .. } = self;
        let line = if *line > 0 { format!(":{line}") } else { String::new() };
        let path = if path.is_empty() { String::new() } else { format!(": {path}") };
        format!("{file}{line}{path}")
    }
}

/// Where in the sources something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) path: String,
}

impl Place {
    pub(crate) fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0, path: String::new() }
    }

    /// The place of `key` within this one.
    pub(crate) fn key(&self, key: &str, line: u64) -> Self {
        let key = watchpost_model::shorten(key, 80);
        let path = if self.path.is_empty() { key.into_owned() } else { format!("{}.{key}", self.path) };
        Self { file: self.file.clone(), line, path }
    }

    /// The place of an entry of a list, with its name where it has one.
    pub(crate) fn entry(&self, index: usize, name: &str, line: u64) -> Self {
        let name = match name {
            "" => String::new(),
            name => format!(" ({})", watchpost_model::shorten(name, 80)),
        };
        Self { file: self.file.clone(), line, path: format!("{}[{index}]{name}", self.path) }
    }
}

/// The notes of one translation, in the order in which they came up.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Vec<Note>,
    known: HashSet<Note>,
}

impl Notes {
    pub(crate) fn not_translated(&mut self, place: &Place, text: impl Into<String>) {
        self.push(NoteKind::NotTranslated, place, text.into());
    }

    pub(crate) fn changed(&mut self, place: &Place, text: impl Into<String>) {
        self.push(NoteKind::Changed, place, text.into());
    }

    pub(crate) fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.push(NoteKind::Note, place, text.into());
    }

    /// Something secret was carried over.
    pub(crate) fn secret(&mut self, place: &Place, what: &str) {
        self.note(
            place,
            format!(
                "{what} stands in the checks as it is: keep the file from others, or write `${{NAME}}` without quotes in \
                 its place, which is read from the environment"
            ),
        );
    }

    fn push(&mut self, kind: NoteKind, place: &Place, text: String) {
        let Place { file, line, path } = place.clone();
        let note = Note { kind, file, line, path, text };
        // A module that many jobs use is gone through once for each of them.
        if self.known.insert(note.clone()) {
            self.list.push(note);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Note> {
        self.list
    }
}

/// Notes as text: first what was not translated, then what changed, then the rest. What is to be said of several
/// places is said once.
pub(crate) fn listed(notes: &[Note]) -> String {
    let mut groups: Vec<(NoteKind, &str, Vec<String>)> = Vec::new();
    let mut known = HashMap::new();
    for note in notes {
        let at = *known.entry((note.kind, note.text.as_str())).or_insert_with(|| {
            groups.push((note.kind, &note.text, Vec::new()));
            groups.len() - 1
        });
        groups[at].2.push(note.place());
    }
    groups.sort_by_key(|(kind, ..)| *kind);
    let mut text = String::new();
    for (kind, what, places) in groups {
        match places.as_slice() {
            [place] => text.push_str(&format!("{kind}: {place}: {what}\n")),
            places => {
                text.push_str(&format!("{kind}, in {} places: {what}\n", places.len()));
                places.iter().for_each(|place| text.push_str(&format!("    {place}\n")));
            }
        }
    }
    text
}
