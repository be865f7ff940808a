//! Checks as files have them.

use serde_saphyr::SerializerOptions;
use watchpost_model::CheckDocument;

use crate::failure::Failure;

/// A check as YAML, which reads back as the same check.
///
/// # Errors
/// When it cannot be written, which is a defect.
pub fn yaml(document: &CheckDocument) -> Result<String, Failure> {
    let written = |quote_all| {
        let mut options = SerializerOptions::default();
        options.prefer_block_scalars = false;
        options.quote_all = quote_all;
        serde_saphyr::to_string_with_options(document, options)
            .map_err(|e| Failure::stuck(format!("check `{}` cannot be written as YAML: {e}", document.id)))
    };
    let mut text = written(false)?;
    if text.contains("${") {
        // Within quotes nothing is filled in from the environment of whoever reads it.
        text = written(true)?;
    }
    // There is one version, and files leave it out.
    let version = ["v: 1\n", "\"v\": 1\n", "'v': 1\n"].into_iter().find(|version| text.starts_with(version));
    Ok(text.split_off(version.map_or(0, str::len)))
}

/// Keys whose values no diff shows.
const SECRET_KEYS: [&str; 10] = [
    "password",
    "token",
    "bearer",
    "secret",
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
];

/// Hides secrets in YAML. The same secret gets the same number, so that a diff shows where one has changed.
#[derive(Debug, Default)]
pub struct Mask {
    known: Vec<String>,
}

impl Mask {
    /// The same text without secrets.
    pub fn hide(&mut self, yaml: &str) -> String {
        let mut shown = String::with_capacity(yaml.len());
        // A step of a dialogue says of itself that what it sends is secret; which one is left open here.
        let says_secrets = yaml.contains("secret: true");
        let mut lines = yaml.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((before, value)) = secret_in(line, says_secrets) else {
                shown.push_str(&without_user_info(line));
                shown.push('\n');
                continue;
            };
            let depth = line.len() - line.trim_start_matches([' ', '-']).len();
            let mut secret = value.to_owned();
            // What goes on in deeper lines belongs to it.
            while let Some(more) = lines.next_if(|next| indent(next) > depth || next.trim().is_empty()) {
                secret.push('\n');
                secret.push_str(more);
            }
            let number = match self.known.iter().position(|known| *known == secret) {
                Some(at) => at,
                None => {
                    self.known.push(secret);
                    self.known.len() - 1
                }
            };
            shown.push_str(&format!("{before}: [hidden {}]\n", number + 1));
        }
        shown
    }
}

/// What stands before a secret, and the secret.
fn secret_in(line: &str, says_secrets: bool) -> Option<(&str, &str)> {
    let (before, value) = line.split_once(':')?;
    let key = before.trim_start_matches([' ', '-']).trim_matches(['"', '\'', ' ']);
    let is_secret = SECRET_KEYS.iter().any(|secret| key.eq_ignore_ascii_case(secret));
    let is_secret = is_secret || (says_secrets && matches!(key, "send" | "send_hex" | "send_base64"));
    let value = value.trim();
    (is_secret && !matches!(value, "" | "true" | "false")).then_some((before, value))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A URL with a user and a password before its host.
fn without_user_info(line: &str) -> String {
    let hidden = || {
        let (before, rest) = line.split_once("://")?;
        let host_ends = rest.find(['/', '?', '#', '"', '\'', ' ']).unwrap_or(rest.len());
        let at = rest[..host_ends].rfind('@')?;
        Some(format!("{before}://[hidden]{}", &rest[at..]))
    };
    hidden().unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> CheckDocument {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_check() {
        for json in [
            r#"{"id": "a", "tcp": {"address": "a:1"}}"#,
            r#"{"id": "yes", "http": {"url": "http://a/", "headers": {"X": "no", "Y": "1.0", "Z": "${HOME}"}}, "interval": "5s"}"#,
            r#"{"id": "null", "http": {"url": "http://a/", "body": "a: b\n  - c\n\n# d\n\ttab"}, "expect": {"status": "2xx"}}"#,
            r#"{"id": "g", "group": {"checks": ["a", "1"]}, "verdict": {"quorum": 1}, "scheduled": false}"#,
        ] {
            let document = document(json);
            let text = yaml(&document).unwrap();
            assert!(!text.contains("v: 1"), "{text}");
            let read: CheckDocument = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(read, document, "{text}");
        }
    }

    #[test]
    fn a_diff_shows_that_a_secret_changed_and_not_what_it_is() {
        let with = |password: &str| {
            let json = format!(
                r#"{{"id": "a", "http": {{"url": "http://a/", "headers": {{"Authorization": "Basic {password}"}},
                "auth": {{"basic": {{"username": "ann", "password": "{password}"}}}}}}}}"#
            );
            yaml(&document(&json)).unwrap()
        };
        let mut mask = Mask::default();
        let (old, again, new) = (mask.hide(&with("hunter2")), mask.hide(&with("hunter2")), mask.hide(&with("hunter3")));
        assert_eq!(old, again);
        assert_ne!(old, new);
        assert!(old.contains("ann") && !format!("{old}{new}").contains("hunter"), "{old}");
    }

    #[test]
    fn what_a_dialogue_sends_in_secret_is_hidden() {
        let text = "tcp:\n  steps:\n  - send: NOOP\n  - send: AUTH x\n    secret: true\n";
        let shown = Mask::default().hide(text);
        assert_eq!(shown, "tcp:\n  steps:\n  - send: [hidden 1]\n  - send: [hidden 2]\n    secret: true\n");
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_to_its_end() {
        let text = "smtp:\n  password: |-\n    one\n    two\n\n  user: ann\nproxy: http://bob:pw@host/x\n";
        let shown = Mask::default().hide(text);
        assert_eq!(shown, "smtp:\n  password: [hidden 1]\n  user: ann\nproxy: http://[hidden]@host/x\n");
    }
}
