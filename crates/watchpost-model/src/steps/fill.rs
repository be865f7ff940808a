//! What was captured, filled into the texts of a later step.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{CaptureName, FlowStep};
use crate::expect::{Expect, HeaderExpect};
use crate::http::{HttpAuth, HttpSettings, HttpUrl};
use crate::json_path::JsonExpect;
use crate::payload::Payload;
use crate::references::{TextPart, parts};

/// What was captured so far: texts, numbers, `true` and `false`.
pub type Captured = BTreeMap<CaptureName, Json>;

/// Why nothing can be asked with what was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfillable {
    /// The captures that the text refers to; none where it is wrong whatever they are.
    pub names: BTreeSet<String>,
    /// What is wrong, with the key of the text. It may quote what was captured.
    pub why: String,
}

/// Where a value is to stand, which decides how it is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Within a path or query, or a form: no character of it has a meaning of its own there.
    Component,
    /// Within a text of JSON.
    Json,
    /// As it is.
    Text,
}

impl Place {
    fn write(self, into: &mut String, value: &str) {
        match self {
            Self::Text => into.push_str(value),
            Self::Component => into.push_str(&percent_encoded(value)),
            Self::Json => into.push_str(&json_escaped(value)),
        }
    }

    /// What the values in the body of a request are written as.
    fn in_body(http: &HttpSettings) -> Self {
        match body_form(http) {
            BodyForm::Form => Self::Component,
            BodyForm::Json => Self::Json,
            BodyForm::Text => Self::Text,
        }
    }
}

/// What the body of a request is, as far as it matters to what is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyForm {
    /// A form, in which values are percent-encoded.
    Form,
    /// JSON, in whose texts values are escaped.
    Json,
    /// Anything else, in which values stand as they are.
    Text,
}

/// What the body of a request is, by its `Content-Type`.
pub(crate) fn body_form(http: &HttpSettings) -> BodyForm {
    let content_type = http.headers.iter().find(|(name, _)| name.as_str() == "content-type");
    let content_type = content_type.map_or("", |(_, value)| value.as_str());
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-www-form-urlencoded" => BodyForm::Form,
        json if json.ends_with("/json") || json.ends_with("+json") => BodyForm::Json,
        _ => BodyForm::Text,
    }
}

/// How a captured value may be written, other than as it is: in URLs, in JSON, in JSON within JSON, and in HTML. These
/// are the forms in which requests carry it, and in which answers say it back.
pub fn written_forms(value: &str) -> BTreeSet<String> {
    let (encoded, json) = (percent_encoded(value), json_escaped(value));
    let lower_case = encoded_with(value, |byte| format!("%{byte:02x}"));
    let forms = [
        lower_case,
        encoded.replace("%20", "+"),
        encoded,
        // Some write it so, lest an end tag appears.
        json.replace('/', "\\/"),
        json_escaped(&json),
        json,
        html_escaped(value),
    ];
    forms.into_iter().filter(|form| form != value).collect()
}

fn html_escaped(value: &str) -> String {
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}

/// Everything but the unreserved characters of RFC 3986 (section 2.3) as `%XX`.
pub(crate) fn percent_encoded(value: &str) -> String {
    encoded_with(value, |byte| format!("%{byte:02X}"))
}

fn encoded_with(value: &str, code: impl Fn(u8) -> String) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&code(other)),
        }
    }
    encoded
}

/// As it stands between the quotes of a text of JSON.
pub(crate) fn json_escaped(value: &str) -> String {
    let quoted = Json::from(value).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// A captured value as text.
pub fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl FlowStep {
    /// The request and what is expected of its answer, with `captured` in the place of the references to it. Within the
    /// URL and bodies of forms values are percent-encoded, within bodies of JSON escaped.
    ///
    /// # Errors
    /// What is no reference, refers to nothing, or would make another kind of request than is meant.
    pub fn filled(&self, captured: &Captured) -> Result<(HttpSettings, Expect), Unfillable> {
        let fill = Filling { captured };
        let mut http = self.http.clone();
        http.url = fill.url(&self.http.url)?;
        for (name, value) in &mut http.headers {
            *value = fill.parsed(&format!("http.headers.{}", name.as_str()), value.as_str())?;
        }
        match &mut http.auth {
            None => {}
            Some(HttpAuth::Bearer(token)) => *token = fill.parsed("http.auth.bearer", token.reveal())?,
            Some(HttpAuth::Basic(basic)) => {
                basic.username = fill.parsed("http.auth.basic.username", basic.username.as_str())?;
                if let Some(password) = &mut basic.password {
                    let names = names(password.reveal());
                    *password = fill.parsed("http.auth.basic.password", password.reveal())?;
                    // It may hold anything, but not everything can be sent.
                    basic.validate().map_err(|why| Unfillable { names, why })?;
                }
            }
        }
        if let Some(Payload::Text(body)) = &mut http.body {
            let place = Place::in_body(&self.http);
            *body = fill.parsed_in("http.body", body.as_str(), place)?;
        }
        Ok((http, fill.expect(&self.expect)?))
    }
}

struct Filling<'a> {
    captured: &'a Captured,
}

impl Filling<'_> {
    fn value(&self, key: &str, name: &str) -> Result<&Json, Unfillable> {
        let known = name.parse().ok().and_then(|name: CaptureName| self.captured.get(&name));
        known.ok_or_else(|| Unfillable {
            names: BTreeSet::new(),
            why: format!("`{key}` refers to `${{{name}}}`, which no earlier step captures"),
        })
    }

    fn text(&self, key: &str, text: &str, place: Place) -> Result<String, Unfillable> {
        let wrong = |why| Unfillable { names: BTreeSet::new(), why: format!("`{key}`: {why}") };
        let mut filled = String::with_capacity(text.len());
        for part in parts(text).map_err(wrong)? {
            match part {
                TextPart::Text(text) => filled.push_str(text),
                TextPart::Captured(name) => place.write(&mut filled, &text_of(self.value(key, name)?)),
            }
        }
        Ok(filled)
    }

    /// The text as it is, read anew as what it is to be.
    fn parsed<T: std::str::FromStr<Err = crate::Invalid>>(&self, key: &str, text: &str) -> Result<T, Unfillable> {
        self.parsed_in(key, text, Place::Text)
    }

    /// The text with values as they stand in `place`, read anew as what it is to be.
    fn parsed_in<T: std::str::FromStr<Err = crate::Invalid>>(
        &self,
        key: &str,
        text: &str,
        place: Place,
    ) -> Result<T, Unfillable> {
        let filled = self.text(key, text, place)?;
        filled.parse().map_err(|error: T::Err| Unfillable { names: names(text), why: format!("`{key}`: {error}") })
    }

    /// The URL, whose scheme, host and port no capture decides, nor where its path leads.
    fn url(&self, url: &HttpUrl) -> Result<HttpUrl, Unfillable> {
        const KEY: &str = "http.url";
        let wrong = |names, why: String| Unfillable { names, why: format!("`{KEY}`: {why}") };
        if url.parts().host_str().is_some_and(|host| host.contains("${")) {
            let why = "a reference stands in the host, which no answer may decide: expected it in the path or query";
            return Err(wrong(BTreeSet::new(), why.into()));
        }
        let filled: HttpUrl = self
            .text(KEY, url.as_str(), Place::Component)?
            .parse()
            .map_err(|error: crate::Invalid| wrong(names(url.as_str()), error.to_string()))?;
        if leads_elsewhere(url.as_str(), filled.as_str()) {
            let why = "a part of the path that is `.` or `..` would lead elsewhere".to_owned();
            return Err(wrong(names(url.as_str()), why));
        }
        Ok(filled)
    }

    fn expect(&self, expect: &Expect) -> Result<Expect, Unfillable> {
        let mut filled = expect.clone();
        for needle in &mut filled.body_contains.0 {
            *needle = self.parsed("expect.body_contains", needle.as_str())?;
        }
        for (name, wanted) in &mut filled.header {
            if let HeaderExpect::Equals(text) = wanted {
                *text = self.parsed(&format!("expect.header.{}", name.as_str()), text.as_str())?;
            }
        }
        for (path, wanted) in &mut filled.json_path {
            if let JsonExpect::Equals(Json::String(text)) = wanted {
                *wanted = JsonExpect::Equals(self.json(&format!("expect.json_path.{}", path.as_str()), text)?);
            }
        }
        Ok(filled)
    }

    /// A value of JSON: what is nothing but a reference is the captured value itself, a number for example.
    fn json(&self, key: &str, text: &str) -> Result<Json, Unfillable> {
        match parts(text).as_deref() {
            Ok([TextPart::Captured(name)]) => self.value(key, name).cloned(),
            _ => self.text(key, text, Place::Text).map(Json::String),
        }
    }
}

/// Whether a reference in the path of `url` became a part of it that stands for another one in `filled`.
fn leads_elsewhere(url: &str, filled: &str) -> bool {
    let path = |text: &str| -> Vec<String> {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        text.get(..end).unwrap_or_default().split(['/', '\\']).map(str::to_owned).collect()
    };
    // Values bring no slashes with them, so the parts are the same ones.
    let is_dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path(url).iter().zip(path(filled)).any(|(part, filled)| part.contains("${") && is_dots(&filled))
}

/// The names that `text` refers to.
fn names(text: &str) -> BTreeSet<String> {
    let captured = |part: &TextPart<'_>| match part {
        TextPart::Captured(name) => Some((*name).to_owned()),
        TextPart::Text(_) => None,
    };
    parts(text).unwrap_or_default().iter().filter_map(captured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(step: &str, captured: &str) -> Result<(HttpSettings, Expect), Unfillable> {
        let step: FlowStep = serde_json::from_str(step).unwrap();
        step.filled(&serde_json::from_str(captured).unwrap())
    }

    fn url(url: &str, value: &str) -> Result<String, String> {
        let filled =
            filled(&format!(r#"{{"http": {{"url": "{url}"}}}}"#), &serde_json::json!({ "x": value }).to_string());
        filled.map(|(http, _)| http.url.to_string()).map_err(|e| e.why)
    }

    #[test]
    fn a_value_in_a_url_stays_within_its_component() {
        for (text, value, becomes) in [
            ("http://a/${x}", "7", "http://a/7"),
            (
                "http://a/o/${x}/i?q=${x}&r=1",
                "a/b?c&d=e#f%g h+ä",
                "http://a/o/a%2Fb%3Fc%26d%3De%23f%25g%20h%2B%C3%A4/i?q=a%2Fb%3Fc%26d%3De%23f%25g%20h%2B%C3%A4&r=1",
            ),
            ("http://a/$${x}", "7", "http://a/${x}"),
            ("http://a/v${x}.json", "..", "http://a/v...json"),
            ("http://a/${x}/", "\r\nHost: b", "http://a/%0D%0AHost%3A%20b/"),
            ("http://a/?${x}", "..", "http://a/?.."),
        ] {
            assert_eq!(url(text, value).unwrap(), becomes, "{text} {value}");
        }
        for (text, value, told) in [
            ("http://a/o/${x}/i", "..", "would lead elsewhere"),
            ("http://a/${x}", ".", "would lead elsewhere"),
            ("http://a/${x}?b", "..", "would lead elsewhere"),
            ("http://a/b/%2E${x}", ".", "would lead elsewhere"),
            ("http://a/${x}${x}/b", ".", "would lead elsewhere"),
            ("http://${x}/", "b", "in the host"),
            ("http://a${x}.example/", "b", "in the host"),
            ("http://a/${y}", "b", "no earlier step captures"),
            ("http://a/${x", "b", "is no reference"),
        ] {
            let error = url(text, value).unwrap_err();
            assert!(error.contains(told), "{text} {value}: {error}");
        }
        assert!(url("http://a/${x}", &"ä".repeat(1000)).unwrap_err().contains("6009 bytes"));
    }

    #[test]
    fn a_value_in_a_header_cannot_become_another_header() {
        let step = r#"{"http": {"url": "http://a/", "headers": {"Authorization": "Bearer ${x}"}}}"#;
        let (http, _) = filled(step, r#"{"x": "abc"}"#).unwrap();
        assert_eq!(http.headers.values().next().unwrap().as_str(), "Bearer abc");
        for bad in ["a\r\nX-Evil: 1", "a\nb", "a\u{0}", "ä"] {
            let told = filled(step, &serde_json::json!({ "x": bad }).to_string()).unwrap_err();
            assert!(told.why.contains("`http.headers.authorization`: a header value holds"), "{}", told.why);
            assert_eq!(told.names.into_iter().collect::<Vec<_>>(), ["x"]);
        }
    }

    #[test]
    fn a_value_in_a_body_is_written_as_the_type_of_the_body_wants_it() {
        for (content_type, becomes) in [
            ("application/json", r#"-a\"b&c=d +\n-"#),
            ("application/vnd.api+json; charset=utf-8", r#"-a\"b&c=d +\n-"#),
            ("Application/X-WWW-Form-Urlencoded", "-a%22b%26c%3Dd%20%2B%0A-"),
            ("text/plain", "-a\"b&c=d +\n-"),
        ] {
            let step = format!(
                r#"{{"http": {{"url": "http://a/", "headers": {{"Content-Type": "{content_type}"}}, "body": "-${{x}}-"}}}}"#
            );
            let (http, _) = filled(&step, r#"{"x": "a\"b&c=d +\n"}"#).unwrap();
            assert_eq!(http.body, Some(Payload::Text(becomes.parse().unwrap())), "{content_type}");
        }
        let step = format!(r#"{{"http": {{"url": "http://a/", "body": "{}"}}}}"#, "${x}".repeat(10));
        let value = serde_json::json!({ "x": "a".repeat(8000) }).to_string();
        assert!(filled(&step, &value).unwrap_err().why.contains("80000 bytes"));
    }

    #[test]
    fn a_value_is_known_in_whatever_form_it_comes_back() {
        let forms = written_forms("a/b \"<&ä");
        for form in [
            "a%2Fb%20%22%3C%26%C3%A4",
            "a%2fb%20%22%3c%26%c3%a4",
            "a%2Fb+%22%3C%26%C3%A4",
            r#"a/b \"<&ä"#,
            r#"a\/b \"<&ä"#,
            r#"a/b \\\"<&ä"#,
            "a/b &quot;&lt;&amp;ä",
        ] {
            assert!(forms.contains(form), "{form}: {forms:?}");
        }
        assert!(written_forms("abc-123_~.").is_empty());
    }

    #[test]
    fn what_is_expected_can_be_what_was_captured() {
        let step = r#"{"http": {"url": "http://a/"}, "expect": {"body_contains": ["no ${x}", "a"],
            "header": {"X-Id": {"equals": "${x}"}}, "json_path": {"$.id": "${x}", "$.text": "id ${x}", "$.n": 1}}}"#;
        let (_, expect) = filled(step, r#"{"x": 17}"#).unwrap();
        assert_eq!(expect.body_contains.0[0].as_str(), "no 17");
        assert_eq!(serde_json::to_value(&expect.header).unwrap(), serde_json::json!({"x-id": {"equals": "17"}}));
        let json = serde_json::to_value(&expect.json_path).unwrap();
        assert_eq!(json, serde_json::json!({"$.id": 17, "$.text": "id 17", "$.n": 1}));
    }
}
