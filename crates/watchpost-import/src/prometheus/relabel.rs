//! Prometheus' `relabel_configs`, applied to what is known of a target.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use crate::keys::Keys;
use crate::notes::{Notes, Place};

/// How long a label may become while it is rewritten, in bytes.
const LABEL_BYTES_MAX: usize = 8 * 1024;
/// The largest compiled form of a rule's pattern, in bytes.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;
/// The most rules of one job that are applied.
const RULES_MAX: usize = 128;

/// The labels of a target on its way.
pub(super) type LabelMap = BTreeMap<String, String>;

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    place: Place,
    sources: Vec<String>,
    separator: String,
    regex: Regex,
    /// Whether the pattern takes everything, whatever it is.
    takes_all: bool,
    target: String,
    replacement: String,
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    Lowercase,
    Uppercase,
    LabelMap,
    LabelDrop,
    LabelKeep,
}

/// Reads the rules of a job; what cannot be applied is told.
pub(super) fn rules(job: &Keys<'_>, notes: &mut Notes) -> Vec<Rule> {
    let list = job.list("relabel_configs");
    if list.len() > RULES_MAX {
        let why = format!("there are {} rules, of which the first {RULES_MAX} are applied", list.len());
        notes.not_translated(&job.place_of("relabel_configs"), why);
    }
    list.into_iter().take(RULES_MAX).filter_map(|(place, node)| rule(&Keys::of(node, place, notes), notes)).collect()
}

fn rule(keys: &Keys<'_>, notes: &mut Notes) -> Option<Rule> {
    let sources = keys.texts("source_labels", notes).into_iter().map(|(_, label)| label).collect();
    let separator = keys.text("separator", notes).unwrap_or_else(|| ";".to_owned());
    let pattern = keys.text("regex", notes).unwrap_or_else(|| "(.*)".to_owned());
    let target = keys.text("target_label", notes).unwrap_or_default();
    let replacement = keys.text("replacement", notes).unwrap_or_else(|| "$1".to_owned());
    let action = keys.some_text("action", notes).unwrap_or_else(|| "replace".to_owned()).to_ascii_lowercase();
    let _modulus = keys.get("modulus");
    keys.finish(notes);
    let action = match action.as_str() {
        "replace" => Action::Replace,
        "keep" => Action::Keep,
        "drop" => Action::Drop,
        "keepequal" => Action::KeepEqual,
        "dropequal" => Action::DropEqual,
        "lowercase" => Action::Lowercase,
        "uppercase" => Action::Uppercase,
        "labelmap" => Action::LabelMap,
        "labeldrop" => Action::LabelDrop,
        "labelkeep" => Action::LabelKeep,
        other => {
            let other = watchpost_model::shorten(other, 40);
            notes.not_translated(
                &keys.place,
                format!("the action `{other}` is not applied: look which targets are left"),
            );
            return None;
        }
    };
    // There, a pattern is for the whole of a text, line breaks included.
    let compiled = RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
    let Ok(regex) = compiled else {
        notes.not_translated(&keys.place, "its `regex` is no pattern here: look which targets are left");
        return None;
    };
    let takes_all = matches!(pattern.as_str(), "(.*)" | "(.+)" | ".*" | ".+");
    Some(Rule { place: keys.place.clone(), sources, separator, regex, takes_all, target, replacement, action })
}

/// The labels of a target once the rules were applied; `None` where they drop it.
pub(super) fn applied(rules: &[Rule], labels: &LabelMap) -> Option<LabelMap> {
    let mut labels = labels.clone();
    for rule in rules {
        if !rule.apply(&mut labels) {
            return None;
        }
    }
    Some(labels)
}

/// The same for targets that only their source knows: what it says stands as a place to fill in. Rules that depend on
/// what is not known are told, and not applied.
pub(super) fn applied_to_places(rules: &[Rule], labels: &LabelMap, notes: &mut Notes) -> LabelMap {
    let mut labels = labels.clone();
    for rule in rules {
        for source in &rule.sources {
            labels.entry(source.clone()).or_insert_with(|| format!("{{{{target.labels.{source} | raw}}}}"));
        }
        let unknown = rule.input(&labels).contains("{{target.");
        let whole_labels = matches!(rule.action, Action::LabelMap | Action::LabelDrop | Action::LabelKeep);
        let applies = match rule.action {
            Action::Replace => !unknown || rule.takes_all,
            _ => !unknown && !whole_labels,
        };
        if !applies {
            let why = "what it does depends on what the source of the targets says: write targets and labels there as they \
                       are to be";
            notes.not_translated(&rule.place, why);
        } else if !rule.apply(&mut labels) {
            notes.not_translated(&rule.place, "it drops every target: it is not applied");
        }
    }
    labels
}

impl Rule {
    fn input(&self, labels: &LabelMap) -> String {
        let values: Vec<&str> =
            self.sources.iter().map(|source| labels.get(source).map_or("", String::as_str)).collect();
        values.join(&self.separator)
    }

    /// Whether the target stays.
    fn apply(&self, labels: &mut LabelMap) -> bool {
        let input = self.input(labels);
        match self.action {
            Action::Keep => return self.regex.is_match(&input),
            Action::Drop => return !self.regex.is_match(&input),
            Action::KeepEqual => return labels.get(&self.target).is_some_and(|value| *value == input),
            Action::DropEqual => return labels.get(&self.target).is_none_or(|value| *value != input),
            Action::Lowercase => set(labels, self.target.clone(), input.to_lowercase()),
            Action::Uppercase => set(labels, self.target.clone(), input.to_uppercase()),
            Action::Replace => {
                let Some(captures) = self.regex.captures(&input) else { return true };
                let expand = |template: &str| {
                    let mut text = String::new();
                    captures.expand(template, &mut text);
                    text
                };
                set(labels, expand(&self.target), expand(&self.replacement));
            }
            Action::LabelMap => {
                let renamed: Vec<(String, String)> = labels
                    .iter()
                    .filter(|(name, _)| self.regex.is_match(name))
                    .map(|(name, value)| {
                        (self.regex.replace(name, self.replacement.as_str()).into_owned(), value.clone())
                    })
                    .collect();
                renamed.into_iter().for_each(|(name, value)| set(labels, name, value));
            }
            Action::LabelDrop => labels.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex.is_match(name)),
        }
        true
    }
}

/// An empty value takes the label away.
fn set(labels: &mut LabelMap, name: String, value: String) {
    if name.is_empty() || value.len() > LABEL_BYTES_MAX || name.len() > LABEL_BYTES_MAX {
        return;
    }
    if value.is_empty() {
        labels.remove(&name);
    } else {
        labels.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn relabelled(rules_text: &str, given: &[(&str, &str)]) -> Option<LabelMap> {
        let node = Node::parse(&format!("relabel_configs:\n{rules_text}")).unwrap();
        let mut notes = Notes::default();
        let rules = rules(&Keys::of(&node, Place::file("f"), &mut notes), &mut notes);
        assert!(notes.into_vec().is_empty());
        let labels = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        applied(&rules, &labels)
    }

    #[test]
    fn rules_rewrite_labels_as_prometheus_does() {
        let usual = "- {source_labels: [__address__], target_label: __param_target}\n\
                     - {source_labels: [__param_target], target_label: instance}\n\
                     - {target_label: __address__, replacement: 'exporter:9115'}\n";
        let labels = relabelled(usual, &[("__address__", "https://a/")]).unwrap();
        assert_eq!(labels["__param_target"], "https://a/");
        assert_eq!(labels["instance"], "https://a/");
        assert_eq!(labels["__address__"], "exporter:9115");
        for (rule, name, value) in [
            (
                "- {source_labels: [a, b], separator: '-', regex: '(x)-(.*)', target_label: c, replacement: '${2}$1'}",
                "c",
                "yx",
            ),
            ("- {source_labels: [a], action: uppercase, target_label: c}", "c", "X"),
            ("- {regex: '(a)', action: labelmap, replacement: 'm_$1'}", "m_a", "x"),
            ("- {source_labels: [nix], target_label: a}", "b", "y"),
        ] {
            let labels = relabelled(rule, &[("a", "x"), ("b", "y")]).unwrap();
            assert_eq!(labels[name], value, "{rule}");
        }
        assert!(relabelled("- {source_labels: [a], regex: x, action: drop}", &[("a", "x")]).is_none());
        assert!(relabelled("- {source_labels: [a], regex: x, action: keep}", &[("a", "xx")]).is_none());
        let labels = relabelled("- {regex: 'a|b', action: labeldrop}", &[("a", "x"), ("c", "y")]).unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["c"]);
    }
}
