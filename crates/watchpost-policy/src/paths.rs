//! Paths in the file system.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PolicyError, text};

/// A pattern of paths: `/run/app/*.sock`, where `*` stands for any part of a name, or `/run/app/**` for everything below.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern(Box<str>);

impl PathPattern {
    /// Whether it stands for a path that is absolute and has no `..`.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        for pattern in self.0.split('/').filter(|name| !name.is_empty()) {
            let Some(name) = names.next() else { return false };
            if pattern == "**" {
                return true;
            }
            if !name_matches(pattern, name) {
                return false;
            }
        }
        names.next().is_none()
    }
}

/// Whether a name is of a pattern, in which `*` stands for any text.
fn name_matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = name.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    name.ends_with(last)
}

impl FromStr for PathPattern {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let wrong = |why: &str| {
            let shown = watchpost_model::shorten(given, 80);
            PolicyError::new(format!("`{shown}` is not a pattern of paths: {why}"))
        };
        if !given.starts_with('/') || given.contains('\0') {
            return Err(wrong("expected one that begins with `/`"));
        }
        let mut names = given.split('/').skip(1).peekable();
        while let Some(name) = names.next() {
            let last = names.peek().is_none();
            match name {
                "" if !last => return Err(wrong("expected a name between each `/` and the next")),
                "." | ".." => return Err(wrong("expected neither `.` nor `..`")),
                "**" if last => {}
                name if name.contains("**") => return Err(wrong("expected `**` as the last name only")),
                _ => {}
            }
        }
        Ok(Self(given.into()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text::by_text!(PathPattern, "a pattern of paths such as /run/app/*.sock", 1024, "^/");

/// A path that is absolute, without `.` and without anything that leads back up.
pub(crate) fn straight(path: &Path) -> Option<PathBuf> {
    let mut straight = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::Normal(_) => straight.push(component),
            Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    straight.is_absolute().then_some(straight)
}
