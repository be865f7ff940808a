//! Ids of checks, made of what things were called.

use std::collections::{HashMap, HashSet};

use watchpost_model::NAME_BYTES_MAX;

/// The ids that are taken.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    taken: HashSet<String>,
    /// The number that was given last to names that were taken, so that a thousand of one name are no trouble.
    last: HashMap<String, u64>,
}

/// An id, and what it would have been, had nobody had it yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) wanted: Option<String>,
}

impl Ids {
    /// An id made of `parts`, which nothing else has.
    pub(crate) fn take(&mut self, parts: &[&str]) -> Named {
        let words: Vec<String> = parts.iter().map(|part| id_of(part)).filter(|word| !word.is_empty()).collect();
        let mut wanted = words.join("_");
        if wanted.is_empty() {
            wanted = "check".to_owned();
        }
        let wanted = cut(&wanted, NAME_BYTES_MAX).to_owned();
        if self.taken.insert(wanted.clone()) {
            return Named { id: wanted, wanted: None };
        }
        let mut number = self.last.get(&wanted).copied().unwrap_or(1);
        loop {
            number += 1;
            let suffix = format!("-{number}");
            let id = format!("{}{suffix}", cut(&wanted, NAME_BYTES_MAX - suffix.len()));
            if self.taken.insert(id.clone()) {
                self.last.insert(wanted.clone(), number);
                return Named { id, wanted: Some(wanted) };
            }
        }
    }
}

/// Ids are ASCII, so every byte is a border.
fn cut(id: &str, bytes_max: usize) -> &str {
    id.get(..bytes_max).unwrap_or(id).trim_end_matches(['-', '_'])
}

/// A name with what no id may have replaced by `-`: `Front end (EU)` becomes `front-end-eu`.
fn id_of(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => id.push(c.to_ascii_lowercase()),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    id.trim_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_names_and_differ() {
        let mut ids = Ids::default();
        let mut take = |parts: &[&str]| ids.take(parts).id;
        for (parts, id) in [
            (&["Front end (EU)"][..], "front-end-eu"),
            (&["core", "Blog: home"], "core_blog-home"),
            (&["", "http_2xx"], "http_2xx"),
            (&["日本"], "check"),
            (&["日本語"], "check-2"),
            (&["front END eu"], "front-end-eu-2"),
            (&["front-end-eu-2"], "front-end-eu-2-2"),
            (&["front end eu"], "front-end-eu-3"),
        ] {
            assert_eq!(take(parts), id);
        }
        let long = "x".repeat(200);
        assert_eq!(take(&[&long]).len(), 64);
        let second = take(&[&long]);
        assert!(second.len() == 64 && second.ends_with("-2"), "{second}");
    }

    #[test]
    fn who_did_not_get_the_id_of_its_name_is_told() {
        let mut ids = Ids::default();
        assert_eq!(ids.take(&["a"]).wanted, None);
        assert_eq!(ids.take(&["A"]), Named { id: "a-2".into(), wanted: Some("a".into()) });
    }
}
