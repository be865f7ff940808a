//! The places of a check's settings and expectations, and what they are for one target.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::walk::{Step, Text, shown, walk};
use super::{Context, References, Template, first_place, is_template, nowhere};
use crate::Invalid;
use crate::expect::Expect;
use crate::probe::ProbeSettings;
use crate::secrets::Holder;
use crate::targets::FoundTarget;

/// What of a check is filled in for each target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    settings: Part,
    expect: Part,
}

/// Settings or expectations as JSON, with those of their texts that are templates.
#[derive(Clone, PartialEq, Eq)]
struct Part {
    written: Value,
    texts: Vec<Place>,
}

/// Shows no more than the keys: there may be passwords among the texts.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts.iter().map(|place| &place.key)).finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    path: Vec<Step>,
    /// The path as keys of a file.
    key: String,
    context: Context,
    template: Template,
    /// What `${name}` in it stands for once the check runs, if for anything.
    refers: Option<References>,
}

/// The first template in `value`: its key below `prefix`, and its text.
pub(crate) fn first_template<T: Serialize + ?Sized>(value: &T, prefix: &str) -> Option<(String, String)> {
    let mut first = None;
    let walked = walk(value, |Text { path, text, .. }| match is_template(text) {
        true => {
            first = Some((key_of(prefix, path), text.to_owned()));
            Err(String::new())
        }
        false => Ok(()),
    });
    // What cannot be gone through cannot be looked at, and is no check.
    walked.err().map(|why| first.unwrap_or_else(|| (prefix.to_owned(), why)))
}

fn key_of(prefix: &str, path: &[Step]) -> String {
    let key = shown(path);
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

impl Places {
    /// Finds the places of a check.
    ///
    /// # Errors
    /// Where nothing differs from target to target, or something stands where nothing is filled in.
    pub(crate) fn find(settings: &ProbeSettings, expect: &Expect) -> Result<Self, String> {
        let refers = |type_name: Option<&str>| match settings {
            ProbeSettings::Steps(_) => Some(References::Captures),
            // The types that have dialogues. Of others nothing is captured that they could send.
            ProbeSettings::Tcp(_) | ProbeSettings::Unix(_) if type_name == Some("PayloadText") => {
                Some(References::Captures)
            }
            _ => type_name.and_then(Holder::of).map(|_| References::Secrets),
        };
        let found =
            Self { settings: Part::find(settings, "", refers)?, expect: Part::find(expect, "expect", |_| None)? };
        if found.settings.texts.is_empty() && found.expect.texts.is_empty() {
            return Err("it has `targets` and names none of them, so that each would be checked in the same way: \
                        expected `{{target.address}}` in one of its settings"
                .to_owned());
        }
        Ok(found)
    }

    /// Settings and expectations for `target`.
    ///
    /// # Errors
    /// What cannot be filled in, and with which labels.
    pub(crate) fn fill(&self, target: &FoundTarget) -> Result<(ProbeSettings, Expect), Invalid> {
        let settings: ProbeSettings = self.settings.fill(target)?;
        let expect: Expect = self.expect.fill(target)?;
        settings.validate(&expect)?;
        // Whoever wrote a label may have written a template into it, for whoever would fill it in once more.
        match first_template(&settings, "").or_else(|| first_template(&expect, "expect")) {
            Some((key, text)) => {
                let place = first_place(&text);
                Err(Invalid::new(format!("`{key}` holds `{place}` once it is filled in: a label is a template itself")))
            }
            None => Ok((settings, expect)),
        }
    }
}

impl Part {
    fn find<T: Serialize>(
        value: &T,
        prefix: &str,
        refers: impl Fn(Option<&str>) -> Option<References>,
    ) -> Result<Self, String> {
        let mut texts = Vec::new();
        walk(value, |Text { path, type_name, text }| {
            if !is_template(text) {
                return Ok(());
            }
            let key = key_of(prefix, path);
            let Some(context) = type_name.and_then(Context::of) else {
                return Err(format!("`{key}`: {}", nowhere(text)));
            };
            let template = Template::parse(text).map_err(|why| format!("`{key}`: {why}"))?;
            let refers = refers(type_name);
            texts.push(Place { path: path.to_vec(), key, context, template, refers });
            Ok(())
        })?;
        let written = serde_json::to_value(value).map_err(|e| e.to_string())?;
        Ok(Self { written, texts })
    }

    fn fill<T: DeserializeOwned>(&self, target: &FoundTarget) -> Result<T, Invalid> {
        let mut filled = self.written.clone();
        for place in &self.texts {
            place.fill(&mut filled, target)?;
        }
        serde_json::from_value(filled).map_err(|error| self.explain::<T>(target, &error))
    }

    /// Which of the texts is to blame for `error`: the one that is wrong where no other is filled in.
    fn explain<T: DeserializeOwned>(&self, target: &FoundTarget, error: &serde_json::Error) -> Invalid {
        let alone = |place: &&Place| {
            let mut filled = self.written.clone();
            place.fill(&mut filled, target).is_err() || serde_json::from_value::<T>(filled).is_err()
        };
        match self.texts.iter().find(alone) {
            Some(place) => place.invalid(target, &error.to_string()),
            None => Invalid::new(format!("the settings are not valid once they are filled in: {error}")),
        }
    }
}

impl Place {
    fn fill(&self, value: &mut Value, target: &FoundTarget) -> Result<(), Invalid> {
        let text = self.template.fill(self.context, target).map_err(|why| self.invalid(target, &why))?;
        if self.refers.is_some_and(|references| !self.template.has_references_of(&text, references)) {
            let why =
                "a label would make a reference to a capture or a secret, `${…}`, which only the check itself may";
            return Err(self.invalid(target, why));
        }
        let place = self.path.iter().try_fold(value, |at, step| match step {
            Step::Field(name) => at.get_mut(name),
            Step::Key(key) => at.get_mut(key),
            Step::Index(i) => at.get_mut(i),
        });
        // Invariant: the path was found in what serialises to `value`.
        if let Some(place) = place {
            *place = Value::String(text);
        }
        Ok(())
    }

    fn invalid(&self, target: &FoundTarget, why: &str) -> Invalid {
        const SHOWN_MAX: usize = 3;
        let label = |name: &str| {
            let value = target.labels().get(name)?;
            Some(format!("{name}={:?}", crate::shorten(value, 60)))
        };
        let labels: Vec<String> = self.template.labels().filter_map(label).take(SHOWN_MAX).collect();
        let with = if labels.is_empty() { String::new() } else { format!(" with {}", labels.join(", ")) };
        Invalid::new(format!("`{}` cannot be filled in{with}: {}", self.key, crate::shorten(why, 300)))
    }
}
