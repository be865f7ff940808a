//! Looking for planted texts in whatever was written, in every form.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use regex::bytes::{Regex, RegexBuilder};

/// How many letters and digits of a secret in a row are a find.
const WINDOW: usize = 10;
/// How many finds of one form in one place are told.
const SHOWN_MAX: usize = 4;

/// A place where something was written.
pub struct Written {
    pub place: String,
    pub bytes: Vec<u8>,
}

impl Written {
    pub fn new(place: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { place: place.into(), bytes: bytes.into() }
    }
}

/// Every file below `folder`.
pub fn files(folder: &Path, found: &mut Vec<Written>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            found.push(Written::new(path.display().to_string(), bytes));
        }
    }
}

/// The finds of `core` by the form in which it was found: plain (which is also how MessagePack, JSON, HTML and
/// percent-encoding write letters and digits), in hexadecimal, and in base64 at each of the three places at which it may
/// begin.
pub fn finds(core: &str, written: &[Written]) -> BTreeMap<&'static str, Vec<String>> {
    let mut finds = BTreeMap::<_, Vec<String>>::new();
    for (form, pattern) in forms(core) {
        for Written { place, bytes } in written {
            for found in pattern.find_iter(bytes).take(SHOWN_MAX) {
                let around = found.start().saturating_sub(160)..bytes.len().min(found.end() + 60);
                let text = String::from_utf8_lossy(&bytes[around]).into_owned();
                finds.entry(form).or_default().push(format!("{place}: …{text}…"));
            }
        }
    }
    finds
}

fn forms(core: &str) -> Vec<(&'static str, Regex)> {
    let windows = |text: &str, width: usize| -> Vec<String> {
        (0..=text.len().saturating_sub(width)).map(|at| text[at..at + width].to_owned()).collect()
    };
    let any = |texts: Vec<String>, any_case| {
        let pattern = texts.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
        RegexBuilder::new(&pattern).case_insensitive(any_case).size_limit(1 << 26).build().unwrap()
    };
    let mut forms = vec![
        ("plain", any(windows(core, WINDOW), true)),
        ("hex", any(windows(&HEXLOWER.encode(core.as_bytes()), 2 * WINDOW), true)),
    ];
    for (before, form) in ["base64 at 0", "base64 at 1", "base64 at 2"].into_iter().enumerate() {
        let encoded = BASE64_NOPAD.encode(format!("{}{core}", "x".repeat(before)).as_bytes());
        // What also says something of the bytes around it is left out.
        let inner = &encoded[if before == 0 { 0 } else { 4 }..encoded.len() - 1];
        forms.push((form, any(windows(inner, 14), false)));
    }
    forms
}

#[test]
fn the_search_finds_what_is_there_in_each_form() {
    let core = crate::planted::core("something");
    for (form, text) in [
        ("plain", format!("{{\"a\": \"x{core}\"}}")),
        ("plain", core.to_uppercase()),
        ("plain", core[3..15].to_owned()),
        ("hex", HEXLOWER.encode(format!("..{core}").as_bytes())),
        ("base64 at 0", BASE64_NOPAD.encode(format!("abc{core}!").as_bytes())),
        ("base64 at 1", BASE64_NOPAD.encode(format!("user:{}{core}!!", "xx").as_bytes())),
        ("base64 at 2", BASE64_NOPAD.encode(format!("ab{core}").as_bytes())),
    ] {
        let written = [Written::new("here", text.clone().into_bytes())];
        assert_eq!(finds(&core, &written).keys().copied().collect::<Vec<_>>(), [form], "{text}");
    }
    assert!(finds(&core, &[Written::new("there", b"nothing".to_vec())]).is_empty());
}
