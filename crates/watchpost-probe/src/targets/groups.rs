//! Targets as Prometheus writes them: groups of addresses that share labels.

use std::collections::BTreeMap;

use serde::Deserialize;
use watchpost_model::{FoundTarget, TARGETS_MAX};

/// One group. A key that is not known is an error, as with Prometheus: a typo should not lose targets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
}

/// Reads groups, and gives each of their targets the labels `added` as well.
///
/// # Errors
/// What is wrong with the text, and where.
pub(super) fn read(text: &[u8], format: Format, added: &[(String, String)]) -> Result<Vec<FoundTarget>, String> {
    let groups = match format {
        Format::Json => serde_json::from_slice::<Vec<Group>>(text).map_err(|e| e.to_string())?,
        Format::Yaml => from_yaml(text)?,
    };
    let number: usize = groups.iter().map(|group| group.targets.len()).sum();
    if number > TARGETS_MAX {
        return Err(format!("{number} targets are listed: expected at most {TARGETS_MAX}"));
    }
    let each = |group: Group| {
        let Group { targets, labels } = group;
        targets.into_iter().map(move |address| {
            let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone()));
            FoundTarget::new(&address, labels.chain(added.iter().cloned()))
        })
    };
    Ok(groups.into_iter().flat_map(each).collect())
}

fn from_yaml(text: &[u8]) -> Result<Vec<Group>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text in UTF-8".to_owned())?;
    // A file that is being written is empty at first, which is not the same as an empty list.
    if text.trim().is_empty() {
        return Err("it is empty: expected a list, `[]` if there are no targets".to_owned());
    }
    let budget = serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 2_000_000 };
    let options = serde_saphyr::options! { budget: budget };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let message = e.without_snippet().to_string();
        watchpost_model::shorten(message.trim_start_matches("error: "), 300).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str, format: Format) -> Result<Vec<String>, String> {
        let shown = |target: &FoundTarget| {
            let labels: Vec<String> = target.labels().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let address = target.address().map_or_else(|| "?".to_owned(), ToString::to_string);
            format!("{address} {}", labels.join(" "))
        };
        read(text.as_bytes(), format, &[("__meta_filepath".into(), "/f".into())])
            .map(|found| found.iter().map(shown).collect())
    }

    #[test]
    fn groups_give_their_labels_to_each_of_their_targets() {
        let json = r#"[{"targets": ["a:1", "b"], "labels": {"env": "x", "n": "1"}}, {"targets": ["c:1"]}, {}]"#;
        let yaml = "- targets: ['a:1', b]\n  labels:\n    env: x\n    n: 1\n- targets: [\"c:1\"]\n- {}\n";
        let expected = ["a:1 __meta_filepath=/f env=x n=1", "? __meta_filepath=/f env=x n=1", "c:1 __meta_filepath=/f"];
        assert_eq!(targets(json, Format::Json).unwrap(), expected);
        assert_eq!(targets(yaml, Format::Yaml).unwrap(), expected);
        assert_eq!(targets("[]", Format::Json).unwrap(), Vec::<String>::new());
        assert_eq!(targets("[]", Format::Yaml).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_list_of_groups_says_what_is_wrong() {
        let many = format!(r#"[{{"targets": [{}"a:1"]}}]"#, r#""a:1","#.repeat(TARGETS_MAX));
        for (text, format, told) in [
            ("", Format::Yaml, "it is empty: expected a list"),
            ("", Format::Json, "EOF"),
            ("[{\"targets\": [\"a:1\"", Format::Json, "EOF"),
            ("- targets: [a:1, b:", Format::Yaml, ""),
            ("- target: ['a:1']", Format::Yaml, "target"),
            ("[{\"target\": []}]", Format::Json, "unknown field `target`"),
            ("{\"targets\": []}", Format::Json, "expected a sequence"),
            ("- targets: {a: 1}", Format::Yaml, ""),
            (&many, Format::Json, "10001 targets are listed"),
            (&"[".repeat(100_000), Format::Json, "line 1 column "),
            (&"[".repeat(100_000), Format::Yaml, ""),
        ] {
            let error = targets(text, format).unwrap_err();
            assert!(error.contains(told) && error.len() < 600, "{}: {error}", watchpost_model::shorten(text, 50));
        }
    }

    #[test]
    fn ten_thousand_targets_with_many_labels_are_read() {
        let one = |i: usize| {
            let labels: String = (0..12).map(|l| format!("    label_{l}: value\n")).collect();
            format!("- targets: ['10.0.0.1:{}']\n  labels:\n{labels}", i + 1)
        };
        let text: String = (0..TARGETS_MAX).map(one).collect();
        assert_eq!(targets(&text, Format::Yaml).unwrap().len(), TARGETS_MAX);
    }
}
