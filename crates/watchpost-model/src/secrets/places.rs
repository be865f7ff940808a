//! Where the settings of a check refer to secrets, and what they are with the values.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize;

use super::{Holder, OPEN, SecretName, SecretPart, mentions, parts};
use crate::Invalid;
use crate::expect::Expect;
use crate::http::HttpSettings;
use crate::network::PEM_BEGIN;
use crate::probe::ProbeSettings;
use crate::steps::{BodyForm, body_form, json_escaped, percent_encoded};
use crate::template::walk::{Step, Text, shown, walk};

/// The most texts of a check that refer to secrets.
const TEXTS_MAX: usize = 64;

/// The texts of a check's settings that refer to secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretPlaces(Vec<Place>);

/// A reference to a secret in the settings of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretUse<'a> {
    /// The secret's name.
    pub name: &'a SecretName,
    /// The key of the text that refers to it: `http.headers.authorization`.
    pub key: &'a str,
    /// Of a check with steps, the number of the step from 0.
    pub step: Option<usize>,
}

#[derive(Clone, PartialEq, Eq)]
struct Place {
    path: Vec<Step>,
    key: String,
    written: Written,
    /// Whether the text is gone through once more for what the check captured.
    refers: bool,
    /// Whether the value must be a text in PEM form.
    is_pem: bool,
    parts: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Secret(SecretName),
}

/// How a value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As it is.
    Plain,
    /// As a part of a form or a URL.
    Component,
    /// As a part of a text of JSON.
    Json,
}

/// Shows no more than the keys: there may be passwords among the texts.
impl fmt::Debug for SecretPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|place| &place.key)).finish()
    }
}

impl ProbeSettings {
    /// The texts that refer to secrets.
    ///
    /// # Errors
    /// Where a reference stands that may not stand there, or is none.
    pub fn secrets(&self) -> Result<SecretPlaces, Invalid> {
        let mut places = Vec::new();
        let walked = walk(self, |text| {
            if !mentions(text.text) {
                return Ok(());
            }
            let key = shown(text.path);
            let place = Place::of(self, &text, key.clone());
            places.push(place.map_err(|why| format!("`{key}`: {why}"))?);
            match places.len() {
                0..=TEXTS_MAX => Ok(()),
                _ => Err(format!("more than {TEXTS_MAX} of its texts refer to secrets: expected at most that")),
            }
        });
        walked.map(|()| SecretPlaces(places)).map_err(Invalid::new)
    }
}

impl SecretPlaces {
    /// Whether the settings are sent as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every reference.
    pub fn uses(&self) -> impl Iterator<Item = SecretUse<'_>> {
        self.0.iter().flat_map(|place| {
            let step = match place.path.as_slice() {
                [Step::Field("steps"), Step::Index(step), ..] => Some(*step),
                [Step::Field(_), Step::Field("steps"), Step::Index(step), ..] => Some(*step),
                _ => None,
            };
            let name = |piece: &'_ Piece| matches!(piece, Piece::Secret(_));
            place.parts.iter().filter(move |piece| name(piece)).filter_map(move |piece| match piece {
                Piece::Secret(name) => Some(SecretUse { name, key: &place.key, step }),
                Piece::Text(_) => None,
            })
        })
    }

    /// `settings`, whose places these are, with the values in the place of the references. What texts they are is
    /// looked at anew: no value gets past what a text of its type may be. The copies that are made on the way are
    /// overwritten.
    ///
    /// # Errors
    /// The texts in which a value cannot stand. The message shows no value.
    pub fn fill<'v>(
        &self,
        settings: &ProbeSettings,
        value: impl Fn(&SecretName) -> Option<&'v str>,
    ) -> Result<ProbeSettings, Invalid> {
        let unreadable = |_| Invalid::new("the settings cannot be filled in with the secrets");
        let mut json = serde_json::to_value(settings).map_err(unreadable)?;
        let filled = self.fill_json(&mut json, value);
        let read = filled.and_then(|()| ProbeSettings::deserialize(&json).map_err(|_| self.cannot_stand()));
        overwrite(&mut json);
        let settings = read?;
        settings.validate_filled().map_err(|_| self.cannot_stand())?;
        Ok(settings)
    }

    fn fill_json<'v>(&self, json: &mut Value, value: impl Fn(&SecretName) -> Option<&'v str>) -> Result<(), Invalid> {
        for place in &self.0 {
            let at = place.path.iter().try_fold(&mut *json, |at, step| match step {
                Step::Field(name) => at.get_mut(name),
                Step::Key(key) => at.get_mut(key),
                Step::Index(index) => at.get_mut(index),
            });
            let text = place.filled(&value).ok_or_else(|| self.cannot_stand())?;
            // Invariant: the path was found in what serialises to this value.
            if let Some(at) = at {
                *at = Value::String(text);
            }
        }
        Ok(())
    }

    /// What is said where a value does not fit: neither the value, nor how it does not.
    fn cannot_stand(&self) -> Invalid {
        let mut places: Vec<_> = self.uses().map(|used| format!("`{}` in `{}`", used.name, used.key)).collect();
        places.dedup();
        places.truncate(4);
        Invalid::new(format!(
            "a secret cannot stand where the check refers to it ({}): it is too long there, has characters that \
             cannot be sent, or is no text in PEM form where one is needed",
            places.join(", ")
        ))
    }
}

impl Place {
    fn of(settings: &ProbeSettings, text: &Text<'_>, key: String) -> Result<Self, String> {
        if matches!(settings, ProbeSettings::Heartbeat(_)) {
            return Err("a reference to a secret cannot stand here, since the Checker takes the beats, and only \
                        Runners have secrets: expected the token itself"
                .to_owned());
        }
        let Some(holder) = text.type_name.and_then(Holder::of) else {
            return Err(super::nowhere(text.type_name.unwrap_or_default()));
        };
        let parts = parts(text.text)?;
        if let Some(complaint) = holder.complaint(text.text, &parts) {
            return Err(complaint.to_owned());
        }
        let refers = refers(settings, text);
        // Where the text is gone through once more, the escape is undone there.
        let escaped = if refers { format!("${OPEN}") } else { OPEN.to_owned() };
        let piece = |part: SecretPart<'_>| match part {
            SecretPart::Text(text) => Piece::Text(text.to_owned()),
            SecretPart::Escaped => Piece::Text(escaped.clone()),
            SecretPart::Secret(name) => Piece::Secret(name),
        };
        let parts = parts.into_iter().map(piece).collect();
        let written = if holder == Holder::UserInfo { Written::Component } else { written(settings, text) };
        Ok(Self { path: text.path.to_vec(), key, written, refers, is_pem: holder == Holder::Alone, parts })
    }

    fn filled<'v>(&self, value: impl Fn(&SecretName) -> Option<&'v str>) -> Option<String> {
        let mut filled = String::new();
        for (i, piece) in self.parts.iter().enumerate() {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Secret(name) => {
                    let value = value(name).filter(|value| !self.is_pem || value.contains(PEM_BEGIN))?;
                    let mut value = match self.written {
                        Written::Plain => value.to_owned(),
                        Written::Component => percent_encoded(value),
                        Written::Json => json_escaped(value),
                    };
                    if self.refers {
                        let next_is_brace = matches!(self.parts.get(i + 1), Some(Piece::Text(t)) if t.starts_with('{'));
                        let mut meant = unreferred(&value, next_is_brace);
                        std::mem::swap(&mut value, &mut meant);
                        meant.zeroize();
                    }
                    filled.push_str(&value);
                    value.zeroize();
                }
            }
        }
        Some(filled)
    }
}

/// `value` for a text that is gone through for references to captures, in which it is to stay as it is.
fn unreferred(value: &str, next_is_brace: bool) -> String {
    let mut meant = value.replace("${", "$${");
    if meant.ends_with('$') && next_is_brace {
        meant.push('$');
    }
    meant
}

/// Whether `text` is gone through for what the check captured, once it runs.
fn refers(settings: &ProbeSettings, text: &Text<'_>) -> bool {
    match settings {
        ProbeSettings::Steps(_) => !matches!(text.type_name, Some("PemText" | "ProxyText")),
        ProbeSettings::Tcp(_) | ProbeSettings::Unix(_) => {
            text.type_name == Some("PayloadText") && matches!(text.path, [_, Step::Field("steps"), ..])
        }
        _ => false,
    }
}

/// How values are written in `text`: in bodies as their type has it.
fn written(settings: &ProbeSettings, text: &Text<'_>) -> Written {
    let http: Option<&HttpSettings> = match (settings, text.path) {
        (ProbeSettings::Http(http), [_, Step::Field("body")]) => Some(http),
        (ProbeSettings::Steps(steps), [_, Step::Index(step), _, Step::Field("body")]) => {
            steps.steps().get(*step).map(|step| &step.http)
        }
        _ => None,
    };
    match http.map(body_form) {
        Some(BodyForm::Form) => Written::Component,
        Some(BodyForm::Json) => Written::Json,
        Some(BodyForm::Text) | None => Written::Plain,
    }
}

/// Overwrites every text in `json`.
fn overwrite(json: &mut Value) {
    match json {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(overwrite),
        Value::Object(fields) => fields.values_mut().for_each(overwrite),
        _ => {}
    }
}

/// What must hold of the references in a check: each stands where one may, and no key is written out.
pub(crate) fn validate(settings: &ProbeSettings, expect: &Expect) -> Result<(), Invalid> {
    settings.secrets()?;
    walk(settings, |text| match text.type_name {
        Some("PemText") if text.text.contains(PEM_BEGIN) => {
            let key = shown(text.path);
            Err(format!("`{key}` is a certificate or key itself: expected the path of a file, or `${{secret:name}}`"))
        }
        _ => Ok(()),
    })
    .map_err(Invalid::new)?;
    refuse(expect, "expect", "results show what is expected")
}

/// Refuses references in `value`, whose key is `prefix`, since `why`.
pub(crate) fn refuse<T: Serialize + ?Sized>(value: &T, prefix: &str, why: &str) -> Result<(), Invalid> {
    let walked = walk(value, |text| match mentions(text.text) {
        true => Err(format!(
            "`{prefix}.{}` has `{OPEN}…}}`: a reference to a secret cannot stand there, since {why}",
            shown(text.path)
        )),
        false => Ok(()),
    });
    walked.map_err(|why| Invalid::new(why).at(prefix))
}
