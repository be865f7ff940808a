//! What is secret in a request and its answer, so that no result shows it.

mod declared;
#[cfg(test)]
mod secret_tests;
mod userinfo;
mod views;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use data_encoding::BASE64;
use memchr::memmem;
use watchpost_model::{HttpAuth, HttpSettings, VariableName, VariableValue, written_forms};
use zeroize::Zeroizing;

pub(crate) use self::declared::Declared;
pub(crate) use self::userinfo::{reference_without_userinfo, without_userinfo};
use crate::recorder::Evidence;
use crate::redaction::{AROUND_BYTES, Redaction, walk};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Parts of names whose bearers are taken for secrets. It is better to hide a harmless value than
/// to show a token.
const TELLING: [&str; 13] = [
    "auth",
    "cookie",
    "credential",
    "-key",
    "apikey",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];
/// What a server asks for, and not what it is given. Why a login is refused is told nowhere else.
const CHALLENGES: [&str; 2] = ["www-authenticate", "proxy-authenticate"];
/// What is shorter is found in harmless texts by chance.
const SECRET_BYTES_MIN: usize = 6;
/// What is shorter than this is too short to be a secret at all.
const WORD_BYTES_MIN: usize = 4;

/// Whether the value of the header `name`, in lower case, is to be kept secret.
pub(crate) fn is_secret_header(name: &str) -> bool {
    // For texts this short it is faster than `str::contains`, and every header is looked at.
    TELLING.iter().any(|part| memmem::find(name.as_bytes(), part.as_bytes()).is_some()) && !CHALLENGES.contains(&name)
}

/// The longest text in which escapes are undone where there are many texts, in bytes.
const BRIEF_BYTES_MAX: usize = 16 * 1024;

/// The secrets that a request carries, to be hidden where an answer says them back.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    sent: Vec<Zeroizing<Vec<u8>>>,
    /// What is so short that it is hidden only where it stands by itself, and is no part of a longer word.
    words: Vec<Zeroizing<Vec<u8>>>,
    /// Those that the Runner filled in, whatever they look like.
    declared: Vec<Arc<Declared>>,
    /// Whether escapes are undone once in short texts, and not at all in others.
    is_brief: bool,
    /// What is hidden as well.
    rules: Redaction,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.sent.len())
    }
}

impl Secrets {
    /// Those in the headers and the login of `settings`: each value, and the parts that a server may pick from it.
    pub(crate) fn of(settings: &HttpSettings) -> Self {
        let mut secrets = Self::default();
        for (name, value) in &settings.headers {
            secrets.add_header(name.as_str(), value.as_str());
        }
        secrets.add_auth(settings.auth.as_ref());
        if let Some((user, password)) = settings.proxy.as_ref().and_then(|proxy| proxy.parts().login) {
            secrets.add_basic(&basic_credentials(&user, &password));
            secrets.add(basic_credentials(&user, &password).as_bytes());
        }
        secrets
    }

    /// Those in `headers`, names in lower case, and in `auth`: each value, and the parts that a server may pick
    /// from it.
    pub(crate) fn of_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>, auth: Option<&HttpAuth>) -> Self {
        let mut secrets = Self::default();
        headers.for_each(|(name, value)| secrets.add_header(name, value));
        secrets.add_auth(auth);
        secrets
    }

    /// Those that are `values` themselves.
    pub(crate) fn of_values<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut secrets = Self::default();
        secrets.extend(values);
        secrets
    }

    fn add_auth(&mut self, auth: Option<&HttpAuth>) {
        let Some(auth) = auth else { return };
        self.add_header("authorization", &authorization(auth));
    }

    /// Adds `values` themselves.
    pub(crate) fn extend<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        values.for_each(|value| self.add(value.as_bytes()));
    }

    fn add_header(&mut self, name: &str, value: &str) {
        if !is_secret_header(name) {
            return;
        }
        let value = value.trim();
        self.add(value.as_bytes());
        if let Some((scheme, credentials)) = value.split_once(' ') {
            let credentials = credentials.trim();
            self.add(credentials.as_bytes());
            if scheme.eq_ignore_ascii_case("basic") {
                self.add_basic(credentials);
            }
        }
        if name == "cookie" {
            let values = value.split(';').filter_map(|pair| pair.split_once('='));
            values.for_each(|(_, value)| self.add(value.trim().as_bytes()));
        }
    }

    /// Adds those that `others` are.
    pub(crate) fn join(&mut self, others: &Self) {
        others.sent.iter().for_each(|secret| self.add(secret));
        others.words.iter().for_each(|word| self.add_word(word));
        others.declared.iter().for_each(|declared| self.declare(declared));
    }

    /// The same for many texts in which little is expected, such as lines of a log: with less work for each.
    pub(crate) fn brief(self) -> Self {
        Self { is_brief: true, ..self }
    }

    /// Adds what the Runner filled in.
    pub(crate) fn declare(&mut self, declared: &Arc<Declared>) {
        if !self.declared.iter().any(|known| Arc::ptr_eq(known, declared)) {
            self.declared.push(Arc::clone(declared));
        }
    }

    /// Adds a value that an answer had and that is taken for a secret, even where it is short, with the forms in which
    /// it may come back.
    pub(crate) fn add_captured(&mut self, value: &str) {
        for form in written_forms(value).iter().map(String::as_str).chain([value]) {
            self.add(form.as_bytes());
            self.add_word(form.as_bytes());
        }
    }

    fn add_word(&mut self, word: &[u8]) {
        let is_short = (WORD_BYTES_MIN..SECRET_BYTES_MIN).contains(&word.len());
        if is_short && !self.words.iter().any(|known| known.as_slice() == word) {
            self.words.push(Zeroizing::new(word.to_vec()));
        }
    }

    /// The same, and what `rules` hide.
    pub(crate) fn with_rules(mut self, rules: &Redaction) -> Self {
        self.rules = rules.clone();
        self
    }

    /// Whether the value of the header `name`, in lower case, is to be kept secret.
    pub(crate) fn hides_header(&self, name: &str) -> bool {
        is_secret_header(name) || self.rules.hides_header(name)
    }

    /// Those among environment variables, by their names.
    pub(crate) fn of_environment(environment: &BTreeMap<VariableName, VariableValue>) -> Self {
        let mut secrets = Self::default();
        for (name, value) in environment {
            let name = name.as_str().to_ascii_lowercase().replace('_', "-");
            if is_secret_header(&name) || name.contains("pass") || name.contains("pwd") {
                secrets.add(value.as_str().as_bytes());
            }
        }
        secrets
    }

    fn add_basic(&mut self, encoded: &str) {
        let decoded = base64(encoded);
        if let Some(colon) = decoded.iter().position(|byte| *byte == b':') {
            self.add(decoded.get(colon + 1..).unwrap_or_default());
            self.add(&decoded);
        }
    }

    fn add(&mut self, secret: &[u8]) {
        if secret.len() >= SECRET_BYTES_MIN && !self.sent.iter().any(|known| known.as_slice() == secret) {
            self.sent.push(Zeroizing::new(secret.to_vec()));
        }
    }

    /// The bytes of `text` within `range`, with every secret that reaches into the range hidden,
    /// even where only a part of it lies there.
    pub(crate) fn hide<'a>(&self, text: &'a [u8], range: Range<usize>) -> Cow<'a, [u8]> {
        let shown = || text.get(range.clone()).unwrap_or_default();
        let known = self.sent.iter().chain(&self.words).map(|known| known.len());
        let longest = known.chain(self.declared.iter().map(|declared| declared.longest())).max();
        let around = if self.rules.is_empty() { 0 } else { AROUND_BYTES };
        let Some(longest) = longest.or((around > 0).then_some(0)) else { return Cow::Borrowed(shown()) };
        let longest = longest.max(around);
        let from = range.start.saturating_sub(longest);
        let around = text.get(from..text.len().min(range.end + longest)).unwrap_or_default();
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in &self.sent {
            found.extend(memmem::find_iter(around, secret.as_slice()).map(|at| from + at..from + at + secret.len()));
        }
        for word in &self.words {
            let all = memmem::find_iter(around, word.as_slice()).map(|at| from + at..from + at + word.len());
            found.extend(all.filter(|found| stands_alone(text, found)));
        }
        if !self.declared.is_empty() {
            let depth = match self.is_brief {
                true => usize::from(around.len() <= BRIEF_BYTES_MAX),
                false => views::DEPTH,
            };
            let all = declared::found(&self.declared, around, depth);
            found.extend(all.into_iter().map(|found| from + found.start..from + found.end));
        }
        found.extend(self.rules.found(around).map(|found| from + found.start..from + found.end));
        found.sort_unstable_by_key(|found| found.start);
        let (mut kept, mut at) = (Vec::new(), range.start);
        for found in found.into_iter().filter(|found| found.end > range.start && found.start < range.end) {
            if found.start >= at {
                kept.extend_from_slice(text.get(at..found.start).unwrap_or_default());
                kept.extend_from_slice(REDACTED.as_bytes());
            } else if kept.is_empty() {
                // It began before the range.
                kept.extend_from_slice(REDACTED.as_bytes());
            }
            at = at.max(found.end);
        }
        if kept.is_empty() {
            return Cow::Borrowed(shown());
        }
        kept.extend_from_slice(text.get(at..range.end).unwrap_or_default());
        Cow::Owned(kept)
    }

    /// `text`, which an expression read at `path`, as its report shows it.
    pub(crate) fn shown(&self, path: &str, text: &str) -> String {
        match header_of(path) {
            Some(name) if self.hides_header(&name) => REDACTED.to_owned(),
            Some(name) => self.hide_in(without_userinfo(&name, text.to_owned())),
            None => self.hide_in(text.to_owned()),
        }
    }

    /// Hides them in what was noted of a check's answers.
    pub(crate) fn hide_in_evidence(&self, evidence: &mut Evidence) {
        self.hide_declared_in(evidence);
        if self.sent.is_empty() && self.words.is_empty() {
            return;
        }
        let Evidence { hops, assertions, http, .. } = evidence;
        let of_assertions = assertions.iter_mut().flat_map(|report| [&mut report.expr, &mut report.actual]);
        let of_http = http
            .iter_mut()
            .flat_map(|http| http.headers.values_mut().chain(&mut http.redirects).chain(&mut http.body_excerpt));
        for text in hops.iter_mut().map(|hop| &mut hop.target).chain(of_assertions).chain(of_http) {
            *text = self.hide_in(std::mem::take(text));
        }
    }

    /// Hides what the Runner filled in wherever evidence has a text, and where it has a number or a name.
    fn hide_declared_in(&self, evidence: &mut Evidence) {
        if self.declared.is_empty() {
            return;
        }
        let hide = |text: &mut String| *text = self.hide_in(std::mem::take(text));
        let Evidence { assertions, http, hops, tls, of_type, metrics, .. } = evidence;
        walk(assertions, &hide);
        walk(http, &hide);
        walk(hops, &hide);
        walk(tls, &hide);
        walk(of_type, &hide);
        if let Some(http) = http {
            http.headers = std::mem::take(&mut http.headers).into_iter().map(|(n, v)| (self.hide_in(n), v)).collect();
        }
        let is_hidden = |text: &str| *self.hide(text.as_bytes(), 0..text.len()) == *REDACTED.as_bytes();
        metrics.retain(|_, number| !is_hidden(&number.to_string()));
        *metrics = std::mem::take(metrics).into_iter().map(|(name, number)| (self.hide_in(name), number)).collect();
    }

    /// `text` with every secret in it hidden, and what is left of one where the text was cut.
    pub(crate) fn hide_in(&self, text: String) -> String {
        let text = self.hide_whole_in(text);
        if self.declared.is_empty() { text } else { declared::hide_fragments(&self.declared, text) }
    }

    /// `text` with every secret in it hidden that is there as a whole.
    pub(crate) fn hide_whole_in(&self, text: String) -> String {
        match self.hide(text.as_bytes(), 0..text.len()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(hidden) => String::from_utf8_lossy(&hidden).into_owned(),
        }
    }
}

/// Whether what lies at `range` of `text` is no part of a longer word or number.
fn stands_alone(text: &[u8], range: &Range<usize>) -> bool {
    let goes_on = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    !goes_on(range.start.checked_sub(1)) && !goes_on(Some(range.end))
}

/// What the header `authorization` says for `auth`.
pub(crate) fn authorization(auth: &HttpAuth) -> String {
    match auth {
        HttpAuth::Basic(basic) => format!("Basic {}", basic_credentials(basic.username.as_str(), basic.password())),
        HttpAuth::Bearer(token) => format!("Bearer {}", token.reveal()),
    }
}

/// A username and a password as HTTP's basic scheme writes them (RFC 7617).
pub(crate) fn basic_credentials(username: &str, password: &str) -> String {
    BASE64.encode(format!("{username}:{password}").as_bytes())
}

/// Of the path `headers["name"]` or `headers.name` of an expression, the name.
fn header_of(path: &str) -> Option<String> {
    let rest = path.strip_prefix("headers")?;
    Some(rest.trim_matches(|c: char| matches!(c, '[' | ']' | '"' | '\'' | '.')).to_ascii_lowercase())
}

/// What `text` encodes, up to where it stops being base64.
fn base64(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push((bits >> held & 0xff) as u8);
        }
    }
    decoded
}
