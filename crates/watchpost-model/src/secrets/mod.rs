//! References to secrets: `${secret:name}` in a check stands for what the Runner that executes it has by this name.
//!
//! Checks, tasks and everything else on the bus carry the reference only. Which texts may have references is decided
//! by their types: never one that results, logs or other processes show. `$${secret:` stands for the characters
//! `${secret:`.

mod hosts;
mod places;
#[cfg(test)]
mod places_tests;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::hosts::{HostRule, SecretAllowance};
pub use self::places::{SecretPlaces, SecretUse};
pub(crate) use self::places::{refuse, validate};

/// What every reference begins with.
pub(crate) const OPEN: &str = "${secret:";
/// The most references of one text.
const REFERENCES_MAX: usize = 16;

/// The name of a secret: 1 to 64 of `A-Z a-z 0-9 _ - .`, not beginning with a dot or a hyphen. It can be the name of a
/// file, and never leads out of its directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct SecretName(#[schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"))] Box<str>);

impl SecretName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SecretName {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let begins_well = !text.starts_with(['.', '-']);
        if (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(permitted) && begins_well {
            return Ok(Self(text.into()));
        }
        Err(crate::Invalid::new(format!(
            "`{}` cannot be the name of a secret: expected 1 to {} of the characters A-Z a-z 0-9 _ - ., and no dot or \
             hyphen at the beginning",
            crate::shorten(text, 70),
            Self::BYTES_MAX
        )))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "the name of a secret", 4 * Self::BYTES_MAX)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A part of a text that may refer to secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretPart<'a> {
    /// As it is.
    Text(&'a str),
    /// `$${secret:`, which stands for the characters.
    Escaped,
    /// The value of the secret of this name.
    Secret(SecretName),
}

/// Whether `text` refers to a secret, or escapes what would.
pub(crate) fn mentions(text: &str) -> bool {
    text.contains(OPEN)
}

/// The text with references to secrets told apart from the rest.
///
/// # Errors
/// What is wrong with a reference.
pub(crate) fn parts(text: &str) -> Result<Vec<SecretPart<'_>>, String> {
    let (mut parts, mut rest, mut references) = (Vec::new(), text, 0);
    while let Some((before, after)) = rest.split_once(OPEN) {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([SecretPart::Text(before), SecretPart::Escaped]);
            rest = after;
            continue;
        }
        parts.push(SecretPart::Text(before));
        let (name, behind) = after.split_once('}').ok_or_else(|| {
            let shown = crate::shorten(after, 20);
            format!("`{OPEN}{shown}` has no end: expected `${{secret:name}}`, or `$${{secret:` for the characters")
        })?;
        parts.push(SecretPart::Secret(name.parse().map_err(|why: crate::Invalid| why.to_string())?));
        references += 1;
        if references > REFERENCES_MAX {
            return Err(format!("a text refers to more than {REFERENCES_MAX} secrets: expected at most that"));
        }
        rest = behind;
    }
    parts.push(SecretPart::Text(rest));
    parts.retain(|part| *part != SecretPart::Text(""));
    Ok(parts)
}

/// Which texts may refer to secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Those that have references anywhere.
    Anywhere,
    /// Those that are one reference and nothing else.
    Alone,
    /// URLs that have them before the `@` of their host.
    UserInfo,
}

impl Holder {
    /// What texts of the type called `name` may have; `None` where it is nothing.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "BasicUser" | "CommandWord" | "HeaderValue" | "LoginName" | "MailUser" | "PasswordText" | "PayloadText"
            | "TokenText" | "VariableValue" => Some(Self::Anywhere),
            "PemText" => Some(Self::Alone),
            "ProxyText" => Some(Self::UserInfo),
            _ => None,
        }
    }

    /// Why `parts` of `text` are not what may stand there.
    fn complaint(self, text: &str, parts: &[SecretPart<'_>]) -> Option<&'static str> {
        let refers = parts.iter().any(|part| matches!(part, SecretPart::Secret(_)));
        match self {
            Self::Alone if refers && parts.len() > 1 => {
                Some("a reference to a secret stands for the whole text here: expected nothing beside it")
            }
            Self::UserInfo if refers && !only_before_host(text) => {
                Some("a reference to a secret may stand in the user and password of the URL only")
            }
            _ => None,
        }
    }
}

/// Whether every reference in a URL stands before the `@` of its host.
fn only_before_host(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    let user_info = authority.rsplit_once('@').map_or("", |(user_info, _)| user_info);
    !mentions(scheme) && url.matches(OPEN).count() == user_info.matches(OPEN).count()
}

/// `text` of the type called `type_name` with samples in the place of its references to secrets, so that it can be
/// seen whether it is valid.
///
/// # Errors
/// Where it has references and may have none, or not such ones.
pub(crate) fn sampled<'a>(type_name: &str, text: &'a str) -> Result<Cow<'a, str>, String> {
    if !mentions(text) {
        return Ok(Cow::Borrowed(text));
    }
    let Some(holder) = Holder::of(type_name) else { return Err(nowhere(type_name)) };
    let parts = parts(text)?;
    if let Some(complaint) = holder.complaint(text, &parts) {
        return Err(complaint.to_owned());
    }
    let sample = |part: &SecretPart<'_>| match part {
        SecretPart::Text(text) => (*text).to_owned(),
        // Without the colon, which is none of the name's own.
        SecretPart::Escaped if holder == Holder::Anywhere => "${secret.".to_owned(),
        SecretPart::Escaped => String::new(),
        SecretPart::Secret(_) => "secret".to_owned(),
    };
    Ok(Cow::Owned(parts.iter().map(sample).collect()))
}

/// Why a text of the type called `type_name` may not refer to secrets.
fn nowhere(type_name: &str) -> String {
    let why = match type_name {
        "Argument" => "everybody on the machine can see arguments: expected it in `environment`",
        "HttpUrl" | "WebsocketUrl" | "DohPath" => {
            "results and logs show URLs: expected it in a header, the body or `auth`"
        }
        "Hex" | "Base64" => "what is sent is a text then: expected the text itself, with the reference in it",
        _ => "results show this text: expected it in a header's value, a body, a password or a token",
    };
    format!("a reference to a secret, `{OPEN}…}}`, cannot stand here, since {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart_from_the_rest() {
        let secret = |name: &str| SecretPart::Secret(name.parse().unwrap());
        let text = SecretPart::Text;
        for (written, told) in [
            ("plain ${name} $", vec![text("plain ${name} $")]),
            ("", vec![]),
            ("${secret:a}${secret:b-1.x}", vec![secret("a"), secret("b-1.x")]),
            ("Bearer ${secret:t}!", vec![text("Bearer "), secret("t"), text("!")]),
            ("$${secret:a} ${secret:b}", vec![SecretPart::Escaped, text("a} "), secret("b")]),
            ("$$${secret:a}", vec![text("$"), SecretPart::Escaped, text("a}")]),
        ] {
            assert_eq!(parts(written), Ok(told), "{written}");
        }
        for (bad, told) in [
            ("${secret:", "has no end"),
            ("${secret:a", "has no end"),
            ("${secret:}", "cannot be the name"),
            ("${secret:../etc/passwd}", "cannot be the name"),
            ("${secret:.hidden}", "cannot be the name"),
            ("${secret:a b}", "cannot be the name"),
            ("${secret:{{target.labels.x}}}", "cannot be the name"),
            (&"${secret:a}".repeat(17), "more than 16 secrets"),
        ] {
            let error = parts(bad).unwrap_err();
            assert!(error.contains(told), "{bad}: {error}");
        }
        assert!("a".repeat(65).parse::<SecretName>().is_err());
    }

    #[test]
    fn what_results_show_refers_to_no_secrets() {
        for (type_name, text, told) in [
            ("HttpUrl", "http://a/?t=${secret:t}", "URLs"),
            ("Argument", "${secret:t}", "`environment`"),
            ("Needle", "${secret:t}", "results show"),
            ("PemText", "/etc/${secret:t}", "the whole text"),
            ("ProxyText", "http://${secret:t}:3128", "user and password of the URL"),
            ("ProxyText", "http://u:p@${secret:t}:3128", "user and password of the URL"),
            ("HeaderValue", "${secret:a b}", "cannot be the name"),
        ] {
            let error = sampled(type_name, text).unwrap_err();
            assert!(error.contains(told), "{type_name} {text}: {error}");
        }
        for (type_name, text, sample) in [
            ("HeaderValue", "Bearer ${secret:t}", "Bearer secret"),
            ("PemText", "${secret:t}", "secret"),
            ("ProxyText", "http://${secret:u}:${secret:p}@a:1", "http://secret:secret@a:1"),
            ("HttpUrl", "http://a/", "http://a/"),
        ] {
            assert_eq!(sampled(type_name, text).unwrap(), sample);
        }
    }
}
