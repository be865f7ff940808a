//! What a subject and a filter may look like, and which subjects a filter takes in.
//!
//! The rules are stricter than those of nats-server, so that whatever passes here means the same on
//! every bus: nats-server takes `a.*` as a publish subject, and a client that publishes an empty
//! token gets no error at all.

/// The longest subject or filter, in bytes. nats-server bounds the whole protocol line to 4 KiB.
const SUBJECT_BYTES_MAX: usize = 512;

/// How much of a wrong subject an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Why a text is not a subject, a filter, or a queue group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a {role}: {detail}")]
pub struct SubjectError {
    role: &'static str,
    shown: String,
    detail: &'static str,
}

/// Whether a message can be published to `subject`: tokens with dots between, no whitespace, no wildcards.
///
/// # Errors
/// Says what is wrong with it.
pub fn validate_subject(subject: &str) -> Result<(), SubjectError> {
    validate(subject, "subject", |token, _| {
        if token.contains(['*', '>']) { Err("a subject to publish to has no wildcards `*` and `>`") } else { Ok(()) }
    })
}

/// Whether `filter` can be subscribed to: a subject in which `*` may stand for one token, and `>`
/// at the end for one or more.
///
/// # Errors
/// Says what is wrong with it.
pub fn validate_filter(filter: &str) -> Result<(), SubjectError> {
    validate(filter, "subject to subscribe to", |token, is_last| match token {
        "*" => Ok(()),
        ">" if is_last => Ok(()),
        ">" => Err("the wildcard `>` stands at the end only"),
        _ if token.contains(['*', '>']) => Err("a wildcard `*` or `>` is a token by itself"),
        _ => Ok(()),
    })
}

/// Whether `queue` can name a queue group.
pub(crate) fn validate_queue(queue: &str) -> Result<(), SubjectError> {
    validate(queue, "queue group", |token, _| {
        if token.contains(['*', '>']) { Err("the name of a queue group has no wildcards") } else { Ok(()) }
    })
}

/// Whether `filter` takes in `subject`. Both must be valid.
pub fn subject_matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        let Some(token) = tokens.next() else { return false };
        match wanted {
            // `>` is last in a valid filter, and it has found the one token that it needs.
            ">" => return true,
            "*" => {}
            _ if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether `subject` is one that only whoever asks something is to listen to: an inbox, `_INBOX` or `_INBOX_` and more
/// as its first token; or what NATS puts in the place of one, `_R_.` where the request came from another account and
/// `_GR_.cluster.server.` before it where it came from another cluster. Whoever answers nowhere else cannot be made to
/// speak to anybody but the one who asked.
pub fn is_inbox(subject: &str) -> bool {
    let Some((first, rest)) = without_cluster(subject).split_once('.') else { return false };
    !rest.is_empty() && (first == "_INBOX" || first.starts_with("_INBOX_") || first == "_R_")
}

/// Whether a reply subject is one that NATS has put there, since the request came from another account. No client may
/// name such a one, so what the server adds to those requests is not what their sender wrote.
pub fn is_of_another_account(reply: &str) -> bool {
    without_cluster(reply).strip_prefix("_R_.").is_some_and(|rest| !rest.is_empty())
}

/// Without the tokens that the server takes off again that it is for.
fn without_cluster(subject: &str) -> &str {
    match subject.strip_prefix("_GR_.") {
        Some(mapped) => mapped.splitn(3, '.').nth(2).unwrap_or_default(),
        None => subject,
    }
}

/// Whether a valid filter has wildcards.
pub(crate) fn has_wildcards(filter: &str) -> bool {
    filter.contains(['*', '>'])
}

fn validate(
    text: &str,
    role: &'static str,
    token_ok: impl Fn(&str, bool) -> Result<(), &'static str>,
) -> Result<(), SubjectError> {
    let check = || {
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.len() > SUBJECT_BYTES_MAX {
            return Err("it is longer than 512 bytes");
        }
        // A line break would let the text smuggle commands into the NATS protocol.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it contains whitespace or a control character");
        }
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            if token.is_empty() {
                return Err("it has an empty token; tokens stand between single dots, as in `a.b.c`");
            }
            token_ok(token, tokens.peek().is_none())?;
        }
        Ok(())
    };
    check().map_err(|detail| {
        let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
        if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
            shown.push('…');
        }
        SubjectError { role, shown, detail }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for good in ["a", "a.b.c", "watchpost.b-1.task.http", "_INBOX.Xy9", "grüße.ü", "$SRV.PING"] {
            assert_eq!(validate_subject(good), Ok(()), "{good}");
        }
        let long = "a".repeat(SUBJECT_BYTES_MAX + 1);
        for bad in
            ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nb", "a\0b", "a\u{a0}b", "*", "a.*", "a.>", "a*b", &long]
        {
            assert!(validate_subject(bad).is_err(), "{bad:?}");
        }
        assert_eq!(validate_subject(&long[1..]), Ok(()));
    }

    #[test]
    fn filters() {
        for good in ["a", ">", "*", "a.*", "a.*.c", "*.*", "a.>", "*.>"] {
            assert_eq!(validate_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a..b", "a.>.b", ">.a", "a*", "a.b>", "**", "a. b", "a.>."] {
            assert!(validate_filter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn matching() {
        let check = |filter: &str, yes: &[&str], no: &[&str]| {
            for subject in yes {
                assert!(subject_matches(filter, subject), "{filter} takes in {subject}");
            }
            for subject in no {
                assert!(!subject_matches(filter, subject), "{filter} does not take in {subject}");
            }
        };
        check("a.b", &["a.b"], &["a", "a.b.c", "a.c", "A.b", "ab"]);
        check("a.*", &["a.b", "a.c"], &["a", "a.b.c", "b.a"]);
        check("*.b.*", &["a.b.c"], &["b.b", "a.b", "a.c.c", "a.b.c.d"]);
        check("a.>", &["a.b", "a.b.c.d"], &["a", "b.a"]);
        check(">", &["a", "a.b.c"], &[]);
        check("*", &["a"], &["a.b"]);
        check("*.>", &["a.b", "a.b.c"], &["a"]);
    }

    #[test]
    fn inboxes_are_told_from_other_subjects() {
        for inbox in ["_INBOX.a", "_INBOX.a.b.1", "_INBOX_site-1.a", "_R_.x.y", "_GR_.c.s._INBOX.a", "_GR_.c.s._R_.x"] {
            assert!(is_inbox(inbox), "{inbox}");
            assert_eq!(is_of_another_account(inbox), inbox.contains("_R_"), "{inbox}");
        }
        for other in [
            "",
            "_INBOX",
            "_INBOX.",
            "_INBOXES.a",
            "INBOX.a",
            "watchpost.b.result.x",
            "$JS.API.STREAM.DELETE.X",
            "$KV.WATCHPOST_CHECKS.a.b",
            "$SYS.REQ.SERVER.PING",
            "_GR_.c.s.watchpost.b.task.http",
            "_GR_.c.s.$KV.B.a",
            "_GR_.c.s",
            "_GR_._INBOX.a",
            "_GR_.a._GR_.b.c._INBOX.x",
        ] {
            assert!(!is_inbox(other), "{other}");
            assert!(!is_of_another_account(other), "{other}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_stay_short() {
        let error = validate_subject("a\r\nPUB b").unwrap_err().to_string();
        assert_eq!(error, r"`a\r\nPUB b` is not a subject: it contains whitespace or a control character");
        let error = validate_filter(&"x".repeat(100_000)).unwrap_err().to_string();
        assert!(error.len() < 250, "{error}");
        assert!(validate_queue("runners").is_ok());
        assert!(validate_queue("run ners").is_err());
    }
}
