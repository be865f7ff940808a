//! Texts with places that are filled in for each target: `http://{{target.address}}/health`.
//!
//! A text of a check's settings or expectations may be a template if its type is listed in [`Context::of`].
//! It is valid if it is valid with sample values in its places, and it is looked at again with the values of
//! each target: what a foreign source says of its targets never gets past what a text of its type may be.

mod place;
mod places;
pub(crate) mod walk;

use std::borrow::Cow;

use self::place::{Place, What};
use crate::targets::FoundTarget;

pub(crate) use self::places::{Places, first_template};
pub(crate) use self::walk::texts_of_type;

/// What every place begins with, apart from spaces: `{{` alone may stand in any body.
const OPEN: &str = "{{";
const SUBJECT: &str = "target.";
/// The most places of one text.
const PLACES_MAX: usize = 64;

/// What kind of text the values are filled into, which decides how they are written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// As they are.
    Plain,
    /// Labels percent-encoded, so that none of them becomes another part of the URL.
    Url,
    /// An IPv6 address in brackets.
    HostPort,
    /// Escaped, so that each stands for itself.
    Pattern,
    /// As texts of the language, quotes included; the port as a number.
    Expression,
    /// As they are, but what begins an argument is never taken for an option.
    Argument,
}

impl Context {
    /// Of the type called `name`; `None` where no template may stand.
    fn of(name: &str) -> Option<Self> {
        match name {
            "DohPath" | "HttpUrl" | "WebsocketUrl" => Some(Self::Url),
            "HostPort" | "ServerAddress" => Some(Self::HostPort),
            "Pattern" | "LinePattern" => Some(Self::Pattern),
            "Expression" => Some(Self::Expression),
            "Argument" => Some(Self::Argument),
            "BasicUser" | "CommandWord" | "DatabaseName" | "DnsName" | "ExpectedValue" | "Fingerprint"
            | "HeaderValue" | "HeloName" | "Host" | "JsonText" | "LoginName" | "MailUser" | "Needle"
            | "PayloadText" | "RecordData" | "ServerNameText" | "ServiceName" | "Subprotocol" => Some(Self::Plain),
            // What names files and programs is not for a source of targets to say, nor are statements of a database,
            // nor passwords and tokens.
            _ => None,
        }
    }
}

/// What a text may refer to, other than to targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum References {
    /// To what the check captured, and to secrets.
    Captures,
    /// To secrets only.
    Secrets,
}

impl References {
    fn signs(self) -> [&'static str; 2] {
        match self {
            Self::Captures => ["${", "$${"],
            Self::Secrets => ["${secret:", "$${secret:"],
        }
    }
}

/// A text that has places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Place(Place),
}

/// Whether `text` has places to fill in, or means to.
pub(crate) fn is_template(text: &str) -> bool {
    next_place(text).is_some()
}

/// Where the first place begins, and what follows its `{{`.
fn next_place(text: &str) -> Option<(usize, &str)> {
    // A brace may stand before it: `{{{target.port}}}` is a number in braces.
    text.match_indices('{').find_map(|(at, _)| {
        let inner = text[at..].strip_prefix(OPEN)?.trim_start_matches(' ');
        inner.starts_with(SUBJECT).then_some((at, inner))
    })
}

impl Template {
    /// Reads the places of `text`.
    ///
    /// # Errors
    /// Quotes a place that cannot be read, and says what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((at, inner)) = next_place(rest) {
            if at > 0 {
                parts.push(Part::Literal(rest[..at].into()));
            }
            let (place, after) = Place::parse(inner).map_err(|why| {
                let shown = first_place(&rest[at..]);
                format!("`{shown}` cannot be filled in: {why}")
            })?;
            parts.push(Part::Place(place));
            if parts.len() > 2 * PLACES_MAX {
                return Err(format!("more than {PLACES_MAX} places are to be filled in: expected at most that"));
            }
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts))
    }

    /// The text for `target`.
    ///
    /// # Errors
    /// What the target does not have, or has in a form that is filled in nowhere.
    pub(crate) fn fill(&self, context: Context, target: &FoundTarget) -> Result<String, String> {
        let filled = self.fill_with(|place| place.value(context, target).map(Cow::into_owned))?;
        let begins_with_place = matches!(self.0.first(), Some(Part::Place(_)));
        if context == Context::Argument && begins_with_place && filled.starts_with('-') {
            return Err("the argument would begin with `-`, and be taken for an option".to_owned());
        }
        Ok(filled)
    }

    /// The text with `samples` in its places.
    fn sample(&self, context: Context, samples: &Samples) -> String {
        let filled = self.fill_with(|place| Ok(place.sample(context, samples).into_owned()));
        filled.unwrap_or_default()
    }

    fn fill_with(&self, mut value: impl FnMut(&Place) -> Result<String, String>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Place(place) => text.push_str(&value(place)?),
            }
        }
        Ok(text)
    }

    /// Whether `filled`, which was made of it, has the same references as it has itself: no more and no fewer of what
    /// `references` begin with, nor of what stands for these characters.
    pub(crate) fn has_references_of(&self, filled: &str, references: References) -> bool {
        let own = self.fill_with(|_| Ok("x".to_owned())).unwrap_or_default();
        references.signs().iter().all(|sign| own.matches(sign).count() == filled.matches(sign).count())
    }

    /// The labels that it asks for.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Place(Place { what: What::Label(name), .. }) => Some(&**name),
            _ => None,
        })
    }
}

/// Values that stand for those of targets, to see whether a text can be valid at all.
struct Samples {
    label: &'static str,
}

/// A label may be a part of a host, a port or a path, and the whole of a URL or of a host key's fingerprint.
const SAMPLES: [Samples; 4] = [
    Samples { label: "1" },
    Samples { label: "label" },
    Samples { label: "https://target.invalid/" },
    Samples { label: "SHA256:0000000000000000000000000000000000000000000" },
];

/// Whether `text` is a valid text of the type called `type_name`, whose own rule is `check`: as it is, or with
/// samples in its places and in those of secrets.
pub(crate) fn accept(type_name: &str, text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let text = &*crate::secrets::sampled(type_name, text)?;
    if !is_template(text) {
        return check(text);
    }
    let Some(context) = Context::of(type_name) else { return Err(nowhere(text)) };
    let template = Template::parse(text)?;
    let mut errors = SAMPLES.iter().map(|samples| check(&template.sample(context, samples)).err());
    match errors.next().flatten() {
        Some(first) if errors.all(|error| error.is_some()) => Err(format!("with values filled in, {first}")),
        _ => Ok(()),
    }
}

/// `text` of the type called `type_name` itself or, if it is a template, its first form with samples that `check`
/// accepts; the first of all if it accepts none.
pub(crate) fn sampled<'a>(type_name: &str, text: &'a str, check: impl Fn(&str) -> bool) -> Cow<'a, str> {
    if !is_template(text) {
        return Cow::Borrowed(text);
    }
    let (Some(context), Ok(template)) = (Context::of(type_name), Template::parse(text)) else {
        return Cow::Borrowed(text);
    };
    let mut sampled: Vec<String> = SAMPLES.iter().map(|samples| template.sample(context, samples)).collect();
    let good = sampled.iter().position(|sampled| check(sampled)).unwrap_or(0);
    Cow::Owned(sampled.swap_remove(good))
}

fn nowhere(text: &str) -> String {
    format!("`{}` cannot be filled in here: expected a text without it", first_place(text))
}

/// The first place of `text`, for errors: what stands around it may be a secret.
pub(crate) fn first_place(text: &str) -> Cow<'_, str> {
    let place = next_place(text).map_or("", |(at, _)| &text[at..]);
    let end = place.find("}}").map_or(place.len(), |end| end + 2);
    crate::shorten(&place[..end], 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str, labels: &[(&str, &str)]) -> FoundTarget {
        FoundTarget::new(address, labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn filled(context: Context, text: &str, target: &FoundTarget) -> Result<String, String> {
        Template::parse(text)?.fill(context, target)
    }

    #[test]
    fn places_are_filled_in_as_the_context_wants_it() {
        let web = target("web.example:80", &[("env", "a b/c"), ("rx", "v1.2+"), ("q", "say \"hi\"")]);
        let v6 = target("[fd00::1]:443", &[]);
        let dash = target("a:1", &[("minus", "--verbose")]);
        for (context, text, target, expected) in [
            (
                Context::Plain,
                "{{target.address}} {{ target.host }}|{{target.port}}",
                &web,
                "web.example:80 web.example|80",
            ),
            (Context::Plain, "{{target.labels.env}}", &web, "a b/c"),
            (Context::Url, "http://{{target.address}}/{{target.labels.env}}", &web, "http://web.example:80/a%20b%2Fc"),
            (Context::Url, "http://h/{{target.labels.env | raw}}", &web, "http://h/a b/c"),
            (Context::Url, "http://{{target.host}}:81/", &v6, "http://[fd00::1]:81/"),
            (Context::HostPort, "{{target.host}}:81", &v6, "[fd00::1]:81"),
            (Context::Plain, "{{target.host}}", &v6, "fd00::1"),
            (Context::Plain, "{{target.address}}", &v6, "[fd00::1]:443"),
            (Context::Pattern, "^{{target.labels.rx}}$", &web, r"^v1\.2\+$"),
            (Context::Pattern, "^{{target.labels.rx|raw}}$", &web, "^v1.2+$"),
            (Context::Pattern, "{{target.host}}", &web, r"web\.example"),
            (Context::Plain, r#"{"q": "{{target.labels.q | json}}"}"#, &web, r#"{"q": "say \"hi\""}"#),
            (
                Context::Expression,
                "q == {{target.labels.q}} && p == {{target.port}}",
                &web,
                r#"q == "say \"hi\"" && p == 80"#,
            ),
            (
                Context::Expression,
                "n < {{target.labels.none | default('5') | raw}} || h == {{target.host}}",
                &web,
                r#"n < 5 || h == "web.example""#,
            ),
            (Context::Argument, "{{target.labels.env}}", &web, "a b/c"),
            (Context::Argument, "--env={{target.labels.minus}}", &dash, "--env=--verbose"),
            (Context::Plain, r#"{{target.labels.none | default("x \"y\"")}}"#, &web, r#"x "y""#),
            (Context::Url, "{{target.labels.none|default('a b')|raw}}", &web, "a b"),
            (Context::Plain, "{{ env }} {{{{target.port}}}} {{", &web, "{{ env }} {{80}} {{"),
            (Context::Plain, "{{{target.port}}} {{{{{ target.port }}", &web, "{80} {{{80"),
        ] {
            assert_eq!(filled(context, text, target).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_a_target_lacks_is_named() {
        let bare = target("a:1", &[("empty", ""), ("bad", "a\r\nx-evil: 1")]);
        for (text, told) in [
            ("{{target.labels.env}}", "no label `env`"),
            ("{{target.labels.empty}}", "no label `empty`"),
            ("{{target.labels.bad}}", "label `bad` holds control characters"),
        ] {
            assert!(filled(Context::Plain, text, &bare).unwrap_err().contains(told), "{text}");
        }
        let dash = target("a:1", &[("minus", "--verbose")]);
        let option = filled(Context::Argument, "{{target.labels.minus}}", &dash).unwrap_err();
        assert!(option.contains("taken for an option"), "{option}");
    }

    #[test]
    fn a_label_brings_no_references_with_it() {
        let same = |text: &str, label: &str| {
            let template = Template::parse(text).unwrap();
            let filled = template.fill(Context::Plain, &target("a:1", &[("l", label)])).unwrap();
            template.has_references_of(&filled, References::Captures)
        };
        for label in ["plain", "$5", "{x}", "x}", "$"] {
            assert!(same("${a} {{target.labels.l}} $${b}", label), "{label}");
        }
        for (text, label) in [
            ("{{target.labels.l}}", "${token}"),
            ("{{target.labels.l}}", "$${token}"),
            ("{{target.labels.l}}{token}", "$"),
            ("{{target.labels.l}}${token}", "$"),
            ("${{target.labels.l}}", "{token}"),
        ] {
            assert!(!same(text, label), "{text} {label}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_read_says_what_was_expected() {
        for (text, told) in [
            ("{{target.address", "expected `}}`"),
            ("{{target.adress}}", "no `target.adress`: expected `target.address`"),
            ("{{target.labels}}", "no `target.labels`"),
            ("{{target.labels.}}", "no `target.labels.`"),
            ("{{target.labels.a-b}}", "expected `}}` or `|`"),
            ("{{target.labels.a.b}}", "no `target.labels.a.b`"),
            ("{{target.labels.9}}", "no `target.labels.9`"),
            ("{{target.labels.a | upper}}", "no filter `upper`"),
            ("{{target.labels.a | default(x)}}", "expected a text in quotes"),
            ("{{target.labels.a | default(\"x}}", "expected a text in quotes"),
            ("{{target.port | raw}}", "goes with labels only"),
            (&"{{target.port}}".repeat(200), "expected at most that"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
