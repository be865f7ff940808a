//! What is secret in a request by the names of its headers, and where it is hidden.

use super::*;

#[test]
fn secrets_are_known_by_their_names() {
    for secret in [
        "authorization",
        "proxy-authorization",
        "authentication-info",
        "cookie",
        "set-cookie",
        "x-auth-token",
        "x-auth",
        "x-api-key",
        "x-functions-key",
        "x-session-id",
        "x-vault-auth",
        "x-jwt-assertion",
        "x-passphrase",
        "x-hub-signature-256",
        "x-amz-credential",
    ] {
        assert!(is_secret_header(secret), "{secret}");
    }
    for harmless in ["www-authenticate", "etag", "server", "keep-alive", "content-type", "x-instance"] {
        assert!(!is_secret_header(harmless), "{harmless}");
    }
}

fn secrets(headers: &str) -> Secrets {
    Secrets::of(&serde_json::from_str(&format!(r#"{{"url": "http://a/", "headers": {{{headers}}}}}"#)).unwrap())
}

#[test]
fn what_was_sent_as_a_secret_is_hidden_with_its_parts() {
    let sent = secrets(
        r#""Authorization": "Basic YWxpY2U6aHVudGVyMg==", "Cookie": "a=bbbbbbbb; c=dd", "X-Api-Key": "short",
        "X-Plain": "harmless""#,
    );
    for (text, shown) in [
        ("Basic YWxpY2U6aHVudGVyMg==", "[redacted]"),
        ("<YWxpY2U6aHVudGVyMg==>", "<[redacted]>"),
        ("user alice:hunter2 with hunter2!", "user [redacted] with [redacted]!"),
        ("bbbbbbbb and dd, short, harmless", "[redacted] and dd, short, harmless"),
    ] {
        assert_eq!(sent.hide_in(text.to_owned()), shown);
    }
}

#[test]
fn what_was_captured_is_hidden_in_the_forms_in_which_it_is_sent() {
    let mut captured = Secrets::default();
    ["a b/c\"d", "4711", "17"].into_iter().for_each(|value| captured.add_captured(value));
    let mut secrets = Secrets::default();
    secrets.join(&captured);
    for (text, shown) in [
        ("a b/c\"d", "[redacted]"),
        ("/x/a%20b%2Fc%22d?y", "/x/[redacted]?y"),
        (r#"{"t": "a b/c\"d"}"#, r#"{"t": "[redacted]"}"#),
        ("pin 4711, not 47110 or x4711; 17", "pin [redacted], not 47110 or x4711; 17"),
        ("4711", "[redacted]"),
    ] {
        assert_eq!(secrets.hide_in(text.to_owned()), shown);
    }
}

#[test]
fn what_a_rule_matches_is_hidden_even_across_the_border() {
    let rules = Redaction::new(vec!["x-internal".parse().unwrap()], &[r"\d{8}".parse().unwrap()]);
    let secrets = secrets(r#""X-Token": "abcdefgh""#).with_rules(&rules);
    let text = b"..12345678..abcdefgh..";
    let shown = |range| String::from_utf8(secrets.hide(text, range).into_owned()).unwrap();
    assert_eq!(shown(0..text.len()), "..[redacted]..[redacted]..");
    assert_eq!(shown(0..4), "..[redacted]");
    assert_eq!(shown(9..13), "[redacted]..[redacted]");
    assert!(secrets.hides_header("x-internal") && secrets.hides_header("cookie") && !secrets.hides_header("x"));
}

#[test]
fn what_an_expression_read_is_shown_without_secrets() {
    let sent = secrets(r#""X-Token": "0123456789""#);
    for (path, text, shown) in [
        ("body.text", "so 0123456789 it is", "so [redacted] it is"),
        (r#"headers["Set-Cookie"]"#, "a=b", "[redacted]"),
        ("headers.authorization", "Basic", "[redacted]"),
        (r#"headers["location"]"#, "http://u:hunter2@a/", "http://a/"),
        (r#"headers["etag"]"#, "0123456789", "[redacted]"),
    ] {
        assert_eq!(sent.shown(path, text), shown, "{path}");
    }
}

#[test]
fn a_secret_on_the_border_of_what_is_shown_is_hidden_whole() {
    let sent = secrets(r#""X-Token": "0123456789", "X-Other-Token": "56789abc""#);
    let text = b"..0123456789abc..";
    let shown = |range| String::from_utf8(sent.hide(text, range).into_owned()).unwrap();
    assert_eq!(shown(0..text.len()), "..[redacted]..");
    assert_eq!(shown(0..6), "..[redacted]");
    assert_eq!(shown(5..8), "[redacted]");
    assert_eq!(shown(5..17), "[redacted]..");
    assert_eq!(shown(15..17), "..");
    assert_eq!(shown(0..2), "..");
}
